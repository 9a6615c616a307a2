"""Polygons of all groups, and a rule of integration on them that knows nothing of mean values."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

from aristotype.models.wyckoff_augen.paper._polygons import PolygonMaps, all_polygons


def repeated(rows: int) -> PolygonMaps:
    """All 245 maps, each of them for a number of rows."""
    maps = all_polygons()[0]
    return maps.take(torch.arange(len(maps.area)).repeat_interleave(rows))


@cache
def kinds() -> torch.Tensor:
    """A row of each kind of polygon: others are affine images of it, with the same places of vertices."""
    maps = all_polygons()[0]
    frame = (maps.vertex[:, 1:3] - maps.vertex[:, :1]).mT
    framed = torch.linalg.solve(frame, (maps.vertex - maps.vertex[:, :1]).mT).mT
    codes = torch.cat([framed.flatten(1), maps.triangle.point.flatten(1)], dim=1).round(decimals=6).numpy() + 0.0
    return torch.from_numpy(np.unique(codes, axis=0, return_index=True)[1])


def fans(vertex: torch.Tensor, points: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Points (m, n, 2) and weights (m, n) that integrate over polygons (m, V, 2), triangle by triangle."""
    x, w = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(points))
    x, w = 0.5 * (x + 1.0), 0.5 * w
    first, second = (part.flatten() for part in torch.meshgrid(x, x, indexing="ij"))
    weight = (w[:, None] * w).flatten() * (1.0 - first)
    found, weights = [], []
    for i in range(1, vertex.shape[1] - 1):
        one, two = vertex[:, i] - vertex[:, 0], vertex[:, i + 1] - vertex[:, 0]
        spread = first[:, None] * one[:, None] + ((1.0 - first) * second)[:, None] * two[:, None]
        found.append(vertex[:, :1] + spread)
        twice = one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]
        weights.append(twice[:, None] * weight)
    return torch.cat(found, dim=1), torch.cat(weights, dim=1)
