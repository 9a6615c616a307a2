"""Trains a model of any configuration: the loop of `aristotype.training`, its batches and validation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from aristotype.crystal import CrystalTable
from aristotype.errors import InputError
from aristotype.models._crystal_source import CrystalSource
from aristotype.models._fitting import SITES_A_ROW, card_with_figures, fresh_weights, refuse_longer, validation_rows
from aristotype.models.wyckoff_augen._base import AugenModel
from aristotype.models.wyckoff_augen._calibrate import CRYSTALS, CalibratedModel, calibrate
from aristotype.models.wyckoff_augen._sequences import Descriptions, descriptions_of, first_of_each, some_order
from aristotype.models.wyckoff_augen.diffusion import WyckoffAugen
from aristotype.models.wyckoff_augen.grids import WyckoffAugenGrids
from aristotype.models.wyckoff_augen.paper import WyckoffAugenPaper
from aristotype.training import TrainingConfig, TrainingResult, load_checkpoint, rank_and_world, train

_KINDS: tuple[type[AugenModel], ...] = (WyckoffAugen, WyckoffAugenGrids, WyckoffAugenPaper)


def fit(
    model: Any,
    train_crystals: CrystalTable,
    val_crystals: CrystalTable,
    training: TrainingConfig,
    out: str | Path,
    *,
    resume: bool = False,
    settings: Mapping[str, Any] | None = None,
    card: str = "",
    max_validation: int = 1000,
    calibrate_best: bool = True,
) -> TrainingResult:
    """Trains a fresh model (from a configuration) or goes on with one (fine-tuning).

    Args:
        model: a `WyckoffAugenConfig`, a `GridsConfig` or a `PaperConfig`; or a model of one of them to go on with (see
            `CountedModel.adapted`), whose vocabulary stays as it is.
        train_crystals: crystals to learn from.
        val_crystals: crystals to validate on, by the negative logarithm of the density of one sequence each, the key
            `nll`, an upper bound of that of the crystal; at most `max_validation`, drawn with seed 0. Those with
            elements outside the vocabulary, or with cells that the model cannot draw, are left out.
        training: the loop's settings; `batch_size` counts crystals of average length.
        out: folder of the run; the best checkpoint is `out/best`.
        resume: go on with the run of that folder.
        settings: further facts that identify the run.
        card: text of the model card, to which the figures of the run are added.
        max_validation: most validation crystals.
        calibrate_best: whether the best checkpoint is calibrated on 500 validation crystals when the run ends, where
            the configuration has anything to calibrate; it takes a few minutes, and a run that is resumed after its
            end does it again.

    Raises:
        InputError: a training crystal has more sites than the model writes, an element outside the vocabulary, or a
            cell that the model cannot draw; no validation crystal is left.
        TableError: a row is a gene.
    """
    genes = train_crystals.genes()
    if isinstance(model, AugenModel):
        model.check_vocabulary(genes)
        fitted = model.adapted(genes)
    else:
        kind = next(kind for kind in _KINDS if isinstance(model, kind.config_type))
        with fresh_weights(training.seed):
            fitted = kind.for_training(model, genes)
    most = fitted.config.max_sites
    refuse_longer(genes, most, what="crystal", remedy="leave out longer ones, or train a fresh model")
    learnt = _learnt(fitted, train_crystals)
    make = fitted.batches(learnt, training.seed)
    source = CrystalSource(learnt, make, tokens=int(training.batch_size * SITES_A_ROW), seed=training.seed)
    short = val_crystals.take(np.flatnonzero(val_crystals.genes().num_sites <= most))
    rows = validation_rows(short.genes(), fitted.config.elements, max_validation)
    descriptions = first_of_each(descriptions_of(short.take(rows)))
    covered = np.flatnonzero(fitted.covers(descriptions))
    descriptions, judged = descriptions.take(covered), short.take(rows[covered])
    if not len(covered):
        raise InputError("no cell of the split val is in the range of those that this model draws; validate on others")
    orders = some_order(descriptions, np.random.default_rng(0))

    def validate(module: nn.Module) -> dict[str, float]:
        model = _model(module)
        parts = model.log_sequences(descriptions, orders)
        parts["space"] = model.log_space(judged.genes())
        means = {f"nll_{name}": -float(values.mean()) for name, values in parts.items()}
        return {"nll": sum(means.values()), **means}

    def on_save(module: nn.Module, path: Path, record: Mapping[str, Any]) -> None:
        _model(module).save(path, card=card_with_figures(card, record), half=True)

    result = train(
        fitted,
        source,
        validate,
        training,
        out,
        on_save=on_save,
        resume=resume,
        settings={"model": fitted.settings(), **(settings or {})},
    )
    ended = result.stopped != "interrupted" and rank_and_world()[0] == 0
    if isinstance(fitted, CalibratedModel) and calibrate_best and ended:
        best = Path(out) / "best"
        kept = type(fitted).from_checkpoint(*load_checkpoint(best))
        calibrate(best, kept, judged[: min(len(judged), CRYSTALS)])
    return result


def _learnt(model: AugenModel, table: CrystalTable) -> Descriptions:
    """Descriptions of training crystals, whose cells the model covers."""
    learnt = descriptions_of(table)
    outside = np.flatnonzero(~model.covers(learnt))
    if len(outside):
        raise InputError(
            f"the cell {learnt.lattice[outside[0]].round(3).tolist()} of training crystal "
            f"{int(learnt.owner[outside[0]])} is outside the range of those that this model draws; leave it out"
        )
    return first_of_each(learnt) if model.config.first_only else learnt


def _model(module: nn.Module) -> AugenModel:
    assert isinstance(module, AugenModel), "the loop hands back the model that it was given"
    return module
