"""Trains a WyckoffAugen on crystals: the loop of `aristotype.training`, this family's batches and validation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from aristotype.crystal import CrystalTable
from aristotype.models._crystal_source import CrystalSource
from aristotype.models._fitting import SITES_A_ROW, card_with_figures, fresh_weights, refuse_longer, validation_rows
from aristotype.models.wyckoff_augen._batches import maker_of_batches
from aristotype.models.wyckoff_augen._config import WyckoffAugenConfig
from aristotype.models.wyckoff_augen._model import WyckoffAugen
from aristotype.models.wyckoff_augen._score import log_sequences
from aristotype.models.wyckoff_augen._sequences import descriptions_of, some_order
from aristotype.training import TrainingConfig, TrainingResult, train


def fit(
    model: WyckoffAugen | WyckoffAugenConfig,
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
        model: a configuration, or a model to go on with (see `CountedModel.adapted`), whose vocabulary stays as it is.
        train_crystals: crystals to learn from.
        val_crystals: crystals to validate on, by the negative logarithm of the density of one sequence each, the key
            `nll`, an upper bound of that of the crystal; at most `max_validation`, drawn with seed 0. Those with
            elements outside the vocabulary are left out.
        training: the loop's settings; `batch_size` counts crystals of average length.
        out: folder of the run; the best checkpoint is `out/best`.
        resume: go on with the run of that folder.
        settings: further facts that identify the run.
        card: text of the model card, to which the figures of the run are added.
        max_validation: most validation crystals.
        calibrate_best: nothing in this family is calibrated.

    Raises:
        InputError: a training crystal has more sites than the model writes, or an element outside the vocabulary; no
            validation crystal is left.
        TableError: a row is a gene.
    """
    del calibrate_best
    genes = train_crystals.genes()
    if isinstance(model, WyckoffAugenConfig):
        with fresh_weights(training.seed):
            fitted = WyckoffAugen.for_training(model, genes)
    else:
        model.check_vocabulary(genes)
        fitted = model.adapted(genes)
    most = fitted.config.max_sites
    refuse_longer(genes, most, what="crystal", remedy="leave out longer ones, or train a fresh model")
    learnt = descriptions_of(train_crystals)
    make = maker_of_batches(learnt, fitted.vocabulary_index, most, training.seed)
    source = CrystalSource(learnt, make, tokens=int(training.batch_size * SITES_A_ROW), seed=training.seed)
    val_crystals = val_crystals.take(np.flatnonzero(val_crystals.genes().num_sites <= most))
    rows = validation_rows(val_crystals.genes(), fitted.config.elements, max_validation)
    judged = val_crystals.take(rows)
    descriptions = descriptions_of(judged)
    descriptions = descriptions.take(np.unique(descriptions.owner, return_index=True)[1])
    orders = some_order(descriptions, np.random.default_rng(0))

    def validate(module: nn.Module) -> dict[str, float]:
        fitted = _model(module)
        parts = log_sequences(fitted.network, descriptions, orders, fitted.vocabulary_index, most)
        parts["space"] = fitted.log_space(judged.genes())
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


def _model(module: nn.Module) -> WyckoffAugen:
    assert isinstance(module, WyckoffAugen), "the loop hands back the model that it was given"
    return module
