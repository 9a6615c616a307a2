"""Trains a WyckoffDiff on tables: the loop of `aristotype.training`, this family's batches and validation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from aristotype.crystal import GeneBatch
from aristotype.errors import InputError
from aristotype.models._fitting import card_with_figures, fresh_weights, validation_rows
from aristotype.models.wyckoffdiff._config import WyckoffDiffConfig
from aristotype.models.wyckoffdiff._model import WyckoffDiff
from aristotype.models.wyckoffdiff._source import OccupationSource
from aristotype.symmetry import tables
from aristotype.training import TrainingConfig, TrainingResult, train

EVALUATIONS = 10
"""Steps of the chain that the bound of a validation gene is estimated from."""


def fit(
    model: WyckoffDiff | WyckoffDiffConfig,
    train_genes: GeneBatch,
    val_genes: GeneBatch,
    training: TrainingConfig,
    out: str | Path,
    *,
    resume: bool = False,
    settings: Mapping[str, Any] | None = None,
    card: str = "",
    max_validation: int = 2000,
    calibrate_best: bool = True,
) -> TrainingResult:
    """Trains a fresh model (from a configuration) or goes on with one (fine-tuning).

    Args:
        model: a configuration, or a model to go on with (see `CountedModel.adapted`), whose vocabulary stays as it is.
        train_genes: genes to learn from.
        val_genes: genes to validate on by the bound of the negative log-likelihood, the key `nll`; at most
            `max_validation`, drawn with seed 0. Genes with elements outside the vocabulary are left out.
        training: the loop's settings; `batch_size` counts genes of average size.
        out: folder of the run; the best checkpoint is `out/best`.
        resume: go on with the run of that folder.
        settings: further facts that identify the run.
        card: text of the model card, to which the figures of the run are added.
        max_validation: most validation genes.
        calibrate_best: nothing in this family is calibrated.

    Raises:
        InputError: a training gene is not legal, or larger than what the model writes, or has an element outside the
            vocabulary; no validation gene is left.
    """
    del calibrate_best
    if isinstance(model, WyckoffDiffConfig):
        with fresh_weights(training.seed):
            fitted = WyckoffDiff.for_training(model, train_genes)
    else:
        model.check_vocabulary(train_genes)
        fitted = model.adapted(train_genes)
    beyond = np.flatnonzero(~fitted.can_hold(train_genes))
    if len(beyond):
        raise InputError(
            f"gene {beyond[0]} of the training table is not legal, or beyond what the model writes ({fitted.limits}); "
            "leave such rows out, or train a fresh model with max_count, max_kinds and max_sites of 0, the data's own"
        )
    mean = float(tables().num_positions[train_genes.space_group].mean())
    source = OccupationSource(
        train_genes,
        fitted.vocabulary_index,
        elements=len(fitted.config.elements),
        positions=int(training.batch_size * mean),
        seed=training.seed,
    )
    val_genes = val_genes.take(np.flatnonzero(fitted.can_hold(val_genes)))
    judged = val_genes.take(validation_rows(val_genes, fitted.config.elements, max_validation))

    def validate(module: nn.Module) -> dict[str, float]:
        values, errors = _model(module).bound(judged, EVALUATIONS)
        return {"nll": -float(values.mean()), "nll_error": float(np.sqrt((errors**2).sum()) / len(errors))}

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


def _model(module: nn.Module) -> WyckoffDiff:
    assert isinstance(module, WyckoffDiff), "the loop hands back the model that it was given"
    return module
