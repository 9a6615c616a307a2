"""`aristotype predict`: a property of every crystal or gene, from the gene alone, with its uncertainty."""

from __future__ import annotations

from typing import Annotated

import typer

from aristotype._files import output_lock, printable, refuse_overwrite
from aristotype.cli import _types as types
from aristotype.cli._console import SOME_FAILED, list_failures, say
from aristotype.cli._input import Crystals, read_input, write_failures
from aristotype.errors import InputError

EXAMPLES = """[bold]Examples[/bold]

aristotype predict crystals.parquet --property formation_energy --out energies.parquet

aristotype predict genes/ --model runs/gap/best --as predicted_gap --out gaps.parquet
"""


def predict(
    paths: Crystals,
    out: types.OutFile,
    wanted: Annotated[
        str | None,
        typer.Option("--property", metavar="NAME", help="Predicted by the model of it that ships.", show_default=False),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", help="Shipped name or a folder of `train property`.", show_default=False),
    ] = None,
    called: Annotated[
        str | None,
        typer.Option("--as", metavar="NAME", help="Name of the columns; by default the property.", show_default=False),
    ] = None,
    tolerance: types.Tolerance = 0.1,
    processes: types.Processes = 1,
    force: types.Force = False,
) -> None:
    """Predict a property from genes alone: columns NAME and NAME_std in the table OUT.

    Rows with elements that the model was not trained on have no value and are listed.
    """
    from aristotype.models import load_encoder, predictor_of
    from aristotype.predict import predict as predict_table

    if (wanted is None) == (model is None):
        raise InputError(
            "give either --property, for the model of it that ships, or --model, for a model of yours: "
            + ("neither is given" if wanted is None else "both are given")
        )
    refuse_overwrite(out, force)
    encoder = predictor_of(wanted) if wanted is not None else load_encoder(str(model))
    found = read_input(paths, tolerance=tolerance, processes=processes)
    with output_lock(out):
        table = predict_table(found.table, encoder, name=called)
        name = called or encoder.config.target
        values = table.column(name)
        lost = [
            (row, f"it is no legal gene, or holds an element outside the {len(encoder.vocabulary)} of {encoder.name}")
            for row, value in zip(table.ids, values.to_pylist(), strict=True)
            if value is None
        ]
        table.write(out, force=force)
        failures = found.failures + lost
        report = write_failures(failures, out)
    unit = encoder.config.unit or "in the unit of its column"
    known = [value for value in values.to_pylist() if value is not None]
    if known:
        say(
            f"{name} ({unit}) of {len(known):,} rows by {encoder.name}: mean {sum(known) / len(known):.4g}, from "
            f"{min(known):.4g} to {max(known):.4g}"
        )
    say(f"{printable(out)} has the columns {name} and {name}_std")
    if failures:
        list_failures(failures, str(printable(report)))
        raise typer.Exit(SOME_FAILED)
