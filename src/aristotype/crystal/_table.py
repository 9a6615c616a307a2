"""`CrystalTable`: crystals and genes in an arrow table, Parquet on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from aristotype._files import atomic_path, printable, refuse_overwrite
from aristotype.crystal._build import arrays_table, genes_table, row_object, rows_table
from aristotype.crystal._export import Format, export, to_atoms, to_structures
from aristotype.crystal._genes import GeneBatch
from aristotype.crystal._rows import Gene
from aristotype.crystal._schema import COLUMNS, check_ids, check_versions, conform, ragged, version_metadata
from aristotype.errors import TableError, UnknownNameError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ase import Atoms
    from numpy.typing import ArrayLike, NDArray
    from pymatgen.core import Structure


class CrystalTable:
    """A table of crystals: one row each, the columns of `COLUMNS` first, what steps appended after them.

    Immutable; every method that changes something returns a new table that shares the unchanged columns.

    Args:
        table: An arrow table with the columns of the format, in any order, and any others.

    Raises:
        TableError: columns are missing, of another type or inconsistent, or two rows share an id.
    """

    __slots__ = ("_table",)

    def __init__(self, table: pa.Table) -> None:
        self._table = conform(table).replace_schema_metadata(version_metadata())
        check_ids(self._table)

    @classmethod
    def _trusted(cls, table: pa.Table) -> CrystalTable:
        """Wraps a table that came from another one and keeps its guarantees."""
        out = cls.__new__(cls)
        out._table = table.combine_chunks()
        return out

    # Making one -------------------------------------------------------------------------------------------------------

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> CrystalTable:
        """Reads a Parquet file.

        Raises:
            TableError: the file is not there, not whole, not a table of crystals, or of a version that is not known.
        """
        name = printable(path)
        try:
            with open(path, "rb") as file:  # noqa: PTH123 (a path with bytes that are not UTF-8 is no arrow string)
                table = pq.read_table(file)
        except OSError as error:
            raise TableError(f"cannot read {name}: {error.strerror or error}; check the path") from error
        except pa.ArrowException as error:
            raise TableError(
                f"{name} is not a whole Parquet file ({error}); it may be truncated: make it again"
            ) from error
        check_versions(table.schema.metadata, name)
        out = cls.__new__(cls)
        out._table = conform(table, name).replace_schema_metadata(version_metadata())
        check_ids(out._table, name)
        return out

    @classmethod
    def from_genes(cls, genes: GeneBatch, ids: Sequence[str] | None = None) -> CrystalTable:
        """A table of genes: `free` and `lattice` are null.

        Args:
            genes: n genes.
            ids: n names; by default the row numbers.

        Raises:
            TableError: a gene has a position that does not exist, or ids repeat.
        """
        return cls(genes_table(genes, ids))

    @classmethod
    def from_arrays(
        cls,
        *,
        space_group: ArrayLike,
        num_sites: ArrayLike,
        elements: ArrayLike,
        wyckoffs: ArrayLike,
        free: ArrayLike,
        lattice: ArrayLike,
        ids: Sequence[str] | None = None,
    ) -> CrystalTable:
        """A table of crystals from flat arrays, without a Python object a row.

        Args:
            space_group: (n,) group numbers.
            num_sites: (n,) sites of each crystal.
            elements: (sites,) atomic numbers, crystal after crystal.
            wyckoffs: (sites,) letter indices.
            free: (sum of freedoms,) free parameters in site order, in [0, 1).
            lattice: (n, 6) a b c (Angstrom) alpha beta gamma (degrees).
            ids: n names; by default the row numbers.

        Raises:
            TableError: the arrays do not fit together, or ids repeat.
        """
        return cls(
            arrays_table(
                group=np.asarray(space_group, np.int16),
                counts=np.asarray(num_sites, np.int64),
                elements=np.asarray(elements, np.int8),
                letters=np.asarray(wyckoffs, np.int8),
                free=np.asarray(free, np.float64).reshape(-1),
                lattice=np.ascontiguousarray(lattice, np.float64).reshape(-1),
                ids=ids,
            )
        )

    @classmethod
    def from_crystals(cls, crystals: Iterable[Gene]) -> CrystalTable:
        """A table from row objects, crystals and genes mixed; rows whose id is empty are named by their number.

        Raises:
            TableError: ids repeat, or a free parameter or cell is out of range.
        """
        return cls(rows_table(list(crystals)))

    @classmethod
    def concatenate(cls, tables: Sequence[CrystalTable]) -> CrystalTable:
        """One table from several; a column that one of them lacks is null in its rows.

        Raises:
            TableError: ids repeat, or a column has different types.
        """
        if not tables:
            return cls(COLUMNS.empty_table())
        try:
            joined = pa.concat_tables([t._table for t in tables], promote_options="default")
        except pa.ArrowException as error:
            raise TableError(f"tables do not fit together: {error}; give the column one type") from error
        out = cls._trusted(joined.replace_schema_metadata(version_metadata()))
        check_ids(out._table)
        return out

    # Looking at it ----------------------------------------------------------------------------------------------------

    @property
    def arrow(self) -> pa.Table:
        """The arrow table itself; its columns are single chunks, so that arrays share its memory."""
        return self._table

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of all columns."""
        return tuple(self._table.column_names)

    @property
    def ids(self) -> list[str]:
        """Names of the rows."""
        return self._table["id"].to_pylist()

    @property
    def space_group(self) -> NDArray[np.int16]:
        """(n,) space-group numbers."""
        return self._table["space_group"].to_numpy()

    @property
    def is_gene(self) -> NDArray[np.bool_]:
        """(n,) whether a row has no geometry."""
        return self._table["lattice"].is_null().to_numpy()

    def check_geometry(self) -> None:
        """Makes sure that every row is a crystal.

        Raises:
            TableError: a row is a gene, which has no geometry.
        """
        genes = self.is_gene
        if genes.any():
            row = int(genes.argmax())
            raise TableError(
                f"{int(genes.sum())} rows are genes and have no geometry, first row {row} (id {self.ids[row]!r}); "
                "realize them first"
            )

    @property
    def lattice(self) -> NDArray[np.float64]:
        """(n, 6) cells; NaN where a row is a gene."""
        out = np.full((len(self), 6), np.nan)
        column = self._table["lattice"].combine_chunks()
        out[~self.is_gene] = column.drop_null().flatten().to_numpy(zero_copy_only=False).reshape(-1, 6)
        return out

    def column(self, name: str) -> pa.ChunkedArray:
        """A column by name.

        Raises:
            UnknownNameError: there is none of that name.
        """
        if name not in self._table.column_names:
            raise UnknownNameError(f"no column {name!r}; there are {', '.join(self.columns)}")
        return self._table[name]

    def ragged(self, name: str) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """A list column as (flat values, lengths (n,)); null rows have length 0.

        Raises:
            UnknownNameError: there is none of that name.
        """
        return ragged(self.column(name))

    def genes(self) -> GeneBatch:
        """The discrete parts of all rows as one batch."""
        elements, counts = ragged(self._table["elements"])
        letters, _ = ragged(self._table["wyckoffs"])
        width = int(counts.max(initial=0))
        occupied = np.arange(width) < counts[:, None]
        batch = GeneBatch(
            space_group=self.space_group,
            elements=np.zeros(occupied.shape, np.int8),
            wyckoffs=np.full(occupied.shape, -1, np.int8),
        )
        batch.elements[occupied] = elements
        batch.wyckoffs[occupied] = letters
        return batch

    def __len__(self) -> int:
        return self._table.num_rows

    def __iter__(self) -> Iterator[Gene]:
        for batch in self._table.select(COLUMNS.names).to_batches(max_chunksize=1024):
            for row in batch.to_pylist():
                yield row_object(row)

    @overload
    def __getitem__(self, index: int) -> Gene: ...
    @overload
    def __getitem__(self, index: slice) -> CrystalTable: ...
    def __getitem__(self, index: int | slice) -> Gene | CrystalTable:
        """A row as `Crystal` (as `Gene` where it has no geometry), or a slice as a table.

        Raises:
            IndexError: there is no such row.
        """
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step == 1:
                return self._trusted(self._table.slice(start, max(0, stop - start)))
            return self._trusted(self._table.take(pa.array(list(range(start, stop, step)), pa.int64())))
        if not -len(self) <= index < len(self):
            raise IndexError(f"row {index} of a table with {len(self)} rows")
        return row_object(self._table.select(COLUMNS.names).slice(index % len(self), 1).to_pylist()[0])

    def __repr__(self) -> str:
        extra = self.columns[len(COLUMNS) :]
        genes = int(self.is_gene.sum())
        return f"CrystalTable({len(self)} rows, {genes} of them genes{', ' + ', '.join(extra) if extra else ''})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CrystalTable) and self._table.equals(other._table)

    __hash__ = None  # type: ignore[assignment]

    # New ones from it -------------------------------------------------------------------------------------------------

    def take(self, rows: ArrayLike) -> CrystalTable:
        """Some rows, by index, in the given order.

        Raises:
            TableError: an index does not exist or comes twice (ids would repeat).
        """
        index = np.asarray(rows, dtype=np.int64).reshape(-1)
        if len(index) and (index.min() < 0 or index.max() >= len(self)):
            raise TableError(f"row {index.max() if index.min() >= 0 else index.min()} of a table with {len(self)} rows")
        if len(np.unique(index)) != len(index):
            raise TableError("a row is taken twice, and ids must stay unique; give the copies ids of their own")
        return self._trusted(self._table.take(index))

    def filter(self, mask: ArrayLike) -> CrystalTable:
        """The rows where a mask (n,) is true.

        Raises:
            TableError: the mask has another length.
        """
        keep = np.asarray(mask, dtype=bool).reshape(-1)
        if len(keep) != len(self):
            raise TableError(f"a mask of {len(keep)} for a table with {len(self)} rows; they must agree")
        return self._trusted(self._table.filter(pa.array(keep)))

    def with_columns(self, columns: Mapping[str, Any] | None = None, **more: Any) -> CrystalTable:
        """The same rows with columns appended, or replaced where the name is there.

        Args:
            columns: Name to arrow array, numpy array or list of length n; a scalar is repeated.
            **more: The same as keywords.

        Raises:
            TableError: a column has another length, or a column of the format itself is replaced by an unsound one.
        """
        table, checked = self._table, False
        for name, values in {**(columns or {}), **more}.items():
            array = _as_column(values, len(self), name)
            checked |= name in COLUMNS.names
            if name in table.column_names:
                table = table.set_column(table.column_names.index(name), name, array)
            else:
                table = table.append_column(name, array)
        return CrystalTable(table) if checked else self._trusted(table)

    def without_columns(self, names: Iterable[str]) -> CrystalTable:
        """The same rows without some of the appended columns; names that are not there are ignored.

        Raises:
            TableError: a column of the format itself is named.
        """
        drop = [name for name in names if name in self._table.column_names]
        own = [name for name in drop if name in COLUMNS.names]
        if own:
            raise TableError(
                f"{', '.join(own)} cannot be dropped: every table of crystals has {', '.join(COLUMNS.names)}"
            )
        return self._trusted(self._table.drop_columns(drop)) if drop else self

    # Out of the house -------------------------------------------------------------------------------------------------

    def write(
        self,
        path: str | os.PathLike[str],
        *,
        format: Format | Literal["parquet"] = "parquet",
        primitive: bool = False,
        force: bool = False,
    ) -> None:
        """Writes a Parquet file, or a folder of structure files, whole or not at all.

        Args:
            path: The file, or the folder for the formats of `export`.
            format: `parquet`, or one of the formats of `export` (`cif`, `extxyz`, `poscar`, `asedb`).
            primitive: Primitive instead of conventional cells, where the format has atoms.
            force: Whether what is there may be replaced.

        Raises:
            UnknownNameError: There is no such format.
            TableError: A row is a gene, which has no atoms to write.
            OutputError: The path exists, the disk is full or the folder cannot be written.
        """
        if format != "parquet":
            export(self, path, format, primitive=primitive, force=force)
            return
        refuse_overwrite(path, force)
        with atomic_path(path) as temporary, open(temporary, "wb") as file:  # noqa: PTH123 (see `read`)
            pq.write_table(self._table, file, compression="zstd")

    def to_structures(self, *, primitive: bool = False) -> list[Structure]:
        """Pymatgen structures of all rows (see `aristotype.crystal.to_structures`)."""
        return to_structures(self, primitive=primitive)

    def to_atoms(self, *, primitive: bool = False) -> list[Atoms]:
        """ASE atoms of all rows (see `aristotype.crystal.to_atoms`)."""
        return to_atoms(self, primitive=primitive)


def _as_column(values: Any, count: int, name: str) -> pa.Array | pa.ChunkedArray:
    if isinstance(values, (str, bytes, int, float, bool)) or values is None:
        return pa.array([values] * count)
    array = values if isinstance(values, (pa.Array, pa.ChunkedArray)) else pa.array(values)
    if len(array) != count:
        raise TableError(f"column {name} has {len(array)} values for {count} rows; they must agree")
    return array
