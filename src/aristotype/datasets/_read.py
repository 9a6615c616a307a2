"""Source files to rows: structures as they stand in the file, ids, splits and labels; nothing is encoded here."""

from __future__ import annotations

import gzip
import os
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pyarrow as pa
import pyarrow.csv as pc_csv
import pyarrow.parquet as pq

from aristotype._files import printable
from aristotype.crystal import CrystalTable, is_structure_file
from aristotype.datasets._sources import SPLIT_ALIASES
from aristotype.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aristotype.datasets._sources import Source

Form = Literal["arrays", "cif", "crystals", "files", "zip"]
ARRAYS = ("lattice", "atomic_numbers", "frac_coords")
"""Structure columns of a Parquet file: 9 floats (Angstrom, row-major), atomic numbers, 3 fractional numbers an atom."""
ENCODED = ("id", "space_group", "elements", "wyckoffs", "free", "lattice", "tolerance")
"""Columns that encoding makes."""
RESERVED = frozenset((*ENCODED, "split", "gene_key"))
_IDS = ("material_id", "id", "row_id")
# What a structure says itself; in the converted files `num_sites` counts atoms, which are no sites here.
_IMPLIED = ("formula", "num_sites")


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The rows of one source.

    Attributes:
        source: Its name.
        form: What `structures` holds: `arrays` (the columns `ARRAYS`), `cif` (texts), `crystals` (already encoded), or
            paths of structure files on the disk (`files`) or in the archive (`zip`).
        structures: n rows of it.
        columns: n rows of `id` (not necessarily distinct), `split` (null where open) and labels.
        split: The split of rows that do not say; None where it is open.
        numbers: n places in the source, counted from 0, unreadable rows included.
        unreadable: Place and reason for rows that could not even be read.
        notes: What else a report should say.
        archive: The archive of form `zip`.
    """

    source: str
    form: Form
    structures: pa.Table
    columns: pa.Table
    split: str | None
    numbers: list[int]
    unreadable: tuple[tuple[int, str], ...] = ()
    notes: tuple[str, ...] = ()
    archive: Path | None = None

    def __len__(self) -> int:
        return self.structures.num_rows

    @property
    def total(self) -> int:
        """Rows in the source, unreadable ones included."""
        return len(self) + len(self.unreadable)


def read_rows(source: Source, renamed: Mapping[str, str] | None = None) -> Rows:
    """Reads the rows of a source.

    Args:
        source: What to read.
        renamed: Published column names to ours.

    Raises:
        InputError: the file is empty, truncated, not UTF-8 or has no structure columns; the message names them.
        TableError: an encoded table is of another version or inconsistent.
    """
    if source.kind == "parquet":
        return _read_parquet(source, renamed or {})
    if source.kind == "csv":
        return _read_csv(source, renamed or {})
    if source.kind == "zip":
        return _read_zip(source, renamed or {})
    return Rows(
        source=source.name,
        form="files",
        # Paths are bytes: they need not be UTF-8.
        structures=pa.table({"path": pa.array([os.fsencode(path) for path in source.paths], pa.binary())}),
        split=source.split,
        columns=_columns(list(source.ids), [source.split] * len(source.ids)),
        numbers=list(range(len(source.paths))),
    )


def _read_parquet(source: Source, renamed: Mapping[str, str]) -> Rows:
    path = source.paths[0]
    try:
        with path.open("rb") as file:
            table = pq.read_table(file)
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{printable(path)} is not a whole Parquet file ({error}); it may be truncated: fetch or make it again"
        ) from error
    if b"aristotype.schema_version" in (table.schema.metadata or {}):
        table = CrystalTable.read(path).arrow
        return _rows_of_table(source, table, "crystals", _present(table, ENCODED), renamed)
    if all(name in table.column_names for name in ARRAYS):
        return _rows_of_table(source, table.drop_columns(_present(table, _IMPLIED)), "arrays", list(ARRAYS), renamed)
    if "cif" in table.column_names:
        return _rows_of_table(source, table, "cif", ["cif"], renamed)
    raise InputError(
        f"{printable(path)} has the columns {', '.join(table.column_names) or '(none)'}; structures are the columns "
        f"{', '.join(ARRAYS)}, a column cif, or a table that `aristotype encode` wrote"
    )


def _read_csv(source: Source, renamed: Mapping[str, str]) -> Rows:
    path = source.paths[0]
    table, unreadable = read_csv(path)
    if "cif" not in table.column_names:
        raise InputError(
            f"{printable(path)} has no column cif, only {', '.join(table.column_names[:12])}; structures in a CSV file "
            "stand as CIF texts in a column of that name: rename it"
        )
    return _rows_of_table(source, table, "cif", ["cif"], renamed, unreadable)


def read_csv(path: Path) -> tuple[pa.Table, tuple[tuple[int, str], ...]]:
    """A CSV file (also .csv.gz), and place and reason for rows with another number of fields than the header.

    Raises:
        InputError: it is empty, not UTF-8, or no CSV file.
    """
    skipped: list[tuple[int, str]] = []

    def skip(row: pc_csv.InvalidRow) -> str:
        # Physical row 1 is the header.
        reason = f"it has {row.actual_columns} fields, the header {row.expected_columns}; correct the line"
        skipped.append((row.number - 2, reason))
        return "skip"

    try:
        content = gzip.decompress(path.read_bytes()) if path.name.lower().endswith(".gz") else path.read_bytes()
        table = pc_csv.read_csv(
            pa.BufferReader(content),
            # One block on one thread: rows (CIF texts) of any length, and row numbers.
            read_options=pc_csv.ReadOptions(use_threads=False, block_size=min(len(content) + 1, 2**31 - 1)),
            parse_options=pc_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=skip),
            convert_options=pc_csv.ConvertOptions(column_types={"cif": pa.string()} | dict.fromkeys(_IDS, pa.string())),
        )
        # Names of columns are decoded here, their content above.
        names = table.column_names
    except (pa.ArrowException, OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        hint = "it is empty" if not path.stat().st_size else str(error)
        raise InputError(
            f"{printable(path)} is no readable CSV file ({hint}); it must be UTF-8 text with a header line"
        ) from error
    binary = [name for name, kind in zip(names, table.schema.types, strict=True) if pa.types.is_binary(kind)]
    if binary:
        raise InputError(
            f"{printable(path)} is not UTF-8 text in the columns {', '.join(binary)}; convert it, for example with "
            "`iconv -f latin1 -t utf-8`"
        )
    if table.num_rows + len(skipped) == 0:
        raise InputError(f"{printable(path)} has a header and no rows; check the file")
    # A spreadsheet's row index has no name and says nothing.
    return table.drop_columns([name for name in names if name in ("", "Unnamed: 0")]), tuple(skipped)


def _read_zip(source: Source, renamed: Mapping[str, str]) -> Rows:
    path = source.paths[0]
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info.filename for info in archive.infolist() if not info.is_dir()]
    except (zipfile.BadZipFile, OSError) as error:
        raise InputError(f"{printable(path)} is no whole zip archive ({error}); fetch or make it again") from error
    # Archives made on a Mac hold a shadow of each file.
    members = sorted(m for m in members if is_structure_file(Path(m)) and not Path(m).name.startswith("._"))
    if not members:
        raise InputError(f"{printable(path)} holds no structure file; name another archive")
    ids = [Path(member).stem for member in members]
    labels, notes = (None, ()) if source.labels is None else _joined(ids, source.labels, renamed)
    return Rows(
        source=source.name,
        form="zip",
        structures=pa.table({"member": pa.array(members, pa.string())}),
        split=source.split,
        columns=_columns(ids, [source.split] * len(ids), labels),
        numbers=list(range(len(members))),
        notes=notes,
        archive=path,
    )


def _joined(ids: list[str], path: Path, renamed: Mapping[str, str]) -> tuple[pa.Table, tuple[str, ...]]:
    """The rows of a CSV file of labels in the order of ids, null where there is none."""
    table, unreadable = read_csv(path)
    if "material_id" not in table.column_names:
        found = ", ".join(table.column_names[:12])
        raise InputError(f"{printable(path)} has no column material_id to join by, only {found}; fetch it again")
    place = {name: row for row, name in enumerate(table["material_id"].to_pylist())}
    rows = pa.array([place.get(name) for name in ids], pa.int64())
    notes = [f"{path.name}: {len(unreadable)} lines unreadable"] if unreadable else []
    if rows.null_count:
        notes.append(f"{path.name} has no line for {rows.null_count} of {len(ids)} structures; their labels are null")
    labels = _labels(table, {"material_id"}, renamed)
    return labels.take(rows) if labels.num_columns else labels, tuple(notes)


def _rows_of_table(
    source: Source,
    table: pa.Table,
    form: Form,
    structures: list[str],
    renamed: Mapping[str, str],
    unreadable: tuple[tuple[int, str], ...] = (),
) -> Rows:
    lost = {number for number, _ in unreadable}
    numbers = [number for number in range(table.num_rows + len(lost)) if number not in lost]
    candidates = ("id",) if form == "crystals" else _IDS
    name_column = next((name for name in candidates if name in table.column_names), None)
    taken = {*structures, "split", "gene_key"} | ({name_column} if name_column else set())
    return Rows(
        source=source.name,
        form=form,
        structures=table.select(structures),
        split=source.split,
        columns=_columns(
            _ids(table, name_column, source, numbers), _splits(table, source), _labels(table, taken, renamed)
        ),
        numbers=numbers,
        unreadable=unreadable,
    )


def _ids(table: pa.Table, column: str | None, source: Source, numbers: list[int]) -> list[str]:
    stem = source.name.partition(".")[0]
    given = [None] * table.num_rows if column is None else table[column].cast(pa.string()).to_pylist()
    return [name if name and name.strip() else f"{stem}-{number}" for name, number in zip(given, numbers, strict=True)]


def _splits(table: pa.Table, source: Source) -> list[str | None]:
    if "split" not in table.column_names:
        return [source.split] * table.num_rows
    given = table["split"].cast(pa.string()).to_pylist()
    unknown = {name for name in given if name and name.strip().lower() not in SPLIT_ALIASES}
    if unknown:
        raise InputError(
            f"{source.name} has the splits {', '.join(sorted(unknown)[:5])} in its column split; known are train, val "
            "and test: rename them, or rename the column"
        )
    return [SPLIT_ALIASES[name.strip().lower()] if name and name.strip() else source.split for name in given]


def _labels(table: pa.Table, taken: set[str], renamed: Mapping[str, str]) -> pa.Table:
    """The other columns under names that neither the format nor another column uses."""
    kept = [name for name in table.column_names if name not in taken]
    out = table.select(kept)
    new: list[str] = []
    for name in kept:
        name = renamed.get(name, name)
        name = f"given_{name}" if name in RESERVED else name
        while name in new:
            name += "_2"
        new.append(name)
    return out.rename_columns(new)


def _columns(ids: list[str], splits: list[str | None], labels: pa.Table | None = None) -> pa.Table:
    own = pa.table({"id": pa.array(ids, pa.string()), "split": pa.array(splits, pa.string())})
    for name in [] if labels is None else labels.column_names:
        own = own.append_column(name, labels[name])  # type: ignore[index]
    return own


def _present(table: pa.Table, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if name in table.column_names]
