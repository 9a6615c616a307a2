"""The one table format: columns, versions, and the checks that every table passes before it is believed."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aristotype.crystal._genes import CANONICAL_VERSION
from aristotype.errors import TableError
from aristotype.symmetry import CENTRINGS, NUM_GROUPS, tables

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCHEMA_VERSION = "1"
"""Changes when a column of the format changes its name, type or meaning."""
MAX_NUMBER = 118
"""Largest atomic number."""

COLUMNS = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("space_group", pa.int16(), nullable=False),
        pa.field("elements", pa.list_(pa.int8()), nullable=False),
        pa.field("wyckoffs", pa.list_(pa.int8()), nullable=False),
        pa.field("free", pa.list_(pa.float64()), nullable=True),
        pa.field("lattice", pa.list_(pa.float64(), 6), nullable=True),
    ]
)
"""The columns of every table, in order; steps append theirs."""


def version_metadata() -> dict[bytes, bytes]:
    """What a file says about itself: versions and the symmetry tables its letters and free parameters refer to."""
    return {
        b"aristotype.schema_version": SCHEMA_VERSION.encode(),
        b"aristotype.canonical_version": str(CANONICAL_VERSION).encode(),
        b"aristotype.symmetry_sha256": tables().sha256.encode(),
    }


def check_versions(metadata: dict[bytes, bytes] | None, source: str) -> None:
    """Refuses a file made by another version.

    Raises:
        TableError: the versions are missing or not those that this release reads.
    """
    found = metadata or {}
    if b"aristotype.schema_version" not in found:
        raise TableError(
            f"{source} is a Parquet file but not a table of crystals (no schema_version in its metadata); "
            "make one from structures with `aristotype encode` or `aristotype data prepare`"
        )
    for key, expected in version_metadata().items():
        if found.get(key) != expected:
            value = found.get(key, b"none").decode(errors="replace")
            raise TableError(
                f"{source} has {key.decode()} {value}, this release reads {expected.decode()}; encode its structures "
                "again, or read it with the release that wrote it"
            )


def conform(table: pa.Table, source: str = "the table") -> pa.Table:
    """Returns a table whose first columns are `COLUMNS`, cast without loss, and whose content is sound.

    Raises:
        TableError: columns are missing, of another type, null or inconsistent; the message names the first row.
    """
    missing = [name for name in COLUMNS.names if name not in table.column_names]
    if missing:
        raise TableError(
            f"{source} lacks the columns {', '.join(missing)}; it has {', '.join(table.column_names) or 'none'}, "
            f"and a table of crystals needs {', '.join(COLUMNS.names)}"
        )
    if len(set(table.column_names)) != table.num_columns:
        raise TableError(f"{source} has columns of the same name: {', '.join(sorted(table.column_names))}; rename them")
    columns, fields = [], []
    for field in COLUMNS:
        columns.append(_cast(table.column(field.name), field, source))
        fields.append(field)
    for field in table.schema:
        if field.name not in COLUMNS.names:
            columns.append(table.column(field.name).combine_chunks())
            fields.append(field)
    out = pa.table(columns, schema=pa.schema(fields))
    _check_content(out, source)
    return out


def _cast(column: pa.ChunkedArray, field: pa.Field, source: str) -> pa.Array:
    array = column.combine_chunks()
    if array.type != field.type:
        try:
            array = array.cast(field.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise TableError(
                f"{source} has the column {field.name} as {array.type}, not {field.type}: {error}"
            ) from error
    if not field.nullable and array.null_count:
        row = int(np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False))[0])
        raise TableError(f"{source} has no value for {field.name} in row {row}; only free and lattice may be null")
    return array


def ragged(column: pa.ChunkedArray | pa.Array) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """A list column as (flat values, lengths), null rows with length 0; no copy of the values where arrow allows it."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    return array.flatten().to_numpy(zero_copy_only=False), lengths


def _check_content(table: pa.Table, source: str) -> None:
    """Every row: a group and letters that exist, elements 1 to 118, as many numbers as symmetry leaves free, finite."""
    group = table["space_group"].to_numpy()
    _refuse((group < 1) | (group > NUM_GROUPS), table, source, f"a space group outside 1 to {NUM_GROUPS}")
    elements, counts = ragged(table["elements"])
    letters, letter_counts = ragged(table["wyckoffs"])
    _refuse(counts != letter_counts, table, source, "different numbers of elements and wyckoffs")
    owner = np.repeat(np.arange(len(group)), counts)
    bad_element = (elements < 1) | (elements > MAX_NUMBER)
    _refuse(_any_of(owner, bad_element, len(group)), table, source, f"an element outside 1 to {MAX_NUMBER}")
    bad_letter = (letters < 0) | (letters >= tables().num_positions[group[owner]])
    _refuse(
        _any_of(owner, bad_letter, len(group)), table, source, "a Wyckoff position that its space group does not have"
    )
    _check_geometry(table, group, owner, letters, source)


def _check_geometry(
    table: pa.Table, group: NDArray[Any], owner: NDArray[Any], letters: NDArray[Any], source: str
) -> None:
    free_null = table["free"].is_null().to_numpy()
    lattice_null = table["lattice"].is_null().to_numpy()
    _refuse(free_null != lattice_null, table, source, "free parameters without a lattice, or the reverse")
    freedom = freedoms()[group[owner], letters]
    needed = np.bincount(owner, weights=freedom, minlength=len(group)).astype(np.int64)
    free, lengths = ragged(table["free"])
    _refuse(
        ~free_null & (lengths != needed), table, source, "another number of free parameters than its positions have"
    )
    row = np.repeat(np.arange(len(group)), lengths)
    outside = ~((free >= 0.0) & (free < 1.0))
    _refuse(_any_of(row, outside, len(group)), table, source, "a free parameter outside [0, 1)")
    if table["free"].null_count == 0 or (~free_null).any():
        cells = table["lattice"].combine_chunks().drop_null().flatten().to_numpy(zero_copy_only=False).reshape(-1, 6)
        unsound = ~(np.isfinite(cells).all(axis=1) & (cells > 0).all(axis=1) & (cells[:, 3:] < 180).all(axis=1))
        flags = np.zeros(len(group), bool)
        flags[np.flatnonzero(~lattice_null)] = unsound
        _refuse(flags, table, source, "a lattice that is no cell (lengths in Angstrom, angles in degrees)")


def _any_of(owner: NDArray[Any], flags: NDArray[Any], size: int) -> NDArray[np.bool_]:
    out = np.zeros(size, bool)
    out[owner[flags]] = True
    return out


def _refuse(flags: NDArray[np.bool_], table: pa.Table, source: str, what: str) -> None:
    if flags.any():
        row = int(flags.argmax())
        raise TableError(
            f"{source} has {what} in {int(flags.sum())} rows, first in row {row} (id {table['id'][row].as_py()!r}): "
            f"{ {name: table[name][row].as_py() for name in COLUMNS.names[1:]} }; remove or correct them"
        )


def freedoms() -> NDArray[np.int64]:
    """(231, 27) number of free parameters by group number and letter index, 0 where there is no position."""
    return _padded("freedom")


def multiplicities() -> NDArray[np.int64]:
    """(231, 27) atoms in the conventional cell by group number and letter index, 0 where there is no position."""
    return _padded("multiplicity")


@cache
def centring_orders() -> NDArray[np.int64]:
    """(231,) lattice points in the conventional cell by group number, 1 for the number 0 that is no group."""
    order = np.array([{"P": 1, "A": 2, "C": 2, "I": 2, "R": 3, "F": 4}[symbol] for symbol in CENTRINGS])
    return np.concatenate([[1], order[tables().centring]]).astype(np.int64)


@cache
def _padded(name: str) -> NDArray[np.int64]:
    array = tables().padded(name).astype(np.int64)
    array.setflags(write=False)
    return array


def check_ids(table: pa.Table, source: str = "the table") -> None:
    """Refuses a table in which two rows share an id.

    Raises:
        TableError: naming the first of them.
    """
    if pc.count_distinct(table["id"]).as_py() == table.num_rows:
        return
    counts = pc.value_counts(table["id"].combine_chunks())
    repeated = counts.filter(pc.greater(counts.field("counts"), 1))
    shown = ", ".join(repr(value["values"]) for value in repeated.slice(0, 5).to_pylist())
    raise TableError(f"{source} has {len(repeated)} ids more than once ({shown}); ids must be unique: rename them")
