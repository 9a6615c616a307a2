"""`aristotype score`: how likely a model finds crystals, and which of them are typical."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aristotype._files import atomic_directory, output_lock, printable, refuse_folder
from aristotype.cli import _types as types
from aristotype.cli._console import SOME_FAILED, list_failures, progress, say, show_table
from aristotype.cli._input import Crystals, read_input, read_whole

if TYPE_CHECKING:
    from aristotype.crystal import CrystalTable

SUMMARY = "summary.json"
"""The file by which a folder of ours is known."""
DEFAULT_MODEL = "crystalformer-mp20"

EXAMPLES = """[bold]Examples[/bold]

aristotype score crystals.parquet --out scores

aristotype score structures/ --reference mp_20 --split val --out scores

aristotype score genes --model wyckoff-transformer-mp20 --reference mp_20 --out scores
"""


def score(
    paths: Crystals,
    out: types.OutFolder,
    model: Annotated[str, typer.Option("--model", help="Shipped name or checkpoint folder.")] = DEFAULT_MODEL,
    reference: Annotated[
        str | None,
        typer.Option(
            "--reference",
            metavar="NAME|FILE",
            help="Crystals that they are compared with: a dataset, or a table. By default the others of the set.",
            show_default=False,
        ),
    ] = None,
    split: Annotated[str, typer.Option("--split", help="Split of the reference, if that is a dataset.")] = "val",
    number: Annotated[int, typer.Option("-n", "--number", min=1, help="Crystals shown on either side.")] = 10,
    tolerance: types.Tolerance = 0.1,
    processes: types.Processes = 1,
    force: types.Force = False,
) -> None:
    """Score crystals by a model: log-probabilities and their parts, and the most and the least typical of a set.

    Writes scores.parquet, report.md and summary.json. Rows that the model cannot score, such as those with elements
    that it was not trained on, are listed with their reasons.
    """
    from aristotype.crystal import Failure
    from aristotype.discover import score as score_table
    from aristotype.discover import score_report
    from aristotype.models import load

    refuse_folder(out, force, SUMMARY)
    loaded = load(model)
    found = read_input(paths, tolerance=tolerance, processes=processes)
    known, named = _reference(reference, split, tolerance, processes)
    lost: list[Failure] = []
    with output_lock(out):
        refuse_folder(out, force, SUMMARY)
        with progress("score", len(found.table) + (0 if known is None else len(known))) as update:
            table = score_table(
                found.table, loaded, reference=known, failures=lost, progress=lambda done, total: update(done, "")
            )
        failures = found.failures + [(row.id, row.reason) for row in lost]
        name = str(printable(Path(model).name))
        report = score_report(table, model=name, reference=named, number=number, failed=len(failures))
        with atomic_directory(out, marker=SUMMARY) as folder:
            table.write(folder / "scores.parquet")
            (folder / "report.md").write_text(report, encoding="utf-8")
            summary = {
                "model": str(printable(model)),
                "reference": reference,
                "split": split if known is not None else None,
                "scored": len(table),
                "failures": [{"id": name, "reason": reason} for name, reason in failures],
            }
            text = json.dumps(summary, indent=1, ensure_ascii=False) + "\n"
            (folder / SUMMARY).write_bytes(text.encode("utf-8", "backslashreplace"))
    least = min(table.column("compared_with").to_pylist())
    percentiles = f"percentiles among at least {least:,} of {named}, of like size first"
    say(
        f"{len(table):,} crystals scored in {printable(out)}; "
        + (percentiles if least else "no percentiles, since there is nothing to compare with: give a --reference")
    )
    _show(table, min(number, 5))
    if failures:
        list_failures(failures, str(printable(out / SUMMARY)))
        raise typer.Exit(SOME_FAILED)


def _reference(name: str | None, split: str, tolerance: float, processes: int) -> tuple[CrystalTable | None, str]:
    """The crystals to compare with, and what they are called."""
    from aristotype.datasets import DATASETS, load_dataset

    if name is None:
        return None, "the other crystals of the set"
    if name in DATASETS:
        return load_dataset(name, split, processes=processes), f"{name} {split}"
    return read_whole(Path(name), tolerance=tolerance, processes=processes), str(printable(Path(name).name))


def _show(table: CrystalTable, number: int) -> None:
    """The most and the least likely."""
    from aristotype.discover import extremes, has_bounds

    score = "log p bound (nats)" if has_bounds(table) else "log p (nats)"
    columns = [("id", "left"), ("formula", "left"), ("group", "right"), ("sites", "right"), (score, "right")]
    columns += [("a site", "right"), ("percentile", "right")]
    names = ("log_prob", "log_prob_per_site", "percentile")
    for title, rows in zip(("most likely", "least likely"), extremes(table, number), strict=True):
        few = table.take(rows)
        say(f"{title}:")
        figures = zip(*(few.column(name).to_pylist() for name in names), strict=True)
        texts = [
            [f"{nats:.2f}", f"{a_site:.2f}", "" if rank is None else f"{rank:.1f}"] for nats, a_site, rank in figures
        ]
        head = zip(few.ids, few.column("formula").to_pylist(), few.space_group, few.genes().num_sites, strict=True)
        show_table(columns, [[*map(str, first), *last] for first, last in zip(head, texts, strict=True)])
