"""Crystals built position by position, for laws that an independent program is to confirm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from aristotype.symmetry import cell_matrix, lattice_constraints, space_group

GROUPS = range(1, 231)
VOLUME = 25.0  # A^3 an atom: atoms at random points stay far further apart than the 1e-5 A that the tests ask for


@dataclass(frozen=True, kw_only=True)
class BuiltCrystal:
    basis: np.ndarray  # (3, 3) row vectors
    coordinates: np.ndarray  # (n, 3)
    numbers: np.ndarray  # (n,)


@pytest.fixture(scope="session")
def random_cell() -> Callable:
    """A generic cell (6,) of a group's crystal family, not near any special metric."""

    def build(number: int, rng: np.random.Generator) -> np.ndarray:
        constraints = lattice_constraints(number)
        free = [rng.uniform(0.8, 1.25) if name in "abc" else rng.uniform(75, 105) for name in constraints.names]
        return constraints.expand(free)

    return build


@pytest.fixture(scope="session")
def build_crystal(random_cell: Callable) -> Callable:
    """A crystal with the given elements on the given positions, all parameters random."""

    def build(number: int, elements, wyckoffs, rng: np.random.Generator) -> BuiltCrystal:
        positions = space_group(number).positions
        orbits = [positions[w].orbit(rng.random(positions[w].freedom)) for w in wyckoffs]
        numbers = np.repeat(elements, [len(orbit) for orbit in orbits])
        cell = random_cell(number, rng)
        cell[:3] *= (VOLUME * len(numbers)) ** (1 / 3)
        return BuiltCrystal(basis=cell_matrix(cell), coordinates=np.concatenate(orbits), numbers=numbers)

    return build


@pytest.fixture(scope="session")
def full_crystal(build_crystal: Callable) -> Callable:
    """Every position of a group once, with an element of its own (Z = index + 1), and the general one twice more."""

    def build(number: int) -> BuiltCrystal:
        count = len(space_group(number).positions)
        wyckoffs = [*range(count), count - 1, count - 1]
        return build_crystal(number, np.arange(1, count + 3), wyckoffs, np.random.default_rng(number))

    return build
