"""Random crystals in several descriptions each: a score is the same for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from pymatgen.core import Structure

from aristotype.crystal import CrystalTable, crystal_equivalents, encode
from tests.crystal.builders import disguised, random_crystal


def encoded_anew(numbers: Iterable[int]) -> Iterator[CrystalTable]:
    """A crystal of each space group, and its atoms in two other cells, origins, orientations and orders, encoded."""
    for number in numbers:
        rng = np.random.default_rng(number)
        crystal = random_crystal(number, rng)
        cells = [disguised(crystal, rng) for _ in range(2)]
        lost: list = []
        found = encode(
            [Structure(c.lattice, c.numbers, c.coords) for c in cells], tolerance=1e-3, failures=lost, max_gap=None
        )
        assert not lost
        if (found.space_group == number).all():  # else random atoms are more symmetric by accident
            yield CrystalTable.from_crystals([replace(crystal, id="first"), *found])


def some_equivalents(number: int) -> CrystalTable:
    """At most six of the equivalent descriptions of a crystal, those by other letters among them."""
    crystal = random_crystal(number, np.random.default_rng(number), special=1)
    rng = np.random.default_rng(0)
    described = [replace(c, id=str(i)) for i, c in enumerate(crystal_equivalents(crystal))]
    return CrystalTable.from_crystals([described[i] for i in rng.permutation(len(described))[:6]])
