"""Parts of densities and of draws that families share."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def widened(values: Tensor) -> Tensor:
    """Values in single precision at least: what probabilities are computed in."""
    return values.float() if values.dtype == torch.bfloat16 else values


def choose(log_weight: Tensor, uniform: Tensor) -> Tensor:
    """Draws an index (n,) from log-probabilities (n, k); an index of probability zero never comes."""
    total = torch.exp(log_weight.double()).cumsum(dim=1)
    chosen = (uniform[:, None] * total[:, -1:] >= total).sum(dim=1)
    last = (torch.isfinite(log_weight) * torch.arange(1, log_weight.shape[1] + 1, device=total.device)).amax(dim=1) - 1
    return torch.minimum(chosen, last)


def log_von_mises(x: Tensor, centre: Tensor, concentration: Tensor) -> Tensor:
    """Log-density of von Mises laws on the circle [0, 1) at points, by length of the circle; shapes broadcast."""
    angle = 2.0 * math.pi * (x - centre)
    return concentration * (torch.cos(angle) - 1.0) - torch.log(torch.special.i0e(concentration))
