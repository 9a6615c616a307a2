"""Densities of continuous coordinates: mixtures of normal densities, cut off at the borders of an interval.

An interval that is bounded on both sides, on one, or on none: what lies outside is never drawn, and the density inside
integrates to one.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

_SPREAD = 6.0
"""Raw log-widths are squashed to at most this many e-folds above the smallest width."""
_FURTHEST = 4.0
"""Of logarithms of volumes and ratios, less the ordinary volume: a factor of 55 either way."""
_FAR = 1e4
"""Stands for a border at infinity, whose derivative is not a number."""
_LOG_ROOT = 0.5 * math.log(2.0 * math.pi)


def widened(values: Tensor) -> Tensor:
    """Values in single precision at least: what probabilities are computed in."""
    return values.float() if values.dtype == torch.bfloat16 else values


def centres(raw: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Centres inside an interval from raw network outputs; at most `_FURTHEST` from 0 where a border is at infinity."""
    both = torch.isfinite(low) & torch.isfinite(high)
    one = torch.isfinite(low) & ~torch.isfinite(high)
    start = torch.where(torch.isfinite(low), low, 0.0)
    length = torch.where(both, high, start) - start
    bounded = start + length * torch.sigmoid(raw)
    half = start + _FURTHEST * torch.tanh(functional.softplus(raw) / _FURTHEST)
    return torch.where(both, bounded, torch.where(one, half, _FURTHEST * torch.tanh(raw / _FURTHEST)))


def widths(raw: Tensor, smallest: float) -> Tensor:
    """Widths from raw network outputs, from `smallest` to e^6 times it."""
    return smallest * torch.exp(_SPREAD * torch.sigmoid(raw))


def log_normal_inside(x: Tensor, centre: Tensor, width: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Log-density of a normal law restricted to an interval that holds `x` and `centre`."""
    z = (x - centre) / width
    return -0.5 * torch.square(z) - _LOG_ROOT - torch.log(width) - torch.log(_mass(centre, width, low, high))


def draw_inside(uniform: Tensor, centre: Tensor, width: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Draws from `log_normal_inside` by inversion, in double precision."""
    below = torch.special.ndtr((low - centre) / width)
    above = torch.special.ndtr((high - centre) / width)
    place = (below + uniform * (above - below)).clamp(1e-15, 1.0 - 1e-15)
    drawn = centre + width * torch.special.ndtri(place)
    return torch.minimum(torch.maximum(drawn, low), high)


def _mass(centre: Tensor, width: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Probability inside; at least a few per cent, because the centre is inside and widths are bounded."""
    above, below = (high.clamp(max=_FAR) - centre) / width, (low.clamp(min=-_FAR) - centre) / width
    return torch.special.ndtr(above) - torch.special.ndtr(below)


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
