"""How close the atoms of crystals come while they are being placed, site after site."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import (
    GeneBatch,
    centring_orders,
    covalent_radii,
    primitive_images,
    primitive_vectors,
    reduce_cells,
)
from aristotype.models.crystalformer._support import BINS
from aristotype.symmetry import NUM_GROUPS, cell_matrix, space_group

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_SHIFTS = np.array(list(product((-1, 0, 1), repeat=3)), float)
_HERE = 13
"""Place in `_SHIFTS` of no shift."""
_ROWS = 128
"""Crystals looked at together, all bins of each."""
_UNKNOWN = 1.5
"""Angstrom, for elements whose covalent radius is not known."""


class Placed:
    """Atoms of n crystals of up to S sites, in reduced primitive cells; sites are put in one at a time.

    By symmetry the nearest neighbour of an atom is that of the atom which stands for its site.
    """

    def __init__(self, genes: GeneBatch, lattice: Floats) -> None:
        """`genes` (n,) and their cells (n, 6) in Angstrom and degrees."""
        self._genes = genes
        group = genes.space_group.astype(np.int64)
        vectors = np.stack([primitive_vectors(number) for number in range(1, NUM_GROUPS + 1)])[group - 1]
        cells = vectors @ cell_matrix(lattice)
        change = reduce_cells(cells)
        self._cells = change @ cells
        self._into = np.linalg.inv(change @ vectors)  # from conventional coordinates, as rows
        radii = np.nan_to_num(covalent_radii(), nan=_UNKNOWN)
        self._radius = radii[genes.elements.astype(np.int64)]
        self._atoms = genes.multiplicities // centring_orders()[group][:, None]
        first = np.cumsum(self._atoms, axis=1) - self._atoms
        total = int(self._atoms.sum(axis=1).max(initial=0))
        self._first = first
        self._coords = np.zeros((len(genes), total, 3))
        self._size = np.full((len(genes), total), np.nan)  # radius of each atom that is placed

    def closeness(self, rows: Ints, site: int, free: Floats) -> Floats:
        """Smallest distance of a site (with parameters (k, 3)) to itself and all that is placed, over the radii's sum.

        Args:
            rows: (k,) crystals.
            site: place of the site in them.
            free: (k, 3) its free parameters.
        """
        coords = self._orbit(rows, site, free)
        own, count = self._radius[rows, site], self._atoms[rows, site]
        exists = np.arange(coords.shape[1]) < count[:, None]
        sizes = np.where(exists, own[:, None], np.nan)
        others = np.concatenate([coords, self._coords[rows]], axis=1)
        place = np.arange(self._size.shape[1]) - self._first[rows, site][:, None]
        placed = np.where((place >= 0) & (place < count[:, None]), np.nan, self._size[rows])  # but for an earlier try
        radius = np.concatenate([sizes, placed], axis=1) + own[:, None]
        step = others - coords[:, :1]
        step -= np.rint(step)
        cells = self._cells[rows]
        near, moved = step @ cells, _SHIFTS @ cells
        squared = 2.0 * near @ moved.transpose(0, 2, 1)  # of near + moved, image by image
        squared += np.square(near).sum(axis=2)[:, :, None]
        squared += np.square(moved).sum(axis=2)[:, None]
        squared[:, 0, _HERE] = np.inf  # the atom itself
        ratio = np.sqrt(np.maximum(squared.min(axis=2), 0.0)) / radius
        return np.asarray(np.nanmin(ratio, axis=1))

    def along(self, rows: Ints, site: int, free: Floats, axis: Ints) -> Floats:
        """(k, BINS) `closeness` at the middle of each bin of one parameter, the others as they are.

        Args:
            rows: (k,) crystals.
            site: place of the site in them.
            free: (k, 3) its free parameters.
            axis: (k,) which of them is moved.
        """
        out = np.empty((len(rows), BINS))
        for start in range(0, len(rows), _ROWS):
            part = slice(start, start + _ROWS)
            moved = np.repeat(free[part, None], BINS, axis=1)
            moved[np.arange(len(moved)), :, axis[part]] = np.arange(BINS) / BINS
            found = self.closeness(np.repeat(rows[part], BINS), site, moved.reshape(-1, 3))
            out[part] = found.reshape(-1, BINS)
        return out

    def put(self, rows: Ints, site: int, free: Floats) -> None:
        """Places a site in some crystals, or places it anew."""
        coords = self._orbit(rows, site, free)
        count = self._atoms[rows, site]
        which, place = np.nonzero(np.arange(coords.shape[1]) < count[:, None])
        at = self._first[rows[which], site] + place
        self._coords[rows[which], at] = coords[which, place]
        self._size[rows[which], at] = self._radius[rows[which], site]

    def put_fixed(self, freedom: Ints) -> None:
        """Places the sites without freedom (n, S)."""
        for site in range(freedom.shape[1]):
            rows = np.flatnonzero((freedom[:, site] == 0) & (self._genes.wyckoffs[:, site] >= 0))
            self.put(rows, site, np.zeros((len(rows), 3)))

    def _orbit(self, rows: Ints, site: int, free: Floats) -> Floats:
        """Coordinates (k, most atoms, 3) of a site in the reduced primitive cell, that which stands for it first."""
        letters = self._genes.wyckoffs[rows, site].astype(np.int64)
        group = self._genes.space_group[rows].astype(np.int64)
        out = np.zeros((len(rows), int(self._atoms[rows, site].max(initial=1)), 3))
        kind = group * 32 + letters
        for each in np.unique(kind).tolist():
            which = np.flatnonzero(kind == each)
            number, letter = each // 32, each % 32
            position = space_group(number).positions[letter]
            points = position.orbit(free[which, : position.freedom])[:, primitive_images(number, letter)]
            out[which, : points.shape[1]] = points @ self._into[rows[which]]
        return out
