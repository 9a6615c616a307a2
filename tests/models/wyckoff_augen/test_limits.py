"""What limits leave is what can be completed: compared with all completions, tried one after another."""

from __future__ import annotations

from collections import Counter
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aristotype.crystal import Conditions, GeneBatch
from aristotype.models.blocks import primitive_multiplicities, without_freedom
from aristotype.models.wyckoff_augen._limits import limit_of

VOCABULARY = (3, 8, 26)
MOST = 3
GROUPS = (16, 47, 62, 166, 216, 225)
ASKED = (
    {"formula": "LiO2"},
    {"formula": "LiFeO", "num_sites": 3},
    {"formula": "LiO", "max_atoms": 6},
    {"formula": "LiFeO2", "formula_units": 2},
    {"num_sites": 3},
    {"num_sites": 3, "max_atoms": 6},
    {"max_atoms": 5},
    {"num_sites": 3, "partial": ([1], [8])},
    {"max_atoms": 8, "partial": ([0, 1], [3, 8])},
    {"formula": "LiO2", "max_atoms": 9, "partial": ([1], [8])},
    {"template": [0, 1, 2]},
    {"template": [0, 1, 2], "formula": "LiO2"},
)


def described(asked: dict, number: int) -> Conditions:
    """Conditions, with sites that are known or a template on letters of the group."""
    asked = dict(asked)
    if "partial" in asked:
        letters, elements = asked.pop("partial")
        asked["partial"] = GeneBatch.from_lists([number], [elements], [letters])
    if "template" in asked:
        letters = asked.pop("template")
        asked["template"] = GeneBatch.from_lists([number], [[8] * len(letters)], [letters])
    return Conditions(**asked)


def ends(number: int, conditions: Conditions, space: frozenset[int]):
    """Whether a sequence of sites can be completed to what is asked for, by trying everything."""
    atoms, fixed = primitive_multiplicities(number), without_freedom(number)
    formula = dict(conditions.formula or ())
    known = Counter(
        (w, VOCABULARY.index(z))
        for some in [conditions.partial]
        if some is not None
        for w, z in zip(some.wyckoffs[0].tolist(), some.elements[0].tolist(), strict=True)
    )
    letters = None if conditions.template is None else conditions.template.wyckoffs[0].tolist()

    def wanted(sites: tuple) -> bool:
        if known - Counter(sites) or (letters is not None and [w for w, _ in sites] != letters):
            return False
        counts = np.zeros(3, int)
        for letter, element in sites:
            counts[element] += atoms[letter]
        if {element for _, element in sites} != set(space):
            return False
        if conditions.num_sites not in (None, len(sites)):
            return False
        if counts.sum() > (conditions.max_atoms or 40):
            return False
        ratio = {counts[place] / formula[z] for place, z in enumerate(VOCABULARY) if z in formula}
        units = conditions.formula_units
        return not formula or (len(ratio) == 1 and ratio.pop() in ((units,) if units else range(1, 41)))

    @cache
    def possible(sites: tuple) -> bool:
        if sites and wanted(sites):
            return True
        if len(sites) == MOST or sum(atoms[w] for w, _ in sites) > (conditions.max_atoms or 12):
            return False
        return any(possible((*sites, site)) for site in following(sites))

    def following(sites: tuple):
        last = sites[-1] if sites else (-1, -1)
        for letter in range(max(last[0], 0), len(atoms)):
            for element in sorted(space):
                if letter > last[0] or (element >= last[1] and not fixed[letter]):
                    yield letter, element

    return possible, following


@pytest.mark.parametrize("asked", ASKED, ids=str)
@given(number=st.sampled_from(GROUPS), seed=st.integers(0, 2**32 - 1), full=st.booleans())
@settings(max_examples=5)
def test_what_is_left_can_be_completed_and_nothing_else(asked, number, seed, full):
    conditions = described(asked, number)
    limit = limit_of(conditions, number, VOCABULARY, MOST)
    elements = [VOCABULARY.index(z) for z, _ in conditions.formula or ()]
    space = frozenset(elements or ([0, 1, 2] if full else [0, 1]))
    possible, following = ends(number, conditions, space)
    rng, sites = np.random.default_rng(seed), ()
    while len(sites) < MOST:
        found = []
        for letter, element in following(sites):
            more = (*sites, (letter, element))
            placed = np.zeros(3, np.int64)
            for w, e in more:
                placed[e] += primitive_multiplicities(number)[w]
            if placed.sum() > 12 and conditions.max_atoms is None:
                continue  # the search ends there
            unused = np.array([place in space - {e for _, e in more} for place in range(3)])
            told = limit.goes_on(list(more), placed, unused)
            if placed.sum() <= 8 or told:
                if conditions.max_atoms is None and told and not possible(more):
                    continue  # it may need more atoms than the search allows
                assert told == possible(more), (more, placed)
            if told:
                found.append((letter, element))
        if not found:
            break
        sites = (*sites, found[rng.integers(len(found))])
