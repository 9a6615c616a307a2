"""Trains the paper configuration on tables of crystals: the loop of `aristotype.training`, this model's validation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from aristotype.crystal import CrystalTable
from aristotype.models._crystal_source import CrystalSource
from aristotype.models._fitting import SITES_A_ROW, card_with_figures, fresh_weights, refuse_longer, validation_rows
from aristotype.models._parts import log_sum_by_row
from aristotype.models.crystalformer._sequences import first_of_each, sequences_of
from aristotype.models.crystalformer.paper._config import PaperConfig
from aristotype.models.crystalformer.paper._model import CrystalFormerPaper
from aristotype.models.crystalformer.paper._network import Tokens
from aristotype.models.crystalformer.paper._tokens import arrays_of, maker_of_tokens
from aristotype.training import TrainingConfig, TrainingResult, train


class _Trainable(nn.Module):
    """The model with the loss that the loop asks for."""

    def __init__(self, model: CrystalFormerPaper) -> None:
        super().__init__()
        self.model = model

    def loss(self, batch: Tokens) -> tuple[Tensor, dict[str, Tensor]]:
        """Negative log-likelihood in nats of one sequence a crystal given its group, and its parts."""
        parts = {
            name: -values.sum() / batch.mean_rows
            for name, values in self.model.network.log_prob(batch)._asdict().items()
        }
        return torch.stack(list(parts.values())).sum(), {name: value.detach() for name, value in parts.items()}


def fit_paper(
    model: PaperConfig | CrystalFormerPaper,
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

    Of each crystal the first sequence is learnt.

    Args:
        model: a configuration, or a model to go on with, whose vocabulary stays as it is.
        train_crystals: crystals to learn from.
        val_crystals: crystals to validate on by exact negative log-likelihood given the group; at most
            `max_validation`, drawn with seed 0. Those with elements outside the vocabulary are left out of it.
        training: the loop's settings; `batch_size` counts crystals of average length.
        out: folder of the run; the best checkpoint is `out/best`.
        resume: go on with the run of that folder.
        settings: further facts that identify the run.
        card: text of the model card, to which the figures of the run are added.
        max_validation: most validation crystals.
        calibrate_best: nothing in this configuration is calibrated.

    Raises:
        InputError: a training crystal has more sites than the model writes, or holds an element outside the vocabulary
            of a model to go on with; no validation crystal is left.
        TableError: a row is a gene.
    """
    del calibrate_best
    genes = train_crystals.genes()
    if isinstance(model, PaperConfig):
        with fresh_weights(training.seed):
            fitted = CrystalFormerPaper.for_training(model, genes)
    else:
        model.check_vocabulary(genes)
        fitted = model.adapted(genes)
    refuse_longer(
        genes, fitted.config.max_sites, what="crystal", remedy="leave out longer ones, or set model.max_sites"
    )
    rows = validation_rows(val_crystals.genes(), fitted.config.elements, max_validation)
    judged = sequences_of(val_crystals.take(rows), any_letters=True)
    arrays = arrays_of(judged)
    learnt = first_of_each(sequences_of(train_crystals))
    source = CrystalSource(
        learnt,
        maker_of_tokens(learnt, fitted.config.elements),
        tokens=int(training.batch_size * SITES_A_ROW),
        seed=training.seed,
    )

    def validate(module: nn.Module) -> dict[str, float]:
        whole = _model(module).log_sequences(judged, arrays=arrays).sum(axis=0)
        return {"nll": -float(log_sum_by_row(whole, judged.owner, len(rows)).mean())}

    def on_save(module: nn.Module, path: Path, record: Mapping[str, Any]) -> None:
        _model(module).save(path, card=card_with_figures(card, record), half=True)

    return train(
        _Trainable(fitted),
        source,
        validate,
        training,
        out,
        on_save=on_save,
        resume=resume,
        settings={"model": fitted.settings(), **(settings or {})},
    )


def _model(module: nn.Module) -> CrystalFormerPaper:
    return cast(_Trainable, module).model
