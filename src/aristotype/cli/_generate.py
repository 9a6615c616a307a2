"""`aristotype generate`: new crystals from a model."""

from __future__ import annotations

import functools
import json
import time
import warnings
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aristotype._files import atomic_directory, output_lock, printable, refuse_folder
from aristotype.cli import _types as types
from aristotype.cli._conditions import build_conditions
from aristotype.cli._console import SOME_FAILED, complain, list_failures, progress, say, seconds_text, show_table
from aristotype.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from aristotype.discover import GenerateResult


class Geometry(StrEnum):
    """How genes get their geometry."""

    model = "model"
    search = "search"
    quick = "quick"


@dataclass(frozen=True)
class _How:
    """What was asked for about geometries, and about choosing."""

    geometry: Geometry | None
    source: str | None
    best_of: int = 1
    best_by: str = "likelihood"


DEFAULT_MODEL = "wyckoff-transformer-mp20"
SUMMARY = "summary.json"
"""The file by which a folder of ours is known."""
_SHOWN = 20
_TRIAL = 20  # crystals made for a time estimate

EXAMPLES = """[bold]Examples[/bold]

aristotype generate -n 100 --out out

aristotype generate -n 50 --space-group 225,216 --elements Li,Mg,O --out halite --novel

aristotype generate -n 16 --formula LiFePO4 --max-atoms 28 --out olivine

aristotype generate -n 20 --template A2B_tP6_136_f_a --seed 7 --out rutile

aristotype generate -n 20 --elements Li,Na,Cl,Br --target formation_energy=:-1.5 --out salts

aristotype generate --model crystalformer-mp20 -n 20 --elements Li,P,S,O --best-of 8 --best-by e-above-hull --out best

aristotype generate --model crystalformer-mp20 -n 10 --partial-crystal framework.cif --out filled
"""


def generate(
    out: types.OutFolder,
    model: Annotated[str, typer.Option("--model", help="Shipped name or checkpoint folder.")] = DEFAULT_MODEL,
    number: Annotated[int, typer.Option("-n", "--number", min=1, help="How many crystals.")] = 100,
    space_group: types.SpaceGroups = None,
    elements: types.Elements = None,
    require: types.Require = None,
    exclude: types.Exclude = None,
    formula: types.Formula = None,
    z: types.FormulaUnits = None,
    sites: types.Sites = None,
    max_atoms: types.MaxAtoms = None,
    template: types.Template = None,
    partial: types.Partial = None,
    partial_crystal: types.PartialCrystal = None,
    free_cell: types.FreeCell = False,
    target: types.Target = None,
    strength: types.Strength = 1.0,
    seed: types.Seed = 0,
    best_of: Annotated[
        int, typer.Option("--best-of", min=1, help="Draw so many for one crystal, and keep the best of them.")
    ] = 1,
    best_by: Annotated[
        str,
        typer.Option(
            "--best-by",
            help="likelihood (percentile among draws of like size), e-above-hull, density, or module:callable.",
        ),
    ] = "likelihood",
    genes_only: Annotated[bool, typer.Option("--genes-only", help="Stop before geometry; write no CIF.")] = False,
    novel: Annotated[bool, typer.Option("--novel", help="Leave out what the model was trained on.")] = False,
    keep_forced: Annotated[
        bool, typer.Option("--keep-forced", help="Keep genes whose crystals always have a higher symmetry.")
    ] = False,
    geometry: Annotated[
        Geometry | None,
        typer.Option(
            "--geometry",
            help="As the model draws it, the best minimum of a fitted potential, or the first without overlaps; by "
            "default model where the model draws any, else search.",
            show_default=False,
        ),
    ] = None,
    source: types.Source = None,
    force: types.Force = False,
    dry_run: types.DryRun = False,
) -> None:
    """Generate new, distinct crystals: crystals.parquet, one CIF a crystal, summary.json and a table.

    Crystals are the same for the same seed, and fewer of them are the first of more.

    Their geometry is a minimum of a cheap potential; relax them for energies.
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
        partial=partial,
        partial_crystal=partial_crystal,
        free_cell=free_cell,
        targets=target,
        strength=strength,
    )
    settings: dict[str, Any] = {"seed": seed, "genes_only": genes_only, "keep_forced": keep_forced, "novel": novel}
    how = _How(geometry, source, best_of, best_by)
    if dry_run:
        _estimate(model, number, conditions, settings, how, out, force)
        return
    with output_lock(out):
        refuse_folder(out, force, SUMMARY)
        result, seconds, geometry = _run(model, number, conditions, settings, how)
        if not len(result.table):
            raise InputError(f"nothing was generated, and nothing written; {_counts(result)}; loosen the conditions")
        _write(
            result,
            out,
            {
                "seconds": round(seconds, 2),
                "checkpoint": printable(model),
                "geometry": geometry.value,
                "source": None if source is None else printable(source),
                "best_of": best_of,
                "best_by": printable(best_by) if best_of > 1 else None,
            },
        )
    _show(result, out, seconds, best_of)
    if not result.summary.complete:
        raise typer.Exit(SOME_FAILED)


def _run(
    model: str,
    number: int,
    conditions: Any,
    settings: dict[str, Any],
    how: _How,
    report: Callable[[int, str], None] | None = None,
) -> tuple[GenerateResult, float, Geometry]:
    """Loads the model and generates, with a progress bar.

    Returns:
        the result, the seconds without the loading, and where geometries came from.
    """
    from aristotype.discover import draws_geometry, generate
    from aristotype.models import load

    loaded = load(model)
    loaded.name = printable(loaded.name)  # a folder's name need not be text, and the column `model` must be
    geometry = how.geometry or (Geometry.model if draws_geometry(loaded) else Geometry.search)
    realize = _realizer(geometry, how.source, loaded)
    if how.best_of > 1:
        loaded = _best_of(loaded, how)
    if not settings["genes_only"]:
        settings = {**settings, "realize": realize}
    begin = time.perf_counter()
    with progress("generate", number) as update, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that crystals are missing is said in the end
        show = report or update
        result = generate(
            loaded,
            number,
            None if conditions.is_free else conditions,
            progress=lambda done, total, drawn: show(done, f"{drawn:,} drawn"),
            **settings,
        )
    return result, time.perf_counter() - begin, geometry


def _best_of(model: Any, how: _How) -> Any:
    """The model that keeps the best of several draws."""
    from aristotype.discover import BestOf, reward_named

    return BestOf(model, how.best_of, "likelihood" if how.best_by == "likelihood" else reward_named(how.best_by))


def _realizer(geometry: Geometry, source: str | None, model: Any) -> Any:
    """What gives genes their geometry; None for the model itself.

    Raises:
        InputError: the model draws genes only, or there is a source and no search.
    """
    from aristotype.discover import GeometrySource, draws_geometry
    from aristotype.realize import best_minimum, realize

    if source is not None:
        if geometry is not Geometry.search:
            raise InputError(f"--source {printable(source)} is for --geometry search, and this is {geometry.value}")
        return functools.partial(best_minimum, source=GeometrySource.of(source))
    if geometry is Geometry.model:
        if not draws_geometry(model):
            raise InputError(f"{model.name} draws genes without geometry; take --geometry search or quick")
        return None
    return best_minimum if geometry is Geometry.search else realize


def _estimate(
    model: str,
    number: int,
    conditions: Any,
    settings: dict[str, Any],
    how: _How,
    out: Path,
    force: bool,
) -> None:
    """Makes a few crystals and says what all of them would take."""
    refuse_folder(out, force, SUMMARY)
    few = min(number, _TRIAL)
    result, seconds, _ = _run(model, few, conditions, settings, how)
    made = result.summary
    if not made.crystals:
        raise InputError(f"nothing would be generated; {_counts(result)}; loosen the conditions")
    draws = made.attempts * number / made.crystals
    # The first block costs the same for one crystal as for hundreds; a trial below one block overestimates.
    at_most = seconds * max(1.0, number / made.crystals)
    say(f"{number:,} crystals into {printable(out)}: about {draws:,.0f} genes to draw, at most {seconds_text(at_most)}")
    if not made.complete:
        say(f"  the conditions are narrow: {_counts(result)}")


def _write(result: GenerateResult, out: Path, extra: dict[str, Any]) -> None:
    """Writes the folder, whole or not at all."""
    import hashlib

    from aristotype.crystal import write_files

    summary = {**result.summary.to_dict(), **extra}
    with atomic_directory(out, marker=SUMMARY) as folder:
        result.table.write(folder / "crystals.parquet")
        summary["crystals_sha256"] = hashlib.sha256((folder / "crystals.parquet").read_bytes()).hexdigest()
        if not result.summary.genes_only:
            (folder / "cif").mkdir()
            write_files(result.table, folder / "cif", "cif")
        summary["failures"] = [{"id": failure.id, "reason": failure.reason} for failure in result.failures]
        (folder / SUMMARY).write_text(json.dumps(summary, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _show(result: GenerateResult, out: Path, seconds: float, best_of: int) -> None:
    """Prints the first crystals, the counts, and what failed."""
    from aristotype.discover import has_bounds
    from aristotype.symmetry import tables

    table, summary = result.table, result.summary
    genes = table.genes()
    shown = table.arrow.slice(0, _SHOWN).to_pylist()
    novelty = {True: "novel", False: "known", None: "?"}
    rows = [
        (
            row["id"],
            row["formula"],
            f"{tables().symbols[row['space_group'] - 1]} ({row['space_group']})",
            row["label"],
            str(sites),
            f"{row['log_prob']:.2f}" if row.get("log_prob") is not None else "",
            novelty[row["novel"]],
        )
        for row, sites in zip(shown, genes.num_sites.tolist())
    ]
    score = "log p bound (nats)" if has_bounds(table) else "log p (nats)"
    columns = ("id", "formula", "group", "label", "sites", score, "novelty")
    show_table([(name, "right" if name in ("sites", score) else "left") for name in columns], rows)
    if len(table) > _SHOWN:
        say(f"... and {len(table) - _SHOWN:,} more in {printable(out / 'crystals.parquet')}")
    kind = "genes" if summary.genes_only else "crystals"
    novel = "" if summary.novel is None else f", {summary.novel:,} of them novel"
    say(
        f"{summary.crystals:,} {kind} in {printable(out)} in {seconds_text(seconds)}{novel}; {_counts(result, best_of)}"
    )
    if not summary.complete:
        list_failures([(failure.id, failure.reason) for failure in result.failures], printable(out / SUMMARY))
        complain(
            f"{summary.crystals:,} of the {summary.requested:,} that were asked for: nothing new comes any more; "
            "ask for fewer, or loosen the conditions"
        )


def _counts(result: GenerateResult, best_of: int = 1) -> str:
    """What became of the genes that are no crystals; each is the best of so many draws."""
    summary = result.summary
    parts = {
        "off target": summary.off_target,
        "repeated": summary.duplicates,
        "of forced higher symmetry": summary.forced,
        "known": summary.not_novel,
        "without geometry": summary.failed,
        "illegal": summary.illegal,
    }
    told = ", ".join(f"{count:,} {name}" for name, count in parts.items() if count)
    drawn = f"{summary.attempts:,} genes drawn" if best_of == 1 else f"{summary.attempts:,} times the best of {best_of}"
    return f"{drawn}{f' ({told} left out)' if told else ''}"
