"""What Beta and Dirichlet densities share: bounds of their parameters, and Gamma draws, of which both are made."""

from __future__ import annotations

import math

import torch
from torch import Tensor

EDGE = 1e-6
"""Share of a shape, next to its boundary, in which densities are taken to be even."""
BEYOND = 1e-4
"""How far beyond the boundary, as a share of the shape, points still count as on it: their coordinates are rounded."""
_LEAST = 1.0
"""Below it a density grows without bound towards the boundary, where many atoms are: on a special origin."""
_REACH = (10.0, 40.0)
"""Quantiles for uniform numbers in double precision are no further than 10 sqrt(shape) + 40 above the shape."""
_HALVINGS = 50


def bounded(raw: Tensor, most: float) -> Tensor:
    """Parameters between 1 and `most` from raw network outputs; 2 where an output is 0.

    The logarithm of the largest one less a softplus, as in the paper (A.4.1).
    """
    return _LEAST + (most - _LEAST) * torch.sigmoid(raw - math.log(most - _LEAST - 1.0))


def gamma_quantile(shape: Tensor, uniform: Tensor) -> Tensor:
    """Values of Gamma laws below which they have a given probability, by bisection in double precision.

    Args:
        shape: (...) parameters, at least 1; the scale is 1.
        uniform: (...) probabilities in [0, 1).

    Returns:
        (...) exact to 1e-8 of the width of the law, where double precision can tell probabilities apart.
    """
    shape, uniform = shape.double(), uniform.double()
    low = (shape - _REACH[0] * torch.sqrt(shape)).clamp(min=0.0)
    high = shape + _REACH[0] * torch.sqrt(shape) + _REACH[1]
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        below = torch.special.gammainc(shape, middle) <= uniform
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return 0.5 * (low + high)
