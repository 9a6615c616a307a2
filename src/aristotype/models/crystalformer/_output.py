"""Geometries that were drawn, as the columns of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from aristotype.crystal import Crystal, CrystalTable

if TYPE_CHECKING:
    from aristotype.crystal import GeneBatch
    from aristotype.models.crystalformer._sampler import Drawn


def with_geometry(table: CrystalTable, settings: GeneBatch, drawn: Drawn) -> CrystalTable:
    """The rows of a table with their geometry, each in the setting that it was drawn in.

    Equal sites of a row are sorted by their parameters; `id` and the other columns stay.
    """
    freedom = settings.freedoms
    sites = settings.num_sites
    ids = table.ids
    crystals = []
    for row in range(len(table)):
        count = int(sites[row])
        letters, elements = settings.wyckoffs[row, :count], settings.elements[row, :count]
        free = drawn.free[row, :count]
        order = np.lexsort((*free.T[::-1], elements, letters))
        crystals.append(
            Crystal(
                space_group=int(settings.space_group[row]),
                elements=tuple(elements[order].tolist()),
                wyckoffs=tuple(letters[order].tolist()),
                free=tuple(value for site in order for value in free[site, : freedom[row, site]].tolist()),
                lattice=tuple(drawn.lattice[row].tolist()),
                id=ids[row],
            )
        )
    made = CrystalTable.from_crystals(crystals)
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
