"""Genes with cells and free parameters, as tables of crystals."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import CrystalTable, GeneBatch

_OWN = ("id", "space_group", "elements", "wyckoffs", "free", "lattice")


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


def with_crystals(table: CrystalTable, made: CrystalTable, columns: Mapping[str, Any]) -> CrystalTable:
    """The rows of a table as the crystals that were made of its genes, with further columns; its other columns stay."""
    others = {name: table.column(name) for name in table.columns if name not in _OWN}
    return made.with_columns({**others, **columns})


def streams_of(table: CrystalTable) -> NDArray[np.int64]:
    """Numbers (n,) below 2^40 of random streams, each by the id and the gene of a row."""
    genes = table.genes()
    sites = genes.num_sites.tolist()
    letters, elements = (
        [row[:count] for row, count in zip(array.tolist(), sites, strict=True)]
        for array in (genes.wyckoffs, genes.elements)
    )
    stamps = map(str, zip(table.ids, genes.space_group.tolist(), letters, elements, strict=True))
    return np.array(
        [int.from_bytes(hashlib.blake2b(stamp.encode(), digest_size=5).digest(), "little") for stamp in stamps],
        np.int64,
    )
