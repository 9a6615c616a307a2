"""Calibration: how sure a trained network may be of bins, offsets and cells, set on validation crystals.

A network that has seen a crystal fifty times is surer of its coordinates than of those of a crystal that it has not
seen. Three numbers set that right as a whole, in scores and in samples alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from aristotype.errors import ConfigError

if TYPE_CHECKING:
    from aristotype.models.crystalformer._geometry import GeometryNetwork
    from aristotype.models.crystalformer._model import CrystalFormer

SETTINGS = ("bin_temperature", "offset_spread", "cell_spread")
_STEPS = (1.25, 1.08)


@torch.no_grad()
def calibrated(model: CrystalFormer, nll: Callable[[GeometryNetwork], float]) -> CrystalFormer:
    """The model with the settings at which validation crystals are likeliest, each searched for given those before it.

    Args:
        model: the weights stay as they are.
        nll: mean negative log-likelihood of validation crystals.
    """
    best = model
    least = nll(best.geometry)
    for name in SETTINGS:
        for step in _STEPS:
            for factor in (step, 1.0 / step):
                improved = True
                while improved:
                    other = _changed(best, name, factor)
                    found = least if other is None else nll(other.geometry)
                    improved = other is not None and found < least
                    if improved and other is not None:
                        best, least = other, found
    return best


def _changed(model: CrystalFormer, name: str, factor: float) -> CrystalFormer | None:
    """The model with one setting multiplied; None beyond its range."""
    try:
        return model.with_config(**{name: round(getattr(model.config, name) * factor, 4)})
    except ConfigError:
        return None
