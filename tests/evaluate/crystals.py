"""Random crystals of every crystal system, as tables."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from aristotype.crystal import CrystalTable
from tests.crystal.builders import random_crystal

SYSTEMS = (1, 2, 5, 12, 14, 33, 36, 62, 88, 99, 136, 146, 166, 174, 194, 198, 205, 225)
"""Groups of each crystal system and centring, polar ones among them."""


def random_crystals(seed: int, groups: tuple[int, ...] = SYSTEMS, *, elements: int = 3) -> CrystalTable:
    """One random crystal a group, named by its place."""
    rng = np.random.default_rng(seed)
    crystals = [random_crystal(number, rng, elements=elements) for number in groups]
    return CrystalTable.from_crystals([replace(crystal, id=str(i)) for i, crystal in enumerate(crystals)])


def crystal(group: int, elements: list[int], letters: str, lattice: list[float], free: tuple[float, ...] = ()):
    """One crystal by hand, as a table."""
    return CrystalTable.from_arrays(
        space_group=[group],
        num_sites=[len(elements)],
        elements=elements,
        wyckoffs=["abcdefghijklmnopqrstuvwxyz".index(letter) for letter in letters],
        free=list(free),
        lattice=[lattice],
    )


def concatenated(*tables: CrystalTable) -> CrystalTable:
    """One table; rows are named by their places."""
    renamed = []
    for place, table in enumerate(tables):
        names = [f"{place}-{name}" for name in table.ids]
        renamed.append(table.with_columns(id=names))
    return CrystalTable.concatenate(renamed)
