"""What may come next always leads to an end, at which every element of the space has come."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from aristotype.crystal import GeneBatch
from aristotype.models.wyckoff_augen._rules import STOP, Written, elements_allowed, letters_allowed, start


@given(seed=st.integers(0, 2**32 - 1), most=st.integers(1, 6), greedy=st.booleans())
@settings(max_examples=60)
def test_random_walks_end_with_legal_genes_of_the_whole_space(seed, most, greedy):
    rng = np.random.default_rng(seed)
    n, size = 60, 5
    group = rng.integers(1, 231, n)
    space = np.zeros((n, size), bool)
    for row in range(n):
        space[row, rng.permutation(size)[: rng.integers(1, min(most, size) + 1)]] = True
    at, rows = start(group, space, most), np.arange(n)
    letters, elements = [[] for _ in rows], [[] for _ in rows]
    for _ in range(most + 1):
        allowed = letters_allowed(at)
        assert allowed.any(axis=1).all()
        # The largest letters leave least room; random ones go everywhere.
        pick = np.where(allowed, np.arange(28) if greedy else rng.random(allowed.shape), -1).argmax(axis=1)
        more = pick != STOP
        at, rows, pick = Written(*(part[more] for part in at)), rows[more], pick[more]
        if not len(rows):
            break
        possible = elements_allowed(at, pick)
        assert possible.any(axis=1).all()
        chosen = np.where(possible, np.arange(size) if greedy else rng.random(possible.shape), -1).argmax(axis=1)
        for row, letter, element in zip(rows.tolist(), pick.tolist(), chosen.tolist(), strict=True):
            letters[row].append(letter)
            elements[row].append(element + 1)
        at = at.after(pick, chosen)
    assert not len(rows)
    genes = GeneBatch.from_lists(group.astype(np.int16), elements, letters)
    assert genes.legal().all()
    for row in range(n):
        assert set(elements[row]) == set((np.flatnonzero(space[row]) + 1).tolist())
        assert list(zip(letters[row], elements[row])) == sorted(zip(letters[row], elements[row]))
        assert len(letters[row]) <= most
