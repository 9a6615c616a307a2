"""`aristotype finetune`: a model of crystals moved towards what a reward asks for."""

from __future__ import annotations

import time
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aristotype._files import printable
from aristotype.cli import _types as types
from aristotype.cli._console import INTERRUPTED, progress, say, seconds_text
from aristotype.cli._train import check_run_folder, start_over
from aristotype.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aristotype.discover import Reward
    from aristotype.models.crystalformer import CrystalFormer
    from aristotype.training import PolicyConfig


class What(StrEnum):
    """Which weights learn."""

    genes = "genes"
    geometry = "geometry"
    both = "both"


DEFAULT_MODEL = "crystalformer-mp20"
_TRIAL_ROWS = 16  # of a time estimate
_ENERGY = "Reward e-above-hull"

EXAMPLES = """[bold]Examples[/bold]

aristotype finetune --steps 50 --out runs/stable

aristotype finetune --reward density --what both --steps 20 --batch 64 --out runs/dense

aristotype finetune --reward my_module:reward --kl 0.1 --processes 4 --out runs/mine

aristotype generate --model runs/stable/last -n 100 --out out
"""


def finetune(
    out: types.OutFolder,
    model: Annotated[
        str, typer.Option("--model", help="Shipped name or checkpoint folder of a model of crystals.")
    ] = DEFAULT_MODEL,
    reward: Annotated[
        str, typer.Option("--reward", help="e-above-hull, density, or module:callable on a table of crystals.")
    ] = "e-above-hull",
    what: Annotated[
        What, typer.Option("--what", help="What learns: elements on positions, cells and coordinates, or both.")
    ] = What.genes,
    steps: Annotated[int, typer.Option("--steps", help="Batches to draw.")] = 50,
    batch: Annotated[int, typer.Option("--batch", help="Crystals in a batch.")] = 128,
    rate: Annotated[float, typer.Option("--rate", help="Learning rate.")] = 3e-4,
    kl: Annotated[
        float, typer.Option("--kl", help="Reward that a nat of divergence from the model must be worth.")
    ] = 0.02,
    updates: Annotated[int, typer.Option("--updates", help="Updates with each batch.")] = 2,
    repeat_penalty: Annotated[
        float, typer.Option("--repeat-penalty", help="Taken from the reward of a gene that came before or is known.")
    ] = 0.1,
    hull: Annotated[
        Path | None,
        typer.Option(
            "--hull", metavar="FILE", help="Of `hull build`; the shipped one by default.", rich_help_panel=_ENERGY
        ),
    ] = None,
    relax_steps: Annotated[
        int,
        typer.Option("--relax-steps", help="Most evaluations of the potential a crystal.", rich_help_panel=_ENERGY),
    ] = 8,
    ceiling: Annotated[
        float,
        typer.Option("--ceiling", help="eV/atom above the hull beyond which all is alike.", rich_help_panel=_ENERGY),
    ] = 0.4,
    calculator: types.Calculator = "chgnet",
    device: types.Device = "auto",
    seed: types.Seed = 0,
    processes: types.Processes = 1,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in DIR; same command otherwise, --steps may grow.")
    ] = False,
    force: types.Force = False,
    dry_run: types.DryRun = False,
) -> None:
    """Fine-tune a model of crystals by a reward; the checkpoint is OUT/last.

    By default the reward is a low energy above hull, after a few steps of relaxation. Every nat that the model moves
    from where it was costs reward too (--kl), so that it keeps to the chemistry that it has learnt.

    Stop it with Ctrl-C and go on with --resume.
    """
    from aristotype.discover import finetune as run
    from aristotype.discover import reward_named
    from aristotype.models import load
    from aristotype.training import PolicyConfig

    config = PolicyConfig(
        steps=steps,
        batch_size=batch,
        learning_rate=rate,
        kl_weight=kl,
        updates=updates,
        repeat_penalty=repeat_penalty,
        seed=seed,
    )  # before anything is read: a wrong setting is told at once
    check_run_folder(out, resume, force)
    settings: dict[str, Any] = {}
    if reward == "e-above-hull":
        settings = {
            "calculator": calculator,
            "device": device,
            "hull": None if hull is None else str(hull),
            "steps": relax_steps,
            "highest": ceiling,
        }
    elif hull is not None:
        raise InputError(f"--hull is for the reward e-above-hull, and the reward is {reward}; leave one of them out")
    judge = reward_named(reward, **settings)
    loaded: Any = load(model)
    if dry_run:
        _estimate(loaded, judge, config, what)
        return
    if force:
        start_over(out)
    with progress("finetune", steps) as update:

        def show(step: int, figures: Mapping[str, Any]) -> None:
            update(step, _line(figures))

        result = run(
            loaded,
            judge,
            config,
            out,
            moved=what.value,
            processes=processes,
            resume=resume,
            settings={"model": printable(model), "reward": {"name": reward, **settings}},
            card=_card(model, out, what, reward, settings, config),
            progress=show,
        )
    say(result.message)
    if result.rejected:
        say(f"  {result.rejected:,} crystals had no usable reward; log.jsonl has the reasons")
    if result.stopped == "interrupted":
        raise typer.Exit(INTERRUPTED)
    folder = printable(result.checkpoint)
    say(f"The checkpoint is {folder}: aristotype generate --model {folder}")


def _line(figures: Mapping[str, Any]) -> str:
    """The figures of a batch in a few words."""
    shown = [f"{name} {figures[name]:.3f}" for name in ("reward", "kl") if figures.get(name) is not None]
    return "  ".join([*shown, *([f"{figures['rejected']} without reward"] if figures["rejected"] else [])])


def _estimate(model: CrystalFormer, reward: Reward, config: PolicyConfig, what: What) -> None:
    """Makes one small batch in a folder that is thrown away, and says what all of them would take."""
    import tempfile

    from aristotype.discover import finetune as run

    few = min(_TRIAL_ROWS, config.batch_size)
    trial = replace(config, steps=2, batch_size=few)
    marks = [time.perf_counter()]
    with tempfile.TemporaryDirectory(prefix="aristotype-") as folder:
        run(
            model,
            reward,
            trial,
            Path(folder) / "run",
            moved=what.value,
            progress=lambda step, figures: marks.append(time.perf_counter()),
        )
    seconds = (marks[2] - marks[1]) * config.steps * config.batch_size / few  # the first one loads what is needed
    say(f"{config.steps:,} batches of {config.batch_size:,} crystals, at most {seconds_text(seconds)} in one process")


def _card(model: str, out: Path, what: What, reward: str, settings: Mapping[str, Any], config: PolicyConfig) -> str:
    """What the checkpoint says of itself, before its figures; the base model's card is part of it."""
    from dataclasses import asdict

    from aristotype.crystal import package_version
    from aristotype.models import shipped_models

    shipped = shipped_models()
    folder = shipped[model].path if model in shipped else Path(model)
    readme = folder / "README.md"
    base = readme.read_text(encoding="utf-8") if readme.is_file() else "(no card)"
    told = {"reward": reward, **settings, "what learns": what.value, **asdict(config)}
    return "\n".join(
        [
            f"# {printable(out.absolute().name)}",
            "",
            f"{printable(Path(model).name)} fine-tuned by policy gradient towards {reward}; "
            "its own data are those of the base model.",
            "",
            *[f"- {name}: {value}" for name, value in told.items()],
            f"- written by aristotype {package_version()}",
            "",
            "Base model, as its own card has it:",
            "",
            *[f"> {line}".rstrip() for line in base.splitlines()],
        ]
    )
