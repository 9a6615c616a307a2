"""Geometries that were drawn, as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from aristotype.crystal import CrystalTable

if TYPE_CHECKING:
    from aristotype.crystal import GeneBatch
    from aristotype.models.crystalformer._sampler import Drawn


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


def with_geometry(table: CrystalTable, settings: GeneBatch, drawn: Drawn) -> CrystalTable:
    """The rows of a table with geometry, each in the setting that it was drawn in; `id` and other columns stay."""
    made = crystals_of(settings, drawn.free, drawn.lattice, table.ids)
    own = ("id", "space_group", "elements", "wyckoffs", "free", "lattice")
    others = {name: table.column(name) for name in table.columns if name not in own}
    return made.with_columns(
        {
            **others,
            "closest": pa.array(drawn.closest),
            "site_draws": pa.array(drawn.site_draws),
            "crystal_draws": pa.array(drawn.crystal_draws),
        }
    )
