"""`aristotype initialize`: starting structures for a structure search."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aristotype._files import atomic_directory, output_lock, printable, refuse_folder
from aristotype.cli import _types as types
from aristotype.cli._conditions import build_conditions
from aristotype.cli._console import say, seconds_text
from aristotype.cli._export import Format

if TYPE_CHECKING:
    from aristotype.crystal import CrystalTable

SUMMARY = "summary.json"
"""The file by which a folder of ours is known."""
DEFAULT_MODEL = "crystalformer-mp20"

EXAMPLES = """[bold]Examples[/bold]

aristotype initialize --formula Ca2C2O6 --space-group 167 -n 100 --out calcite

aristotype initialize --formula Ti4O8 -n 200 --format poscar --out titania
"""


def initialize(
    out: types.OutFolder,
    formula: Annotated[
        str,
        typer.Option("--formula", metavar="Ca2C2O6", help="The content of the primitive cell.", show_default=False),
    ],
    model: Annotated[
        str, typer.Option("--model", help="Shipped name or checkpoint folder of a model of crystals.")
    ] = DEFAULT_MODEL,
    number: Annotated[int, typer.Option("-n", "--number", min=1, help="How many structures.")] = 100,
    space_group: types.SpaceGroups = None,
    seed: types.Seed = 0,
    format: Annotated[Format, typer.Option("--format", help="Kind of files.")] = Format.cif,
    force: types.Force = False,
) -> None:
    """Make starting structures of one composition for a structure search, likely ones instead of random ones.

    Writes crystals.parquet, the structures (a file each for cif and poscar, in the primitive cell but for cif), and
    summary.json. Unlike generate it gives many geometries of one arrangement of sites.
    """
    from aristotype.discover import StartGenerator
    from aristotype.models import load

    groups = build_conditions(space_group=space_group).space_groups
    refuse_folder(out, force, SUMMARY)
    starts = StartGenerator(load(model), formula, space_groups=groups, seed=seed)
    with output_lock(out):
        refuse_folder(out, force, SUMMARY)
        begin = time.perf_counter()
        table = starts.take(number)
        seconds = time.perf_counter() - begin
        summary: dict[str, object] = {
            "model": printable(model),
            "formula": formula,
            "space_groups": None if groups is None else list(groups),
            "seed": seed,
            "structures": len(table),
            "drawn": starts.drawn,
            "left_out": dict(starts.left_out),
            "format": format.value,
            "seconds": round(seconds, 2),
        }
        _write(table, out, format, summary)
    genes = len(set(zip(table.space_group.tolist(), map(str, table.column("wyckoffs").to_pylist()), strict=True)))
    arrangements = "one arrangement" if genes == 1 else f"{genes:,} arrangements"
    say(f"{len(table):,} structures of {formula} in {printable(out)} in {seconds_text(seconds)}")
    say(f"  {arrangements} of sites")
    for reason, count in starts.left_out.items():
        if count:
            say(f"  left out of {starts.drawn:,} drawn: {count:,}, {reason}")


def _write(table: CrystalTable, out: Path, format: Format, summary: dict[str, object]) -> None:
    from aristotype.crystal import write_files

    with atomic_directory(out, marker=SUMMARY) as folder:
        table.write(folder / "crystals.parquet")
        (folder / format.value).mkdir()
        write_files(table, folder / format.value, format.value, primitive=format is not Format.cif)
        text = json.dumps(summary, indent=1, ensure_ascii=False)
        (folder / SUMMARY).write_text(text + "\n", encoding="utf-8")
