"""Which cell parameters a crystal system leaves free (ITA A, Table 2.1.1.1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aristotype.errors import SymmetryError
from aristotype.symmetry._tables import CRYSTAL_SYSTEMS, check_group, tables

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class LatticeConstraints:
    """The six cell parameters (a, b, c in Angstrom, alpha, beta, gamma in degrees) as basis @ free + fixed.

    `free` are the parameters themselves at the places named by `names`, so that a basis row holds one 1 or none.
    """

    names: tuple[str, ...]
    basis: Floats  # (6, number of free parameters)
    fixed: Floats  # (6,)

    def expand(self, free: ArrayLike) -> Floats:
        """Cell parameters (..., 6) from free ones (..., k)."""
        return np.asarray(free, float) @ self.basis.T + self.fixed

    def reduce(self, lattice: ArrayLike, tolerance: float = 1e-3) -> Floats:
        """Free parameters (..., k) of cells (..., 6), averaged over those that symmetry makes equal.

        Raises:
            SymmetryError: a cell differs from the constraints by more than `tolerance` (Angstrom or degrees).
        """
        cell = np.asarray(lattice, float)
        free = cell @ (self.basis / self.basis.sum(axis=0))
        off = np.abs(self.expand(free) - cell).max(initial=0.0)
        if off > tolerance:
            raise SymmetryError(
                f"the cell {np.round(cell, 4).tolist()} breaks the lattice constraints (free: {', '.join(self.names)}) "
                f"by {off:.3g}; the limit is {tolerance:g}"
            )
        return free


_FREE = {
    "triclinic": (("a", "b", "c", "alpha", "beta", "gamma"), (0, 1, 2, 3, 4, 5), (0, 0, 0, 0, 0, 0)),
    "monoclinic": (("a", "b", "c", "beta"), (0, 1, 2, -1, 3, -1), (0, 0, 0, 90, 0, 90)),
    "orthorhombic": (("a", "b", "c"), (0, 1, 2, -1, -1, -1), (0, 0, 0, 90, 90, 90)),
    "tetragonal": (("a", "c"), (0, 0, 1, -1, -1, -1), (0, 0, 0, 90, 90, 90)),
    "trigonal": (("a", "c"), (0, 0, 1, -1, -1, -1), (0, 0, 0, 90, 90, 120)),
    "hexagonal": (("a", "c"), (0, 0, 1, -1, -1, -1), (0, 0, 0, 90, 90, 120)),
    "cubic": (("a",), (0, 0, 0, -1, -1, -1), (0, 0, 0, 90, 90, 90)),
}


def lattice_constraints(number: int) -> LatticeConstraints:
    """Free cell parameters of a space group (hexagonal axes for trigonal groups, unique axis b).

    Raises:
        SymmetryError: the number is not one of 1 to 230.
    """
    names, source, fixed = _FREE[CRYSTAL_SYSTEMS[tables().crystal_system[check_group(number) - 1]]]
    basis = np.zeros((6, len(names)))
    for row, column in enumerate(source):
        if column >= 0:
            basis[row, column] = 1.0
    return LatticeConstraints(names=names, basis=basis, fixed=np.array(fixed, float))


def cell_matrix(lattice: ArrayLike) -> Floats:
    """Row vectors (..., 3, 3) of cells (..., 6): a along x, b in the xy plane.

    ASE orients cells like this; pymatgen puts c along z instead.

    Raises:
        SymmetryError: the angles do not close (no real cell has them) or a length is not positive.
    """
    cell = np.asarray(lattice, float)
    lengths, angles = cell[..., :3], np.radians(cell[..., 3:])
    cos, sin_gamma = np.cos(angles), np.sin(angles[..., 2])
    cx = cos[..., 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        cy = (cos[..., 0] - cos[..., 1] * cos[..., 2]) / sin_gamma
        cz = np.sqrt(1.0 - cx**2 - cy**2)
    if not (np.isfinite(cz).all() and (cz > 0).all() and (lengths > 0).all()):
        raise SymmetryError("cell lengths must be positive and the angles must close to a parallelepiped with a volume")
    zero = np.zeros_like(cx)
    a = np.stack([np.ones_like(cx), zero, zero], axis=-1)
    b = np.stack([cos[..., 2], sin_gamma, zero], axis=-1)
    c = np.stack([cx, cy, cz], axis=-1)
    return np.stack([a, b, c], axis=-2) * lengths[..., None]


def cell_parameters(matrix: ArrayLike) -> Floats:
    """Cell parameters (..., 6) of row vectors (..., 3, 3)."""
    rows = np.asarray(matrix, float)
    lengths = np.linalg.norm(rows, axis=-1)
    unit = rows / lengths[..., None]
    pairs = [(1, 2), (0, 2), (0, 1)]
    cos = np.stack([(unit[..., i, :] * unit[..., j, :]).sum(-1) for i, j in pairs], axis=-1)
    return np.concatenate([lengths, np.degrees(np.arccos(np.clip(cos, -1.0, 1.0)))], axis=-1)
