"""Geometries that were drawn, as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from aristotype.models._crystals import crystals_of, with_crystals

if TYPE_CHECKING:
    from aristotype.crystal import CrystalTable, GeneBatch
    from aristotype.models.crystalformer._sampler import Drawn


def with_geometry(table: CrystalTable, settings: GeneBatch, drawn: Drawn) -> CrystalTable:
    """The rows of a table with geometry, each in the setting that it was drawn in; `id` and other columns stay."""
    made = crystals_of(settings, drawn.free, drawn.lattice, table.ids)
    return with_crystals(
        table,
        made,
        {
            "closest": pa.array(drawn.closest),
            "site_draws": pa.array(drawn.site_draws),
            "crystal_draws": pa.array(drawn.crystal_draws),
        },
    )
