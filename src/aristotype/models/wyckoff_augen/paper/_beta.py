"""Mixtures of Beta densities on a segment.

A parameter s runs from 0 at one end to 1 at the other. Densities are by s: that by a shape's parameter is the density
over the length of the segment.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from aristotype.models.blocks import choose
from aristotype.models.wyckoff_augen.paper._gammas import BEYOND, EDGE, bounded, gamma_quantile

MOST = 5000.0
"""Largest parameter: a standard deviation of .005 of the segment in its middle."""


class BetaMixture(NamedTuple):
    """m mixtures of K Beta laws: log-weights (m, K), exponents at the end s = 0 and at the end s = 1 (m, K)."""

    log_weight: Tensor
    alpha: Tensor
    beta: Tensor


def mixture(raw: Tensor) -> BetaMixture:
    """Mixtures of K laws from raw network outputs (m, 3 K)."""
    weight, alpha, beta = raw.chunk(3, dim=-1)
    return BetaMixture(functional.log_softmax(weight, dim=-1), bounded(alpha, MOST), bounded(beta, MOST))


def log_density(law: BetaMixture, s: Tensor) -> Tensor:
    """(m,) log-density by s at places s (m,), best given in double precision; -inf off the segment.

    Logarithms of Gamma functions cancel in it, five digits of them at the largest parameters: it is computed in double
    precision, and returned in that of the law.
    """
    inside = (s >= -BEYOND) & (s <= 1.0 + BEYOND)
    place = s.double().clamp(EDGE, 1.0 - EDGE)[:, None]
    alpha, beta = law.alpha.double(), law.beta.double()
    height = torch.lgamma(alpha + beta) - torch.lgamma(alpha) - torch.lgamma(beta)
    each = (alpha - 1.0) * torch.log(place) + (beta - 1.0) * torch.log1p(-place) + height
    found = torch.logsumexp(law.log_weight.double() + each, dim=1).to(law.log_weight.dtype)
    return torch.where(inside, found, -torch.inf)


def draw(law: BetaMixture, uniform: Tensor) -> Tensor:
    """Draws places (m,) inside the segment, in double precision, from uniform numbers (m, 3)."""
    component = choose(law.log_weight, uniform[:, 0])[:, None]
    ends = torch.cat([law.alpha.gather(1, component), law.beta.gather(1, component)], dim=1)
    parts = gamma_quantile(ends, uniform[:, 1:3])
    return (parts[:, 0] / parts.sum(dim=1)).clamp(EDGE, 1.0 - EDGE)
