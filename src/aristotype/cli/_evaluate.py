"""`aristotype evaluate`: structures judged under a named protocol, one column a set."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aristotype._files import atomic_directory, output_lock, printable, refuse_folder
from aristotype.cli import _types as types
from aristotype.cli._console import SOME_FAILED, complain, list_failures, say, show_table
from aristotype.cli._input import read_input, read_whole
from aristotype.errors import InputError

if TYPE_CHECKING:
    from aristotype.crystal import CrystalTable

SUMMARY = "evaluation.json"
"""The file by which a folder of ours is known."""
_HEAD = (
    "submitted",
    "built",
    "valid",
    "unique",
    "novel",
    "unique_novel",
    "stable",
    "sun",
    "ssun",
    "metastable",
    "msun",
)

EXAMPLES = """[bold]Examples[/bold]

aristotype evaluate relaxed.parquet --out report

aristotype evaluate ours.parquet theirs.parquet cifs/ --reference mp_20 --protocol wyformer --out side_by_side
"""


def evaluate(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...",
            help="Each a set: a table (split by its column model, if that has several values), a folder that generate "
            "wrote, or a folder of structure files.",
            show_default=False,
        ),
    ],
    out: types.OutFolder,
    reference: Annotated[
        str, typer.Option("--reference", metavar="NAME|FILE", help="What is known: a dataset, or a table.")
    ] = "mp_20",
    protocol: Annotated[str, typer.Option("--protocol", help="Whose definitions.")] = "aristotype",
    compare: Annotated[
        str, typer.Option("--split", help="Split of the reference that distributions are compared with.")
    ] = "test",
    hull: Annotated[
        Path | None, typer.Option("--hull", metavar="FILE", help="A hull from hull build; by default the shipped one.")
    ] = None,
    submitted: Annotated[
        int | None, typer.Option("--submitted", min=1, help="Structures asked for, where not all could be built.")
    ] = None,
    number: Annotated[
        int | None,
        typer.Option("-n", "--number", min=1, help="At most so many of each set, drawn by --seed."),
    ] = None,
    fingerprints: Annotated[
        int, typer.Option("--fingerprints", min=0, help="CrystalNN fingerprints of so many structures on either side.")
    ] = 0,
    truth: Annotated[
        Path | None,
        typer.Option("--truth", metavar="FILE", help="What was to be predicted, by id or by the column target."),
    ] = None,
    tolerance: types.Tolerance = 0.1,
    seed: types.Seed = 0,
    processes: types.Processes = 1,
    force: types.Force = False,
) -> None:
    """Evaluate structures: validity, symmetry, uniqueness, novelty, stability, distributions.

    Writes evaluation.json, a Parquet file a set with one row a structure, and report.html, which opens without a
    network. Stability needs energies: relax the structures first.
    """
    from aristotype.evaluate import evaluate as evaluate_table
    from aristotype.evaluate import load_reference, protocol_named, read_hull, write_page

    rules = protocol_named(protocol)
    refuse_folder(out, force, SUMMARY)
    above = read_hull(hull)
    predicted = None if truth is None else read_whole(truth, tolerance=tolerance, processes=processes)
    known = load_reference(_reference(reference), rules.novel_against, compare)
    with output_lock(out):
        refuse_folder(out, force, SUMMARY)
        results = []
        sets, lost = _sets(paths, submitted, number, seed, tolerance, processes)
        for name, table, asked in sets:
            summary, rows = evaluate_table(
                table,
                reference=known,
                protocol=rules,
                name=name,
                submitted=asked,
                hull=above,
                fingerprints=fingerprints,
                truth=predicted,
                processes=processes,
                seed=seed,
                stage=partial(_tell, name),
            )
            results.append((summary, rows))
        with atomic_directory(out, marker=SUMMARY) as folder:
            for summary, rows in results:
                rows.write(folder / f"{summary['name']}.parquet")
            failures = [{"id": name, "reason": reason} for name, reason in lost]
            content = {"sets": [summary for summary, _ in results], "failures": failures}
            text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
            (folder / SUMMARY).write_text(text + "\n", encoding="utf-8")
            pages = [(summary, rows.arrow) for summary, rows in results]
            write_page(folder / "report.html", pages, known.compared.arrow, reference_name=known.name)
    _show([summary for summary, _ in results], out)
    if lost:
        list_failures(lost, str(printable(out / SUMMARY)))
        raise typer.Exit(SOME_FAILED)


def _tell(name: str, stage: str) -> None:
    complain(f"{name}: {stage} ...")


def _reference(name: str) -> str | Path:
    from aristotype.datasets import DATASETS

    return name if name in DATASETS else Path(name)


def _sets(
    paths: list[Path], submitted: int | None, number: int | None, seed: int, tolerance: float, processes: int
) -> tuple[list[tuple[str, CrystalTable, int]], list[tuple[str, str]]]:
    """Name, structures and number submitted of every set, with names that differ; and what could not be read."""
    from aristotype.evaluate import MAX_SETS

    if submitted is not None and number is not None:
        raise InputError(f"--submitted {submitted} is of a whole set, and -n {number} draws a part; give one of them")
    sets: list[tuple[str, CrystalTable, int]] = []
    lost: list[tuple[str, str]] = []
    for path in paths:
        found = read_input([path], tolerance=tolerance, processes=processes)
        lost += found.failures
        parts = _by_model(path, found.table)
        for name, table in parts:
            # Each is a file's name, and some systems do not tell the case of letters.
            while name.casefold() in {taken.casefold() for taken, _, _ in sets}:
                name += "_2"
            # Of several models nobody knows whose a structure was that cannot be read.
            asked = len(table) + (len(found.failures) if len(parts) == 1 else 0)
            if number is not None and number < asked:
                table, asked = _drawn(table, asked, number, seed), number
            sets.append((name, table, asked))
    if submitted is not None and len(sets) > 1:
        raise InputError(f"--submitted {submitted} is given for {len(sets)} sets; evaluate that set by itself")
    if len(sets) > MAX_SETS:
        raise InputError(f"{len(sets)} sets are given, and a page shows at most {MAX_SETS}; evaluate fewer at a time")
    if submitted is not None:
        sets = [(name, table, submitted) for name, table, _ in sets]
    return sets, lost


def _by_model(path: Path, table: CrystalTable) -> list[tuple[str, CrystalTable]]:
    models = table.column("model").to_pylist() if "model" in table.columns else []
    if len(set(models)) < 2:
        return [(_file_name(printable(path.name.removesuffix(path.suffix) or path.resolve().name)), table)]
    names = list(dict.fromkeys(models))
    return [(_file_name(str(name)), table.filter([model == name for model in models])) for name in names]


def _file_name(name: str) -> str:
    """A name that can be a file's on every system."""
    return "".join(c if c.isalnum() or c in "-_.+ " else "_" for c in name).strip(". ") or "set"


def _drawn(table: CrystalTable, total: int, number: int, seed: int) -> CrystalTable:
    """The rows among some that are drawn of all that were submitted, those that could not be read coming last."""
    import numpy as np

    rows = np.sort(np.random.default_rng(seed).choice(total, number, replace=False))
    return table.take(rows[rows < len(table)])


def _show(summaries: list[dict[str, Any]], out: Path) -> None:
    """Counts and figures, a column a set."""
    names = [summary["name"] for summary in summaries]
    rows = [
        [stage, *(f"{summary['counts'][stage]:,}" if stage in summary["counts"] else "" for summary in summaries)]
        for stage in _HEAD
        if any(stage in summary["counts"] for summary in summaries)
    ]
    metrics = list(dict.fromkeys(metric for summary in summaries for metric in summary["metrics"]))
    rows += [[metric, *(_figure(summary["metrics"].get(metric)) for summary in summaries)] for metric in metrics]
    show_table([("", "left"), *((name, "right") for name in names)], rows)
    first = summaries[0]["protocol"]
    say(
        f"protocol {first['name']} {first['version']}; reference {summaries[0]['reference']['name']}: "
        f"{summaries[0]['reference']['splits']}"
    )
    for note in dict.fromkeys(note for summary in summaries for note in summary["notes"]):
        say(f"- {note}")
    say(f"{printable(out / 'report.html')} shows it all")


def _figure(metric: dict[str, Any] | None) -> str:
    if metric is None:
        return ""
    style = "{:.1%}" if metric["unit"] == "share" else "{:.4g}"
    text = style.format(metric["value"])
    if metric["low"] is None:
        return text
    return f"{text} ({style.format(metric['low'])} to {style.format(metric['high'])})"
