"""`aristotype hull build`: what energies above hull are measured from."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aristotype._files import output_lock, printable, refuse_overwrite
from aristotype._shards import Shards
from aristotype.cli import _types as types
from aristotype.cli._console import progress, say, seconds_text
from aristotype.cli._input import read_whole

if TYPE_CHECKING:
    from aristotype.evaluate import Hull, Known

app = typer.Typer(no_args_is_help=True)
_DATA = "mp_20,mpts_52,wbm"
_TRIAL = 40

EXAMPLES = """[bold]Examples[/bold]

aristotype hull build --out hull.parquet --processes 2

aristotype hull build --data mp_20,my_structures.parquet --calculator sevennet --relax --out hull.parquet
"""


class References(StrEnum):
    """Where the elements' energies come from."""

    mp = "mp"
    own = "own"


@app.callback()
def _group() -> None:
    """Hulls of formation energies: build what energies above hull are measured from."""


@app.command("build", epilog=EXAMPLES)
def build(
    out: types.OutFile,
    data: Annotated[
        str, typer.Option("--data", metavar="NAME,FILE", help="Datasets by name, tables or folders of structures.")
    ] = _DATA,
    calculator: types.Calculator = "chgnet",
    device: types.Device = "auto",
    references: Annotated[
        References,
        typer.Option("--references", help="Elements' energies of the Materials Project, or the calculator's own."),
    ] = References.mp,
    relax: Annotated[
        bool, typer.Option("--relax", help="Relax what is within 0.1 eV/atom of the calculator's hull.")
    ] = False,
    processes: types.Processes = 1,
    force: types.Force = False,
    dry_run: types.DryRun = False,
) -> None:
    """Build hulls from known structures: of their labels, of a potential's energies for them, and of both.

    Every structure gets a single point. What was interrupted goes on where it was when the same command is run again.
    """
    from aristotype.evaluate import build_hull

    refuse_overwrite(out, force or dry_run)
    known = _known([name.strip() for name in data.split(",") if name.strip()], processes)
    if dry_run:
        seconds = _seconds(known, calculator, device) / processes
        total = sum(len(source.table) for source in known)
        say(f"{total:,} structures, single points in about {seconds_text(seconds)}")
        return
    with output_lock(out):
        refuse_overwrite(out, force)
        shards = Shards(out)
        with progress("hull", sum(len(source.table) for source in known)) as update:
            counter = _Counter(update)
            hull = build_hull(
                known,
                calculator=calculator,
                device=device,
                references=references.value,
                relax=_relaxer(calculator, device, processes, shards) if relax else None,
                processes=processes,
                shards=shards,
                progress=counter,
            )
        hull.write(out, force=True)
        shards.remove()
    _show(hull, out)


class _Counter:
    """Rows of several sources counted together."""

    def __init__(self, update: Any) -> None:
        self._update = update
        self._done: dict[str, int] = {}

    def __call__(self, name: str, done: int, total: int) -> None:
        self._done[name] = done
        self._update(sum(self._done.values()), name)


def _known(names: list[str], processes: int) -> list[Known]:
    from aristotype.datasets import DATASETS, load_dataset
    from aristotype.evaluate import Known

    return [
        Known(name, load_dataset(name, processes=processes) if name in DATASETS else read_whole(Path(name)))
        for name in names
    ]


def _seconds(known: list[Known], calculator: str, device: str) -> float:
    """What the single points should take, from a few of each source."""
    import time

    import numpy as np

    from aristotype.calculators import single_points

    total = 0.0
    for source in known:
        few = source.table.take(np.linspace(0, len(source.table) - 1, min(_TRIAL, len(source.table))).astype(int))
        single_points(few[:1], calculator, device=device)
        begin = time.perf_counter()
        single_points(few, calculator, device=device)
        total += (time.perf_counter() - begin) / len(few) * len(source.table)
    return total


def _relaxer(calculator: str, device: str, processes: int, shards: Shards) -> Any:
    """Relaxes within the symmetry, from geometries that are near their minima."""
    import numpy as np

    from aristotype.realize import RelaxConfig, relax

    config = RelaxConfig(free_steps=0, steps=60)

    def run(table: Any, *, name: str) -> Any:
        with progress(f"relax {name}", len(table)) as update:
            found = relax(
                table,
                calculator=calculator,
                config=config,
                device=device,
                processes=processes,
                shards=shards,
                progress=lambda done, total: update(done, ""),
            )
        return np.array(found.column("energy").to_pylist(), dtype=np.float64)

    return run


def _show(hull: Hull, out: Path) -> None:
    about = hull.about
    own = int(hull.computed.sum())
    counts = f"{len(hull) - own:,} from labels, {own:,} from {about['calculator']}"
    say(f"{len(hull):,} entries in {printable(out)}: {counts}")
    found = about["deviation"]
    if found["n"]:
        say(
            f"  formation energies of {about['calculator']} against {found['n']:,} labels: mean absolute deviation "
            f"{found['mae']:.3f}, bias {found['bias']:+.3f} eV/atom"
        )
        if abs(found["bias"]) > 0.2:
            say("  the bias is large: its total energies are not those of the Materials Project; try --references own")
    if about["without_energy"]:
        say(f"  {about['without_energy']:,} structures have no energy")
    if about["elements_without_structure"]:
        say(f"  without a structure of their own, at zero: {', '.join(about['elements_without_structure'])}")
