"""Densities of general positions: mixtures in the conventional cell, wrapped into the asymmetric unit.

A density in the cell is a mixture of products of three von Mises densities, one an axis. That in the unit is the sum
over the images of a point in the cell (paper, 2.3): it is the same for all of them, and integrates to one over the
unit, by fractional coordinates.
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from aristotype.models.blocks import choose, log_von_mises
from aristotype.symmetry import GRID, asymmetric_unit, space_group

MOST = 500.0
"""Largest concentration: a standard deviation of .0071 of an axis."""
_NODES, _WEIGHTS = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(48))
_FAR = 10.0
"""Standard deviations beyond which no draw is."""
_HALVINGS = 45


class CellMixture(NamedTuple):
    """m mixtures of K laws in a cell: log-weights (m, K), centres and concentrations (m, K, 3)."""

    log_weight: Tensor
    centre: Tensor
    concentration: Tensor


def mixture(raw: Tensor) -> CellMixture:
    """Mixtures of K laws from raw network outputs (m, 7 K); a concentration is 1 where an output is 0."""
    weight, *rest = raw.chunk(7, dim=-1)
    concentration = MOST * torch.sigmoid(torch.stack(rest[3:], dim=-1) - math.log(MOST - 1.0))
    return CellMixture(functional.log_softmax(weight, dim=-1), torch.stack(rest[:3], dim=-1), concentration)


def log_density(law: CellMixture, group: Tensor, x: Tensor) -> Tensor:
    """(m,) log-density in the units of groups (m,) at fractional coordinates (m, 3), or at any image of them."""
    out = law.log_weight.new_zeros(len(group))
    for number in torch.unique(group).tolist():
        rows = (group == number).nonzero()[:, 0]
        rotation, translation = (part.to(x.device) for part in _operations(number))
        image = torch.einsum("gij,mj->mgi", rotation, x[rows].double()) + translation
        part = CellMixture(*(values[rows] for values in law))
        out = out.index_put((rows,), torch.logsumexp(log_in_cell(part, image), dim=1))
    return out


def log_in_cell(law: CellMixture, x: Tensor) -> Tensor:
    """(m, n) log-density by fractional coordinates of mixtures in the cell, at points (m, n, 3)."""
    place = torch.remainder(x, 1.0).to(law.centre.dtype)[:, :, None]
    each = log_von_mises(place, law.centre[:, None], law.concentration[:, None]).sum(dim=-1)
    return torch.logsumexp(law.log_weight[:, None] + each, dim=-1)


def draw(law: CellMixture, group: Tensor, uniform: Tensor) -> Tensor:
    """Draws points (m, 3) of the units of groups (m,), in double precision, from uniform numbers (m, 4)."""
    component = choose(law.log_weight, uniform[:, 0])
    at = torch.arange(len(component), device=component.device)
    offset = von_mises_quantile(law.concentration[at, component], uniform[:, 1:4])
    point = torch.remainder(law.centre[at, component].double() + offset, 1.0).cpu().numpy()
    numbers = group.cpu().numpy()
    for number in np.unique(numbers):
        rows = numbers == number
        point[rows] = asymmetric_unit(int(number)).wrap(point[rows]).points
    return torch.from_numpy(point).to(group.device)


def von_mises_quantile(concentration: Tensor, uniform: Tensor) -> Tensor:
    """Offsets (...) from the centre, in [-1/2, 1/2], below which von Mises laws have given probabilities (...).

    By bisection in double precision of integrals by Gauss-Legendre quadrature; exact to 1e-10.
    """
    concentration, uniform = concentration.double(), uniform.double()
    far = (_FAR / (2.0 * math.pi * torch.sqrt(concentration))).clamp(max=0.5)
    wanted = torch.abs(2.0 * uniform - 1.0) * _between(concentration, far)
    low, high = torch.zeros_like(far), far
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        below = _between(concentration, middle) <= wanted
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return torch.where(uniform < 0.5, -low, low)


def _between(concentration: Tensor, end: Tensor) -> Tensor:
    """(...) integral of von Mises laws, up to a factor, between the centre and offsets `end` (...)."""
    points = 0.5 * end[..., None] * (_NODES.to(end) + 1.0)
    height = torch.exp(concentration[..., None] * (torch.cos(2.0 * math.pi * points) - 1.0))
    return 0.5 * end * (height @ _WEIGHTS.to(end))


@cache
def _operations(number: int) -> tuple[Tensor, Tensor]:
    """Rotations (g, 3, 3) and translations (g, 3) of a group in its conventional cell."""
    group = space_group(number)
    return torch.from_numpy(group.rotations.astype(float)), torch.from_numpy(group.translations / GRID)
