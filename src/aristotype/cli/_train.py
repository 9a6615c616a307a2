"""`aristotype train`: a model from a dataset, or a checkpoint fine-tuned on your own table."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import redirect_stderr
from dataclasses import dataclass, field, fields, make_dataclass, replace
from importlib import import_module
from importlib.resources import files
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aristotype._files import atomic_path, output_lock, printable, refuse_folder
from aristotype.cli import _types as types
from aristotype.cli._console import INTERRUPTED, complain, say, seconds_text
from aristotype.cli._train_property import check_target, labelled_run
from aristotype.errors import CheckpointError, ConfigError, InputError, OutputError, TableError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aristotype.crystal import CrystalTable, GeneBatch
    from aristotype.datasets import PreparedDataset


@dataclass(frozen=True, kw_only=True)
class Family:
    """What can be trained, by names, so that nothing heavy is imported before it is needed."""

    module: str
    config: str
    model: str
    fit: str
    defaults: dict[str, str]  # configuration by dataset; that of "" for all others
    tunable: frozenset[str]  # settings of the model that a checkpoint leaves open
    crystals: bool = False  # whether it learns from crystals, with their geometry, and not from genes
    load: str = "load"  # what of `aristotype.models` reads its checkpoints
    labelled: bool = False  # whether it learns a property, which has to be named

    def get(self, name: str) -> Any:
        """What the module calls `name`."""
        return getattr(import_module(self.module), name)


_FAMILIES = {
    "wyckoff-transformer": Family(
        module="aristotype.models.wyckoff_transformer",
        config="WyckoffTransformerConfig",
        model="WyckoffTransformer",
        fit="fit",
        defaults={"": "mp20.toml", "mpts_52": "mpts52.toml"},
        tunable=frozenset({"dropout", "substitution", "diversity"}),
    ),
    "wyckoff-transformer-paper": Family(
        module="aristotype.models.wyckoff_transformer.paper",
        config="PaperConfig",
        model="WyckoffTransformerPaper",
        fit="fit_paper",
        defaults={"": "paper.toml"},
        tunable=frozenset({"dropout", "prefix_share"}),
    ),
    "crystalformer": Family(
        module="aristotype.models.crystalformer",
        config="GeometryConfig",
        model="CrystalFormer",
        fit="fit",
        defaults={"": "crystalformer.toml"},
        tunable=frozenset({"dropout", "first_only"}),
        crystals=True,
    ),
    "crystalformer-paper": Family(
        module="aristotype.models.crystalformer.paper",
        config="PaperConfig",
        model="CrystalFormerPaper",
        fit="fit_paper",
        defaults={"": "crystalformer_paper.toml"},
        tunable=frozenset({"dropout"}),
        crystals=True,
    ),
    "wyckoffdiff": Family(
        module="aristotype.models.wyckoffdiff",
        config="WyckoffDiffConfig",
        model="WyckoffDiff",
        fit="fit",
        defaults={"": "wyckoffdiff.toml"},
        tunable=frozenset({"dropout", "loss", "steps"}),
    ),
    "wyckoffdiff-paper": Family(
        module="aristotype.models.wyckoffdiff",
        config="WyckoffDiffConfig",
        model="WyckoffDiff",
        fit="fit",
        defaults={"": "wyckoffdiff_paper.toml"},
        tunable=frozenset({"loss", "steps"}),
    ),
    "wyckoff-augen": Family(
        module="aristotype.models.wyckoff_augen",
        config="WyckoffAugenConfig",
        model="WyckoffAugen",
        fit="fit",
        defaults={"": "wyckoff_augen.toml"},
        tunable=frozenset({"dropout", "score_dropout", "first_only", "steps", "levels"}),
        crystals=True,
    ),
    "wyckoff-augen-grids": Family(
        module="aristotype.models.wyckoff_augen",
        config="GridsConfig",
        model="WyckoffAugenGrids",
        fit="fit",
        defaults={"": "wyckoff_augen_grids.toml"},
        tunable=frozenset({"dropout", "first_only"}),
        crystals=True,
    ),
    "wyckoff-augen-paper": Family(
        module="aristotype.models.wyckoff_augen",
        config="PaperConfig",
        model="WyckoffAugenPaper",
        fit="fit",
        defaults={"": "wyckoff_augen_paper.toml"},
        tunable=frozenset(
            {
                "position_noise",
                "length_noise",
                "angle_noise",
                "gradient_factor",
                "concentration",
                "z_loss",
                "first_only",
            }
        ),
        crystals=True,
    ),
    "property": Family(
        module="aristotype.models.gene_encoder",
        config="GeneEncoderConfig",
        model="GeneEncoder",
        fit="fit",
        defaults={"": "property.toml"},
        tunable=frozenset({"dropout", "descriptions"}),
        load="load_encoder",
        labelled=True,
    ),
}
_TRIAL_STEPS = 10  # of a time estimate
_RUN = ("run.json", "config.toml")  # files by which the folder of a run is known; the second is there first

EXAMPLES = """[bold]Examples[/bold]

aristotype train wyckoff-transformer --data mp_20 --out runs/mp20

aristotype train wyckoff-transformer --data mp_20 --set model.width=96 --set training.epochs=3 --out runs/small

aristotype train wyckoff-transformer-paper --data mp_20 --out runs/paper

aristotype train wyckoff-transformer --data mine.parquet --from wyckoff-transformer-mp20 --out runs/mine

aristotype train property --target band_gap --data mp_20 --with wbm --out runs/gap

torchrun --nproc-per-node 2 -m aristotype train wyckoff-transformer --data mp_20 --out runs/two
"""


def train(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=f"Family: {', '.join(_FAMILIES)}.", show_default=False)],
    data: Annotated[
        str,
        typer.Option(
            "--data",
            metavar="NAME|FILE",
            help="Named dataset, or a table with train and val splits.",
            show_default=False,
        ),
    ],
    out: types.OutFolder,
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help=r"TOML with tables \[model] and \[training], over the defaults."),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="CKPT", help="Fine-tune this: a shipped name or a checkpoint folder."),
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One setting, such as training.epochs=3.")
    ] = None,
    target: Annotated[
        str | None,
        typer.Option("--target", metavar="NAME", help="MODEL property: the property, or any numeric column."),
    ] = None,
    added: Annotated[
        list[str] | None,
        typer.Option(
            "--with", metavar="NAME|FILE", help="MODEL property: labelled rows of this too, not in val or test."
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in DIR; same command otherwise.")
    ] = False,
    processes: types.Processes = 1,
    force: types.Force = False,
    dry_run: types.DryRun = False,
) -> None:
    """Train a model, or fine-tune one on your own table; the best checkpoint is OUT/best.

    MODEL property learns a number from genes alone (--target) and is used by `aristotype predict`.

    Stop it with Ctrl-C and go on with --resume. Works under torchrun.

    --processes is for preparing the data, if that is not done yet.
    """
    from aristotype.training import rank_and_world, resolve_device, to_toml

    family = _family(model)
    check_target(model, family.labelled, target, added or [])
    checkpoint = None if start is None else _checkpoint(start, model)
    settings = resolve_settings(model, data, config, overrides or [], checkpoint and checkpoint.config)
    resolve_device(settings.training.device)  # before anything is written
    writes = rank_and_world()[0] == 0
    if writes:
        check_run_folder(out, resume, force)
    prepared = _prepared(data, processes, writes)
    begin = settings.model
    if checkpoint is not None:
        begin = checkpoint.with_config(**{name: getattr(settings.model, name) for name in family.tunable})
    notes: tuple[str, ...] = ()
    splits: tuple[Any, Any]
    identity: dict[str, Any] = {"data": {"name": prepared.name, "address": prepared.address}, "from": start}
    if target is not None:
        further = [_prepared(name, processes, writes) for name in added or []]
        begin, rows = labelled_run(begin, target, prepared, further)
        settings = replace(settings, model=begin if checkpoint is None else begin.config)
        splits, notes = (rows.train, rows.val), rows.notes
        for note in notes if writes else ():
            complain(note)
        identity |= {"target": target, "with": [{"name": more.name, "address": more.address} for more in further]}
    else:
        splits = _split(prepared, "train", family.crystals), _split(prepared, "val", family.crystals)
    if dry_run:
        if writes:
            _estimate(family, begin, splits, settings, prepared)
        return
    if writes and force:
        start_over(out)
    if writes and not (out / "config.toml").is_file():  # a run that goes on has its settings already
        with atomic_path(out / "config.toml") as temporary:
            temporary.write_text(to_toml(settings), encoding="utf-8")
    result = family.get(family.fit)(
        begin,
        *splits,
        settings.training,
        out,
        resume=resume,
        settings=identity,
        card=_card(model, out, prepared, start, to_toml(settings), target, notes),
    )
    if result.stopped == "interrupted":
        raise typer.Exit(INTERRUPTED)  # the run itself has said how to go on
    if writes:
        best = printable(out / "best")
        use = f"predict PATH --model {best} --out FILE" if family.labelled else f"generate --model {best}"
        say(f"The best checkpoint is {best}: aristotype {use}")


def resolve_settings(
    model: str, data: str, config: Path | None, overrides: list[str], checkpoint: Any | None = None
) -> Any:
    """All settings of a run: shipped defaults, then a file, then single values.

    Args:
        model: The family.
        data: Name of the dataset, which chooses the defaults.
        config: A TOML file.
        overrides: Texts `training.epochs=3`.
        checkpoint: Configuration of the model that is fine-tuned, which only `tunable` settings may change.

    Returns:
        an object with the fields `model` and `training`.

    Raises:
        UnknownNameError: there is no such family.
        ConfigError: an unknown key, a value of the wrong type or out of range, or another model than the checkpoint's.
    """
    from aristotype.training import TrainingConfig, load_config

    family = _family(model)
    kind = family.get(family.config)
    parts: list[tuple[str, Any, Any]] = [
        ("model", kind, field(default_factory=kind)),
        ("training", TrainingConfig, field(default=TrainingConfig(epochs=1))),
    ]
    settings = make_dataclass("Settings", parts, frozen=True, kw_only=True)
    shipped = family.defaults.get(data, family.defaults[""]) if checkpoint is None else "finetune.toml"
    begin = None if checkpoint is None else settings(model=checkpoint)
    defaults: Any = load_config(settings, Path(str(files("aristotype.models"))) / "configs" / shipped, base=begin)
    found: Any = load_config(settings, config, overrides, base=defaults)
    if checkpoint is not None:
        for name in (f.name for f in fields(kind) if f.name not in family.tunable):
            if getattr(found.model, name) != getattr(checkpoint, name):
                raise ConfigError(
                    f"model.{name} is {getattr(found.model, name)}, and {getattr(checkpoint, name)} in the checkpoint; "
                    f"--from leaves only {', '.join(sorted(family.tunable))} open: leave it out, or train a fresh model"
                )
    return found


def _family(name: str) -> Family:
    if name not in _FAMILIES:
        raise UnknownNameError(f"no family {name!r} can be trained; there are {', '.join(_FAMILIES)}")
    return _FAMILIES[name]


def check_run_folder(out: Path, resume: bool, force: bool) -> None:
    """Refuses a folder with content, unless the run in it is to go on or to be replaced.

    Raises:
        InputError: both are asked for.
        OutputError: there is something at `out`.
    """
    if resume and force:
        raise InputError("--resume goes on with the run in the folder and --force replaces it; leave one of them out")
    if resume:
        return
    markers = [name for name in _RUN if (out / name).is_file()]
    if markers and not force:
        raise OutputError(
            f"there is a run in {printable(out)}; go on with it by --resume, replace it by --force, or choose another "
            "folder"
        )
    refuse_folder(out, force, *markers[:1] or _RUN[:1])


def start_over(out: Path) -> None:
    """Empties the folder of a run; what makes it one of ours goes last.

    Raises:
        OutputError: a process works there.
    """
    with output_lock(out):
        for path in sorted(out.iterdir() if out.is_dir() else (), key=lambda path: path.name in _RUN):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def _prepared(data: str, processes: int, writes: bool) -> PreparedDataset:
    from aristotype.datasets import open_dataset

    return open_dataset(data, processes=processes, progress=writes)


def _split(prepared: PreparedDataset, split: str, crystals: bool) -> GeneBatch | CrystalTable:
    try:
        table = prepared.table(split)
        return table if crystals else table.genes()
    except TableError as error:
        raise TableError(
            f"{error}. Training needs the splits train and val: "
            "`aristotype data prepare FILE --split 0.8,0.1,0.1 --out TABLE` draws them"
        ) from error


def _checkpoint(start: str, name: str) -> Any:
    """The model to go on with."""
    family = _family(name)
    model = getattr(import_module("aristotype.models"), family.load)(start)
    if not isinstance(model, family.get(family.model)):
        raise CheckpointError(f"{start} is a {type(model).__name__}, which {name} cannot go on with; name another")
    return model


def _estimate(family: Family, begin: Any, splits: tuple[Any, Any], settings: Any, prepared: PreparedDataset) -> None:
    """Says how much there is to do, from a few steps in a folder that is thrown away."""
    from aristotype.training import to_toml

    trial = replace(settings.training, epochs=None, max_steps=_TRIAL_STEPS, tensorboard=False, patience=0)
    # The figures of so few steps would only mislead.
    with tempfile.TemporaryDirectory(prefix="aristotype-") as folder, redirect_stderr(StringIO()):
        result = family.get(family.fit)(
            begin, *splits, trial, Path(folder) / "run", max_validation=8, calibrate_best=False
        )
    rows = [len(split.values) if family.labelled else len(split) for split in splits]
    steps = settings.training.total_steps(-(-rows[0] // settings.training.batch_size))
    say(to_toml(settings))
    say(f"# {prepared.statement}; {rows[1]:,} rows of val")
    seconds = steps * result.seconds / max(1, result.step)
    say(f"# about {steps:,} steps, {seconds_text(seconds)} without validation and calibration")


def _card(
    model: str,
    out: Path,
    prepared: PreparedDataset,
    start: str | None,
    config: str,
    target: str | None,
    notes: Sequence[str],
) -> str:
    """What the checkpoint says of itself, before its figures."""
    from aristotype.crystal import package_version

    origin = "trained" if start is None else f"fine-tuned from {start}"
    lines = [
        f"# {printable(out.absolute().name)}",
        "",
        f"{model if target is None else f'{target} from genes,'} {origin} on {prepared.statement}.",
        "",
        f"- data: {prepared.name}, address {prepared.address[:16]}",
        *([f"- cite: {prepared.citation}"] if prepared.citation else []),
        *([f"- licence of the data: {prepared.licence}"] if prepared.licence else []),
        *[f"- {note}" for note in notes],
        f"- written by aristotype {package_version()}",
        "",
        "Settings of the run:",
        "",
        "```toml",
        config.rstrip(),
        "```",
    ]
    return "\n".join(lines)
