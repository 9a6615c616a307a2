"""Trains a gene encoder on labelled genes: the loop of `aristotype.training`, and a calibration of its width."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from aristotype.crystal import GeneBatch
from aristotype.datasets import LabelledSource
from aristotype.errors import InputError
from aristotype.models.gene_encoder._config import GeneEncoderConfig
from aristotype.models.gene_encoder._model import GeneEncoder
from aristotype.training import TrainingConfig, TrainingResult, load_checkpoint, rank_and_world, train


class Labelled(NamedTuple):
    """n genes and their values (n,), finite."""

    genes: GeneBatch
    values: NDArray[np.float64]


def fit(
    model: GeneEncoderConfig | GeneEncoder,
    train_rows: Labelled,
    val_rows: Labelled,
    training: TrainingConfig,
    out: str | Path,
    *,
    resume: bool = False,
    settings: Mapping[str, Any] | None = None,
    card: str = "",
    max_validation: int = 2000,
    calibrate_best: bool = True,
) -> TrainingResult:
    """Trains a fresh encoder (from a configuration that names the target), or goes on with one.

    Args:
        model: a configuration, or an encoder made for these rows with `GeneEncoder.adapted`.
        train_rows: what to learn from.
        val_rows: what to validate on; at most `max_validation`, drawn with seed 0. Genes with elements outside the
            vocabulary are left out of it.
        training: the loop's settings.
        out: folder of the run; the best checkpoint is `out/best`.
        resume: go on with the run of that folder.
        settings: further facts that identify the run.
        card: text of the model card, to which the figures of the run are added.
        max_validation: most validation rows during training; the width is calibrated on all of them.
        calibrate_best: whether the width of the best checkpoint is calibrated when the run ends.

    Raises:
        InputError: no validation row that the encoder knows the elements of, or training values that are all equal.
    """
    if isinstance(model, GeneEncoderConfig):
        with torch.random.fork_rng(devices=[]):  # fresh weights are a function of the seed, and of nothing else
            torch.manual_seed(training.seed)
            fitted = GeneEncoder.for_training(model, *train_rows)
    else:
        fitted = model
    known = np.flatnonzero(fitted.known(val_rows.genes))
    if not len(known):
        raise InputError(
            f"none of {len(val_rows.genes)} validation rows has only elements of the training rows; validate on others"
        )
    held_out = Labelled(val_rows.genes.take(known), val_rows.values[known])
    rows = np.sort(np.random.default_rng(0).permutation(len(known))[:max_validation])
    judged = Labelled(held_out.genes.take(rows), held_out.values[rows])

    def validate(module: nn.Module) -> dict[str, float]:
        found, _ = cast(GeneEncoder, module).predict(judged.genes)
        error = float(np.abs(found - judged.values).mean())
        # That of a Laplace distribution of one width: smallest where the mean absolute error is.
        return {"nll": 1 + math.log(2 * max(error, 1e-12)), "mae": error}

    def on_save(module: nn.Module, path: Path, record: Mapping[str, Any]) -> None:
        figures = "\n".join(f"- {name}: {value}" for name, value in record.items())
        cast(GeneEncoder, module).save(path, card=f"{card}\n\nFigures of the run at this step:\n\n{figures}\n")

    result = train(
        fitted,
        LabelledSource(*train_rows, batch_size=training.batch_size, seed=training.seed),
        validate,
        training,
        out,
        on_save=on_save,
        resume=resume,
        settings={"model": fitted.settings(), **(settings or {})},
    )
    if calibrate_best and result.stopped != "interrupted" and rank_and_world()[0] == 0:
        _calibrate(Path(out) / "best", held_out)
    return result


def calibrated(model: GeneEncoder, held_out: Labelled) -> GeneEncoder:
    """A copy whose widths make held-out rows most likely: the mean of |error| / width of a Laplace distribution is 1.

    Args:
        model: an encoder.
        held_out: rows it was not trained on, with elements that it knows.
    """
    values, deviations = model.predict(held_out.genes)
    ratio = float(np.mean(np.abs(values - held_out.values) / (deviations / math.sqrt(2))))
    return model.with_config(spread=model.config.spread * max(ratio, 1e-6))


def _calibrate(folder: Path, held_out: Labelled) -> None:
    """Calibrates the checkpoint of a folder, and says so in its card."""
    model = GeneEncoder.from_checkpoint(*load_checkpoint(folder))
    best = calibrated(model.with_config(spread=1.0), held_out)
    card = (folder / "README.md").read_text(encoding="utf-8").split("\n- widths are multiplied by")[0].rstrip()
    error = float(np.abs(best.predict(held_out.genes)[0] - held_out.values).mean())
    best.save(
        folder,
        card=f"{card}\n- widths are multiplied by {best.config.spread:.4f}, calibrated on {len(held_out.values):,} "
        f"validation rows, whose mean absolute error is {error:.4g} {best.config.unit}\n",
    )
