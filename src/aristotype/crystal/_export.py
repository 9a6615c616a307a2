"""Tables to the objects and files of other packages: pymatgen, ASE, CIF, extended XYZ, POSCAR, ASE databases."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pyarrow as pa

from aristotype._files import atomic_directory, refuse_overwrite
from aristotype.crystal._cif import block_name, cif_text, package_version
from aristotype.crystal._conditions import element_symbol
from aristotype.crystal._decode import decode_table
from aristotype.crystal._labels import formulas, protostructure_labels
from aristotype.crystal._rows import Crystal
from aristotype.crystal._schema import COLUMNS
from aristotype.errors import TableError, UnknownNameError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

    from ase import Atoms
    from pymatgen.core import Structure

    from aristotype.crystal._checks import Cell
    from aristotype.crystal._table import CrystalTable

Format = Literal["cif", "extxyz", "poscar", "asedb"]
MANIFEST = "export.json"
"""The file by which a folder that we wrote is known; it lists the files by id."""
_LONGEST_NAME = 120


def to_structures(table: CrystalTable, *, primitive: bool = False) -> list[Structure]:
    """Pymatgen structures of all crystals; `properties` holds the id, the group and the scalar columns.

    Raises:
        TableError: a row is a gene, which has no geometry.
    """
    from pymatgen.core import Lattice, Structure

    return [
        Structure(Lattice(cell.lattice), cell.numbers.tolist(), cell.coords, properties=info)
        for cell, info in zip(decode_table(table, primitive=primitive).cells(), _infos(table), strict=True)
    ]


def to_atoms(table: CrystalTable, *, primitive: bool = False) -> list[Atoms]:
    """ASE atoms of all crystals; `info` holds the id, the group and the scalar columns.

    Raises:
        TableError: a row is a gene, which has no geometry.
    """
    from ase import Atoms

    return [
        Atoms(numbers=cell.numbers, cell=cell.lattice, scaled_positions=cell.coords, pbc=True, info=info)
        for cell, info in zip(decode_table(table, primitive=primitive).cells(), _infos(table), strict=True)
    ]


def export(
    table: CrystalTable,
    out: str | os.PathLike[str],
    format: Format = "cif",
    *,
    primitive: bool = False,
    force: bool = False,
) -> list[Path]:
    """Writes all crystals of a table into a new folder, whole or not at all.

    Args:
        table: crystals with geometry.
        out: the folder.
        format: `cif` and `poscar` write a file a crystal, `extxyz` and `asedb` one for all.
        primitive: primitive instead of conventional cells; not for CIF, which gives the symmetry of its cell.
        force: whether a folder that an export wrote before may be replaced.

    Returns:
        the files, in the order of the rows.

    Raises:
        UnknownNameError: there is no such format.
        TableError: a row is a gene, which has no geometry.
        OutputError: the folder exists, or cannot be written.
    """
    check_format(format)
    refuse_overwrite(out, force)
    with atomic_directory(out, marker=MANIFEST) as folder:
        names = [path.name for path in write_files(table, folder, format, primitive=primitive)]
        manifest = {"format": format, "writer": f"aristotype {package_version()}", "rows": len(table), "files": names}
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return [Path(out) / name for name in names]


def check_format(format: str) -> None:
    """Refuses a format that is not known.

    Raises:
        UnknownNameError: there is no such format.
    """
    if format not in get_args(Format):
        raise UnknownNameError(f"no format {format!r}; there are {', '.join(get_args(Format))}")


def write_files(table: CrystalTable, folder: Path, format: Format = "cif", *, primitive: bool = False) -> list[Path]:
    """Writes the files of `export` into a folder that is there already, for callers that make the folder themselves.

    Raises:
        UnknownNameError: there is no such format.
        TableError: a row is a gene, which has no geometry.
    """
    check_format(format)
    writers: dict[str, Callable[[CrystalTable, Path, bool], list[Path]]] = {
        "cif": _write_cifs,
        "poscar": _write_poscars,
        "extxyz": _write_extxyz,
        "asedb": _write_asedb,
    }
    if format == "cif" and primitive:
        raise TableError("a CIF gives the conventional cell, whose symmetry operations it lists; leave primitive out")
    return writers[format](table, folder, primitive)


def _write_cifs(table: CrystalTable, folder: Path, primitive: bool) -> list[Path]:
    table.check_geometry()
    paths = [folder / f"{name}.cif" for name in file_names(table.ids)]
    for path, crystal, extra in zip(paths, table, _scalars(table), strict=True):
        assert isinstance(crystal, Crystal)
        path.write_text(cif_text(crystal, extra), encoding="ascii")
    return paths


def _write_poscars(table: CrystalTable, folder: Path, primitive: bool) -> list[Path]:
    paths = [folder / f"{name}.vasp" for name in file_names(table.ids)]
    cells = decode_table(table, primitive=primitive).cells()
    for path, name, cell in zip(paths, table.ids, cells, strict=True):
        path.write_text(_poscar(cell, name), encoding="ascii")
    return paths


def _poscar(cell: Cell, name: str) -> str:
    order = np.argsort(cell.numbers, kind="stable")
    kinds, counts = np.unique(cell.numbers, return_counts=True)
    title = " ".join(name.encode("ascii", "backslashreplace").decode().split())
    lines = [title or "crystal", "1.0"]
    lines += [" ".join(f"{value:.12f}" for value in row) for row in cell.lattice]
    lines += [" ".join(element_symbol(kind) for kind in kinds.tolist()), " ".join(map(str, counts.tolist())), "Direct"]
    lines += [" ".join(f"{value:.12f}" for value in row) for row in cell.coords[order]]
    return "\n".join(lines) + "\n"


def _write_extxyz(table: CrystalTable, folder: Path, primitive: bool) -> list[Path]:
    from ase.io import write

    path = folder / "crystals.extxyz"
    write(path, to_atoms(table, primitive=primitive), format="extxyz")
    return [path]


def _write_asedb(table: CrystalTable, folder: Path, primitive: bool) -> list[Path]:
    from ase.db import connect

    path = folder / "crystals.db"
    labels = protostructure_labels(table.genes())
    with connect(path, type="db", append=False) as database:
        for atoms, label in zip(to_atoms(table, primitive=primitive), labels, strict=True):
            # Keys that can be selected by; ASE takes no text there that reads as a number, so that the id is data.
            database.write(atoms, space_group=atoms.info["space_group"], label=label, data=dict(atoms.info))
    return [path]


def _infos(table: CrystalTable) -> Iterator[dict[str, Any]]:
    """What an object of another package keeps of its row."""
    rows = zip(table.ids, table.space_group.tolist(), _scalars(table), formulas(table.genes()), strict=True)
    for name, group, extra, formula in rows:
        known = {key: value for key, value in extra.items() if value is not None}
        yield {"id": name, "space_group": group, "formula": formula, **known}


def _scalars(table: CrystalTable) -> Iterator[dict[str, Any]]:
    """The appended columns that hold numbers, text or truth values, row after row."""
    names = [
        field.name
        for field in table.arrow.schema
        if field.name not in COLUMNS.names
        and not pa.types.is_nested(field.type)
        and block_name(field.name) == field.name
    ]
    if not names:
        yield from ({} for _ in range(len(table)))
        return
    yield from table.arrow.select(names).to_pylist()


def file_names(ids: list[str]) -> list[str]:
    """A file name (without suffix) for each id: safe on every system, and different also where case does not count."""
    taken: set[str] = set()
    out = []
    for name in ids:
        safe = block_name(name).lstrip(".-") or "crystal"
        if safe != name or len(safe) > _LONGEST_NAME or safe.lower() in taken:
            # The digest of the id keeps names apart that look alike once they are safe.
            digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
            safe = f"{safe[:_LONGEST_NAME]}-{digest}"
        taken.add(safe.lower())
        out.append(safe)
    return out
