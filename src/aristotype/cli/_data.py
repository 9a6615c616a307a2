"""`aristotype data prepare`: a dataset or files of your own to one table with splits, keys and a report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aristotype._files import printable
from aristotype.cli import _types as types
from aristotype.cli._console import SOME_FAILED, list_failures, say, seconds_text
from aristotype.errors import InputError

if TYPE_CHECKING:
    from aristotype.datasets import Split

app = typer.Typer(no_args_is_help=True, help="Datasets: prepare them for training and evaluation.")

EXAMPLES = """[bold]Examples[/bold]

aristotype data prepare mp_20 --out mp_20.parquet

aristotype data prepare mp_20 --source downloads/mp_20 --out mp_20.parquet --processes 4

aristotype data prepare my_structures.csv --split 0.8,0.1,0.1 --out mine.parquet
"""


@app.callback()
def _group() -> None:
    """Datasets: prepare them for training and evaluation."""


def prepare(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME|PATH",
            help="mp_20, mpts_52, perov_5, carbon_24, wbm; or a CSV file with a column cif, a Parquet file, a zip "
            "archive or a folder of structure files.",
            show_default=False,
        ),
    ],
    out: types.OutFile,
    source: Annotated[
        Path | None,
        typer.Option(
            "--source",
            metavar="DIR",
            help="Folder with the files of a named dataset; else ARISTOTYPE_DATA, earlier downloads, the network.",
        ),
    ] = None,
    tolerance: types.Tolerance = 0.1,
    max_gap: Annotated[
        float | None,
        typer.Option(
            "--max-gap",
            help="Widest slab (Angstrom) without atoms; by default 10 in files, no limit in a named dataset.",
            show_default=False,
        ),
    ] = None,
    split: types.Split = None,
    processes: types.Processes = 1,
    force: types.Force = False,
    dry_run: types.DryRun = False,
) -> None:
    """Prepare a dataset: one table of crystals, and a report beside it with all that failed and why.

    Preparing the same again does nothing; what was interrupted goes on where it was.
    """
    from aristotype.datasets import estimate
    from aristotype.datasets import prepare as prepare_dataset

    settings: dict[str, Any] = {"source": source, "tolerance": tolerance, "split": parse_split(split)}
    settings["max_gap"] = True if max_gap is None else max_gap
    if dry_run:
        found = estimate(name, out=out, processes=processes, **settings)
        say(f"{found.rows:,} rows to encode, about {seconds_text(found.seconds)}")
        return
    prepared = prepare_dataset(name, out=out, processes=processes, force=force, progress=True, **settings)
    say(prepared.summary())
    if prepared.num_failed:
        list_failures([(row.id, row.reason) for row in prepared.failures()], printable(prepared.report_path))
        raise typer.Exit(SOME_FAILED)


app.command("prepare", epilog=EXAMPLES)(prepare)


def parse_split(text: str | None) -> Split | None:
    """A split by name, or shares of train, val and test.

    Raises:
        InputError: neither.
    """
    if text is None or "," not in text:
        return text
    try:
        train, val, test = (float(share) for share in text.split(","))
    except ValueError:
        raise InputError(
            f"--split {text!r} cannot be read; give train, val or test, or three shares such as 0.8,0.1,0.1"
        ) from None
    return train, val, test
