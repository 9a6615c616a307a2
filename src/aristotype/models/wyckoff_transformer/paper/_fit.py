"""Trains the paper configuration on tables: the loop of `aristotype.training`, this model's validation, calibration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from aristotype.crystal import GeneBatch
from aristotype.datasets import GeneSource
from aristotype.models._fitting import TOKENS_A_ROW, card_with_figures, fresh_weights, refuse_longer, validation_rows
from aristotype.models.wyckoff_transformer.paper._calibrate import calibrate, order_bound
from aristotype.models.wyckoff_transformer.paper._config import PaperConfig
from aristotype.models.wyckoff_transformer.paper._model import WyckoffTransformerPaper
from aristotype.training import TrainingConfig, TrainingResult, load_checkpoint, rank_and_world, train


def fit_paper(
    model: WyckoffTransformerPaper | PaperConfig,
    train_genes: GeneBatch,
    val_genes: GeneBatch,
    training: TrainingConfig,
    out: str | Path,
    *,
    resume: bool = False,
    settings: Mapping[str, Any] | None = None,
    card: str = "",
    max_validation: int = 3000,
    calibrate_best: bool = True,
) -> TrainingResult:
    """Trains a fresh model (from a configuration) or goes on with one (fine-tuning); calibrates the best checkpoint.

    The validation's `nll` is `order_bound`, which is an upper bound of what `log_prob` gives and far cheaper.

    Args:
        model: a configuration, or a model to go on with (see `WyckoffTransformerPaper.adapted`).
        train_genes: genes to learn from.
        val_genes: genes to validate and to calibrate on; at most `max_validation`, drawn with seed 0. Genes with
            elements outside the vocabulary are left out.
        training: the loop's settings; `batch_size` counts genes of average length.
        out: folder of the run; the best checkpoint, calibrated when the run ends, is `out/best`.
        resume: go on with the run of that folder.
        settings: further facts that identify the run.
        card: text of the model card, to which the figures of the run are added.
        max_validation: most validation genes.
        calibrate_best: whether the best checkpoint is calibrated when the run ends.

    Raises:
        InputError: training genes with more sites than the model writes, or elements outside its vocabulary; no
            validation gene is left.
    """
    if isinstance(model, PaperConfig):
        with fresh_weights(training.seed):
            fitted = WyckoffTransformerPaper.for_training(model, train_genes)
    else:
        fitted = model.adapted(train_genes)
    refuse_longer(train_genes, fitted.config.max_sites)
    fitted.temperatures.fill_(1.0)  # of an earlier calibration
    tokens = int(training.batch_size * TOKENS_A_ROW)
    source = GeneSource(train_genes, fitted.config.elements, tokens=tokens, seed=training.seed)
    judged = val_genes.take(validation_rows(val_genes, fitted.config.elements, max_validation))

    def validate(module: nn.Module) -> dict[str, float]:
        return {"nll": float(order_bound(_paper(module), judged).mean())}

    def on_save(module: nn.Module, path: Path, record: Mapping[str, Any]) -> None:
        _paper(module).save(path, card=card_with_figures(card, record), half=True)

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
    if calibrate_best and result.best and result.stopped != "interrupted" and rank_and_world()[0] == 0:
        best = WyckoffTransformerPaper.from_checkpoint(*load_checkpoint(Path(out) / "best"))
        calibrate(best, judged)
        record = {**result.best, "nll calibrated": float(order_bound(best, judged).mean())}
        best.save(Path(out) / "best", card=card_with_figures(card, record, "the run's best step"), half=True)
    return result


def _paper(module: nn.Module) -> WyckoffTransformerPaper:
    assert isinstance(module, WyckoffTransformerPaper), "the loop hands back the model that it was given"
    return module
