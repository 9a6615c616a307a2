"""Structure files and folders, path by path, to one table: in parallel, and resumable."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aristotype._files import printable
from aristotype._shards import Shards, resumable_map, shard_key
from aristotype.crystal import CrystalTable, Failure, encode, start_worker
from aristotype.datasets._prepare import Estimate, versions
from aristotype.errors import AristotypeError

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH = 32
_TRIAL = 16  # paths of a time estimate
_FAILURES = b"aristotype_failures"
_REPEATED = "another structure has this id; ids must be unique: rename one"

Failed = tuple[str, str]
"""Id and reason."""


@dataclass(frozen=True)
class EncodedPaths:
    """The crystals of some paths, and what failed in them."""

    table: CrystalTable
    failures: list[Failed]

    def to_arrow(self) -> pa.Table:
        """One table that holds both."""
        arrow = self.table.arrow
        return arrow.replace_schema_metadata(
            {**(arrow.schema.metadata or {}), _FAILURES: json.dumps(self.failures).encode()}
        )

    @staticmethod
    def from_arrow(table: pa.Table) -> EncodedPaths:
        """What `to_arrow` was called on."""
        metadata = dict(table.schema.metadata)
        failures = [(name, reason) for name, reason in json.loads(metadata.pop(_FAILURES))]
        return EncodedPaths(CrystalTable(table.replace_schema_metadata(metadata or None)), failures)


def encode_paths(
    paths: Sequence[Path],
    settings: dict[str, Any],
    shards: Shards | None,
    processes: int,
    update: Callable[[int, str], None],
) -> EncodedPaths:
    """The crystals of all paths in their order; of equal ids the first one stays.

    Args:
        paths: Structure files and folders of them.
        settings: Keywords of `crystal.encode`.
        shards: Where finished batches are kept; None keeps nothing.
        processes: Worker processes.
        update: Called with the paths done and a remark.
    """
    batches = [list(paths[start : start + _BATCH]) for start in range(0, len(paths), _BATCH)]
    results = resumable_map(
        encode_batch,
        [shard_key(versions(), settings, [_identity(path) for path in batch]) for batch in batches],
        lambda index: (batches[index], settings),
        EncodedPaths.from_arrow,
        shards=shards,
        processes=processes,
        start=start_worker,
    )
    parts: list[CrystalTable] = []
    failures: list[Failed] = []
    taken: set[str] = set()
    done = 0
    with closing(results):
        for batch, found in zip(batches, results, strict=True):
            table, repeated = _unseen(found.table, taken)
            parts.append(table)
            failures += [*found.failures, *repeated]
            done += len(batch)
            update(done, f"{len(failures)} failed")
    return EncodedPaths(CrystalTable.concatenate(parts), failures)


def estimate_paths(paths: Sequence[Path], settings: dict[str, Any], processes: int) -> Estimate:
    """Counts structure files and times a few of the paths; `rows` counts files."""
    tried = list(paths[:: max(1, len(paths) // _TRIAL)])[:_TRIAL]
    encode_batch((tried[:1], settings))  # loads what encoding needs
    begin = time.perf_counter()
    encode_batch((tried, settings))
    seconds = (time.perf_counter() - begin) / len(tried) * len(paths)
    return Estimate(rows=sum(len(_identity(path)) for path in paths), seconds=seconds / processes)


def encode_batch(task: tuple[list[Path], dict[str, Any]]) -> EncodedPaths:
    """The crystals of some paths and what failed in them (runs in a worker process)."""
    paths, settings = task
    tables: list[CrystalTable] = []
    failures: list[Failed] = []
    taken: set[str] = set()
    for path in paths:
        found: list[Failure] = []
        try:
            table, repeated = _unseen(encode(path, failures=found, **settings), taken)
            tables.append(table)
            failures += repeated
        except AristotypeError as error:
            failures.append((printable(path), str(error)))
        except Exception as error:  # noqa: BLE001 (one file must not end the work on thousands)
            reason = f"encoding broke down on it ({type(error).__name__}: {error}); leave it out and report it as a bug"
            failures.append((printable(path), reason))
        failures += [(failure.id, failure.reason) for failure in found]
    return EncodedPaths(CrystalTable.concatenate(tables), failures)


def _unseen(table: CrystalTable, taken: set[str]) -> tuple[CrystalTable, list[Failed]]:
    """The rows whose ids are not taken yet, which they are from now on; the others with the reason."""
    fresh = [name not in taken for name in table.ids]
    taken.update(table.ids)
    if all(fresh):
        return table, []
    repeated = [(name, _REPEATED) for name, new in zip(table.ids, fresh, strict=True) if not new]
    return table.filter(fresh), repeated


def _identity(path: Path) -> list[tuple[str, int, int]]:
    """Name, size and time of every file of a path: what says that it is still the same."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    found = []
    for file in files:
        status = file.stat()
        found.append((os.fsencode(file).decode("latin-1"), status.st_size, status.st_mtime_ns))
    return found
