"""Calibration: how sure a trained network may be of each thing it says, set on validation crystals.

A network that has seen a crystal forty times is surer of it than of one that it has not seen. A few numbers set that
right as a whole, in scores and in samples alike.
"""

from __future__ import annotations

import sys
from abc import abstractmethod
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from aristotype.crystal import CrystalTable
from aristotype.errors import ConfigError
from aristotype.models.wyckoff_augen._base import AugenModel
from aristotype.models.wyckoff_augen._sequences import (
    Descriptions,
    Orders,
    descriptions_of,
    first_of_each,
    of_length,
    some_order,
)

_PARTS = {
    "group_temperature": "space",
    "space_temperature": "space",
    "cell_spread": "cell",
    "letter_temperature": "letters",
    "element_temperature": "elements",
    "node_temperature": "coordinates",
    "fine_temperature": "coordinates",
}
_STEPS = (1.15, 1.04)
_ROWS = 64
CRYSTALS = 500
"""Validation crystals that settings are searched on."""


class CalibratedModel(AugenModel):
    """A model with settings that are set on validation crystals after training."""

    calibrated: ClassVar[tuple[str, ...]]
    """The settings."""

    @abstractmethod
    def known(self, found: Descriptions, orders: Orders) -> Any:
        """Sequences of one length as a batch for `log_known`."""

    @abstractmethod
    def log_known(self, batch: Any) -> dict[str, Tensor]:
        """Logs (q,) of the parts that the settings are about."""


class Judged:
    """Validation crystals, one sequence each, as batches that are made once."""

    def __init__(self, model: CalibratedModel, table: CrystalTable) -> None:
        self.table = table
        found = first_of_each(descriptions_of(table))
        orders = some_order(found, np.random.default_rng(0))
        lengths = found.genes.num_sites
        self.batches: list[Any] = []
        for length in np.unique(lengths).tolist():
            rows = np.flatnonzero(lengths == length)
            for piece in np.array_split(rows, max(1, len(rows) // _ROWS)):
                some = Orders(np.arange(len(piece)), orders.order[piece, :length], orders.log_weight[piece])
                self.batches.append(model.known(of_length(found, piece), some))

    @torch.no_grad()
    def nll(self, model: CalibratedModel, part: str) -> float:
        """Mean negative log-likelihood of a part, in nats; that of cells in their box."""
        if part == "space":
            return -float(model.log_space(self.table.genes()).mean())
        model.eval()
        parts = [model.log_known(batch)[part] for batch in self.batches]
        return -float(torch.cat(parts).double().mean())


def calibrated(model: CalibratedModel, judged: Judged) -> CalibratedModel:
    """The model with the settings at which validation crystals are likeliest, searched for one after another.

    All are searched for again where two of them decide over one part, since each depends on the other.
    """
    best = model
    shared = Counter(_PARTS[name] for name in model.calibrated)
    again = [name for name in model.calibrated if shared[_PARTS[name]] > 1]
    for name in (*model.calibrated, *again):
        least = judged.nll(best, _PARTS[name])
        for step in _STEPS:
            for factor in (step, 1.0 / step):
                improved = True
                while improved:
                    other = _changed(best, name, factor)
                    found = least if other is None else judged.nll(other, _PARTS[name])
                    improved = other is not None and found < least
                    if improved and other is not None:
                        best, least = other, found
    return best


def _changed(model: CalibratedModel, name: str, factor: float) -> CalibratedModel | None:
    """The model with one setting multiplied; None beyond its range."""
    try:
        return model.with_config(**{name: round(getattr(model.config, name) * factor, 4)})
    except ConfigError:
        return None


def calibrate(folder: Path, model: CalibratedModel, table: CrystalTable) -> None:
    """Calibrates the checkpoint in a folder, from the model that it was saved from, and notes it in the card."""
    sys.stderr.write("calibrating the best checkpoint; if this is stopped, --resume does it again\n")
    judged = Judged(model, table)
    best = calibrated(model, judged)
    parts = dict.fromkeys(_PARTS[name] for name in model.calibrated)
    before, after = (sum(judged.nll(each, part) for part in parts) for each in (model, best))
    found = ", ".join(f"{name} {getattr(best.config, name):.3f}" for name in model.calibrated)
    line = f"- calibrated on {len(table)} validation crystals: {found}; nll {before - after:.3f} lower than before\n"
    card = "\n".join(
        text for text in (folder / "README.md").read_text().splitlines() if not text.startswith("- calibrated on ")
    )
    best.save(folder, card=f"{card.rstrip()}\n{line}", half=True)
