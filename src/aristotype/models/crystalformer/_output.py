"""Geometries that were drawn, as the columns of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from aristotype.crystal import CrystalTable

if TYPE_CHECKING:
    from aristotype.crystal import GeneBatch
    from aristotype.models.crystalformer._sampler import Drawn


def with_geometry(table: CrystalTable, settings: GeneBatch, drawn: Drawn) -> CrystalTable:
    """The rows of a table with their geometry, each in the setting that it was drawn in.

    Equal sites of a row are sorted by their parameters; `id` and the other columns stay.
    """
    sites = settings.num_sites
    empty = settings.wyckoffs < 0
    order = np.lexsort((*np.moveaxis(drawn.free, 2, 0)[::-1], settings.elements, settings.wyckoffs, empty), axis=1)
    rows = np.arange(len(settings))[:, None]
    letters, elements, freedom = (
        array[rows, order] for array in (settings.wyckoffs, settings.elements, settings.freedoms)
    )
    free = drawn.free[rows, order]
    occupied = letters >= 0
    made = CrystalTable.from_arrays(
        space_group=settings.space_group,
        num_sites=sites,
        elements=elements[occupied],
        wyckoffs=letters[occupied],
        free=free[np.arange(3) < freedom[..., None]],
        lattice=drawn.lattice,
        ids=table.ids,
    )
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
