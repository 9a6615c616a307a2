"""Distances from points to sites that are placed, in the reduced primitive cell of a crystal."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import primitive_images, primitive_vectors, reduce_cells
from aristotype.symmetry import cell_matrix, space_group

Floats = NDArray[np.float64]
FAR = 12.0
"""Angstrom that stand for no distance at all."""
_SHIFTS = np.array(list(product((-1, 0, 1), repeat=3)), float)
_SAME = 1e-8  # squared Angstrom below which an atom is the point itself


class Surroundings:
    """Sites of one crystal, put in one after another. Distances are those to the nearest atom of a site."""

    def __init__(self, number: int, lattice: Floats) -> None:
        """An empty crystal of a space group, with a cell (6,) in Angstrom and degrees."""
        self.number = number
        vectors = primitive_vectors(number)
        self.conventional = cell_matrix(lattice)
        cell = vectors @ self.conventional
        change = reduce_cells(cell[None])[0]
        self.cell = change @ cell
        self.into = np.linalg.inv(change @ vectors)
        self._moved = _SHIFTS @ self.cell
        self._lengths = np.square(self._moved).sum(axis=1)
        self._atoms = np.zeros((0, 3))
        self._starts: list[int] = []

    def __len__(self) -> int:
        return len(self._starts)

    def atoms(self, letter: int, free: Floats) -> Floats:
        """(m, 3) atoms of a site in the reduced primitive cell, for parameters (freedom,)."""
        return self._orbits(letter, free[None])[0]

    def put(self, letter: int, free: Floats) -> None:
        """Adds a site with parameters (freedom,)."""
        self._starts.append(len(self._atoms))
        self._atoms = np.concatenate([self._atoms, self.atoms(letter, free)])

    def distances(self, letter: int, free: Floats) -> tuple[Floats, Floats]:
        """From sites of a position to all that is placed, and to themselves.

        Args:
            letter: index of the position.
            free: (k, freedom) parameters of k sites that are not placed.

        Returns:
            (k, sites) and (k,) in Angstrom, `FAR` at most.
        """
        orbits = self._orbits(letter, free)
        own = self._nearest(orbits[:, :1] - orbits).min(axis=1)
        if not self._starts:
            return np.zeros((len(free), 0)), own
        each = self._nearest(orbits[:, :1] - self._atoms)
        return np.minimum.reduceat(each, self._starts, axis=1), own

    def from_points(self, points: Floats) -> Floats:
        """(k, sites) Angstrom from points (k, 3) of the conventional cell to all that is placed, `FAR` at most."""
        each = self._nearest((points @ self.into)[:, None] - self._atoms)
        return np.minimum.reduceat(each, self._starts, axis=1)

    def between(self) -> Floats:
        """(sites, sites) distances of the sites that are placed; to themselves on the diagonal."""
        each = self._nearest(self._atoms[self._starts][:, None] - self._atoms)
        return np.minimum.reduceat(each, self._starts, axis=1)

    def _orbits(self, letter: int, free: Floats) -> Floats:
        """(k, m, 3) atoms in the reduced primitive cell, that which stands for the site first."""
        position = space_group(self.number).positions[letter]
        points: Floats = position.orbit(free)[:, primitive_images(self.number, letter)] @ self.into
        return points

    def _nearest(self, step: Floats) -> Floats:
        """(k, m) lengths of the shortest images of steps (k, m, 3); that of no step is that of a translation."""
        step = step - np.rint(step)
        near = step.reshape(-1, 3) @ self.cell
        squared = 2.0 * near @ self._moved.T
        squared += np.square(near).sum(axis=1)[:, None]
        squared += self._lengths
        squared[squared < _SAME] = FAR**2
        out: Floats = np.sqrt(np.minimum(squared.min(axis=1), FAR**2)).reshape(step.shape[:2])
        return out
