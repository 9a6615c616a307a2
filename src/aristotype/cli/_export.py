"""`aristotype export`: a table of crystals to the files of other programs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from aristotype._files import output_lock, printable
from aristotype.cli import _types as types
from aristotype.cli._console import say


class Format(StrEnum):
    """What can be written; as in `aristotype.crystal.export`."""

    cif = "cif"
    extxyz = "extxyz"
    poscar = "poscar"
    asedb = "asedb"


EXAMPLES = """[bold]Examples[/bold]

aristotype export out --format poscar --out poscars

aristotype export crystals.parquet --format extxyz --primitive --out frames
"""


def export(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A table, or a folder that generate wrote.", show_default=False)
    ],
    out: types.OutFolder,
    format: Annotated[Format, typer.Option("--format", help="Kind of files.", show_default=False)],
    primitive: Annotated[bool, typer.Option("--primitive", help="Primitive cells; not for CIF.")] = False,
    force: types.Force = False,
) -> None:
    """Export crystals: a file a crystal (cif, poscar) or one file for all (extxyz, asedb)."""
    from aristotype.crystal import CrystalTable
    from aristotype.crystal import export as export_table

    table = CrystalTable.read(file / "crystals.parquet" if file.is_dir() else file)
    with output_lock(out):
        written = export_table(table, out, format.value, primitive=primitive, force=force)
    say(f"{len(table):,} crystals in {len(written):,} file{'s' * (len(written) != 1)} in {printable(out)}")
