"""Sizes of crystals, all at once: smallest distances, volumes and densities.

By symmetry the nearest neighbour of an atom is that of the atom which stands for its site: so pairs are one atom a site
with all atoms of the primitive cell and their images.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import covalent_radii, decode_table, reduce_cells

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aristotype.crystal import AtomBatch, CrystalTable

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_SHIFTS = np.array(list(product((-1, 0, 1), repeat=3)), dtype=np.float64)
_PAIRS_A_PASS = 200_000
"""About 30 MB an array; larger passes leave the caches and gain nothing."""
_ATOMIC_MASS = 1.66053906660
"""Atomic mass units per cubic Angstrom in g/cm^3 (CODATA 2018)."""


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """Sizes of n crystals; the cell is the primitive one."""

    min_distance: Floats  # (n,) Angstrom, of any two atoms of the infinite crystal
    closeness: Floats  # (n,) smallest distance over the sum of the two covalent radii; NaN where one is not known
    volume: Floats  # (n,) cubic Angstrom
    volume_per_atom: Floats  # (n,) cubic Angstrom
    density: Floats  # (n,) g/cm^3

    def filter(self, mask: NDArray[np.bool_]) -> Geometry:
        """Those of the crystals where a mask (n,) is true."""
        return Geometry(**{field.name: getattr(self, field.name)[mask] for field in fields(self)})


def geometry(table: CrystalTable) -> Geometry:
    """Smallest distances, volumes and densities of all crystals of a table.

    The smallest distance includes an atom's distance to its own images. A matrix of distances of the atoms of one cell
    does not, and so depends on which cell a crystal is described in.

    Raises:
        TableError: a row is a gene, which has no geometry.
        SymmetryError: cell parameters do not close to a cell.
    """
    atoms = decode_table(table, primitive=True)
    counts = np.diff(atoms.offsets)
    volume = np.abs(np.linalg.det(atoms.lattices))
    owner = np.repeat(np.arange(len(table)), counts)
    mass = np.bincount(owner, weights=_masses()[atoms.numbers], minlength=len(table))
    nearest, closeness = np.empty(len(table)), np.empty(len(table))
    for rows, distance, ratio in _nearest(atoms):
        nearest[rows], closeness[rows] = distance, ratio
    return Geometry(
        min_distance=nearest,
        closeness=closeness,
        volume=volume,
        volume_per_atom=volume / np.maximum(counts, 1),
        density=_ATOMIC_MASS * mass / volume,
    )


def _nearest(atoms: AtomBatch) -> Iterator[tuple[slice, Floats, Floats]]:
    """Smallest distances and closeness of consecutive crystals, as many at a time as their pairs allow."""
    change = reduce_cells(atoms.lattices)
    cells = change @ atoms.lattices
    inverse = np.rint(np.linalg.inv(change))
    counts = np.diff(atoms.offsets)
    owner = np.repeat(np.arange(len(counts)), counts)
    first = np.ones(len(owner), dtype=bool)  # the atom that stands for its site
    first[1:] = (atoms.sites[1:] != atoms.sites[:-1]) | (owner[1:] != owner[:-1])
    inside = np.einsum("ai,aij->aj", atoms.coords, inverse[owner])
    sites = np.bincount(owner[first], minlength=len(counts))
    for rows in _passes(sites * counts):
        some = slice(atoms.offsets[rows.start], atoms.offsets[rows.stop])
        stand = np.flatnonzero(first[some]) + some.start
        per_stand = counts[owner[stand]]
        left = np.repeat(stand, per_stand)
        right = np.repeat(atoms.offsets[owner[stand]], per_stand) + _counted(per_stand)
        distance = _image_distances(inside[left] - inside[right], left == right, cells, owner[left])
        ratio = distance / (covalent_radii()[atoms.numbers[left]] + covalent_radii()[atoms.numbers[right]])
        starts = np.flatnonzero(np.diff(owner[left], prepend=-1))
        yield rows, np.minimum.reduceat(distance, starts), np.minimum.reduceat(ratio, starts)


def _image_distances(steps: Floats, itself: NDArray[np.bool_], cells: Floats, row: Ints) -> Floats:
    """(p,) distances of nearest images, for steps (p, 3) in the bases of reduced cells; of an atom's own, not 0."""
    near = np.einsum("pi,pij->pj", steps - np.rint(steps), cells[row])
    best = np.full(len(steps), np.inf)
    for shift in _SHIFTS:
        moved = near + (shift @ cells)[row]
        squared = np.einsum("pi,pi->p", moved, moved)
        if not shift.any():
            squared[itself] = np.inf
        np.minimum(best, squared, out=best)
    return np.sqrt(best)


def _passes(weights: Ints) -> Iterator[slice]:
    """Consecutive rows whose weights add up to one pass at most, or single rows beyond that."""
    total = np.concatenate([[0], np.cumsum(weights)])
    start = 0
    while start < len(weights):
        stop = max(start + 1, int(np.searchsorted(total, total[start] + _PAIRS_A_PASS, side="right")) - 1)
        yield slice(start, stop)
        start = stop


def _counted(counts: Ints) -> Ints:
    """0, 1, ... within each run."""
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)


@cache
def _masses() -> Floats:
    """(119,) standard atomic weights by atomic number."""
    from ase.data import atomic_masses

    return np.asarray(atomic_masses, dtype=np.float64)
