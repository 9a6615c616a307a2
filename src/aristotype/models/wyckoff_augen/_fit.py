"""Trains a WyckoffAugen on crystals: the loop of `aristotype.training`, this family's batches and validation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from aristotype.crystal import CrystalTable
from aristotype.models._fitting import validation_rows
from aristotype.models.wyckoff_augen._calibrate import CRYSTALS, calibrate
from aristotype.models.wyckoff_augen._config import WyckoffAugenConfig
from aristotype.models.wyckoff_augen._model import WyckoffAugen
from aristotype.models.wyckoff_augen._training import fit_model
from aristotype.training import TrainingConfig, TrainingResult, load_checkpoint, rank_and_world


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
        calibrate_best: whether the best checkpoint is calibrated on 500 validation crystals when the run ends, which
            takes a few minutes; a run that is resumed after its end does it again.

    Raises:
        InputError: a training crystal has more sites than the model writes, or an element outside the vocabulary; no
            validation crystal is left.
        TableError: a row is a gene.
    """
    result = fit_model(
        WyckoffAugen,
        model,
        train_crystals,
        val_crystals,
        training,
        out,
        resume=resume,
        settings=settings,
        card=card,
        max_validation=max_validation,
    )
    if calibrate_best and result.stopped != "interrupted" and rank_and_world()[0] == 0:
        best = Path(out) / "best"
        kept = WyckoffAugen.from_checkpoint(*load_checkpoint(best))
        short = val_crystals.take(np.flatnonzero(val_crystals.genes().num_sites <= kept.config.max_sites))
        rows = validation_rows(short.genes(), kept.config.elements, min(max_validation, CRYSTALS))
        calibrate(best, kept, short.take(rows))
    return result
