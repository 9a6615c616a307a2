"""Realisation of a table of any length: in processes, and resumable."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from aristotype.crystal import CrystalTable, Failure, map_table
from aristotype.realize._config import RealizeConfig
from aristotype.realize._realize import realize

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from aristotype._shards import Shards

_ATOMS, _ROWS = 5000, 256
_TRIAL = 32  # rows of a time estimate
_REASON = "realize_failure"
FIGURES_OF_GEOMETRY = (
    *("min_distance_ratio", "volume_per_atom", "trials", "gene_kept", "tolerance"),
    *("energy", "energy_start", "energy_symmetric", "max_force", "relax_steps_symmetric", "relax_steps", "relax_end"),
    *("space_group_before", "rmsd", "volume_change", "calculator", "trials_relaxed", "trials_agree"),
)
"""Columns that `realize` and `relax` write; they say nothing about a gene."""


@dataclass(frozen=True)
class _Settings:
    seed: int
    config: RealizeConfig


def realize_many(
    table: CrystalTable,
    *,
    seed: int,
    config: RealizeConfig | None = None,
    processes: int = 1,
    shards: Shards | None = None,
    executor: Executor | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[CrystalTable, list[Failure]]:
    """`realize` in several processes; the crystals are the same, however many there are.

    Args:
        table: genes, or crystals whose geometry is to be forgotten.
        seed: as for `realize`.
        config: settings.
        processes: worker processes, one thread each.
        shards: where finished chunks are kept, so that a run that was stopped goes on where it was.
        executor: runs the work instead of processes of our own.
        progress: called with the rows done and all rows.

    Returns:
        the crystals in order, and the genes that got no geometry with their reasons.

    Raises:
        AristotypeError: a worker process died; what was finished is kept in the shards.
    """
    config = config or RealizeConfig()
    genes = without_geometry(table)
    found = map_table(
        _realize_chunk,
        genes,
        _Settings(seed, config),
        identity=["realize", seed, asdict(config)],
        atoms=_ATOMS,
        rows=_ROWS,
        processes=processes,
        shards=shards,
        executor=executor,
        progress=progress,
    )
    if not len(found):
        return found, []
    reasons = found.column(_REASON).to_pylist()
    failures = [
        Failure(index=row, id=name, reason=reason)
        for row, (name, reason) in enumerate(zip(found.ids, reasons, strict=True))
        if reason is not None
    ]
    return found.filter([reason is None for reason in reasons]).without_columns([_REASON]), failures


def realize_seconds(table: CrystalTable, seed: int, config: RealizeConfig) -> float:
    """CPU seconds that realising a table should take, from a few of its rows."""
    genes = without_geometry(table)
    few = genes.take(np.linspace(0, len(genes) - 1, min(_TRIAL, len(genes))).astype(np.int64))
    _realize_chunk(few[:1], _Settings(seed, config))  # loads what realising needs
    begin = time.perf_counter()
    _realize_chunk(few, _Settings(seed, config))
    return (time.perf_counter() - begin) / len(few) * len(table)


def without_geometry(table: CrystalTable) -> CrystalTable:
    """The same rows as genes, without the columns that describe a geometry."""
    return table.without_columns(FIGURES_OF_GEOMETRY).with_columns(
        free=pa.nulls(len(table), pa.list_(pa.float64())), lattice=pa.nulls(len(table), pa.list_(pa.float64(), 6))
    )


def _realize_chunk(table: CrystalTable, settings: _Settings) -> CrystalTable:
    """All rows; those without a geometry say why."""
    lost: list[Failure] = []
    found = realize(table, seed=settings.seed, config=settings.config, failures=lost)
    every = CrystalTable.concatenate([found, table.take([failure.index for failure in lost])])
    place = {name: row for row, name in enumerate(every.ids)}
    reasons = {failure.id: failure.reason for failure in lost}
    every = every.take([place[name] for name in table.ids])
    return every.with_columns({_REASON: pa.array([reasons.get(name) for name in table.ids], pa.string())})
