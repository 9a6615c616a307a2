"""Realisation of a table of any length: in processes, and resumable."""

from __future__ import annotations

import hashlib
import pickle
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from aristotype.crystal import CrystalTable, Failure, described_as, map_table, pack, unpack
from aristotype.errors import InputError
from aristotype.realize._config import RealizeConfig
from aristotype.realize._minima import minima
from aristotype.realize._minima_config import MinimaConfig
from aristotype.realize._realize import realize

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from aristotype._shards import Shards
    from aristotype.crystal import Proposal

_ATOMS, _ROWS = 5000, 256
_SEARCHED_ATOMS, _SEARCHED_ROWS = 500, 32  # a minimum costs a hundred times as much
_TRIAL = 32  # rows of a time estimate
_REASON = "realize_failure"
FIGURES_OF_GEOMETRY = (
    *("min_distance_ratio", "volume_per_atom", "trials", "gene_kept", "tolerance"),
    *("energy", "energy_start", "energy_symmetric", "max_force", "relax_steps_symmetric", "relax_steps", "relax_end"),
    *(
        "rank",
        "objective",
        "cheap_energy",
        "start",
        "gene_distinct",
        "space_group_before",
        "rmsd",
        "volume_change",
        "calculator",
        "trials_relaxed",
        "trials_agree",
    ),
)
"""Columns that `realize` and `relax` write; they say nothing about a gene."""


@dataclass(frozen=True)
class _Proposed:
    seed: int
    source: Proposal


@dataclass(frozen=True)
class _Settings:
    seed: int
    config: RealizeConfig


def realize_many(
    table: CrystalTable,
    *,
    seed: int,
    config: RealizeConfig | None = None,
    source: Proposal | None = None,
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
        source: draws the geometry in place of `realize`, and it is written with the letters of the genes; it is
            pickled, and its pickle must say what decides its crystals.
        processes: worker processes, one thread each.
        shards: where finished chunks are kept, so that a run that was stopped goes on where it was.
        executor: runs the work instead of processes of our own.
        progress: called with the rows done and all rows.

    Returns:
        the crystals in order, and the genes that got no geometry with their reasons.

    Raises:
        InputError: a source is given and settings.
        TableError: the source gives a crystal of another gene.
        AristotypeError: a worker process died; what was finished is kept in the shards.
    """
    if source is None:
        config = config or RealizeConfig()
        work: Any = _realize_chunk
        settings: Any = _Settings(seed, config)
        identity = ["realize", seed, asdict(config)]
        atoms, rows = _ATOMS, _ROWS
    elif config is not None:
        raise InputError("a source draws the geometry, and settings of `realize` are given; give one of them")
    else:
        work, settings = _proposed_chunk, _Proposed(seed, source)
        identity = ["proposed", seed, hashlib.sha256(pickle.dumps(source)).hexdigest()]
        atoms, rows = _SEARCHED_ATOMS, _SEARCHED_ROWS
    found = map_table(
        work,
        without_geometry(table),
        settings,
        identity=identity,
        atoms=atoms,
        rows=rows,
        processes=processes,
        shards=shards,
        executor=executor,
        progress=progress,
    )
    return _parted(found)


def _parted(found: CrystalTable) -> tuple[CrystalTable, list[Failure]]:
    """The rows with a geometry, and the others with their reasons."""
    if not len(found):
        return found, []
    reasons = found.column(_REASON).to_pylist()
    failures = [
        Failure(index=row, id=name, reason=reason)
        for row, (name, reason) in enumerate(zip(found.ids, reasons, strict=True))
        if reason is not None
    ]
    return found.filter([reason is None for reason in reasons]).without_columns([_REASON]), failures


def minima_many(
    table: CrystalTable,
    *,
    seed: int,
    keep: int = 3,
    config: MinimaConfig | None = None,
    known: CrystalTable | None = None,
    source: Proposal | None = None,
    processes: int = 1,
    shards: Shards | None = None,
    executor: Executor | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[CrystalTable, list[Failure]]:
    """`minima` in several processes; the crystals are the same, however many there are.

    Args:
        table: genes, or crystals whose geometry is to be forgotten.
        seed: as for `minima`.
        keep: distinct minima a gene, at most.
        config: settings.
        known: crystals whose geometry may be reused.
        source: proposes geometries, as for `minima`; it is pickled, and its pickle must say what decides its proposals.
        processes: worker processes, one thread each.
        shards: where finished chunks are kept, so that a run that was stopped goes on where it was.
        executor: runs the work instead of processes of our own.
        progress: called with the rows done and all rows.

    Returns:
        the minima, genes in order, best first, and the genes that got none with their reasons.

    Raises:
        TableError: a known crystal has no geometry.
        AristotypeError: a worker process died; what was finished is kept in the shards.
    """
    config = config or MinimaConfig()
    if known is not None:
        known.check_geometry()
    packed = None if known is None else pack(known.arrow)
    found = map_table(
        _minima_chunk,
        without_geometry(table),
        _Search(seed, keep, config, packed, source),
        identity=[
            *("minima", seed, keep, asdict(config), packed and hashlib.sha256(packed).hexdigest()),
            None if source is None else hashlib.sha256(pickle.dumps(source)).hexdigest(),
        ],
        atoms=_SEARCHED_ATOMS,
        rows=_SEARCHED_ROWS,
        processes=processes,
        shards=shards,
        executor=executor,
        progress=progress,
    )
    return _parted(found)


def realize_seconds(table: CrystalTable, work: Callable[[CrystalTable], Any]) -> float:
    """CPU seconds that realising a table should take, from a few of its rows.

    Args:
        table: genes.
        work: realises some of them.
    """
    few = table.take(np.linspace(0, len(table) - 1, min(_TRIAL, len(table))).astype(np.int64))
    work(few[:1])  # loads what realising needs
    begin = time.perf_counter()
    work(few)
    return (time.perf_counter() - begin) / len(few) * len(table)


def lowest_of_each(table: CrystalTable) -> CrystalTable:
    """Of rows with the same value in the column `gene` the one of lowest energy; rows without an energy come last.

    Args:
        table: crystals with the columns `gene` and `energy`.

    Returns:
        one row a gene, in the order of the genes, named by them.

    Raises:
        UnknownNameError: a column is not there.
    """
    names = table.column("gene").to_pylist()
    energy = np.array(table.column("energy").to_pylist(), dtype=np.float64)
    energy = np.where(np.isfinite(energy), energy, np.inf)
    best: dict[str, int] = {}
    for row, name in enumerate(names):
        if name not in best or energy[row] < energy[best[name]]:
            best[name] = row
    return table.take(list(best.values())).with_columns(id=list(best))


def without_geometry(table: CrystalTable) -> CrystalTable:
    """The same rows as genes, without the columns that describe a geometry."""
    return table.without_columns(FIGURES_OF_GEOMETRY).with_columns(
        free=pa.nulls(len(table), pa.list_(pa.float64())), lattice=pa.nulls(len(table), pa.list_(pa.float64(), 6))
    )


@dataclass(frozen=True)
class _Search:
    seed: int
    keep: int
    config: MinimaConfig
    known: bytes | None
    source: Proposal | None


@lru_cache(maxsize=1)
def _unpacked(known: bytes) -> CrystalTable:
    return CrystalTable(unpack(known))


def _minima_chunk(table: CrystalTable, settings: _Search) -> CrystalTable:
    """The minima of all rows; rows without one say why."""
    lost: list[Failure] = []
    known = None if settings.known is None else _unpacked(settings.known)
    found = minima(
        table,
        seed=settings.seed,
        keep=settings.keep,
        config=settings.config,
        known=known,
        source=settings.source,
        failures=lost,
    )
    failed = table.take([failure.index for failure in lost])
    reasons = [None] * len(found) + [failure.reason for failure in lost]
    return CrystalTable.concatenate([found, failed]).with_columns({_REASON: pa.array(reasons, pa.string())})


def _realize_chunk(table: CrystalTable, settings: _Settings) -> CrystalTable:
    """All rows; those without a geometry say why."""
    lost: list[Failure] = []
    found = realize(table, seed=settings.seed, config=settings.config, failures=lost)
    return _with_reasons(table, found, {failure.id: failure.reason for failure in lost})


def _proposed_chunk(table: CrystalTable, settings: _Proposed) -> CrystalTable:
    """The same of a source."""
    found = settings.source(table, seed=settings.seed)
    row = {name: row for row, name in enumerate(table.ids)}
    found = described_as(found, table.genes().take(np.array([row[name] for name in found.ids], np.int64)))
    there = set(found.ids)
    reason = "the source gives it no geometry: it holds an element that is unknown there, or has too many sites"
    return _with_reasons(table, found, {name: reason for name in table.ids if name not in there})


def _with_reasons(table: CrystalTable, found: CrystalTable, reasons: dict[str, str]) -> CrystalTable:
    """The rows of a table, those that were found as crystals, the others with their reasons."""
    lost = np.flatnonzero([name in reasons for name in table.ids])
    every = CrystalTable.concatenate([found, table.take(lost)])
    place = {name: row for row, name in enumerate(every.ids)}
    every = every.take([place[name] for name in table.ids])
    return every.with_columns({_REASON: pa.array([reasons.get(name) for name in table.ids], pa.string())})
