"""Mixtures of Dirichlet densities on a triangle, and on polygons as its images.

Densities on the triangle are by its last two barycentric coordinates, densities on polygons by the parameters of the
shape: they integrate to one over its area.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from aristotype.models.blocks import choose
from aristotype.models.wyckoff_augen.paper._gammas import BEYOND, EDGE, bounded, gamma_quantile
from aristotype.models.wyckoff_augen.paper._polygons import PolygonMaps, gauge, to_polygon, to_triangle

MOST = 2500.0
"""Largest parameter: a standard deviation of .005 of a height of the triangle in its middle."""


class DirichletMixture(NamedTuple):
    """m mixtures of K Dirichlet laws: log-weights (m, K), exponents (m, K, 3)."""

    log_weight: Tensor
    alpha: Tensor


class Placed(NamedTuple):
    """Points of m polygons as a law sees them; no law is needed for it, so that it can be kept."""

    barycentric: Tensor  # (m, 3) in the triangle
    log_area: Tensor  # (m,) of areas in the polygon, in parameters, over areas by barycentric coordinates
    inside: Tensor  # (m,) whether the point is in the polygon


def mixture(raw: Tensor) -> DirichletMixture:
    """Mixtures of K laws from raw network outputs (m, 4 K)."""
    weight, *alpha = raw.chunk(4, dim=-1)
    return DirichletMixture(functional.log_softmax(weight, dim=-1), bounded(torch.stack(alpha, dim=-1), MOST))


def placed(maps: PolygonMaps, point: Tensor) -> Placed:
    """Where points of polygons, in parameters (m, 2), come from."""
    barycentric, log_ratio = to_triangle(maps, point)
    return Placed(barycentric, log_ratio + torch.log(2.0 * maps.area), gauge(maps, point) <= 1.0 + BEYOND)


def log_density(law: DirichletMixture, where: Placed) -> Tensor:
    """(m,) log-density on polygons, by the area in their parameters; -inf off the polygon."""
    found = log_on_triangle(law, where.barycentric) - where.log_area.to(law.log_weight.dtype)
    return torch.where(where.inside, found, -torch.inf)


def log_on_triangle(law: DirichletMixture, barycentric: Tensor) -> Tensor:
    """(m,) log-density at points (m, 3), none of whose coordinates is 0; in double precision inside, as for Betas."""
    alpha = law.alpha.double()
    height = torch.lgamma(alpha.sum(dim=-1)) - torch.lgamma(alpha).sum(dim=-1)
    each = torch.einsum("mki,mi->mk", alpha - 1.0, torch.log(barycentric.double())) + height
    return torch.logsumexp(law.log_weight.double() + each, dim=1).to(law.log_weight.dtype)


def draw(law: DirichletMixture, maps: PolygonMaps, uniform: Tensor) -> Tensor:
    """Draws points (m, 2) inside polygons, in parameters and in double precision, from uniform numbers (m, 4)."""
    component = choose(law.log_weight, uniform[:, 0])
    alpha = law.alpha[torch.arange(len(component), device=component.device), component]
    parts = gamma_quantile(alpha, uniform[:, 1:4])
    parts = (parts / parts.sum(dim=1, keepdim=True)).clamp(min=EDGE)
    return to_polygon(maps, parts / parts.sum(dim=1, keepdim=True))[0]
