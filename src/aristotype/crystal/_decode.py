"""Crystals to atoms: every orbit from its free parameters, in the conventional or the primitive cell."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal._checks import Cell
from aristotype.crystal._rows import Crystal
from aristotype.crystal._schema import centring_orders, freedoms, multiplicities
from aristotype.crystal._sites import by_position
from aristotype.errors import TableError
from aristotype.symmetry import GRID, cell_matrix, space_group

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aristotype.crystal._rows import Gene
    from aristotype.crystal._table import CrystalTable

Floats = NDArray[np.float64]

_PRIMITIVE = {
    "P": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "A": ((1, 0, 0), (0, 0.5, -0.5), (0, 0.5, 0.5)),
    "C": ((0.5, -0.5, 0), (0.5, 0.5, 0), (0, 0, 1)),
    "I": ((-0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0.5, 0.5, -0.5)),
    "F": ((0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)),
    "R": ((2 / 3, 1 / 3, 1 / 3), (-1 / 3, 1 / 3, 1 / 3), (-1 / 3, -2 / 3, 1 / 3)),
}
"""Primitive vectors in terms of the conventional ones, right-handed (rows)."""


class AtomBatch(NamedTuple):
    """Atoms of n crystals, one after another."""

    lattices: Floats  # (n, 3, 3) row vectors, Angstrom
    numbers: NDArray[np.int64]  # (atoms,) atomic numbers
    coords: Floats  # (atoms, 3) fractional, in [0, 1)
    sites: NDArray[np.int64]  # (atoms,) place of the atom's site in its crystal
    offsets: NDArray[np.int64]  # (n + 1,) where each crystal starts

    def cells(self) -> Iterator[Cell]:
        """One structure after another."""
        for row, lattice in enumerate(self.lattices):
            part = slice(self.offsets[row], self.offsets[row + 1])
            yield Cell(lattice, self.numbers[part], self.coords[part])


def decode(crystal: Gene, *, primitive: bool = False) -> Cell:
    """The atoms of one crystal.

    Args:
        crystal: a row with geometry.
        primitive: the primitive instead of the conventional cell.

    Returns:
        lattice (3, 3) with a along x and b in the xy plane (for the conventional cell), atomic numbers (atoms,) and
        fractional coordinates (atoms, 3) in [0, 1), orbit after orbit in site order.

    Raises:
        TableError: the row is a gene, which has no geometry.
        SymmetryError: the cell parameters do not close to a cell.
    """
    if not isinstance(crystal, Crystal):
        raise TableError(f"row {crystal.id!r} is a gene and has no geometry; realize it first")
    positions = [space_group(crystal.space_group).positions[index] for index in crystal.wyckoffs]
    orbits = [position.orbit(values) for position, values in zip(positions, crystal.site_free, strict=True)]
    lattice = cell_matrix(crystal.lattice)
    if primitive:
        vectors = primitive_vectors(crystal.space_group)
        lattice = vectors @ lattice
        kept = (primitive_images(crystal.space_group, index) for index in crystal.wyckoffs)
        orbits = [orbit[keep] @ np.linalg.inv(vectors) % 1.0 for orbit, keep in zip(orbits, kept, strict=True)]
    numbers = np.repeat(np.array(crystal.elements, np.int64), [len(orbit) for orbit in orbits])
    return Cell(lattice, numbers, _inside(np.concatenate([np.zeros((0, 3)), *orbits])))


def decode_table(table: CrystalTable, *, primitive: bool = False) -> AtomBatch:
    """The atoms of all crystals of a table, without a Python object an atom or a row.

    Args:
        table: crystals with geometry.
        primitive: primitive instead of conventional cells.

    Raises:
        TableError: a row is a gene, which has no geometry.
        SymmetryError: cell parameters do not close to a cell.
    """
    table.check_geometry()
    letters, counts = table.ragged("wyckoffs")
    elements, _ = table.ragged("elements")
    owner = np.repeat(np.arange(len(table)), counts)
    group = table.space_group.astype(np.int64)[owner]
    coords, per_site = _orbits(group, letters.astype(np.int64), table.ragged("free")[0], primitive)
    lattices = cell_matrix(table.lattice)
    if primitive:
        lattices = np.stack([primitive_vectors(number) for number in range(1, 231)])[table.space_group - 1] @ lattices
    site = np.repeat(np.arange(len(owner)), per_site)
    return AtomBatch(
        lattices=lattices,
        numbers=elements.astype(np.int64)[site],
        coords=_inside(coords),
        sites=(np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts))[site],
        offsets=np.concatenate([[0], np.cumsum(np.bincount(owner[site], minlength=len(table)))]).astype(np.int64),
    )


def _orbits(
    group: NDArray[np.int64], letters: NDArray[np.int64], free: Floats, primitive: bool
) -> tuple[Floats, NDArray[np.int64]]:
    """Coordinates of all orbits in site order, and the atoms of each site; one call for each distinct position."""
    freedom = freedoms()[group, letters]
    per_site = multiplicities()[group, letters] // (centring_orders()[group] if primitive else 1)
    first = np.cumsum(per_site) - per_site
    first_free = np.cumsum(freedom) - freedom
    coords = np.zeros((int(per_site.sum()), 3))
    for number, index, sites in by_position(group, letters):
        position = space_group(number).positions[index]
        points = position.orbit(free[first_free[sites][:, None] + np.arange(position.freedom)])
        if primitive:
            points = points[:, primitive_images(number, index)] @ np.linalg.inv(primitive_vectors(number)) % 1.0
        coords[first[sites][:, None] + np.arange(points.shape[1])] = points
    return coords, per_site


@cache
def primitive_vectors(number: int) -> Floats:
    """Vectors (3, 3) of the primitive cell in terms of the conventional ones (rows), right-handed."""
    vectors = np.array(_PRIMITIVE[space_group(number).centring], float)
    vectors.setflags(write=False)
    return vectors


@lru_cache(maxsize=2048)
def primitive_images(number: int, index: int) -> NDArray[np.int64]:
    """Images of a position, as places in its orbit, of which none is another one plus a centring translation."""
    group = space_group(number)
    position = group.positions[index]
    pure = (group.rotations == np.eye(3, dtype=int)).all(axis=(1, 2))
    moved = (position.orbit_origin[:, None] + group.translations[pure]) % GRID  # (m, centrings, 3)
    linear = position.orbit_linear.reshape(len(moved), -1)
    # All images that centring translations connect get the name of the smallest of them.
    code = (moved @ np.array([GRID * GRID, GRID, 1])).min(axis=1)
    _, first = np.unique(np.column_stack([linear, code]), axis=0, return_index=True)
    return np.sort(first)


def _inside(coords: Floats) -> Floats:
    """Coordinates a rounding error below 1, or of just 1, are 0."""
    return np.where(coords >= 1.0 - 1e-12, 0.0, coords)
