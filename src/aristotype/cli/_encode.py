"""`aristotype encode`: structures to a table of crystals."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from aristotype._files import output_lock, printable, refuse_overwrite
from aristotype._shards import Shards
from aristotype.cli import _types as types
from aristotype.cli._console import SOME_FAILED, list_failures, progress, say, seconds_text
from aristotype.cli._input import TABLES, check_paths, write_failures
from aristotype.errors import InputError

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
    dry_run: types.DryRun = False,
) -> None:
    """Encode structures: space group, Wyckoff positions, free parameters and cell of each.

    What cannot be encoded is left out and listed with its reason in OUT.report.json. What was interrupted goes on where
    it was when the same command is run again.
    """
    from aristotype.datasets import report_path

    settings = {"tolerance": tolerance, "max_atoms": max_atoms, "max_gap": max_gap}
    table_files = [path for path in paths if path.name.lower().endswith(TABLES)]
    if table_files and len(paths) > 1:
        raise InputError(
            f"{printable(table_files[0])} is a table and {len(paths)} paths are given; encode each table by itself"
        )
    if dry_run:
        _estimate(paths, bool(table_files), out, settings, processes)
        return
    if table_files or (len(paths) == 1 and paths[0].is_dir()):
        failures, rows = _from_one(paths[0], out, settings, processes, force)
    else:
        failures, rows = _from_many(paths, out, settings, processes, force)
    say(f"{rows:,} crystals in {printable(out)}")
    if failures:
        list_failures(failures, printable(report_path(out)))
        raise typer.Exit(SOME_FAILED)


def _estimate(paths: list[Path], is_table: bool, out: Path, settings: dict[str, Any], processes: int) -> None:
    """Says how much there is to do."""
    from aristotype.datasets import estimate, estimate_paths

    check_paths(paths)
    one = is_table or (len(paths) == 1 and paths[0].is_dir())
    if one:
        found = estimate(paths[0], out=out, processes=processes, **settings)
    else:
        found = estimate_paths(paths, settings, processes)
    say(f"{found.rows:,} {'structures' if one else 'files'} to encode, about {seconds_text(found.seconds)}")


def _from_one(path: Path, out: Path, settings: dict[str, Any], processes: int, force: bool) -> tuple[list[Failed], int]:
    """A table or a folder: the work of `data prepare`, row by row in parallel."""
    from aristotype.datasets import prepare

    prepared = prepare(path, out=out, processes=processes, force=force, progress=True, **settings)
    return [(row.id, row.reason) for row in prepared.failures()], prepared.num_rows


def _from_many(
    paths: list[Path], out: Path, settings: dict[str, Any], processes: int, force: bool
) -> tuple[list[Failed], int]:
    """Structure files and folders, path by path."""
    from aristotype.datasets import encode_paths

    refuse_overwrite(out, force)
    check_paths(paths)
    with output_lock(out):
        refuse_overwrite(out, force)
        shards = Shards(out)
        with progress("encode", len(paths)) as update:
            found = encode_paths(paths, settings, shards, processes, update)
        if not len(found.table):
            shards.remove()
            name, reason = found.failures[0]
            raise InputError(
                f"none of {len(found.failures)} structures could be encoded; the first is {name!r}: {reason}"
            )
        write_failures(found.failures, out)
        found.table.write(out, force=True)
        shards.remove()
    return found.failures, len(found.table)
