"""Whole numbers of genes: sites, atoms, elements, free parameters and compositions, for a batch at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import centring_orders

if TYPE_CHECKING:
    from aristotype.crystal import GeneBatch

Ints = NDArray[np.int64]
NUM_ELEMENTS = 119
"""Bins of a histogram by atomic number; bin 0 stays empty."""


def num_elements(genes: GeneBatch) -> Ints:
    """(n,) distinct elements of each gene."""
    return genes.num_elements


def conventional_atoms(genes: GeneBatch) -> Ints:
    """(n,) atoms in the conventional cell."""
    return genes.multiplicities.sum(axis=1, dtype=np.int64)


def primitive_atoms(genes: GeneBatch) -> Ints:
    """(n,) atoms in the primitive cell: conventional ones over the order of the centring."""
    return conventional_atoms(genes) // centring_orders()[genes.space_group]


def site_freedoms(genes: GeneBatch) -> Ints:
    """(n, S) free parameters of each site, -1 where there is no site."""
    return np.where(genes.wyckoffs >= 0, genes.freedoms, -1)


def free_parameters(genes: GeneBatch) -> Ints:
    """(n,) free parameters of all sites together, the cell not counted."""
    return genes.freedoms.sum(axis=1)


def compositions(genes: GeneBatch) -> Ints:
    """(n, 119) atoms of each element in the primitive cell, by atomic number."""
    atoms = genes.multiplicities // centring_orders()[genes.space_group][:, None]
    return _by_element(genes, atoms)


def site_compositions(genes: GeneBatch) -> Ints:
    """(n, 119) sites of each element, by atomic number."""
    return _by_element(genes, (genes.wyckoffs >= 0).astype(np.int64))


def _by_element(genes: GeneBatch, weights: Ints) -> Ints:
    n = len(genes)
    cells = np.arange(n)[:, None] * NUM_ELEMENTS + genes.elements.astype(np.int64)
    flat = np.bincount(cells.ravel(), weights=weights.ravel(), minlength=n * NUM_ELEMENTS)
    return flat.reshape(n, NUM_ELEMENTS).astype(np.int64)


def special_atoms(genes: GeneBatch) -> Ints:
    """(n,) atoms of the primitive cell on special positions, those that a symmetry operation fixes.

    The general position is the only one of a group with three free parameters.
    """
    special = (genes.wyckoffs >= 0) & (site_freedoms(genes) < 3)
    conventional = np.where(special, genes.multiplicities, 0).sum(axis=1, dtype=np.int64)
    return conventional // centring_orders()[genes.space_group]
