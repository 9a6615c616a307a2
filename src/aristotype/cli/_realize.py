"""`aristotype realize`: genes to crystals with geometry."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aristotype._files import output_lock, printable, refuse_overwrite
from aristotype._shards import Shards
from aristotype.cli import _types as types
from aristotype.cli._console import SOME_FAILED, list_failures, progress, say, seconds_text
from aristotype.cli._input import read_input
from aristotype.errors import InputError

EXAMPLES = """[bold]Examples[/bold]

aristotype generate -n 1000 --genes-only --out genes

aristotype realize genes --out crystals.parquet

aristotype realize genes --seed 1 --trials 16 --processes 2 --out others.parquet
"""


def realize(
    path: Annotated[
        Path,
        typer.Argument(metavar="PATH", help="A table of genes, or a folder that generate wrote.", show_default=False),
    ],
    out: types.OutFile,
    trials: Annotated[int, typer.Option("--trials", help="Starts a gene and round that are solved.")] = 4,
    seed: types.Seed = 0,
    processes: types.Processes = 1,
    force: types.Force = False,
    dry_run: types.DryRun = False,
) -> None:
    """Realise genes: a cell and free parameters for each, within its symmetry.

    Geometry that the rows have already is forgotten. What was interrupted goes on where it was when the same command is
    run again.
    """
    from aristotype.realize import RealizeConfig, realize_many, realize_seconds

    config = RealizeConfig(trials=trials)
    refuse_overwrite(out, force or dry_run)
    table = read_input([path]).table
    if dry_run:
        left = realize_seconds(table, seed, config) / processes
        say(f"{len(table):,} genes to realise, about {seconds_text(left)}")
        return
    with output_lock(out):
        refuse_overwrite(out, force)
        shards = Shards(out)
        with progress("realize", len(table)) as update:
            found, failures = realize_many(
                table,
                seed=seed,
                config=config,
                processes=processes,
                shards=shards,
                progress=lambda done, total: update(done, ""),
            )
        if not len(found):
            shards.remove()
            raise InputError(f"none of {len(table)} genes got a geometry; the first: {failures[0].reason}")
        found.write(out, force=True)
        shards.remove()
    say(f"{len(found):,} crystals in {printable(out)}")
    if failures:
        list_failures([(failure.id, failure.reason) for failure in failures], "the lines above")
        raise typer.Exit(SOME_FAILED)
