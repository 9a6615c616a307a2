"""Trains the published WyckoffAUGen on crystals.

The loop of `aristotype.training` has one learning rate for all parameters, where the paper has one a part (A.4.2:
2e-4 of the graph network, 5e-4 of atoms, 1e-3 of cells and groups, 2e-3 of spaces of elements).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aristotype.crystal import CrystalTable
from aristotype.models.wyckoff_augen._training import fit_model
from aristotype.models.wyckoff_augen.paper._config import PaperConfig
from aristotype.models.wyckoff_augen.paper._model import WyckoffAugenPaper
from aristotype.training import TrainingConfig, TrainingResult


def fit_paper(
    model: WyckoffAugenPaper | PaperConfig,
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

    Arguments are those of `aristotype.models.wyckoff_augen.fit`. What validation tells the network has no noise.

    Raises:
        InputError: a training crystal has more sites than the model writes, an element outside the vocabulary, or a
            cell outside the ranges of the model; no validation crystal is left.
        TableError: a row is a gene.
    """
    del calibrate_best
    return fit_model(
        WyckoffAugenPaper,
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
