"""What one worker does with one chunk of rows: arrays, texts or files in, a table of crystals and reasons out."""

from __future__ import annotations

import json
import os
import re
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aristotype._files import printable
from aristotype.crystal import CrystalTable, Failure, encode, encode_arrays, gene_keys, is_structure_file, pack, unpack
from aristotype.errors import AristotypeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aristotype.datasets._read import Form

_REST = b"aristotype_chunk"
_NAME = re.compile(r"row(\d{6})(-.*)?", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How structures are encoded.

    Attributes:
        tolerance: Distance (Angstrom) up to which positions count as symmetric.
        max_atoms: Largest input cell.
        max_gap: Widest slab (Angstrom) without atoms; None for no limit.
    """

    tolerance: float
    max_atoms: int
    max_gap: float | None

    def keywords(self) -> dict[str, Any]:
        """As `encode` takes them."""
        return {"tolerance": self.tolerance, "max_atoms": self.max_atoms, "max_gap": self.max_gap}


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Some consecutive rows of one source.

    Attributes:
        form: What the rows hold (see `Rows`).
        rows: An arrow table, packed by `pack`.
        limits: How they are encoded.
        archive: The archive of form `zip`.
    """

    form: Form
    rows: bytes
    limits: Limits
    archive: str | None = None


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """What came out of a chunk.

    Attributes:
        table: A packed table of crystals with `gene_key`; its ids are provisional.
        places: (rows,) place in the chunk of each.
        suffixes: What tells apart the rows of one place (blocks of a CIF, frames), empty for single ones.
        failures: Place, suffix and reason of what could not be encoded.
    """

    table: bytes
    places: tuple[int, ...]
    suffixes: tuple[str, ...]
    failures: tuple[tuple[int, str, str], ...]

    def to_arrow(self) -> pa.Table:
        """One table that holds all of it."""
        rest = {"places": self.places, "suffixes": self.suffixes, "failures": self.failures}
        table = unpack(self.table)
        return table.replace_schema_metadata({**(table.schema.metadata or {}), _REST: json.dumps(rest).encode()})

    @staticmethod
    def from_arrow(table: pa.Table) -> Encoded:
        """What `to_arrow` was called on."""
        metadata = dict(table.schema.metadata)
        rest = json.loads(metadata.pop(_REST))
        return Encoded(
            table=pack(table.replace_schema_metadata(metadata or None)),
            places=tuple(rest["places"]),
            suffixes=tuple(rest["suffixes"]),
            failures=tuple((place, suffix, reason) for place, suffix, reason in rest["failures"]),
        )


def encode_chunk(chunk: Chunk) -> Encoded:
    """Encodes the rows of a chunk; what cannot be encoded becomes a reason."""
    rows = unpack(chunk.rows)
    if chunk.form == "crystals":
        places = pa.array([str(place) for place in range(rows.num_rows)], pa.string())
        return _finish(CrystalTable(rows.set_column(rows.column_names.index("id"), "id", places)), [])
    if chunk.form == "arrays":
        return _encode_arrays(rows, chunk.limits)
    return _encode_files(list(_contents(chunk, rows)), chunk.limits)


def _finish(table: CrystalTable, failures: list[Failure]) -> Encoded:
    """The result for rows that are called by their place in the chunk."""
    places = tuple(int(name) for name in table.ids)
    return _packed(table, places, ("",) * len(places), [(f.index, "", f.reason) for f in failures])


def _packed(
    table: CrystalTable, places: tuple[int, ...], suffixes: tuple[str, ...], failures: list[tuple[int, str, str]]
) -> Encoded:
    keys = gene_keys(table.genes()).tolist() if len(table) else []
    keyed = table.arrow.append_column("gene_key", pa.array(keys, pa.binary(16)))
    return Encoded(table=pack(keyed), places=places, suffixes=suffixes, failures=tuple(failures))


def _encode_arrays(rows: pa.Table, limits: Limits) -> Encoded:
    lattices = [_shaped(values, (3, 3)) for values in _pieces(rows["lattice"])]
    numbers = _pieces(rows["atomic_numbers"])
    coords = [_shaped(values, (-1, 3)) for values in _pieces(rows["frac_coords"])]
    failures: list[Failure] = []
    try:
        return _finish(encode_arrays(lattices, numbers, coords, failures=failures, **limits.keywords()), failures)
    except Exception:  # noqa: BLE001 (one row that nobody foresaw must not take the others with it: it is found below)
        parts, failures = [], []
    for place, structure in enumerate(zip(lattices, numbers, coords, strict=True)):
        found: list[Failure] = []
        try:
            one = encode_arrays(*([part] for part in structure), ids=[str(place)], failures=found, **limits.keywords())
        except Exception as error:  # noqa: BLE001
            failures.append(Failure(index=place, id=str(place), reason=_unforeseen(error)))
        else:
            parts.append(one)
            failures += [Failure(index=place, id=str(place), reason=failure.reason) for failure in found]
    return _finish(CrystalTable.concatenate(parts), failures)


def _unforeseen(error: Exception) -> str:
    return f"encoding broke down on it ({type(error).__name__}: {error}); leave it out and report it as a bug"


def _pieces(column: pa.ChunkedArray) -> list[np.ndarray[Any, Any]]:
    """The rows of a list column as arrays; of null rows empty ones."""
    array = column.combine_chunks()
    lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
    return np.split(array.flatten().to_numpy(zero_copy_only=False), np.cumsum(lengths)[:-1])


def _shaped(values: np.ndarray[Any, Any], shape: tuple[int, int]) -> np.ndarray[Any, Any]:
    """In a shape where the size allows it; encoding gives the reason otherwise."""
    fits = values.size == 9 if shape == (3, 3) else values.size % 3 == 0
    return values.reshape(shape) if fits else values


def _contents(chunk: Chunk, rows: pa.Table) -> Iterator[tuple[str, bytes | str]]:
    """Suffix and content of each structure file; a string in place of the content is the reason why there is none."""
    if chunk.form == "cif":
        for text in rows["cif"].to_pylist():
            missing = "it has no CIF text; fill the column or drop the row"
            yield ".cif", text.encode() if text and text.strip() else missing
    elif chunk.form == "files":
        for name in rows["path"].to_pylist():
            path = Path(os.fsdecode(name))
            try:
                yield _suffix(path), path.read_bytes()
            except OSError as error:
                yield ".cif", f"the file {printable(path)} cannot be read ({error.strerror}); check its permissions"
    else:
        assert chunk.archive is not None
        with zipfile.ZipFile(chunk.archive) as archive:
            for name in rows["member"].to_pylist():
                try:
                    yield _suffix(Path(name)), archive.read(name)
                except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError) as error:
                    yield ".cif", f"the archive's {name} cannot be read ({error}); fetch the archive again"


def _suffix(path: Path) -> str:
    """The suffix that stands for a kind of file; POSCAR and CONTCAR are known by their names."""
    return path.suffix if is_structure_file(Path(f"x{path.suffix}")) else ".vasp"


def _encode_files(contents: list[tuple[str, bytes | str]], limits: Limits) -> Encoded:
    """Encodes structure files, written down under names that tell their places."""
    failures = [(place, "", text) for place, (_, text) in enumerate(contents) if isinstance(text, str)]
    with tempfile.TemporaryDirectory(prefix="aristotype-") as folder:
        paths = []
        for place, (suffix, content) in enumerate(contents):
            if isinstance(content, bytes):
                paths.append(Path(folder, f"row{place:06d}{suffix}"))
                paths[-1].write_bytes(content)
        parts = _together(paths, limits)
        if parts is None:
            # Names met twice, or a file that names its own frames: one file at a time is slower and always tells.
            parts = [_alone(path, limits) for path in paths]
    table = CrystalTable.concatenate([part for part, _, _ in parts])
    names = [name for _, names, _ in parts for name in names]
    failures += [failure for _, _, failed in parts for failure in failed]
    return _packed(table, tuple(place for place, _ in names), tuple(suffix for _, suffix in names), sorted(failures))


_Part = tuple[CrystalTable, list[tuple[int, str]], list[tuple[int, str, str]]]


def _together(paths: list[Path], limits: Limits) -> list[_Part] | None:
    """All files in one go; None if the names that come back do not tell which file each row is from."""
    failures: list[Failure] = []
    try:
        table = encode(paths, failures=failures, **limits.keywords())
    except Exception:  # noqa: BLE001 (equal names, or what nobody foresaw: the files are told apart one by one)
        return None
    names = [_NAME.fullmatch(name) for name in [*table.ids, *(failure.id for failure in failures)]]
    if not all(names):
        return None
    told = [(int(name[1]), name[2] or "") for name in names if name]
    split = len(table)
    return [(table, told[:split], [(*told[split + i], f.reason) for i, f in enumerate(failures)])]


def _alone(path: Path, limits: Limits) -> _Part:
    """One file; its rows are numbered where their names clash."""
    place = int(path.stem.removeprefix("row"))
    failures: list[Failure] = []
    try:
        table = encode(path, failures=failures, **limits.keywords())
    except AristotypeError as error:
        return CrystalTable.concatenate([]), [], [(place, "", str(error))]
    except Exception as error:  # noqa: BLE001 (one file must not take the others with it)
        return CrystalTable.concatenate([]), [], [(place, "", _unforeseen(error))]
    told = [(place, _tail(name, path.stem)) for name in table.ids]
    # Provisional ids that are unlike those of any other file.
    table = table.with_columns(id=[f"{place}/{row}" for row in range(len(table))])
    return table, told, [(place, _tail(failure.id, path.stem), failure.reason) for failure in failures]


def _tail(name: str, stem: str) -> str:
    return name.removeprefix(stem) if name.startswith(stem) else f"-{name}"
