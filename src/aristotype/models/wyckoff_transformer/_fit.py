"""Trains a WyckoffTransformer on tables: the loop of `aristotype.training`, this family's batches and validation."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from torch import nn

from aristotype.crystal import GeneBatch
from aristotype.datasets import GeneSource
from aristotype.models._fitting import TOKENS_A_ROW, card_with_figures, fresh_weights, refuse_longer, validation_rows
from aristotype.models.wyckoff_transformer._calibration import calibrated, recurrence
from aristotype.models.wyckoff_transformer._config import WyckoffTransformerConfig
from aristotype.models.wyckoff_transformer._model import WyckoffTransformer
from aristotype.training import TrainingConfig, TrainingResult, load_checkpoint, rank_and_world, train


def fit(
    model: WyckoffTransformer | WyckoffTransformerConfig,
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
    """Trains a fresh model (from a configuration) or goes on with one (fine-tuning).

    Args:
        model: a configuration, or a model to go on with (see `WyckoffTransformer.adapted`).
        train_genes: genes to learn from.
        val_genes: genes to validate on by exact negative log-likelihood; at most `max_validation`, drawn with seed 0.
            Genes with elements outside the vocabulary are left out of it.
        training: the loop's settings; `batch_size` counts genes of average length.
        out: folder of the run; the best checkpoint is `out/best`.
        resume: go on with the run of that folder.
        settings: further facts that identify the run.
        card: text of the model card, to which the figures of the run are added.
        max_validation: most validation genes.
        calibrate_best: whether the best checkpoint is calibrated when the run ends, which takes minutes; a run that is
            resumed after its end does it again.

    Raises:
        InputError: training genes with more sites than the model writes, or no validation gene is left.
    """
    if isinstance(model, WyckoffTransformerConfig):
        with fresh_weights(training.seed):
            fitted = WyckoffTransformer.for_training(model, train_genes)
    else:
        refuse_longer(train_genes, model.config.max_sites)
        fitted = model.adapted(train_genes)
    source = GeneSource(
        train_genes,
        fitted.config.elements,
        tokens=int(training.batch_size * TOKENS_A_ROW),
        seed=training.seed,
        substitution=fitted.config.substitution,
    )
    judged = val_genes.take(validation_rows(val_genes, fitted.config.elements, max_validation))

    def validate(module: nn.Module) -> dict[str, float]:
        parts = cast(WyckoffTransformer, module).log_prob_parts(judged)
        return {
            "nll": -float(parts["total"].mean()),
            "nll_template": -float(parts["template"].mean()),
            "nll_distinct": -float(parts["distinct"].mean()),
            "nll_elements": -float(parts["elements"].mean()),
        }

    def on_save(module: nn.Module, path: Path, record: Mapping[str, Any]) -> None:
        cast(WyckoffTransformer, module).save(path, card=card_with_figures(card, record), half=True)

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
    if calibrate_best and result.stopped != "interrupted" and rank_and_world()[0] == 0:
        sys.stderr.write("calibrating the best checkpoint; if this is stopped, --resume does it again\n")
        _calibrate(Path(out) / "best", train_genes, judged)
    return result


def _calibrate(folder: Path, train_genes: GeneBatch, held_out: GeneBatch) -> None:
    """Calibrates the checkpoint of a folder on held-out genes, and says so in its card."""
    model = WyckoffTransformer.from_checkpoint(*load_checkpoint(folder))
    best = calibrated(model, train_genes, held_out)
    card = (folder / "README.md").read_text(encoding="utf-8")
    lines = [
        f"- element temperature, calibrated on validation genes: {best.config.temperature}",
        f"- share of training genes among validation genes: {recurrence(best, held_out):.4f}; training genes that are "
        f"drawn again: {best.config.known_rejection:.3f}",
    ]
    best.save(folder, card=card + "\n".join(lines) + "\n")
