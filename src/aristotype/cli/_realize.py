"""`aristotype realize`: genes to crystals with geometry."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aristotype._files import output_lock, printable, refuse_overwrite
from aristotype._shards import Shards
from aristotype.cli import _types as types
from aristotype.cli._console import SOME_FAILED, list_failures, progress, say, seconds_text
from aristotype.cli._input import read_input, read_whole, write_failures
from aristotype.errors import ConfigError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from aristotype.crystal import CrystalTable, Failure

EXAMPLES = """[bold]Examples[/bold]

aristotype generate -n 1000 --genes-only --out genes

aristotype realize genes --out crystals.parquet

aristotype realize genes --source augen-mp20 --out crystals.parquet

aristotype realize genes --minima 3 --known mp_20.parquet --processes 2 --out minima.parquet

aristotype realize genes --minima 1 --trials 4 --source crystalformer-mp20 --out crystals.parquet
"""


def realize(
    path: Annotated[
        Path,
        typer.Argument(metavar="PATH", help="A table of genes, or a folder that generate wrote.", show_default=False),
    ],
    out: types.OutFile,
    minima: Annotated[
        int | None,
        typer.Option("--minima", min=1, help="Search for so many distinct minima of each gene, best first."),
    ] = None,
    known: Annotated[
        Path | None,
        typer.Option("--known", metavar="FILE", help="A table of crystals whose geometry minima may start from."),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--source",
            metavar="MODEL",
            help="A model of crystals that draws the geometry (augen-mp20, crystalformer-mp20); with --minima it "
            "proposes half of the starts.",
            show_default=False,
        ),
    ] = None,
    trials: Annotated[
        int | None, typer.Option("--trials", min=1, help="Starts a gene: 4 a round, or 16 of a search for minima.")
    ] = None,
    seed: types.Seed = 0,
    processes: types.Processes = 1,
    force: types.Force = False,
    dry_run: types.DryRun = False,
) -> None:
    """Realise genes: a cell and free parameters for each, within its symmetry.

    Without --minima the first geometry without overlaps, or with --source the one that a model of crystals draws; with
    --minima the best ones by a fitted potential. Geometry that the rows have already is forgotten. What was interrupted
    goes on where it was when the same command is run again.
    """
    from aristotype.realize import realize_seconds, without_geometry

    work = _work(minima, known, source, trials, seed)
    refuse_overwrite(out, force or dry_run)
    given = read_input([path])
    table = without_geometry(given.table)
    if dry_run:
        left = realize_seconds(table, work) / processes
        say(f"{len(table):,} genes to realise, about {seconds_text(left)}")
        return
    with output_lock(out):
        refuse_overwrite(out, force)
        shards = Shards(out)
        with progress("realize", len(table)) as update:
            found, failures = work(
                table, processes=processes, shards=shards, progress=lambda done, total: update(done, "")
            )
        if not len(found):
            shards.remove()
            raise InputError(f"none of {len(table)} genes got a geometry; the first: {failures[0].reason}")
        lost = given.failures + [(failure.id, failure.reason) for failure in failures]
        report = write_failures(lost, out)
        found.write(out, force=True)
        shards.remove()
    say(f"{len(found):,} crystals of {len(table) - len(failures):,} genes in {printable(out)}")
    if lost:
        list_failures(lost, str(printable(report)))
        raise typer.Exit(SOME_FAILED)


def _work(
    minima: int | None, known: Path | None, source: str | None, trials: int | None, seed: int
) -> Callable[..., tuple[CrystalTable, list[Failure]]]:
    """What is done with a table of genes."""
    from aristotype.discover import GeometrySource
    from aristotype.realize import MinimaConfig, RealizeConfig, minima_many, realize_many

    given: Any = {} if trials is None else {"trials": trials}
    if minima is None:
        for option, value in (("--known", known), ("--trials", trials if source else None)):
            if value is not None:
                raise ConfigError(f"{option} {printable(str(value))} is for the search for minima; give --minima too")
        if source is not None:
            return partial(realize_many, source=GeometrySource.of(source, searched=False), seed=seed)
        return partial(realize_many, seed=seed, config=RealizeConfig(**given))
    crystals = None if known is None else read_whole(known)
    return partial(
        minima_many,
        seed=seed,
        keep=minima,
        config=MinimaConfig(**given),
        known=crystals,
        source=None if source is None else GeometrySource.of(source),
    )
