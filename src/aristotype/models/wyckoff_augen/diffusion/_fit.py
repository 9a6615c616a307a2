"""Trains a WyckoffAugenDiffusion on crystals."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aristotype.crystal import CrystalTable
from aristotype.models.wyckoff_augen._training import fit_model
from aristotype.models.wyckoff_augen.diffusion._config import DiffusionConfig
from aristotype.models.wyckoff_augen.diffusion._model import WyckoffAugenDiffusion
from aristotype.training import TrainingConfig, TrainingResult


def fit_diffusion(
    model: WyckoffAugenDiffusion | DiffusionConfig,
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

    Arguments are those of `aristotype.models.wyckoff_augen.fit`; `nll` holds a bound on coordinates, estimated at
    `levels` noises a crystal.

    Raises:
        InputError: a training crystal has more sites than the model writes, or an element outside the vocabulary; no
            validation crystal is left.
        TableError: a row is a gene.
    """
    del calibrate_best
    return fit_model(
        WyckoffAugenDiffusion,
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
