"""Genes with cells and free parameters, as tables of crystals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import CrystalTable, GeneBatch


def crystals_of(
    genes: GeneBatch, free: NDArray[np.float64], lattice: NDArray[np.float64], ids: list[str]
) -> CrystalTable:
    """Crystals from genes (n,), free parameters (n, S, 3) and cells (n, 6) in Angstrom and degrees.

    Equal sites of a row are sorted by their parameters.
    """
    empty = genes.wyckoffs < 0
    order = np.lexsort((*np.moveaxis(free, 2, 0)[::-1], genes.elements, genes.wyckoffs, empty), axis=1)
    rows = np.arange(len(genes))[:, None]
    letters, elements, freedom = (array[rows, order] for array in (genes.wyckoffs, genes.elements, genes.freedoms))
    occupied = letters >= 0
    return CrystalTable.from_arrays(
        space_group=genes.space_group,
        num_sites=genes.num_sites,
        elements=elements[occupied],
        wyckoffs=letters[occupied],
        free=free[rows, order][np.arange(3) < freedom[..., None]],
        lattice=lattice,
        ids=ids,
    )
