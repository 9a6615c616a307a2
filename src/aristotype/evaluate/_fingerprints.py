"""CrystalNN fingerprints of whole tables: by several processes, resumable, and kept for the next time.

They cost about 0.1 s a structure, more than all other figures together. So they go to a file in a folder of the
caller's choice, named by the hash of all that decides them.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from aristotype._files import atomic_path, output_lock
from aristotype._pool import ordered_map
from aristotype._shards import Shards, resumable_map, shard_key
from aristotype.crystal import CrystalTable
from aristotype.evaluate._crystalnn import WIDTH, structure_fingerprints

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable
    from concurrent.futures import Executor

Floats = NDArray[np.float64]

_VERSION = 1
"""Changes when the figures of a fingerprint, or what is stored of them, change."""
_ROWS_A_TASK = 32
_STORED = 2 * WIDTH
_DECIDING = ("space_group", "elements", "wyckoffs", "free", "lattice")


@dataclass(frozen=True)
class _Block:
    """Fingerprints of consecutive rows."""

    values: Floats  # (n, 122) means and standard deviations

    def to_arrow(self) -> pa.Table:
        flat = pa.array(np.ascontiguousarray(self.values).reshape(-1))
        return pa.table({"fingerprint": pa.FixedSizeListArray.from_arrays(flat, _STORED)})

    @staticmethod
    def read(table: pa.Table) -> _Block:
        flat = table["fingerprint"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return _Block(flat.reshape(-1, _STORED))


def crystalnn_fingerprints(
    table: CrystalTable,
    *,
    processes: int = 1,
    cache: str | os.PathLike[str] | None = None,
    deviations: bool = False,
    executor: Executor | None = None,
) -> Floats:
    """CrystalNN fingerprint (preset "ops") of each structure: the mean over its atoms, as in CDVAE.

    Args:
        table: n crystals.
        processes: worker processes, one thread each.
        cache: a folder where fingerprints are kept under the hash of all that decides them, and where a run that was
            stopped goes on; None keeps nothing.
        deviations: also standard deviations over atoms, as matminer's `SiteStatsFingerprint` gives.
        executor: runs the tasks instead of a pool of our own.

    Returns:
        (n, 61) numbers of at most 1 (the order parameter of body-centred cubes can be a little below 0), or (n, 122)
        with the deviations after the means; NaN where CrystalNN fails for a site.

    Raises:
        TableError: a row is a gene, which has no geometry.
        InputError: `processes` is less than 1.
        OutputError: the cache cannot be written, or another process is writing the same file.
        AristotypeError: a worker process died; what was finished is kept in the cache.
    """
    table.check_geometry()
    # Copies of rows: the pickle of a slice would carry the whole table to every worker.
    tasks = [
        table.arrow.take(np.arange(start, min(start + _ROWS_A_TASK, len(table)))).select(["id", *_DECIDING])
        for start in range(0, len(table), _ROWS_A_TASK)
    ]
    if cache is None:
        values = _joined(ordered_map(_fingerprint, tasks, processes=processes, start=_start, executor=executor))
    else:
        values = _cached(tasks, Path(cache) / "crystalnn", processes, executor)
    return values if deviations else values[:, :WIDTH]


def _cached(tasks: list[pa.Table], folder: Path, processes: int, executor: Executor | None) -> Floats:
    """Values of all tasks from the file of the whole table; where there is none, it is made."""
    keys = [_key(task) for task in tasks]
    out = folder / f"{shard_key(keys)}.parquet"
    kept = _kept(out)
    if kept is not None:
        return kept
    with output_lock(out):
        shards = Shards(out)
        blocks = resumable_map(
            _fingerprint,
            keys,
            tasks.__getitem__,
            _Block.read,
            shards=shards,
            processes=processes,
            start=_start,
            executor=executor,
        )
        values = _joined(blocks)
        with atomic_path(out) as temporary:
            pq.write_table(_Block(values).to_arrow(), temporary)
        shards.remove()
    return values


def _kept(out: Path) -> Floats | None:
    """What the cache holds; None where it holds nothing that can be read."""
    try:
        return _Block.read(pq.read_table(out)).values
    except (OSError, pa.ArrowException, KeyError):
        return None


def _key(task: pa.Table) -> str:
    """Of everything that decides the fingerprints: crystals, pymatgen and our own way."""
    crystals = task.select(list(_DECIDING)).to_pylist()
    return shard_key("crystalnn", _VERSION, _pymatgen(), crystals)


def _pymatgen() -> str:
    """Release of the package that computes; it was all in one before it was cut in two."""
    try:
        return version("pymatgen-core")
    except PackageNotFoundError:
        return version("pymatgen")


def _joined(blocks: Iterable[_Block]) -> Floats:
    return np.concatenate([np.zeros((0, _STORED)), *(block.values for block in blocks)])


def _start() -> None:
    """Prepares a worker process: one thread, and Ctrl-C is the parent's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pa.set_cpu_count(1)


def _fingerprint(task: pa.Table) -> _Block:
    return _Block(structure_fingerprints(CrystalTable(task)))
