"""What `mutate` and `guide` share: properties from the command line, the run, its folder, what is shown."""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aristotype._files import atomic_directory, output_lock, printable, refuse_folder
from aristotype.cli._console import progress, say, seconds_text, show_table
from aristotype.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from aristotype.discover import ChainConfig, ChainsResult, Guide

SUMMARY = "summary.json"
"""The file by which a folder of ours is known."""
DEFAULT_MODEL = "crystalformer-mp20"
_TRIAL = 3
"""Steps of a time estimate."""
_SHOWN = 20

Model = Annotated[str, typer.Option("--model", help="Shipped name or checkpoint folder of a model of crystals.")]
ChainCount = Annotated[int, typer.Option("--chains", help="Chains, of each start.")]
Steps = Annotated[int, typer.Option("--steps", help="Proposals of each chain.")]
Temperature = Annotated[float, typer.Option("--temperature", help="Of the first step; 1 draws from the target.")]
FinalTemperature = Annotated[
    float | None,
    typer.Option("--final-temperature", help="Of the last step, reached by equal factors.", show_default=False),
]
Displacement = Annotated[float, typer.Option("--displacement", help="Step of a site (Angstrom).")]
StrainStep = Annotated[float, typer.Option("--strain", help="Step of a cell.")]
Closest = Annotated[
    float, typer.Option("--closest", help="Least distance of two atoms over the sum of their covalent radii.")
]
Guides = Annotated[
    list[str] | None,
    typer.Option(
        "--guide",
        metavar="NAME[=TARGET]:WEIGHT",
        help="Draw towards a property: adds WEIGHT x value, or -WEIGHT x (value - TARGET)^2, in nats. Properties: "
        "density (g/cm^3), volume (cubic Angstrom an atom), energy (eV an atom, CHGNet, not relaxed), every reward "
        "of finetune (e-above-hull), module:callable.",
        show_default=False,
    ),
]
Pattern = Annotated[
    Path | None,
    typer.Option(
        "--pattern",
        metavar="FILE",
        help="Draw towards a powder pattern: two columns, 2 theta (degrees) and intensity, Cu K alpha.",
        show_default=False,
    ),
]
PatternWeight = Annotated[float, typer.Option("--pattern-weight", help="Nats for a likeness of 1.")]


def build_guides(texts: Iterable[str] | None, pattern: Path | None, pattern_weight: float) -> list[Guide]:
    """The properties that the options ask for.

    Raises:
        InputError: an option or the file cannot be read.
        UnknownNameError: there is no such property.
    """
    from aristotype.discover import Guide, PatternLikeness, property_named

    found = []
    for text in texts or ():
        name, target, weight = _guide_parts(text)
        found.append(Guide(name=name, property=property_named(name), weight=weight, target=target))
    if pattern is not None:
        likeness = PatternLikeness(*_read_pattern(pattern))
        found.append(Guide(name="pattern", property=likeness, weight=pattern_weight))
    return found


def _guide_parts(text: str) -> tuple[str, float | None, float]:
    """Name, target and weight of `density=5.0:10` or `energy:-5`."""
    head, colon, weight = text.rpartition(":")
    name, equals, target = head.partition("=")
    try:
        numbers = float(target) if equals else None, float(weight)
    except ValueError:
        numbers = None, math.nan
    if not (colon and name and math.isfinite(numbers[1]) and (numbers[0] is None or math.isfinite(numbers[0]))):
        raise InputError(f"--guide {text!r} cannot be read; write NAME=TARGET:WEIGHT or NAME:WEIGHT, as density=5.0:10")
    return name, *numbers


def _read_pattern(path: Path) -> tuple[Any, Any]:
    """Two columns of numbers."""
    import numpy as np

    try:
        rows = np.loadtxt(path, ndmin=2)
    except (OSError, ValueError) as error:
        raise InputError(
            f"--pattern {printable(path)} cannot be read ({error}); give two columns of numbers: 2 theta and intensity"
        ) from error
    if rows.shape[1] != 2:
        raise InputError(f"--pattern {printable(path)} has {rows.shape[1]} columns; give two: 2 theta and intensity")
    return rows[:, 0], rows[:, 1]


def run_or_estimate(
    run: Callable[..., ChainsResult],  # takes `config` and `progress`
    config: ChainConfig,
    out: Path,
    *,
    title: str,
    facts: dict[str, Any],
    force: bool,
    dry_run: bool,
    about: str = "about",
) -> None:
    """Runs chains, writes their folder, with `facts` in its summary, and shows what came of them.

    A dry run tells from a few steps `about` how long that takes, and writes nothing.
    """
    begin = time.perf_counter()
    if dry_run:
        few = min(config.steps, _TRIAL)
        trial = run(config=replace(config, steps=few))
        seconds = (time.perf_counter() - begin) / few * config.steps
        say(f"{trial.summary['chains']:,} chains of {config.steps:,} steps: {about} {seconds_text(seconds)}")
        return
    with output_lock(out):
        refuse_folder(out, force, SUMMARY)
        with progress(title, config.steps) as update:
            result = run(config=config, progress=lambda done, share: update(done, f"{share:.0%} accepted"))
        seconds = time.perf_counter() - begin
        _write(result, out, {**facts, "seconds": round(seconds, 2)})
    _show(result, out, seconds)


def _write(result: ChainsResult, out: Path, extra: dict[str, Any]) -> None:
    """Writes the folder, whole or not at all: crystals, a CIF each, the trace and the summary."""
    import pyarrow.parquet as pq

    from aristotype.crystal import write_files

    with atomic_directory(out, marker=SUMMARY) as folder:
        result.table.write(folder / "crystals.parquet")
        pq.write_table(result.trace, folder / "trace.parquet", compression="zstd")
        (folder / "cif").mkdir()
        write_files(result.table, folder / "cif", "cif")
        text = json.dumps({**result.summary, **extra}, indent=1, ensure_ascii=False)
        (folder / SUMMARY).write_text(text + "\n", encoding="utf-8")


def _show(result: ChainsResult, out: Path, seconds: float) -> None:
    """Prints the best crystal of each chain, and what became of the moves."""
    from aristotype.symmetry import tables

    summary = result.summary
    properties = [guide["name"] for guide in summary["guides"]]
    best = [row for row in result.table.arrow.to_pylist() if row["kind"] == "best"]
    first = {
        (row["start"], row["chain"]): row["log_prob"]
        for row in result.trace.select(["start", "chain", "step", "log_prob"]).to_pylist()
        if row["step"] == 0
    }
    rows = [
        (
            row["id"],
            row["formula"],
            f"{tables().symbols[row['space_group'] - 1]} ({row['space_group']})",
            str(row["step"]),
            f"{first[row['start'], row['chain']]:.2f}",
            f"{row['log_prob']:.2f}",
            *(f"{row[name]:.4g}" for name in properties),
            f"{row['accepted']:.0%}",
        )
        for row in best[:_SHOWN]
    ]
    text = ("id", "formula", "group")
    columns = (*text, "step", "log p at start", "log p", *properties, "accepted")
    show_table([(name, "left" if name in text else "right") for name in columns], rows)
    if len(best) > _SHOWN:
        say(f"... and {len(best) - _SHOWN:,} more in {printable(out / 'crystals.parquet')}")
    say(f"{summary['chains']:,} chains of {summary['steps']:,} steps in {printable(out)} in {seconds_text(seconds)}")
    for name, move in summary["moves"].items():
        if not move["tried"]:
            continue
        told = ", ".join(f"{count:,} {reason}" for reason, count in move["not_accepted"].items())
        say(f"  {name}: {move['accepted']:,} of {move['tried']:,} accepted{f' ({told})' if told else ''}")
