"""Arrow tables from what crystals are held in elsewhere: batches of genes, flat arrays, row objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from aristotype.crystal._rows import Crystal, Gene
from aristotype.crystal._schema import COLUMNS, freedoms
from aristotype.errors import InputError, TableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from aristotype.crystal._genes import GeneBatch


def genes_table(genes: GeneBatch, ids: Sequence[str] | None) -> pa.Table:
    """The columns of the format for n genes; `free` and `lattice` are null.

    Raises:
        SymmetryError: a gene has a position that does not exist.
        InputError: there are not n ids.
    """
    genes.check()
    occupied = genes.wyckoffs >= 0
    offsets = _offsets(occupied.sum(axis=1))
    n = len(genes)
    return pa.table(
        {
            "id": _names(ids, n),
            "space_group": pa.array(genes.space_group, pa.int16()),
            "elements": pa.ListArray.from_arrays(offsets, pa.array(genes.elements[occupied], pa.int8())),
            "wyckoffs": pa.ListArray.from_arrays(offsets, pa.array(genes.wyckoffs[occupied], pa.int8())),
            "free": pa.nulls(n, COLUMNS.field("free").type),
            "lattice": pa.nulls(n, COLUMNS.field("lattice").type),
        }
    )


def arrays_table(
    *,
    group: NDArray[np.int16],
    counts: NDArray[np.int64],
    elements: NDArray[np.int8],
    letters: NDArray[np.int8],
    free: NDArray[np.float64],
    lattice: NDArray[np.float64],
    ids: Sequence[str] | None,
) -> pa.Table:
    """The columns of the format for n crystals given flat (see `CrystalTable.from_arrays`).

    Raises:
        TableError: the arrays do not fit together.
        InputError: there are not n ids.
    """
    if counts.sum() != len(letters) or len(letters) != len(elements) or len(counts) != len(group):
        raise TableError(
            f"{len(group)} space groups, {len(counts)} num_sites that add up to {counts.sum()}, "
            f"{len(letters)} wyckoffs, {len(elements)} elements do not fit together; give one a crystal, or a site"
        )
    owner = np.repeat(np.arange(len(group)), counts)
    known = (group[owner] >= 1) & (group[owner] <= 230) & (letters >= 0) & (letters < freedoms().shape[1])
    freedom = np.where(known, freedoms()[np.where(known, group[owner], 0), np.where(known, letters, 0)], 0)
    per_row = np.bincount(owner, weights=freedom, minlength=len(group)).astype(np.int64)
    if len(free) != per_row.sum() or len(lattice) != 6 * len(group):
        raise TableError(
            f"{len(free)} free parameters for positions that have {per_row.sum()}, {len(lattice)} cell parameters "
            f"for {len(group)} crystals of six each; they must agree"
        )
    offsets = _offsets(counts)
    return pa.table(
        {
            "id": _names(ids, len(group)),
            "space_group": pa.array(group),
            "elements": pa.ListArray.from_arrays(offsets, pa.array(elements)),
            "wyckoffs": pa.ListArray.from_arrays(offsets, pa.array(letters)),
            "free": pa.ListArray.from_arrays(_offsets(per_row), pa.array(free)),
            "lattice": pa.FixedSizeListArray.from_arrays(pa.array(lattice), 6),
        }
    )


def rows_table(rows: Sequence[Gene]) -> pa.Table:
    """The columns of the format for row objects; rows without an id are named by their number."""
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS.names}
    for number, row in enumerate(rows):
        columns["id"].append(row.id or str(number))
        columns["space_group"].append(row.space_group)
        columns["elements"].append(row.elements)
        columns["wyckoffs"].append(row.wyckoffs)
        columns["free"].append(row.free if isinstance(row, Crystal) else None)
        columns["lattice"].append(row.lattice if isinstance(row, Crystal) else None)
    try:
        return pa.table([pa.array(columns[field.name], field.type) for field in COLUMNS], schema=COLUMNS)
    except (pa.ArrowException, OverflowError) as error:
        raise TableError(f"the rows hold a value that does not fit the format: {error}; correct it") from error


def row_object(row: dict[str, Any]) -> Gene:
    """A row as `Crystal`, or as `Gene` where it has no geometry."""
    gene = {
        "id": row["id"],
        "space_group": row["space_group"],
        "elements": tuple(row["elements"]),
        "wyckoffs": tuple(row["wyckoffs"]),
    }
    if row["lattice"] is None:
        return Gene(**gene)
    return Crystal(**gene, free=tuple(row["free"]), lattice=tuple(row["lattice"]))


def _offsets(counts: NDArray[np.int64]) -> pa.Array:
    return pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))


def _names(ids: Sequence[str] | None, count: int) -> pa.Array:
    if ids is not None and len(ids) != count:
        raise InputError(f"{len(ids)} ids for {count} rows; give one a row, or none")
    return pa.array([str(name) for name in (range(count) if ids is None else ids)], pa.string())
