"""Known crystals for the baselines: textbook prototypes and random ones of low symmetry, in series of elements."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import product

import numpy as np

from aristotype.crystal import Crystal, CrystalTable, GeneBatch
from aristotype.models.baselines import Decoration, IonExchange
from aristotype.symmetry import space_group
from tests.crystal.builders import random_crystal, random_lattice

# Group, letters and place of the element on each: rock salt, caesium chloride, zinc blende, fluorite, rutile, wurtzite,
# perovskite, elpasolite, spinel. In rock salt, caesium chloride and zinc blende the places can be exchanged.
TEXTBOOK = [
    (225, (0, 1), (0, 1)),
    (221, (0, 1), (0, 1)),
    (216, (0, 2), (0, 1)),
    (225, (0, 2), (0, 1)),
    (136, (0, 5), (0, 1)),
    (186, (1, 1), (0, 1)),
    (221, (0, 1, 2), (0, 1, 2)),
    (225, (0, 1, 2, 4), (0, 1, 2, 3)),
    (227, (0, 3, 4), (0, 1, 2)),
]
CATIONS = (3, 11, 12, 20, 22, 26)
ANIONS = (8, 9, 17)
LOW = (1, 2, 4, 14, 19, 33, 62)
VOLUMES = np.where(np.arange(119) > 0, 8.0 + np.arange(119) * 7 % 23, np.nan)
"""Cubic Angstrom; any positive numbers do."""


def crystal(number: int, letters: Sequence[int], elements: Sequence[int], rng: np.random.Generator) -> Crystal:
    """A crystal with random free parameters and a random cell."""
    positions = space_group(number).positions
    order = sorted(range(len(letters)), key=lambda site: (letters[site], elements[site]))
    return Crystal(
        space_group=number,
        elements=tuple(elements[site] for site in order),
        wyckoffs=tuple(letters[site] for site in order),
        free=tuple(rng.random(sum(positions[letter].freedom for letter in letters)).tolist()),
        lattice=tuple(random_lattice(number, rng, 20.0 * sum(positions[w].multiplicity for w in letters)).tolist()),
    )


@cache
def known_crystals(seed: int = 0, share: float = 0.4) -> CrystalTable:
    """About two hundred crystals: some of all ways to fill each prototype with ions."""
    rng = np.random.default_rng(seed)
    rows = []
    for number, letters, places in TEXTBOOK:
        kinds = max(places) + 1
        every = [filled for filled in product(*[CATIONS] * (kinds - 1), ANIONS) if len(set(filled)) == kinds]
        chosen = rng.random(len(every)) < (share if kinds < 4 else share / 10)
        rows += [
            crystal(number, letters, [filled[place] for place in places], rng)
            for filled, kept in zip(every, chosen)
            if kept
        ]
    for number in LOW:
        shape = random_crystal(number, rng)
        for _ in range(5):
            filled = dict(zip((3, 4, 5), rng.choice((*CATIONS, *ANIONS), 3, replace=False).tolist(), strict=True))
            rows.append(crystal(number, shape.wyckoffs, [filled[z] for z in shape.elements], rng))
    order = rng.permutation(len(rows))
    table = CrystalTable.from_crystals([rows[row] for row in order])
    return table.with_columns(id=[f"known-{row}" for row in range(len(rows))])


def anything(genes: GeneBatch) -> np.ndarray:
    """A rule of charge balance that all compositions pass."""
    return np.ones(len(genes), bool)


def even(genes: GeneBatch) -> np.ndarray:
    """A rule that about half of all compositions pass: an even sum of atomic numbers over the sites."""
    return genes.elements.astype(np.int64).sum(axis=1) % 2 == 0


@cache
def ion_exchange(balanced=anything) -> IonExchange:
    return IonExchange(known_crystals(), volumes=VOLUMES, balanced=balanced)


@cache
def decoration(balanced=anything, elements: str = "uniform") -> Decoration:
    return Decoration(known_crystals(), volumes=VOLUMES, balanced=balanced, elements=elements)
