"""The geometry of given crystals in the coordinates that a solver works in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aristotype.realize._atoms import flatten
from aristotype.realize._solve import Geometry
from aristotype.symmetry import NUM_GROUPS, cell_matrix, lattice_constraints

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aristotype.crystal import CrystalTable
    from aristotype.realize._atoms import Atoms


def geometry_of(table: CrystalTable) -> tuple[Atoms, Geometry]:
    """The atoms of crystals and their geometry: shapes as in `Priors`, volumes, free parameters.

    Raises:
        TableError: a row is a gene, which has no geometry.
    """
    table.check_geometry()
    atoms = flatten(table.genes())
    lattice, group = table.lattice, atoms.group
    volume = np.linalg.det(cell_matrix(lattice))
    shape = np.zeros((len(table), 6))
    for number in range(1, NUM_GROUPS + 1):
        rows = np.flatnonzero(group == number)
        if len(rows):
            constraints = lattice_constraints(number)
            parameters = constraints.reduce(lattice[rows], tolerance=np.inf)
            lengths = np.log(parameters / np.cbrt(volume[rows])[:, None])
            is_length = [name in "abc" for name in constraints.names]
            shape[rows, : len(is_length)] = np.where(is_length, lengths, np.radians(parameters))
    free = np.zeros((len(atoms.site_row), 3))
    free[np.arange(3) < atoms.site_freedom[:, None]] = table.ragged("free")[0]
    return atoms, Geometry(shape=shape, volume=volume, free=free)


def joined(parts: Sequence[Geometry]) -> Geometry:
    """One geometry after the other."""
    return Geometry(
        shape=np.concatenate([np.zeros((0, 6)), *(part.shape for part in parts)]),
        volume=np.concatenate([np.zeros(0), *(part.volume for part in parts)]),
        free=np.concatenate([np.zeros((0, 3)), *(part.free for part in parts)]),
    )
