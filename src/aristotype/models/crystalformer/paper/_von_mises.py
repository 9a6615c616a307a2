"""Mixtures of von Mises densities, restricted to the part of the circle where a parameter may be written.

That part is a set of bins, of which those before a smallest parameter are cut off. A density inside is the mixture over
its mass there, by Gauss-Legendre quadrature in each bin: exact to 3e-6 at the largest concentration.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from aristotype.models.blocks import choose, log_von_mises
from aristotype.models.crystalformer._support import BINS

CONCENTRATIONS = (0.05, 2000.0)
"""From nearly even to a standard deviation of .0036 of an axis."""
_NODES, _WEIGHTS = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(16))
_HALVINGS = 32
"""Of a bin, in an inversion: to 1e-11 of an axis."""
_EVEN = 1e-4
"""Share of every mixture that is even round the circle, so that no place where a parameter may be has no density."""


class Mixture(NamedTuple):
    """m mixtures of K densities on the circle [0, 1): log-weights, centres, concentrations (m, K)."""

    log_weight: Tensor
    centre: Tensor
    concentration: Tensor

    def take(self, rows: Tensor) -> Mixture:
        """Some of them."""
        return Mixture(self.log_weight[rows], self.centre[rows], self.concentration[rows])


def mixture(raw: Tensor) -> Mixture:
    """Mixtures of K + 1 densities, the last one even, from raw network outputs (m, 3 K)."""
    weight, centre, concentration = raw.chunk(3, dim=-1)
    least, most = (math.log(value) for value in CONCENTRATIONS)
    log_weight = functional.log_softmax(weight, dim=-1) + math.log1p(-_EVEN)
    return Mixture(
        functional.pad(log_weight, (0, 1), value=math.log(_EVEN)),
        functional.pad(centre, (0, 1)),
        functional.pad(torch.exp(least + (most - least) * torch.sigmoid(concentration)), (0, 1)),
    )


def log_density(law: Mixture, x: Tensor) -> Tensor:
    """(m, ...) log-density by parameter of mixtures at points x (m, ...)."""
    return torch.logsumexp(_log_parts(law, x), dim=-1)


def log_inside(law: Mixture, x: Tensor, allowed: Tensor, least: Tensor) -> Tensor:
    """(m,) log-density at parameters x, restricted to where they may be written.

    Args:
        law: m mixtures.
        x: (m,) parameters, in [-1/48, 47/48).
        allowed: (m, BINS) which bins may be written.
        least: (m,) smallest parameter that may be written; no more than -1/48 where all may.
    """
    found = log_density(law, x)
    narrowed = (~allowed).any(dim=1) | (least > -0.5 / BINS)
    rows = narrowed.nonzero()[:, 0]
    if len(rows):
        mass = bin_masses(law.take(rows), allowed[rows], least[rows]).sum(dim=(1, 2))
        found = found.index_add(0, rows, -torch.log(mass))
    own = torch.remainder(torch.floor(x * BINS + 0.5).long(), BINS)
    inside = allowed.gather(1, own[:, None])[:, 0] & (x >= least)
    return torch.where(inside, found, -torch.inf)


def bin_masses(law: Mixture, allowed: Tensor, least: Tensor) -> Tensor:
    """(m, BINS, K) probability of each component, its weight included, in the part of each bin that may be written."""
    low = (torch.arange(BINS, device=least.device, dtype=least.dtype) - 0.5) / BINS
    high = low + 1.0 / BINS
    low = torch.maximum(low[None], least[:, None]).minimum(high)
    mass = _between(law, low, high.expand_as(low))
    return torch.where(allowed[..., None], mass, 0.0)


def draw(law: Mixture, allowed: Tensor, least: Tensor, uniform: Tensor) -> Tensor:
    """Draws parameters (m,), in double precision, from uniform numbers (m, 3)."""
    mass = bin_masses(law, allowed, least)
    chosen = choose(torch.log(mass.sum(dim=2)), uniform[:, 0])
    at = torch.arange(len(chosen), device=chosen.device)
    component = choose(torch.log(mass[at, chosen]), uniform[:, 1])
    one = Mixture(*(part[at, component][:, None] for part in law))
    low = torch.maximum((chosen - 0.5) / BINS, least)
    high = (chosen + 0.5) / BINS
    start = low
    wanted = uniform[:, 2] * _between(one, low[:, None], high[:, None])[:, 0, 0]
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        below = _between(one, start[:, None], middle[:, None])[:, 0, 0] <= wanted
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return low


def _between(law: Mixture, low: Tensor, high: Tensor) -> Tensor:
    """(m, q, K) probability of each component, its weight included, between borders (m, q) in one bin."""
    half = 0.5 * (high - low)
    points = low[..., None] + half[..., None] * (_NODES.to(low) + 1.0)
    density = torch.exp(_log_parts(law, points))  # (m, q, nodes, K)
    return torch.einsum("mqnk,n->mqk", density, _WEIGHTS.to(low)) * half[..., None]


def _log_parts(law: Mixture, x: Tensor) -> Tensor:
    """(m, ..., K) log-density of each component, its weight included, at points x (m, ...)."""
    spread = (slice(None), *(None,) * (x.dim() - 1))
    weight, centre, concentration = (part[spread] for part in law)
    return log_von_mises(x[..., None], centre, concentration) + weight
