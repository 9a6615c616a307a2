"""Training of any configuration of WyckoffAUGen: its batches, its validation, its checkpoints."""

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
from aristotype.models.wyckoff_augen._sequences import descriptions_of, first_of_each, some_order
from aristotype.training import TrainingConfig, TrainingResult, train


def fit_model(
    kind: type[AugenModel],
    model: Any,
    train_crystals: CrystalTable,
    val_crystals: CrystalTable,
    training: TrainingConfig,
    out: str | Path,
    **options: Any,
) -> TrainingResult:
    """Trains a model of a kind, from its configuration, or a copy of a model to go on with.

    Args:
        kind: the class of the model.
        model: a configuration, or a model.
        train_crystals: crystals to learn from.
        val_crystals: crystals to validate on; those whose cells the model cannot draw are left out.
        training: the loop's settings.
        out: folder of the run.
        **options: the others of `fit`.

    Raises:
        InputError: a training crystal has a cell that the model cannot draw, or see `fit`.
    """
    genes = train_crystals.genes()
    if isinstance(model, kind):
        model.check_vocabulary(genes)
        fitted = model.adapted(genes)
    else:
        with fresh_weights(training.seed):
            fitted = kind.for_training(model, genes)
    return _fit(fitted, train_crystals, val_crystals, training, out, **options)


def _fit(
    fitted: AugenModel,
    train_crystals: CrystalTable,
    val_crystals: CrystalTable,
    training: TrainingConfig,
    out: str | Path,
    *,
    resume: bool,
    settings: Mapping[str, Any] | None,
    card: str,
    max_validation: int,
) -> TrainingResult:
    """Trains a model in place."""
    most = fitted.config.max_sites
    refuse_longer(train_crystals.genes(), most, what="crystal", remedy="leave out longer ones, or train a fresh model")
    learnt = descriptions_of(train_crystals)
    outside = np.flatnonzero(~fitted.covers(learnt))
    if len(outside):
        raise InputError(
            f"the cell {learnt.lattice[outside[0]].round(3).tolist()} of training crystal "
            f"{int(learnt.owner[outside[0]])} is outside the range of those that this model draws; leave it out"
        )
    learnt = first_of_each(learnt) if fitted.config.first_only else learnt
    make = fitted.batches(learnt, training.seed)
    source = CrystalSource(learnt, make, tokens=int(training.batch_size * SITES_A_ROW), seed=training.seed)
    val_crystals = val_crystals.take(np.flatnonzero(val_crystals.genes().num_sites <= most))
    rows = validation_rows(val_crystals.genes(), fitted.config.elements, max_validation)
    descriptions = descriptions_of(val_crystals.take(rows))
    descriptions = first_of_each(descriptions)
    covered = np.flatnonzero(fitted.covers(descriptions))
    descriptions, judged = descriptions.take(covered), val_crystals.take(rows[covered])
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

    return train(
        fitted,
        source,
        validate,
        training,
        out,
        on_save=on_save,
        resume=resume,
        settings={"model": fitted.settings(), **(settings or {})},
    )


def _model(module: nn.Module) -> AugenModel:
    assert isinstance(module, AugenModel), "the loop hands back the model that it was given"
    return module
