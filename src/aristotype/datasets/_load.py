"""Tables for training by name or path; what is not prepared yet is prepared into the cache folder."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from aristotype._files import printable
from aristotype.crystal import CrystalTable
from aristotype.datasets._download import cache_folder
from aristotype.datasets._prepare import dataset_address, prepare
from aristotype.datasets._registry import DATASETS
from aristotype.datasets._report import PreparedDataset, one_split, read_prepared
from aristotype.errors import OutputError

if TYPE_CHECKING:
    import os

_PATIENCE = 1800.0  # seconds to wait for another process that prepares the same dataset


def open_dataset(name_or_path: str | os.PathLike[str], **settings: Any) -> PreparedDataset:
    """A prepared dataset: the file itself, or what `prepare` makes of a name or path, kept in the cache folder.

    Processes that ask for the same one at a time (as under `torchrun`) share the work: one prepares, the others wait.

    Args:
        name_or_path: A file that `prepare` wrote, or what `prepare` takes.
        **settings: Further arguments of `prepare` (source, tolerance, processes, split, progress, ...).

    Raises:
        AristotypeError: as for `prepare`.
    """
    is_name = isinstance(name_or_path, str) and name_or_path in DATASETS
    prepared = None if is_name else read_prepared(name_or_path)
    if prepared is not None:
        return prepared
    name, address = dataset_address(name_or_path, **settings)
    # Addresses are distinct files: two versions of a source never fight over one.
    target = cache_folder() / "prepared" / f"{name}-{address[:16]}.parquet"
    lock, deadline = target.with_name(target.name + ".lock"), time.monotonic() + _PATIENCE
    unlocked = 0
    while True:
        try:
            # What stands in the cache under this address and is not understood was written by another release, or cut.
            return prepare(name_or_path, out=target, **{**settings, "force": True})
        except OutputError:
            # A lock may be released between the refusal and this look; only the second refusal without one is final.
            unlocked = 0 if lock.exists() else unlocked + 1
            if unlocked > 1 or time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def load_dataset(name_or_path: str | os.PathLike[str], split: str | None = None, **settings: Any) -> CrystalTable:
    """The table of a dataset, or one split of it.

    Args:
        name_or_path: A table of crystals (a Parquet file that `prepare` or `encode` wrote), or what `prepare` takes.
        split: `train`, `val` or `test`; None for all rows.
        **settings: Further arguments of `prepare` for what is not prepared yet.

    Raises:
        TableError: there is no row of that split, or the file is broken.
        AristotypeError: as for `prepare`.
    """
    is_name = isinstance(name_or_path, str) and name_or_path in DATASETS
    if not is_name and is_table(Path(name_or_path)):
        return one_split(CrystalTable.read(name_or_path), split, printable(name_or_path))
    return open_dataset(name_or_path, **settings).table(split)


def is_table(path: Path) -> bool:
    """Whether a file says of itself that it is a table of crystals."""
    try:
        with path.open("rb") as file:
            return b"aristotype.schema_version" in (pq.read_schema(file).metadata or {})
    except (OSError, pa.ArrowException):
        return False
