"""Any source to one table: read, encode in parallel, collect, write; and do nothing where that was done before."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aristotype._files import output_lock, refuse_overwrite
from aristotype._shards import Shards, resumable_map, shard_key
from aristotype.crystal import (
    CANONICAL_VERSION,
    DEFAULT_TOLERANCE,
    MAX_ATOMS,
    MAX_GAP,
    SCHEMA_VERSION,
    CrystalTable,
    pack,
    start_worker,
)
from aristotype.datasets._collect import Collected, Split
from aristotype.datasets._progress import Progress, shown
from aristotype.datasets._read import Rows, read_rows
from aristotype.datasets._registry import SPLITS, DatasetSpec
from aristotype.datasets._report import PreparedDataset, RowFailure, SplitCount, read_prepared, write_prepared
from aristotype.datasets._sources import Sources, find_sources
from aristotype.datasets._work import Chunk, Encoded, Limits, encode_chunk
from aristotype.errors import InputError
from aristotype.symmetry import tables

if TYPE_CHECKING:
    import os
    from concurrent.futures import Executor

    import pyarrow as pa

PREPARE_VERSION = 1
"""Changes when the same sources and settings give another table for a reason that no other version tells."""
_TRIAL_ROWS = 50  # of each source, for a time estimate
_CHUNK_ROWS = {"arrays": 256, "crystals": 4096, "cif": 64, "files": 64, "zip": 64}


def prepare(
    name_or_path: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str],
    source: str | os.PathLike[str] | None = None,
    tolerance: float = DEFAULT_TOLERANCE,
    max_atoms: int = MAX_ATOMS,
    max_gap: float | bool | None = True,
    processes: int = 1,
    split: Split | None = None,
    force: bool = False,
    progress: bool | Progress = False,
    executor: Executor | None = None,
) -> PreparedDataset:
    """Makes one table of crystals from a registered dataset or from files, with splits, labels and keys of genes.

    A row that cannot be encoded is left out and listed with its reason in the report beside the table. The result is
    addressed by its content: with the same sources, settings and versions nothing is done the second time. What was
    stopped goes on where it was: finished chunks wait in `<out>.parts` until the table is in place.

    Args:
        name_or_path: A registered name (`DATASETS`) or a path (see `find_sources` for the kinds).
        out: The Parquet file to write; the report stands beside it as `<out>.report.json`.
        source: The folder with the files of a registered dataset; by default `ARISTOTYPE_DATA`, then earlier downloads,
            then the network.
        tolerance: Distance (Angstrom) up to which positions count as symmetric.
        max_atoms: Largest input cell.
        max_gap: Widest slab (Angstrom) without atoms, None for no limit. True: no limit in a registered dataset, whose
            rows are what others were measured on, and that of `encode` elsewhere.
        processes: Worker processes, one thread each.
        split: For rows of the user's own that do not say their split: one name, or shares of train, val and test.
            Shares are drawn by the gene key, so that no gene is in two splits and a row keeps its split when others are
            added. By default they are all `train`.
        force: Whether another file at `out` is replaced.
        progress: True for a bar on standard error, or a function that takes rows done, rows in all and rows failed.
        executor: Runs the work instead of a process pool of our own.

    Returns:
        What was written, or what was there.

    Raises:
        UnknownNameError: neither a registered name nor a path that exists.
        InputError: a source cannot be read, a setting is out of range, or no row could be encoded.
        DataUnavailableError: the files are not at hand and could not be downloaded.
        OutputError: `out` holds something else and `force` is false, is being written by another process, or cannot be
            written.
    """
    job = _job(name_or_path, source, tolerance, max_atoms, max_gap, split)
    sources, target, address = job.sources, Path(out), job.address()
    found = _already(target, address)
    if found is not None:
        return found
    refuse_overwrite(target, force or _same_address(target, address))
    with output_lock(target):
        # Another process may have finished it while this one looked.
        found = _already(target, address)
        if found is not None:
            return found
        begin = time.perf_counter()
        rows = [read_rows(item, sources.spec.renamed if sources.spec else {}) for item in sources.items]
        shards = Shards(target)
        collected = _encode(job, rows, shards, processes, progress, executor)
        seconds = time.perf_counter() - begin
        table = collected.table()
        prepared = _describe(job, rows, collected, table, target)
        rate = sum(part.total for part in rows) / seconds
        timing = {"seconds": round(seconds, 3), "rows_per_second": round(rate, 1), "processes": processes}
        write_prepared(prepared, table, tuple(collected.failures), timing)
        shards.remove()
        return prepared


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What there is to do: rows, and the seconds that they should take (0 where it is done already)."""

    rows: int
    seconds: float


def estimate(
    name_or_path: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str],
    source: str | os.PathLike[str] | None = None,
    tolerance: float = DEFAULT_TOLERANCE,
    max_atoms: int = MAX_ATOMS,
    max_gap: float | bool | None = True,
    processes: int = 1,
    split: Split | None = None,
) -> Estimate:
    """Counts the rows that `prepare` would encode, and times a few of them; writes nothing.

    Raises:
        AristotypeError: as for `prepare`.
    """
    job = _job(name_or_path, source, tolerance, max_atoms, max_gap, split)
    if _already(Path(out), job.address()) is not None:
        return Estimate(rows=0, seconds=0.0)
    rows = [read_rows(item, job.sources.spec.renamed if job.sources.spec else {}) for item in job.sources.items]
    counts = [len(part) for part in rows]
    seconds = 0.0
    for part, count in zip(rows, counts, strict=True):
        if count:
            tried = part.structures.take(np.unique(np.linspace(0, count - 1, _TRIAL_ROWS).astype(int)))
            encode_chunk(_packed_chunk(part, tried.slice(0, 1), job.limits))  # loads what encoding needs
            begin = time.perf_counter()
            encode_chunk(_packed_chunk(part, tried, job.limits))
            seconds += (time.perf_counter() - begin) / tried.num_rows * count
    return Estimate(rows=sum(counts), seconds=seconds / processes)


def dataset_address(
    name_or_path: str | os.PathLike[str],
    *,
    source: str | os.PathLike[str] | None = None,
    tolerance: float = DEFAULT_TOLERANCE,
    max_atoms: int = MAX_ATOMS,
    max_gap: float | bool | None = True,
    split: Split | None = None,
    **_: Any,
) -> tuple[str, str]:
    """Name and content address of what `prepare` would make with the same arguments; finds (and downloads) the sources.

    Raises:
        AristotypeError: as for `prepare`.
    """
    job = _job(name_or_path, source, tolerance, max_atoms, max_gap, split)
    return job.sources.name, job.address()


@dataclass(frozen=True, kw_only=True)
class _Job:
    """What decides the table."""

    sources: Sources
    limits: Limits
    split: Split | None

    def settings(self) -> dict[str, Any]:
        return {**asdict(self.limits), "split": list(self.split) if isinstance(self.split, tuple) else self.split}

    def address(self) -> str:
        """Digest of everything that decides the table; where the files stand does not."""
        content = {
            "name": self.sources.name,
            "sources": [(item.name, item.sha256, item.split) for item in self.sources.items],
            "settings": self.settings(),
            "versions": versions(),
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _job(
    name_or_path: str | os.PathLike[str],
    source: str | os.PathLike[str] | None,
    tolerance: float,
    max_atoms: int,
    max_gap: float | bool | None,
    split: Split | None,
) -> _Job:
    sources = find_sources(name_or_path, source)
    return _Job(sources=sources, limits=_limits(sources, tolerance, max_atoms, max_gap), split=_split(split, sources))


def _limits(sources: Sources, tolerance: float, max_atoms: int, max_gap: float | bool | None) -> Limits:
    """Checked limits: fails before any work on what `encode` would refuse in every worker."""
    if isinstance(max_gap, bool):
        max_gap = MAX_GAP if max_gap and sources.spec is None else None
    if not 0.0 < tolerance < np.inf:
        raise InputError(f"tolerance {tolerance} must be a positive length in Angstrom, such as {DEFAULT_TOLERANCE}")
    if max_atoms < 1:
        raise InputError(f"max_atoms {max_atoms} must be at least 1, for example {MAX_ATOMS}")
    if max_gap is not None and not max_gap > 0.0:
        raise InputError(f"max_gap {max_gap} must be a positive number of Angstrom, for example {MAX_GAP:g}, or None")
    return Limits(tolerance=float(tolerance), max_atoms=int(max_atoms), max_gap=max_gap)


def _split(split: Split | Sequence[float] | None, sources: Sources) -> Split | None:
    if split is None:
        return None
    if sources.spec is not None:
        raise InputError(f"{sources.name} has splits of its own ({', '.join(sources.spec.splits)}); leave split out")
    if isinstance(split, str):
        if split not in SPLITS:
            raise InputError(f"split is {split!r}; give one of {', '.join(SPLITS)}, or shares such as 0.8, 0.1, 0.1")
        return split
    shares = np.asarray(split, float).reshape(-1)
    if len(shares) != 3 or not (shares >= 0).all() or not np.isclose(shares.sum(), 1.0, atol=1e-6):
        raise InputError(f"split is {tuple(split)}; shares of train, val and test are three numbers that add up to 1")
    return (float(shares[0]), float(shares[1]), float(shares[2]))


@cache
def versions() -> dict[str, str]:
    """Versions of what decides a table."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for package in ("aristotype", "moyopy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    own = {"prepare": PREPARE_VERSION, "schema": SCHEMA_VERSION, "canonical": CANONICAL_VERSION}
    return {**found, **{name: str(value) for name, value in own.items()}, "symmetry_sha256": tables().sha256}


def _same_address(target: Path, address: str) -> bool:
    prepared = read_prepared(target)
    return prepared is not None and prepared.address == address


def _already(target: Path, address: str) -> PreparedDataset | None:
    """What stands at the target if it is this very dataset, with its report."""
    prepared = read_prepared(target)
    if prepared is None or prepared.address != address or not prepared.report_path.is_file():
        return None
    return prepared


def _encode(
    job: _Job,
    rows: Sequence[Rows],
    shards: Shards,
    processes: int,
    progress: bool | Progress,
    executor: Executor | None,
) -> Collected:
    """Encodes all rows; results come in the order of the sources, whatever the number of processes."""
    address = job.address()
    places = [(part, start) for part in rows for start in range(0, len(part), _CHUNK_ROWS[part.form])]
    collected = Collected(job.split)
    for part in rows:
        collected.add_unreadable(part)
    total, done = sum(part.total for part in rows), len(collected.failures)
    with shown(progress, f"prepare {job.sources.name}", total) as update:
        results = resumable_map(
            encode_chunk,
            [shard_key(address, part.source, start, _CHUNK_ROWS[part.form]) for part, start in places],
            lambda index: _chunk(*places[index], job.limits),
            Encoded.from_arrow,
            shards=shards,
            processes=processes,
            start=start_worker,
            executor=executor,
        )
        with closing(results):
            for (part, start), result in zip(places, results, strict=True):
                collected.add(part, start, result)
                done += min(_CHUNK_ROWS[part.form], len(part) - start)
                update(done, total, len(collected.failures))
    if not collected.num_rows:
        shards.remove()
        reasons = "; ".join(f"{failure.id}: {failure.reason}" for failure in collected.failures[:3])
        raise InputError(f"none of {total} rows of {job.sources.origin} could be encoded ({reasons})")
    return collected


def _chunk(part: Rows, start: int, limits: Limits) -> Chunk:
    return _packed_chunk(part, part.structures.slice(start, _CHUNK_ROWS[part.form]), limits)


def _packed_chunk(part: Rows, structures: pa.Table, limits: Limits) -> Chunk:
    return Chunk(
        form=part.form,
        rows=pack(structures),
        limits=limits,
        archive=None if part.archive is None else str(part.archive),
    )


def _describe(
    job: _Job, rows: Sequence[Rows], collected: Collected, table: CrystalTable, target: Path
) -> PreparedDataset:
    spec = job.sources.spec
    lowered = 0
    if "tolerance" in table.columns and all(part.form != "crystals" for part in rows):
        lowered = int((table.column("tolerance").to_numpy() < job.limits.tolerance * (1 - 1e-9)).sum())
    return PreparedDataset(
        path=target,
        name=job.sources.name,
        title=spec.title if spec else job.sources.name,
        address=job.address(),
        splits=_counts(spec, table, collected.failures),
        settings=job.settings(),
        versions=versions(),
        sources=tuple(
            {"name": item.name, "sha256": item.sha256, "status": item.status, "bytes": item.size, "rows": part.total}
            for item, part in zip(job.sources.items, rows, strict=True)
        ),
        duplicate_ids=collected.duplicate_ids,
        lowered_tolerance=lowered,
        licence=spec.licence if spec else "",
        citation=spec.citation if spec else "",
        notes=_notes(job, rows),
    )


def _counts(spec: DatasetSpec | None, table: CrystalTable, failures: Sequence[RowFailure]) -> tuple[SplitCount, ...]:
    kept = Counter(table.column("split").to_pylist())
    failed = Counter(failure.split or "" for failure in failures)
    official = spec.official_rows if spec else {}
    return tuple(
        SplitCount(split=name, rows=kept[name], failed=failed[name], official_rows=official.get(name))
        for name in (*SPLITS, "")
        if name in kept or name in failed or name in official
    )


def _notes(job: _Job, rows: Sequence[Rows]) -> tuple[str, ...]:
    notes = [note for part in rows for note in part.notes]
    if job.sources.spec is not None:
        absent = [name for name in job.sources.spec.splits if name not in {item.split for item in job.sources.items}]
        if absent:
            notes.append(f"no file of the splits {', '.join(absent)} in {job.sources.origin}")
        notes.append(job.sources.spec.note)
    if any(part.form == "crystals" for part in rows):
        notes.append("rows that were encoded already keep their tolerance")
    return tuple(note for note in notes if note)
