"""Maps from a triangle onto convex polygons by mean value coordinates (M. S. Floater, CAGD 20, 19, 2003).

A triangle becomes a k-gon T by points on its boundary that count as vertices. With the coordinates phi of T, a point y
of the triangle is carried to sum_i phi_i(y) v_i in the polygon with vertices v (paper, 2.3 and A.3.5). Points of the
triangle are given by their three barycentric coordinates, from which distances to its sides come with all their digits:
that keeps the map exact near sides and corners, where it would lose them.

In this file a polygon has `VERTICES` vertices; the last one is repeated where there are fewer. The triangle is
that of the corners (0, 0), (1, 0), (0, 1), so that a point of it is the last two of its barycentric coordinates; a
point of its boundary has a place in [0, 3), corners are at 0, 1 and 2.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

VERTICES = 5
"""Of the largest polygon that a Wyckoff position has in common with an asymmetric unit."""
CORNERS = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
"""(3, 2) of the triangle, counterclockwise."""
SLOPES = torch.tensor([[-1.0, -1.0], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
"""(3, 2) gradients of the barycentric coordinates."""


class Nodes(NamedTuple):
    """m triangles as polygons T: points of their boundary that count as vertices, and the edges that begin there."""

    point: Tensor  # (m, V, 2)
    side: Tensor  # (m, V) side of the triangle, from its corner of that number to the next one, that an edge lies on
    closeness: Tensor  # (m, V) one over the length of an edge, 0 for an edge from a vertex to its repetition

    def take(self, rows: Tensor) -> Nodes:
        """Some of them."""
        return Nodes(*(part[rows] for part in self))


def nodes(place: Tensor) -> Nodes:
    """Nodes at places (m, V) of the boundary, counterclockwise, all three corners among them."""
    place = place.double()
    side = torch.floor(place).long()
    start, end = CORNERS.to(place)[side], CORNERS.to(place)[(side + 1) % 3]
    length = torch.remainder(place.roll(-1, dims=1) - place, 3.0)
    return Nodes(
        point=start + (place - side)[..., None] * (end - start),
        side=side,
        closeness=torch.where(length > 0.0, 1.0 / length.clamp(min=1e-12), 0.0),
    )


def mean_values(offset: Tensor, factor: Tensor) -> Tensor:
    """Mean value coordinates (m, k) of points.

    Args:
        offset: (m, k, 2) from the point to each vertex.
        factor: (m, k) of each edge a multiple of one over the area of its triangle with the point; the multiple is the
            same for all edges of a row, such that no factor is infinite.
    """
    weight = _weights(offset, factor)[0]
    return weight / weight.sum(dim=1, keepdim=True)


def coordinates(triangle: Nodes, barycentric: Tensor) -> tuple[Tensor, Tensor]:
    """Mean value coordinates (m, V) of points (m, 3) with respect to T, and their gradients (m, V, 2) in the plane.

    No barycentric coordinate may be 0.
    """
    offset = triangle.point - (barycentric @ CORNERS.to(barycentric))[:, None]
    here, there = triangle.side, (triangle.side + 1) % 3
    near, far = barycentric.gather(1, here), barycentric.gather(1, there)
    slopes = SLOPES.to(barycentric)
    factor = near * far * triangle.closeness
    factor_slope = (slopes[here] * far[..., None] + near[..., None] * slopes[there]) * triangle.closeness[..., None]
    weight, half, direction, distance = _weights(offset, factor)
    following = direction.roll(-1, dims=1), distance.roll(-1, dims=1)
    half_slope = (
        offset + offset.roll(-1, dims=1) - direction * following[1][..., None] - following[0] * distance[..., None]
    )
    each = half_slope * factor[..., None] + half[..., None] * factor_slope
    slope = (each + each.roll(1, dims=1) + weight[..., None] * direction) / distance[..., None]
    total = weight.sum(dim=1, keepdim=True)
    found = weight / total
    return found, (slope - found[..., None] * slope.sum(dim=1, keepdim=True)) / total[..., None]


def _weights(offset: Tensor, factor: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Floater's weights w (m, k) up to a factor of the row, and what they are made of.

    The tangent of half an angle at the point, between vertices at r and s, is (|r||s| - r.s) / (2 area): the numerator
    `half` (m, k) is smooth, the area is in `factor`. Also unit vectors (m, k, 2) and distances (m, k) to the vertices.
    """
    distance = torch.linalg.vector_norm(offset, dim=-1)
    half = distance * distance.roll(-1, dims=1) - (offset * offset.roll(-1, dims=1)).sum(dim=-1)
    each = half.clamp(min=0.0) * factor
    return (each + each.roll(1, dims=1)) / distance, half, offset / distance[..., None], distance
