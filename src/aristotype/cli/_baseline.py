"""`aristotype baseline`: crystals made from known ones without a model, to compare models with."""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aristotype._files import atomic_path, output_lock, printable, refuse_overwrite
from aristotype.cli import _types as types
from aristotype.cli._conditions import build_conditions
from aristotype.cli._console import SOME_FAILED, complain, progress, say, seconds_text, show_table
from aristotype.errors import InputError, OutputError

if TYPE_CHECKING:
    from aristotype.crystal import CrystalTable
    from aristotype.discover import GenerateResult

_SHOWN = 20
_TRIAL = 256  # crystals made for a time estimate: what is drawn together costs the same for one


class Name(StrEnum):
    """The baselines; as in `aristotype.discover.BASELINES`."""

    ion_exchange = "ion-exchange"
    decoration = "decoration"


class Draw(StrEnum):
    """How decoration draws elements; as in `aristotype.models.baselines.ElementChoice`."""

    uniform = "uniform"
    frequency = "frequency"


EXAMPLES = """[bold]Examples[/bold]

aristotype baseline ion-exchange -n 1000 --out exchanged.parquet

aristotype baseline decoration -n 1000 --novel --seed 7 --out decorated.parquet

aristotype baseline ion-exchange -n 50 --space-group 225,216 --require Li --data mine.parquet --out lithium.parquet
"""


@dataclass(frozen=True)
class _Asked:
    """What is to be made."""

    name: Name
    data: str
    draw: Draw
    number: int
    seed: int
    novel: bool
    processes: int
    conditions: Any


def baseline(
    name: Annotated[
        Name,
        typer.Argument(
            metavar="NAME",
            help="ion-exchange: likely exchanges of elements on known crystals; decoration: random elements on known "
            "prototypes.",
            show_default=False,
        ),
    ],
    out: types.OutFile,
    number: Annotated[int, typer.Option("-n", "--number", min=1, help="How many crystals.")] = 1000,
    data: Annotated[
        str,
        typer.Option("--data", metavar="NAME|FILE", help="Known crystals: the train split, or all of a table without."),
    ] = "mp_20",
    space_group: types.SpaceGroups = None,
    elements: types.Elements = None,
    require: types.Require = None,
    exclude: types.Exclude = None,
    formula: types.Formula = None,
    z: types.FormulaUnits = None,
    sites: types.Sites = None,
    max_atoms: types.MaxAtoms = None,
    template: types.Template = None,
    target: types.Target = None,
    strength: types.Strength = 1.0,
    seed: types.Seed = 0,
    draw: Annotated[
        Draw, typer.Option("--draw", help="Decoration: all elements alike, or as often as known crystals hold them.")
    ] = Draw.uniform,
    novel: Annotated[bool, typer.Option("--novel", help="Leave out what is known.")] = False,
    processes: types.Processes = 1,
    force: types.Force = False,
    dry_run: types.DryRun = False,
) -> None:
    """Make crystals from known ones without a model: distinct, charge balanced (SMACT), ready to relax.

    Writes a table with the parent of each crystal and what was exchanged, and OUT.summary.json beside it. Crystals are
    the same for the same seed, and fewer of them are the first of more.

    --processes is for preparing the data, if that is not done yet.
    """
    conditions = build_conditions(
        space_group=space_group,
        elements=elements,
        require=require,
        exclude=exclude,
        formula=formula,
        z=z,
        sites=sites,
        max_atoms=max_atoms,
        template=template,
        targets=target,
        strength=strength,
    )
    if name is Name.ion_exchange and draw is not Draw.uniform:
        raise InputError(f"--draw {draw.value} is for decoration; ion exchange draws by its learnt likelihood")
    asked = _Asked(name, data, draw, number, seed, novel, processes, conditions)
    if dry_run:
        _estimate(asked, out, force)
        return
    with output_lock(out):
        _check_out(out, force)
        result, extra = _run(asked, number)
        if not len(result.table):
            raise InputError(f"nothing was made, and nothing written; {_counts(result)}; loosen the conditions")
        _write(result, out, extra)
    _show(result, out, extra["seconds"])
    if not result.summary.complete:
        complain(
            f"{result.summary.crystals:,} of the {number:,} that were asked for: nothing new comes any more; ask for "
            "fewer, or loosen the conditions"
        )
        raise typer.Exit(SOME_FAILED)


def summary_path(out: Path) -> Path:
    """Where the summary of a table stands."""
    return Path(f"{out}.summary.json")


def _check_out(out: Path, force: bool) -> None:
    """Refuses before the work what could not be written after it."""
    if out.is_dir():
        raise OutputError(f"{printable(out)} is a folder, and a file is to be written; choose another path")
    refuse_overwrite(out, force)


def _known(data: str, processes: int) -> CrystalTable:
    """The train split of a dataset, or all of a table that has no splits."""
    from aristotype.datasets import load_dataset

    settings: dict[str, Any] = {"processes": processes, "progress": True}
    table = load_dataset(data, **settings)
    if "split" not in table.columns or table.column("split").null_count == len(table):
        return table
    return load_dataset(data, "train", **settings)


def _run(asked: _Asked, number: int) -> tuple[GenerateResult, dict[str, Any]]:
    """Makes the crystals; returns the result and what the summary says beside it."""
    from aristotype.discover import generate, make_baseline

    known = _known(asked.data, asked.processes)
    begin = time.perf_counter()
    model = make_baseline(asked.name.value, known, elements=asked.draw.value)
    with progress(asked.name.value, number) as update, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that crystals are missing is said in the end
        result = generate(
            model,
            number,
            None if asked.conditions.is_free else asked.conditions,
            seed=asked.seed,
            novel=asked.novel,
            progress=lambda done, total, drawn: update(done, f"{drawn:,} drawn"),
        )
    extra: dict[str, Any] = {
        "data": printable(asked.data),
        "known_crystals": len(known),
        "smact": "smact14",
        "num_exchanged": model.likelihood.num_exchanged.tolist() if asked.name is Name.ion_exchange else None,
        "elements": asked.draw.value if asked.name is Name.decoration else None,
        # The last crystal's row tells how many rows were drawn to get so far, those left out by the stream included.
        "rows_drawn": int(result.table.ids[-1].partition("-")[2]) + 1 if len(result.table) else None,
        "tries_a_crystal": float(result.table.column("tries").to_numpy().mean()) if len(result.table) else None,
        "seconds": round(time.perf_counter() - begin, 2),
    }
    return result, extra


def _estimate(asked: _Asked, out: Path, force: bool) -> None:
    """Makes some crystals and says what all of them would take."""
    _check_out(out, force)
    result, extra = _run(asked, min(asked.number, _TRIAL))
    made = result.summary
    if not made.crystals:
        raise InputError(f"nothing would be made; {_counts(result)}; loosen the conditions")
    seconds = extra["seconds"] * max(1.0, asked.number / made.crystals)
    say(
        f"{asked.number:,} crystals into {printable(out)} from {extra['known_crystals']:,} known ones: "
        f"at most {seconds_text(seconds)}"
    )
    if not made.complete:
        say(f"  the conditions are narrow: {made.crystals:,} found; {_counts(result)}")


def _write(result: GenerateResult, out: Path, extra: dict[str, Any]) -> None:
    """The table, then its summary."""
    result.table.write(out, force=True)
    digest = hashlib.sha256(out.read_bytes()).hexdigest()
    content = {**asdict(result.summary), **extra, "crystals_sha256": digest}
    with atomic_path(summary_path(out)) as temporary:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _show(result: GenerateResult, out: Path, seconds: float) -> None:
    """Prints the first crystals and the counts."""
    from aristotype.symmetry import tables

    novelty = {True: "novel", False: "known", None: "?"}
    rows = [
        (
            row["id"],
            row["formula"],
            f"{tables().symbols[row['space_group'] - 1]} ({row['space_group']})",
            row["parent"],
            row["exchange"],
            "" if row["log_likelihood"] is None else f"{row['log_likelihood']:.2f}",
            novelty[row["novel"]],
        )
        for row in result.table.arrow.slice(0, _SHOWN).to_pylist()
    ]
    columns = ("id", "formula", "group", "parent", "exchange", "log L (nats)", "novelty")
    show_table([(name, "right" if name.startswith("log") else "left") for name in columns], rows)
    summary = result.summary
    if summary.crystals > _SHOWN:
        say(f"... and {summary.crystals - _SHOWN:,} more in {printable(out)}")
    novel = "" if summary.novel is None else f", {summary.novel:,} of them novel"
    say(f"{summary.crystals:,} crystals in {printable(out)} in {seconds_text(seconds)}{novel}; {_counts(result)}")


def _counts(result: GenerateResult) -> str:
    """What became of the genes that are no crystals of the table."""
    summary = result.summary
    parts = {"off target": summary.off_target, "of forced higher symmetry": summary.forced, "known": summary.not_novel}
    told = ", ".join(f"{count:,} {name}" for name, count in parts.items() if count)
    return f"{summary.attempts:,} distinct charge-balanced genes{f' ({told} left out)' if told else ''}"
