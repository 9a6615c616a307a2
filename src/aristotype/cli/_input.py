"""What commands take as PATH: a table, a folder that `generate` wrote, structure files, or a folder of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aristotype._files import atomic_path, printable
from aristotype.errors import InputError

if TYPE_CHECKING:
    from aristotype.crystal import CrystalTable

Crystals = Annotated[
    list[Path],
    typer.Argument(
        metavar="PATH...",
        help="A table, a folder that generate wrote, or structure files and folders of them.",
        show_default=False,
    ),
]
TABLES = (".csv", ".csv.gz", ".parquet", ".zip")
"""Endings of files that hold many structures."""


def check_paths(paths: list[Path]) -> None:
    """Refuses a path that does not exist."""
    for path in paths:
        if not path.exists():
            raise InputError(f"{printable(path)} does not exist; check the path")


@dataclass(frozen=True)
class Input:
    """The crystals of some paths, and id and reason of what could not be read."""

    table: CrystalTable
    failures: list[tuple[str, str]]


def read_input(paths: list[Path], *, tolerance: float = 0.1, processes: int = 1) -> Input:
    """Reads crystals, encoding what is not encoded yet.

    What is one table, or one folder of structures, is encoded into the cache folder, and only once.

    Args:
        paths: as the user gave them.
        tolerance: distance (Angstrom) up to which positions count as symmetric, for structures.
        processes: worker processes that encode.

    Raises:
        InputError: a path does not exist, a table is given among other paths, or nothing can be read.
    """
    from aristotype.crystal import CrystalTable

    check_paths(paths)
    single = [path for path in paths if path.name.lower().endswith(TABLES) or _of_generate(path)]
    if single and len(paths) > 1:
        raise InputError(
            f"{printable(single[0])} holds many crystals and {len(paths)} paths are given; give each by itself"
        )
    path = paths[0]
    if single and is_encoded(path):
        found = Input(CrystalTable.read(path / "crystals.parquet" if _of_generate(path) else path), [])
    else:
        found = _encoded(paths, tolerance, processes)
    if not len(found.table):
        raise InputError(f"{printable(path)} has no rows; there is nothing to do")
    return found


def read_whole(path: Path, *, tolerance: float = 0.1, processes: int = 1) -> CrystalTable:
    """Reads crystals of which none may be missing.

    Raises:
        InputError: as `read_input`, or some could not be read.
    """
    found = read_input([path], tolerance=tolerance, processes=processes)
    if found.failures:
        name, reason = found.failures[0]
        raise InputError(
            f"{len(found.failures)} structures of {printable(path)} cannot be read, first {name!r}: {reason}; correct "
            "them or take them out"
        )
    return found.table


def write_failures(failures: list[tuple[str, str]], out: Path) -> Path:
    """Writes ids and reasons beside an output, where there are any; returns the place."""
    from aristotype.datasets import report_path

    path = report_path(out)
    if failures:
        content = {
            "num_failed": len(failures),
            "failures": [{"id": name, "reason": reason} for name, reason in failures],
        }
        with atomic_path(path) as temporary:
            text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
            temporary.write_bytes(text.encode("utf-8", "backslashreplace"))
    else:
        path.unlink(missing_ok=True)  # of the output that is replaced
    return path


def is_encoded(path: Path) -> bool:
    """Whether a path holds crystals with their groups, not structures whose symmetry is to be found."""
    from aristotype.datasets import is_table

    return _of_generate(path) or is_table(path)


def _of_generate(path: Path) -> bool:
    return path.is_dir() and (path / "crystals.parquet").is_file()


def _encoded(paths: list[Path], tolerance: float, processes: int) -> Input:
    from aristotype.crystal import MAX_ATOMS, MAX_GAP, CrystalTable
    from aristotype.datasets import encode_paths, open_dataset

    if len(paths) == 1 and (paths[0].is_dir() or paths[0].name.lower().endswith(TABLES)):
        prepared = open_dataset(paths[0], tolerance=tolerance, processes=processes, progress=True)
        drop = ("gene_key", "split", "tolerance")
        failures = [(row.id, row.reason) for row in prepared.failures()]
        return Input(CrystalTable.read(prepared.path).without_columns(drop), failures)
    settings = {"tolerance": tolerance, "max_atoms": MAX_ATOMS, "max_gap": MAX_GAP}
    found = encode_paths(paths, settings, None, processes, lambda done, remark: None)
    if not len(found.table):
        name, reason = found.failures[0]
        raise InputError(f"none of {len(found.failures)} structures could be encoded; the first is {name!r}: {reason}")
    return Input(found.table.without_columns(["tolerance"]), found.failures)
