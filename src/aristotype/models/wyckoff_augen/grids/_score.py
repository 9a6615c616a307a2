"""Densities of sequences."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aristotype.models.wyckoff_augen._score import in_passes
from aristotype.models.wyckoff_augen._sequences import Descriptions, Orders
from aristotype.models.wyckoff_augen.grids._batches import batch_of
from aristotype.models.wyckoff_augen.grids._network import Batch, GridsNetwork
from aristotype.training import to_device

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
PARTS = ("cell", "letters", "elements", "coordinates")


@torch.no_grad()
def log_sequences(
    network: GridsNetwork, found: Descriptions, orders: Orders, index: Ints, max_sites: int
) -> dict[str, Floats]:
    """Logs (q,) of the parts of the density of sequences given group and space: cell, letters, elements, coordinates.

    That of the cell is by cell parameters in Angstrom and degrees.
    """
    weight = network.element_bias

    def evaluate(some: Descriptions, rows: Orders) -> dict[str, Tensor]:
        batch = batch_of(some, rows, index, max_sites)
        return network.log_prob(to_device(in_precision(batch, weight.dtype), weight.device))

    out = in_passes(evaluate, PARTS, found, orders)
    out["cell"] += found.log_measure[orders.description]
    return out


def in_precision(batch: Batch, dtype: torch.dtype) -> Batch:
    """The batch with its real numbers in a precision."""
    real = {
        field.name: value.to(dtype)
        for field in fields(batch)
        if isinstance(value := getattr(batch, field.name), Tensor) and value.is_floating_point()
    }
    return replace(batch, **real)  # type: ignore[arg-type]
