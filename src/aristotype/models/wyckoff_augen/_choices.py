"""Which letters and elements may come next while crystals are drawn: the rules of sequences, and what is asked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aristotype.models.blocks import primitive_multiplicities
from aristotype.models.wyckoff_augen._limits import Limit
from aristotype.models.wyckoff_augen._rules import STOP, Written, elements_allowed, letters_allowed

Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]


def by_rules(at: Written) -> tuple[Flags, Flags]:
    """What the rules alone leave: (n, 28) letters and the end, and (n, 27, E) elements on each letter."""
    ends = letters_allowed(at)
    possible = np.stack([elements_allowed(at, np.full(len(ends), letter)) for letter in range(STOP)], axis=1)
    possible &= ends[:, :STOP, None]
    return ends, possible


def narrowed(
    ends: Flags, possible: Flags, at: Written, letters: Ints, elements: Ints, limits: Sequence[Limit | None]
) -> tuple[Flags, Flags]:
    """What is left of what the rules leave, with a limit for each of n sequences.

    Args:
        ends: (n, 28) by the rules.
        possible: (n, 27, E) by the rules.
        at: where the sequences stand.
        letters: (n, s) what is written.
        elements: (n, s) indices in the vocabulary.
        limits: n of them.
    """
    ends, possible = ends.copy(), possible.copy()
    for row, limit in enumerate(limits):
        if limit is None:
            continue
        atoms = primitive_multiplicities(int(at.group[row]))
        sites = list(zip(letters[row].tolist(), elements[row].tolist(), strict=True))
        placed = np.zeros(possible.shape[2], np.int64)
        for letter, element in sites:
            placed[element] += atoms[letter]
        ends[row, STOP] &= limit.may_end(sites, placed)
        for letter, element in np.argwhere(possible[row]).tolist():
            then, unused = placed.copy(), at.unused[row].copy()
            then[element] += atoms[letter]
            unused[element] = False
            possible[row, letter, element] = limit.goes_on([*sites, (letter, element)], then, unused)
    ends[:, :STOP] &= possible.any(axis=2)
    return ends, possible
