"""`aristotype explore`: which phases can form in a space of elements."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aristotype._files import atomic_directory, output_lock, printable, refuse_folder
from aristotype._shards import Shards
from aristotype.cli import _types as types
from aristotype.cli._conditions import build_conditions
from aristotype.cli._console import SOME_FAILED, list_failures, progress, say, seconds_text, show_table
from aristotype.errors import InputError

if TYPE_CHECKING:
    from aristotype.crystal import CrystalTable
    from aristotype.discover import ExploreResult

SUMMARY = "summary.json"
"""The file by which a folder of ours is known."""
DEFAULT_MODEL = "crystalformer-mp20"
_SHOWN = 20
_TRIAL = 8

EXAMPLES = """[bold]Examples[/bold]

aristotype explore --elements Li,P,S,O -n 200 --out lipso

aristotype explore --elements Ca,Ti,O --require Ca,Ti,O --max-atoms 20 --within 0.05 --out titanates
"""


def explore(
    out: types.OutFolder,
    elements: types.Elements = None,
    formula: types.Formula = None,
    model: Annotated[str, typer.Option("--model", help="Shipped name or checkpoint folder.")] = DEFAULT_MODEL,
    number: Annotated[int, typer.Option("-n", "--number", min=1, help="How many crystals are relaxed.")] = 100,
    space_group: types.SpaceGroups = None,
    require: types.Require = None,
    sites: types.Sites = None,
    max_atoms: types.MaxAtoms = None,
    target: types.Target = None,
    strength: types.Strength = 1.0,
    within: Annotated[
        float, typer.Option("--within", help="Largest energy above hull (eV/atom) of phases that get a CIF.")
    ] = 0.1,
    calculator: types.Calculator = "chgnet",
    device: types.Device = "auto",
    hull: Annotated[
        Path | None, typer.Option("--hull", help="Of `aristotype hull build`; by default the shipped one.")
    ] = None,
    seed: types.Seed = 0,
    processes: types.Processes = 1,
    force: types.Force = False,
    dry_run: types.DryRun = False,
) -> None:
    """Draw crystals of a space of elements, relax them, and rank the phases that come out by energy above hull.

    Writes phases.parquet (lowest first, with energies, groups and how sure the hull is), a CIF of each phase within
    --within, and summary.json. What was interrupted goes on where it was when the same command is run again.
    """
    from aristotype.discover import explore as explore_space
    from aristotype.evaluate import read_hull
    from aristotype.models import load
    from aristotype.realize import RelaxConfig, relax, relax_seconds

    conditions = build_conditions(
        elements=elements,
        formula=formula,
        space_group=space_group,
        require=require,
        sites=sites,
        max_atoms=max_atoms,
        targets=target,
        strength=strength,
    )
    refuse_folder(out, force, SUMMARY)
    known, loaded = read_hull(hull), load(model)
    if conditions.allowed_elements is None and conditions.formula is None:
        raise InputError("a space to explore is a set of elements: give --elements Li,P,S,O, or --formula")
    if dry_run:
        few = _drawn(loaded, min(number, _TRIAL), conditions, seed)
        left = relax_seconds(few, calculator, RelaxConfig(), device) / len(few) * number / processes
        say(f"{number:,} crystals to relax, about {seconds_text(left)}, and the time to draw them")
        return
    with output_lock(out):
        refuse_folder(out, force, SUMMARY)
        shards = Shards(out)
        begin = time.perf_counter()

        def relaxed(table: CrystalTable) -> CrystalTable:
            with progress("relax", len(table)) as update:
                return relax(
                    table,
                    calculator=calculator,
                    device=device,
                    processes=processes,
                    shards=shards,
                    progress=lambda done, total: update(done, ""),
                )

        with progress("draw", number) as update:
            result = explore_space(
                loaded,
                number,
                conditions,
                hull=known,
                relax=relaxed,
                seed=seed,
                realize=_realizer(loaded),
                progress=lambda done, total, tried: update(done, f"{tried:,} drawn"),
            )
        seconds = time.perf_counter() - begin
        settings = {"model": printable(model), "calculator": calculator, "hull": printable(str(hull or "shipped"))}
        _write(result, out, within, {**settings, "within": within, "seconds": round(seconds, 2)})
        shards.remove()
    _show(result, out, within, seconds)
    if result.failures:
        list_failures([(row.id, row.reason) for row in result.failures], str(printable(out / SUMMARY)))
        raise typer.Exit(SOME_FAILED)


def _realizer(model: Any) -> Any:
    """Minima of a cheap potential for genes; crystals keep what the model drew."""
    from aristotype.discover import draws_geometry
    from aristotype.realize import best_minimum

    return None if draws_geometry(model) else best_minimum


def _drawn(model: Any, number: int, conditions: Any, seed: int) -> CrystalTable:
    from aristotype.discover import generate

    return generate(model, number, conditions, seed=seed, realize=_realizer(model)).table


def _write(result: ExploreResult, out: Path, within: float, extra: dict[str, Any]) -> None:
    """Writes the folder, whole or not at all."""
    import numpy as np

    from aristotype.crystal import write_files

    near = result.table.filter(np.array(result.table.column("e_above_hull").to_pylist(), float) <= within)
    summary = {
        **extra,
        "phases": len(result.table),
        "within_limit": len(near),
        "lost": result.lost,
        "generated": result.generated.to_dict(),
        "failures": [{"id": failure.id, "reason": failure.reason} for failure in result.failures],
    }
    with atomic_directory(out, marker=SUMMARY) as folder:
        result.table.write(folder / "phases.parquet")
        (folder / "cif").mkdir()
        if len(near):
            write_files(near, folder / "cif", "cif")
        text = json.dumps(summary, indent=1, ensure_ascii=False)
        (folder / SUMMARY).write_text(text + "\n", encoding="utf-8")


def _show(result: ExploreResult, out: Path, within: float, seconds: float) -> None:
    """Prints the lowest phases and the counts."""
    from aristotype.symmetry import tables

    rows = [
        (
            str(row["rank"]),
            row["formula"],
            f"{tables().symbols[row['space_group'] - 1]} ({row['space_group']})",
            row["label"],
            f"{row['e_above_hull']:+.3f}",
            row["hull_confidence"],
            str(row["found"]),
        )
        for row in result.table.arrow.slice(0, _SHOWN).to_pylist()
    ]
    names = ("rank", "formula", "group", "label", "eV/atom above hull", "hull", "found")
    show_table([(name, "right" if name in ("rank", names[4], "found") else "left") for name in names], rows)
    if len(result.table) > _SHOWN:
        say(f"... and {len(result.table) - _SHOWN:,} more in {printable(out / 'phases.parquet')}")
    near = sum(value <= within for value in result.table.column("e_above_hull").to_pylist())
    lost = ", ".join(f"{count:,} {reason}" for reason, count in result.lost.items())
    say(
        f"{len(result.table):,} phases of {result.generated.crystals:,} crystals in {printable(out)} in "
        f"{seconds_text(seconds)}; {near:,} within {within:g} eV/atom{f'; left out: {lost}' if lost else ''}"
    )
