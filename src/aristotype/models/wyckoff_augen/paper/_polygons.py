"""Polygons of Wyckoff positions as images of a triangle: the maps that `tools/fit_polygons.py` found, both ways.

A polygon is that of a `WyckoffShape` of dimension 2, in its parameters. Which of its vertices are images of the
triangle's corners, and of which points of its boundary the others are, minimises the distortion (paper, equation 3):
the mean over the polygon of the square of |d f^-1 / dx| - 1, both areas set to one. All of it is in double precision.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from aristotype.errors import SymmetryError
from aristotype.models.wyckoff_augen.paper._gammas import EDGE
from aristotype.models.wyckoff_augen.paper._mean_value import SLOPES, VERTICES, Nodes, coordinates, mean_values, nodes
from aristotype.symmetry import GRID, LETTERS, MAX_POSITIONS, NUM_GROUPS, WyckoffShape, asymmetric_unit

MOST_SHAPES = 4
"""Polygons of a position in a unit, at most."""
FILE = "polygons.safetensors"
_STEPS = 50
"""Of an inversion; five are enough for most points, those next to corners among them."""
_CLOSE = 1e-13
"""Residual of an inverse, over the root of the polygon's area."""
_KEPT = 0.1
"""Share of its distance from a side of the triangle that a step of Newton's keeps at least."""


class PolygonMaps(NamedTuple):
    """Maps from the triangle onto m polygons."""

    triangle: Nodes
    vertex: Tensor  # (m, V, 2) of the polygon, in parameters, counterclockwise; the last one repeated
    area: Tensor  # (m,) of the polygon, in parameters

    def take(self, rows: Tensor) -> PolygonMaps:
        """Some of them."""
        return PolygonMaps(self.triangle.take(rows), self.vertex[rows], self.area[rows])

    def to(self, device: torch.device) -> PolygonMaps:
        """The same on a device."""
        triangle = Nodes(*(part.to(device) for part in self.triangle))
        return PolygonMaps(triangle, self.vertex.to(device), self.area.to(device))


def polygon_shapes() -> list[tuple[int, int, int, WyckoffShape]]:
    """Group, position, number and shape of all 245 polygons, in this order; the rows of the shipped file."""
    return [
        (number, position, row, shape)
        for number in range(1, NUM_GROUPS + 1)
        for position, shapes in enumerate(asymmetric_unit(number).shapes)
        for row, shape in enumerate(shapes)
        if shape.dimension == 2
    ]


def padded_vertices(shape: WyckoffShape) -> Tensor:
    """(V, 2) vertices of a polygon in parameters, the last one repeated."""
    vertices = shape.vertices / GRID
    return torch.from_numpy(np.concatenate([vertices, vertices[-1:].repeat(VERTICES - len(vertices), axis=0)]))


@cache
def all_polygons() -> tuple[PolygonMaps, Tensor]:
    """Maps of all 245 polygons, and their rows (231, 27, 4) by group, position and shape, -1 where there is none."""
    import safetensors.numpy

    shapes = polygon_shapes()
    place = safetensors.numpy.load((files("aristotype.models.wyckoff_augen.paper") / FILE).read_bytes())["place"]
    index = torch.full((NUM_GROUPS + 1, MAX_POSITIONS, MOST_SHAPES), -1)
    for row, (number, position, part, _) in enumerate(shapes):
        index[number, position, part] = row
    vertex = torch.stack([padded_vertices(shape) for *_, shape in shapes])
    area = torch.tensor([shape.extent for *_, shape in shapes], dtype=torch.float64)
    return PolygonMaps(nodes(torch.from_numpy(place)), vertex, area), index


def polygon_maps(group: Tensor, position: Tensor, shape: Tensor) -> PolygonMaps:
    """Maps of the polygons with these groups, positions in letter order and numbers among a position's shapes (m,).

    Raises:
        SymmetryError: one of them is no polygon.
    """
    maps, index = all_polygons()
    rows = index[group.cpu(), position.cpu(), shape.cpu()]
    if (rows < 0).any():
        row = int((rows < 0).nonzero()[0])
        raise SymmetryError(
            f"shape {int(shape[row])} of position {LETTERS[int(position[row])]} of space group {int(group[row])} is "
            "not a polygon of its asymmetric unit"
        )
    return maps.take(rows).to(group.device)


def to_polygon(maps: PolygonMaps, barycentric: Tensor) -> tuple[Tensor, Tensor]:
    """Carries points of the triangle into polygons.

    Args:
        maps: m maps.
        barycentric: (m, 3) coordinates of points, none of them 0.

    Returns:
        parameters (m, 2), and (m,) the logarithm of how much larger areas become there than on an average.
    """
    found, slope = coordinates(maps.triangle, barycentric.double())
    point = torch.einsum("mv,mvi->mi", found, maps.vertex)
    jacobian = torch.einsum("mvi,mvj->mij", maps.vertex, slope)
    return point, torch.log(torch.linalg.det(jacobian) / (2.0 * maps.area))


def to_triangle(maps: PolygonMaps, point: Tensor) -> tuple[Tensor, Tensor]:
    """The inverse of `to_polygon`, by Newton's method with steps that never leave the triangle.

    Points (m, 2) on the boundary, or nearer to it than `EDGE`, are moved off it, towards the middle.
    """
    middle = maps.vertex.mean(dim=1)
    scale = torch.sqrt(maps.area)[:, None]
    vertex = (maps.vertex - middle[:, None]) / scale[:, None]
    reach = (1.0 - EDGE) / gauge(maps, point).clamp(min=1.0 - EDGE)
    target = reach[:, None] * (point.double() - middle) / scale
    place = _start(maps.triangle, vertex, target)
    state = _Newton(place, torch.full_like(place[:, 0], torch.inf), torch.zeros_like(place), torch.ones_like(reach))
    for _ in range(_STEPS):
        state = _step(maps.triangle, vertex, target, state)
        if (state.residual <= _CLOSE).all():
            break
    return state.place, to_polygon(maps, state.place)[1]


def gauge(maps: PolygonMaps, point: Tensor) -> Tensor:
    """(m,) how far out points (m, 2) are: from 0 at the mean of the vertices to 1 on the boundary, more beyond it."""
    middle = maps.vertex.mean(dim=1)
    inside = _heights(maps.vertex, middle)
    ratio = _heights(maps.vertex, point.double()) / inside.clamp(min=1e-12)
    return torch.where(inside > 1e-12, 1.0 - ratio, 0.0).amax(dim=1)


class _Newton(NamedTuple):
    """Where the search for m inverses is."""

    place: Tensor  # (m, 3) barycentric coordinates
    residual: Tensor  # (m,) there
    step: Tensor  # (m, 3) Newton's, from there
    share: Tensor  # (m,) of the step that is tried next


def _step(triangle: Nodes, vertex: Tensor, target: Tensor, state: _Newton) -> _Newton:
    """Tries a step: where it comes nearer to the target it is made, elsewhere half of it comes next."""
    tried = state.place + state.share[:, None] * state.step
    found, slope = coordinates(triangle, tried)
    off = target - torch.einsum("mv,mvi->mi", found, vertex)
    residual = torch.linalg.vector_norm(off, dim=1)
    jacobian = torch.einsum("mvi,mvj->mij", vertex, slope)
    step = _solved(jacobian, off) @ SLOPES.to(off).T
    most = torch.where(step < 0.0, (_KEPT - 1.0) * tried / step, torch.inf).amin(dim=1).clamp(max=1.0)
    better = (residual < state.residual) & (state.residual > _CLOSE)
    return _Newton(
        torch.where(better[:, None], tried, state.place),
        torch.where(better, residual, state.residual),
        torch.where(better[:, None], step, state.step),
        torch.where(better, most, 0.5 * state.share),
    )


def _solved(matrix: Tensor, right: Tensor) -> Tensor:
    """(m, 2) solutions of two equations, by Cramer's rule: one that cannot be solved spoils no other."""
    (a, b), (c, d) = (row.unbind(dim=1) for row in matrix.unbind(dim=1))
    one, two = right.unbind(dim=1)
    return torch.stack([d * one - b * two, a * two - c * one], dim=1) / (a * d - b * c)[:, None]


def _start(triangle: Nodes, vertex: Tensor, target: Tensor) -> Tensor:
    """(m, 3) a first guess: the map from the polygon onto the triangle that mean values in the polygon make."""
    height = _heights(vertex, target)
    edge = torch.linalg.vector_norm(vertex.roll(-1, dims=1) - vertex, dim=-1)
    factor = torch.where(edge > 0.0, 1.0 / height.clamp(min=1e-12), 0.0)
    point = torch.einsum("mv,mvi->mi", mean_values(vertex - target[:, None], factor), triangle.point)
    place = torch.stack([1.0 - point.sum(dim=1), point[:, 0], point[:, 1]], dim=1).clamp(min=0.1 * EDGE)
    return place / place.sum(dim=1, keepdim=True)


def _heights(vertex: Tensor, point: Tensor) -> Tensor:
    """(m, V) twice the area of the triangle of each edge of polygons (m, V, 2) with points (m, 2); positive inside."""
    along = vertex.roll(-1, dims=1) - vertex
    offset = point[:, None] - vertex
    return along[..., 0] * offset[..., 1] - along[..., 1] * offset[..., 0]
