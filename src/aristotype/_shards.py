"""Results of finished tasks on disk, so that work that was stopped anywhere goes on where it was.

A result stands in `OUT.parts/<key>.parquet`, put there whole; the key says everything that decides the result. The
folder goes when OUT is in place.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from aristotype._files import atomic_path
from aristotype._pool import ordered_map

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")


class Storable(Protocol):
    """A result that goes into an arrow table and comes back."""

    def to_arrow(self) -> pa.Table:
        """The result as a table; what has no column goes into the metadata of its schema."""
        ...


R = TypeVar("R", bound=Storable)


def shard_key(*content: Any) -> str:
    """Digest of JSON values that decide a result."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class Shards:
    """The folder of finished results beside an output."""

    def __init__(self, out: Path) -> None:
        self.folder = out.with_name(out.name + ".parts")
        self._there = {path.stem for path in self.folder.glob("*.parquet")} if self.folder.is_dir() else set()

    def __contains__(self, key: str) -> bool:
        return key in self._there

    def read(self, key: str) -> pa.Table | None:
        """What was written under the key; None where it cannot be read any more."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return pq.read_table(pa.BufferReader((self.folder / f"{key}.parquet").read_bytes()))
        except (OSError, pa.ArrowException):
            return None

    def write(self, key: str, table: pa.Table) -> None:
        """Puts a table under the key.

        Raises:
            OutputError: the folder cannot be written.
        """
        import pyarrow.parquet as pq

        with atomic_path(self.folder / f"{key}.parquet") as temporary, temporary.open("wb") as file:
            pq.write_table(table, file)

    def remove(self) -> None:
        """Removes the folder: the output is complete."""
        shutil.rmtree(self.folder, ignore_errors=True)


def resumable_map(
    function: Callable[[T], R],
    keys: Sequence[str],
    task: Callable[[int], T],
    read: Callable[[pa.Table], R],
    *,
    shards: Shards | None,
    processes: int,
    start: Callable[[], None],
    executor: Executor | None = None,
) -> Generator[R, None, None]:
    """Results in the order of the keys: from shards where they are at hand, by `ordered_map` and kept where not.

    Args:
        function: What to do; importable by its name.
        keys: A key a task; equal keys mean equal results.
        task: The task of an index, made when its turn comes.
        read: A result from what its `to_arrow` gave.
        shards: Where results are kept, to be removed by the caller when all is written; None keeps nothing.
        processes: Worker processes, one thread each.
        start: Runs once in every worker first.
        executor: Runs the tasks instead of a pool of our own.

    Raises:
        AristotypeError: as `ordered_map`; what was finished is kept.
    """
    if shards is None:
        tasks = map(task, range(len(keys)))
        yield from ordered_map(function, tasks, processes=processes, start=start, executor=executor)
        return
    missing = [index for index, key in enumerate(keys) if key not in shards]

    def keep(place: int, result: R) -> None:
        shards.write(keys[missing[place]], result.to_arrow())

    results = ordered_map(function, map(task, missing), processes=processes, start=start, executor=executor, keep=keep)
    try:
        for index, key in enumerate(keys):
            if key in shards:
                kept = shards.read(key)
                yield function(task(index)) if kept is None else read(kept)
            else:
                yield next(results)
    finally:
        results.close()
