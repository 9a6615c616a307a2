"""A table of crystals worked on in chunks of its rows: in processes, resumable, in order."""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from aristotype._shards import Shards, resumable_map, shard_key
from aristotype.crystal._cif import package_version
from aristotype.crystal._schema import COLUMNS, centring_orders
from aristotype.crystal._table import CrystalTable

if TYPE_CHECKING:
    from concurrent.futures import Executor

Work = Callable[[CrystalTable, Any], CrystalTable]
"""What is done with some rows under some settings; importable by its name, and both can be pickled."""
Progress = Callable[[int, int], None]
"""Called with rows done and rows in all."""


def start_worker() -> None:
    """Prepares a worker process: one thread, and Ctrl-C is the parent's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)


def pack(table: pa.Table) -> bytes:
    """An arrow table as bytes; unlike its pickle, of a slice only what is in it."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def unpack(data: bytes) -> pa.Table:
    """The table that `pack` packed."""
    with pa.ipc.open_stream(data) as reader:
        return reader.read_all()


def map_table(
    work: Work,
    table: CrystalTable,
    settings: Any,
    *,
    identity: Any,
    atoms: int,
    rows: int = 1024,
    processes: int = 1,
    shards: Shards | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> CrystalTable:
    """What `work` makes of the rows of a table, in their order.

    Args:
        work: what is done with a chunk of consecutive rows.
        table: n rows.
        settings: passed to `work`.
        identity: JSON values that decide the result beside the rows and the release: settings, weights, versions.
        atoms: atoms of primitive cells in a chunk, about.
        rows: most rows in a chunk.
        processes: worker processes, one thread each.
        shards: where finished chunks are kept, to be removed by the caller once the result is written; None keeps
            nothing.
        executor: runs the work instead of processes of our own.
        progress: called after each chunk.

    Raises:
        InputError: `processes` is less than 1.
        AristotypeError: a worker process died; finished chunks are kept.
        OutputError: the shards cannot be written.
    """
    parts = chunks(table, atoms, rows)

    def task(index: int) -> _Task:
        return _Task(work, pack(table[parts[index]].arrow), settings)

    results = resumable_map(
        _run,
        [shard_key(package_version(), identity, _digest(table[part])) for part in parts],
        task,
        _Packed.from_arrow,
        shards=shards,
        processes=processes,
        start=start_worker,
        executor=executor,
    )
    found: list[CrystalTable] = []
    with closing(results):
        for part, result in zip(parts, results, strict=True):
            found.append(CrystalTable(unpack(result.data)))
            if progress is not None:
                progress(part.stop, len(table))
    return CrystalTable.concatenate(found)


def chunks(table: CrystalTable, atoms: int, rows: int) -> list[slice]:
    """Consecutive rows, as many as have so many atoms in their primitive cells, and not more than `rows`."""
    genes = table.genes()
    sizes = genes.multiplicities.sum(axis=1) // centring_orders()[genes.space_group]
    parts, start, total = [], 0, 0
    for row, size in enumerate(sizes.tolist()):
        if row > start and (total + size > atoms or row - start >= rows):
            parts.append(slice(start, row))
            start, total = row, 0
        total += size
    return [*parts, slice(start, len(table))] if len(table) else []


@dataclass(frozen=True)
class _Task:
    work: Work
    rows: bytes
    settings: Any


@dataclass(frozen=True)
class _Packed:
    """A table on its way between processes."""

    data: bytes

    def to_arrow(self) -> pa.Table:
        return unpack(self.data)

    @staticmethod
    def from_arrow(table: pa.Table) -> _Packed:
        return _Packed(pack(table))


def _run(task: _Task) -> _Packed:
    return _Packed(pack(task.work(CrystalTable(unpack(task.rows)), task.settings).arrow))


def _digest(table: CrystalTable) -> str:
    """What tells rows apart: their names, genes and geometries; other columns do not matter."""
    return hashlib.sha256(pack(table.arrow.select(COLUMNS.names).replace_schema_metadata(None))).hexdigest()
