"""`aristotype encode`: structures to a table of crystals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aristotype._files import atomic_path, output_lock, printable, refuse_overwrite
from aristotype.cli import _types as types
from aristotype.cli._console import SOME_FAILED, list_failures, progress, say
from aristotype.errors import AristotypeError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aristotype.crystal import CrystalTable

_REPEATED = "another structure has this id; ids must be unique: rename one"
_TABLES = (".csv", ".csv.gz", ".parquet", ".zip")

EXAMPLES = """[bold]Examples[/bold]

aristotype encode structures/*.cif --out crystals.parquet

aristotype encode folder_of_structures --tolerance 0.01 --out crystals.parquet
"""

Failed = tuple[str, str]
"""Id and reason."""


def encode(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...",
            help="Structure files (CIF, POSCAR, extended XYZ), folders of them; or one CSV file with a column cif, "
            "Parquet file or zip archive.",
            show_default=False,
        ),
    ],
    out: types.OutFile,
    tolerance: types.Tolerance = 0.1,
    max_atoms: types.MaxInputAtoms = 5000,
    max_gap: types.MaxGap = 10.0,
    processes: types.Processes = 1,
    force: types.Force = False,
) -> None:
    """Encode structures: space group, Wyckoff positions, free parameters and cell of each.

    What cannot be encoded is left out and listed with its reason in OUT.report.json.
    """
    settings = {"tolerance": tolerance, "max_atoms": max_atoms, "max_gap": max_gap}
    table_files = [path for path in paths if path.name.lower().endswith(_TABLES)]
    if table_files and len(paths) > 1:
        raise InputError(
            f"{printable(table_files[0])} is a table and {len(paths)} paths are given; encode each table by itself"
        )
    if table_files or (len(paths) == 1 and paths[0].is_dir()):
        failures, rows = _from_one(paths[0], out, settings, processes, force)
    else:
        failures, rows = _from_many(paths, out, settings, processes, force)
    say(f"{rows:,} crystals in {printable(out)}")
    if failures:
        list_failures(failures, printable(_report(out)))
        raise typer.Exit(SOME_FAILED)


def _report(out: Path) -> Path:
    from aristotype.datasets import report_path

    return report_path(out)


def _from_one(path: Path, out: Path, settings: dict[str, Any], processes: int, force: bool) -> tuple[list[Failed], int]:
    """A table or a folder: the work of `data prepare`, row by row in parallel."""
    from aristotype.datasets import prepare

    prepared = prepare(path, out=out, processes=processes, force=force, progress=True, **settings)
    return [(row.id, row.reason) for row in prepared.failures()], prepared.num_rows


def _from_many(
    paths: list[Path], out: Path, settings: dict[str, Any], processes: int, force: bool
) -> tuple[list[Failed], int]:
    """Structure files and folders, path by path."""
    from aristotype.crystal import CrystalTable

    refuse_overwrite(out, force)
    for path in paths:
        if not path.exists():
            raise InputError(f"{printable(path)} does not exist; check the path")
    with output_lock(out):
        refuse_overwrite(out, force)
        failures: list[Failed] = []
        parts: list[CrystalTable] = []
        taken: set[str] = set()
        with progress("encode", len(paths)) as update:
            for done, (table, lost) in enumerate(_encoded(paths, settings, processes), 1):
                failures += lost
                repeated = [name for name in table.ids if name in taken]
                failures += [(name, _REPEATED) for name in repeated]
                taken.update(table.ids)
                parts.append(table.filter([name not in repeated for name in table.ids]) if repeated else table)
                update(done, f"{len(failures)} failed")
        table = CrystalTable.concatenate(parts)
        if not len(table):
            name, reason = failures[0]
            raise InputError(f"none of {len(failures)} structures could be encoded; the first is {name!r}: {reason}")
        _write(table, failures, out)
    return failures, len(table)


def _write(table: CrystalTable, failures: list[Failed], out: Path) -> None:
    """The report, where there is something to report, then the table."""
    if failures:
        with atomic_path(_report(out)) as temporary:
            content = {"num_failed": len(failures), "failures": [{"id": i, "reason": r} for i, r in failures]}
            text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
            temporary.write_bytes(text.encode("utf-8", "backslashreplace"))
    else:
        _report(out).unlink(missing_ok=True)  # of the table that is replaced
    table.write(out, force=True)


def _encoded(
    paths: list[Path], settings: dict[str, Any], processes: int
) -> Iterator[tuple[CrystalTable, list[Failed]]]:
    """What each path gave, in their order."""
    from aristotype.datasets import ordered_map, start_worker

    tasks = ((path, settings) for path in paths)
    results = ordered_map(encode_path, tasks, processes=processes, start=start_worker)
    try:
        yield from results
    finally:
        results.close()


def encode_path(task: tuple[Path, dict[str, Any]]) -> tuple[CrystalTable, list[Failed]]:
    """The crystals of one path and what failed in it (runs in a worker process)."""
    from aristotype.crystal import CrystalTable, Failure
    from aristotype.crystal import encode as encode_structures

    path, settings = task
    failures: list[Failure] = []
    try:
        table = encode_structures(path, failures=failures, **settings)
    except AristotypeError as error:
        return CrystalTable.concatenate([]), [(printable(path), str(error))]
    except Exception as error:  # noqa: BLE001 (one file must not end the work on thousands)
        reason = f"encoding broke down on it ({type(error).__name__}: {error}); leave it out and report it as a bug"
        return CrystalTable.concatenate([]), [(printable(path), reason)]
    return table, [(failure.id, failure.reason) for failure in failures]
