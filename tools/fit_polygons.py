"""Finds how a triangle is best mapped onto each polygon of a Wyckoff position, and writes the shipped table.

    python tools/fit_polygons.py src/aristotype/models/wyckoff_augen/paper/polygons.safetensors

Every choice of the vertices that are images of the triangle's corners is tried. The places of the others on its
boundary minimise the distortion of the map f (WyckoffAUGen, equation 3): the mean over the polygon of the square of
|d f^-1 / dx| - 1, both areas set to one. The mean is taken in the triangle, at the points of collapsed Gauss-Legendre
rules. It is the same for affine images of a polygon, of which there are few kinds.
"""

from __future__ import annotations

import json
import sys
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import safetensors.numpy
import torch
from scipy.optimize import minimize

from aristotype.models.wyckoff_augen.paper._mean_value import VERTICES, Nodes, nodes
from aristotype.models.wyckoff_augen.paper._polygons import PolygonMaps, padded_vertices, polygon_shapes, to_polygon

POINTS = 8
"""Of the rule, along each of its two axes; more of them change the least distortion by less than 1 in 1000."""
DIGITS = 4
"""Of places on the boundary; the distortion is flat where it is least."""


def quadrature(triangle: Nodes) -> tuple[torch.Tensor, torch.Tensor]:
    """Barycentric coordinates (n, 3) of a rule for means over a triangle with nodes (1, V), and weights (n,).

    Between its middle and each two nodes, because nodes are the only places where the map is not smooth.
    """
    x, w = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(POINTS))
    x, w = 0.5 * (x + 1.0), 0.5 * w
    inward, along = (part.flatten() for part in torch.meshgrid(x, x, indexing="ij"))
    start, end = triangle.point[0, :, None], triangle.point[0].roll(-1, dims=0)[:, None]
    middle = torch.full((2,), 1.0 / 3.0, dtype=torch.float64)
    edge = along[:, None] * end + (1.0 - along[:, None]) * start
    point = (inward[:, None] * middle + (1.0 - inward[:, None]) * edge).reshape(-1, 2)
    one, two = (start - middle)[:, 0], (end - middle)[:, 0]
    four = 2.0 * (one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0])
    weight = four[:, None] * (1.0 - inward) * torch.outer(w, w).flatten()
    return torch.cat([1.0 - point.sum(dim=1, keepdim=True), point], dim=1), weight.flatten()


def distortion(place: np.ndarray, vertex: torch.Tensor, area: float) -> float:
    """Distortion of the map that carries points of the boundary (V,) to vertices (V, 2); infinite where it folds."""
    triangle = nodes(torch.from_numpy(place)[None])
    point, weight = quadrature(triangle)
    maps = PolygonMaps(triangle, vertex[None], torch.tensor([area], dtype=torch.float64))
    ratio = torch.exp(to_polygon(maps.take(torch.zeros_like(weight, dtype=torch.long)), point)[1])
    found = (weight * ratio * torch.square(1.0 / ratio - 1.0)).sum()
    return float(found) if torch.isfinite(found) else float("inf")


def places(corners: tuple[int, ...], turn: int, number: int, cuts: np.ndarray) -> np.ndarray:
    """Places (V,) of vertices on the boundary: the first corner is the triangle's corner `turn`.

    `cuts` (number - 3,) say which share of what is left of its side each other vertex lies after the one before it.
    """
    out, rest = np.zeros(VERTICES), iter(cuts)
    for side, (start, end) in enumerate(pairwise([*corners, corners[0] + number])):
        place = 0.0
        for vertex in range(start, end):
            out[vertex % number] = (turn + side + place) % 3
            place += (1.0 - place) * next(rest) if vertex + 1 < end else 0.0
    out[number:] = out[number - 1]
    return out


def even(corners: tuple[int, ...], number: int) -> np.ndarray:
    """The `cuts` of `places` that space vertices evenly on each side."""
    between = [end - start - 1 for start, end in pairwise([*corners, corners[0] + number])]
    return np.array([1.0 / (many + 1 - i) for many in between for i in range(many)])


def best(vertices: np.ndarray, vertex: torch.Tensor, area: float) -> tuple[np.ndarray, float, float]:
    """Best places (V,) for a polygon, their distortion, and the least one of points evenly on sides."""
    number = len(vertices)
    found = []
    for corners in combinations(range(number), 3):
        for turn in range(3) if number > 3 else (0,):
            start = even(corners, number)

            def value(logits: np.ndarray, corners: tuple[int, ...] = corners, turn: int = turn) -> float:
                return distortion(places(corners, turn, number, 1.0 / (1.0 + np.exp(-logits))), vertex, area)

            logits = np.log(start / (1.0 - start))
            before = value(logits)
            if number > 3:
                logits = minimize(value, logits, method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-12}).x
            cuts = 1.0 / (1.0 + np.exp(-logits))
            rounded = np.round(places(corners, turn, number, cuts), DIGITS) % 3.0
            found.append((round(distortion(rounded, vertex, area), 9), len(found), rounded, before))
    after, _, place, _ = min(found, key=lambda one: one[:2])
    return place, after, min(one[3] for one in found)


def kind(vertices: np.ndarray) -> bytes:
    """What affine images of a polygon share: its vertices by the frame of the first three."""
    frame = (vertices[1:3] - vertices[0]).T
    return np.round(np.linalg.solve(frame, (vertices - vertices[0]).T), 9).tobytes()


def main(out: Path) -> None:
    known: dict[bytes, tuple[np.ndarray, float, float]] = {}
    rows = []
    for *_, shape in polygon_shapes():
        vertices = shape.vertices.astype(float)
        key = kind(vertices)
        if key not in known:
            known[key] = best(vertices, padded_vertices(shape), shape.extent)
            print(
                json.dumps({"vertices": len(vertices), "place": known[key][0].tolist(), "distortion": known[key][1:]})
            )
        rows.append(known[key])
    arrays = {"place": np.stack([row[0] for row in rows]), "distortion": np.array([row[1] for row in rows])}
    out.write_bytes(safetensors.numpy.save(arrays, metadata={"format": "aristotype-polygons", "version": "1"}))
    print(json.dumps({"polygons": len(rows), "kinds": len(known), "bytes": out.stat().st_size}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
