"""Wyckoff shapes: the convex pieces that a Wyckoff position has in common with its asymmetric unit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aristotype.symmetry._lattice import cell_matrix
from aristotype.symmetry._tables import GRID, Ints

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class WyckoffShape:
    """A point, a segment, a convex polygon or the interior of a unit.

    Coordinates are `linear @ free + origin / 24`, where `free` are the parameters of the position's representative: the
    point is an image of the representative's at the same parameters. Whether ends and edges belong to the position and
    to the unit differs from shape to shape; they have no extent.
    """

    dimension: int
    linear: Ints  # (3, dimension)
    origin: Ints  # (3,) in 24ths
    vertices: Ints  # (k, dimension) parameters in 24ths; of a polygon counterclockwise
    normals: Ints  # (m, dimension) it is where normal . free + constant / 24 is positive
    constants: Ints  # (m,) in 24ths
    extent: float  # length, area or volume in parameters; 1 for a point

    def point(self, free: ArrayLike) -> Floats:
        """Coordinates (..., 3) at parameters (..., dimension)."""
        return np.asarray(free, float) @ self.linear.T + self.origin / GRID

    def read(self, points: ArrayLike) -> Floats:
        """Parameters (..., dimension) of points (..., 3) on the shape; of others those of a point near it."""
        return (np.asarray(points, float) - self.origin / GRID) @ self._inverse.T

    @cached_property
    def corners(self) -> Floats:
        """Coordinates (k, 3) of the vertices."""
        return self.point(self.vertices / GRID)

    def measure(self, lattice: ArrayLike) -> float:
        """Length, area or volume in Angstrom, for a cell (6,) in Angstrom and degrees; 1 for a point."""
        sides = self.linear.T @ cell_matrix(np.asarray(lattice, float))
        return self.extent * float(np.sqrt(np.linalg.det(sides @ sides.T)))

    def covers(self, free: ArrayLike, tolerance: float = 0.0) -> NDArray[np.bool_]:
        """Whether parameters (..., dimension) are in the shape, on its edge, or no further beyond than a tolerance."""
        beyond = np.asarray(free, float) @ self.normals.T + self.constants / GRID
        return np.asarray((beyond >= -tolerance).all(axis=-1))

    @cached_property
    def _inverse(self) -> Floats:
        return np.linalg.pinv(self.linear.astype(float))
