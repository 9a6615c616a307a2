"""Sequences of a whole table, made once and kept in the cache folder."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from aristotype._files import atomic_path
from aristotype.crystal import CANONICAL_VERSION, GeneBatch, pack
from aristotype.datasets import cache_folder
from aristotype.models.crystalformer._sequences import Sequences, sequences_of
from aristotype.symmetry import tables

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from aristotype.crystal import CrystalTable

_VERSION = 2
"""Changes when the same crystal gives other sequences."""
_ROWS = 500
_COLUMNS = ("space_group", "elements", "wyckoffs", "free", "lattice")


def prepared_sequences(table: CrystalTable, *, loud: bool = True) -> Sequences:
    """All sequences of the crystals of a table, numbered by its rows.

    Args:
        table: crystals with geometry.
        loud: whether to say on stderr that this takes a while.

    Raises:
        TableError: a row is a gene.
        OutputError: the cache folder cannot be written.
    """
    table.check_geometry()
    path = _path(table)
    if path.is_file():
        return _read(path)
    parts = []
    for start in range(0, len(table), _ROWS):
        if loud:
            sys.stderr.write(f"\rsequences of crystals: {start:,} of {len(table):,}")
        found = sequences_of(table[start : start + _ROWS])
        parts.append(replace(found, owner=found.owner + start))
    if loud:
        sys.stderr.write(f"\rsequences of crystals: {len(table):,} of {len(table):,}\n")
    joined = _joined(parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **_fields(joined))
    return joined


def _path(table: CrystalTable) -> Path:
    content = hashlib.sha256(pack(table.arrow.select(list(_COLUMNS)).replace_schema_metadata(None)))
    content.update(f"{_VERSION} {CANONICAL_VERSION} {tables().sha256}".encode())
    return cache_folder() / "sequences" / f"{content.hexdigest()[:32]}.npz"


def _joined(parts: list[Sequences]) -> Sequences:
    width = max((part.free.shape[1] for part in parts), default=0)
    free = [np.pad(part.free, ((0, 0), (0, width - part.free.shape[1]), (0, 0))) for part in parts]
    return Sequences(
        genes=GeneBatch.concatenate([part.genes for part in parts]),
        free=np.concatenate([np.zeros((0, width, 3)), *free]),
        cell=np.concatenate([np.zeros((0, 6)), *(part.cell for part in parts)]),
        acute=np.concatenate([np.zeros(0, bool), *(part.acute for part in parts)]),
        log_measure=np.concatenate([np.zeros(0), *(part.log_measure for part in parts)]),
        owner=np.concatenate([np.zeros(0, np.int64), *(part.owner for part in parts)]),
    )


def _fields(sequences: Sequences) -> dict[str, NDArray[np.generic]]:
    genes = sequences.genes
    return {
        "space_group": genes.space_group,
        "elements": genes.elements,
        "wyckoffs": genes.wyckoffs,
        "free": sequences.free,
        "cell": sequences.cell,
        "acute": sequences.acute,
        "log_measure": sequences.log_measure,
        "owner": sequences.owner,
    }


def _read(path: Path) -> Sequences:
    with np.load(path, allow_pickle=False) as file:
        found = {name: file[name] for name in file.files}
    genes = GeneBatch(**{name: found.pop(name) for name in ("space_group", "elements", "wyckoffs")})
    return Sequences(genes=genes, **found)
