"""Asymmetric units of the 230 groups and the shapes that Wyckoff positions have in them, in exact rationals.

The units are those of cctbx's direct-space reference table (Grosse-Kunstleve, Wong, Mustyakimov and Adams, Acta Cryst.
A67, 269, 2011): convex polyhedra with rules that say which part of each facet belongs to the unit. A rule is an
expression of planes, whose facets have rules again. A position's shapes are what its images have in common with the
unit: each image is clipped by the facets, cut along the planes of the rules, and the pieces that the unit owns are
kept; pieces of one line or plane that are convex together are joined again.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, pairwise, product
from math import gcd

import numpy as np
from cctbx.sgtbx.direct_space_asu import reference_table
from cctbx.sgtbx.direct_space_asu.cut_plane import cut

Point = tuple[Fraction, ...]
GRID = 24
LEAF, AND, OR = 0, 1, 2
SHIFTS = np.array(list(product(range(-2, 3), repeat=3)))


@dataclass(frozen=True)
class Plane:
    """normal . x + constant / 24, and who owns the points where it is zero."""

    normal: tuple[int, int, int]
    constant: int
    inclusive: bool
    rule: int  # node of an expression; -1 where `inclusive` decides


@dataclass(frozen=True)
class Unit:
    """A unit: its facets are the first planes, the others belong to rules."""

    planes: list[Plane]
    facets: int
    nodes: list[tuple[int, int, int]]  # (LEAF, plane, -1) or (AND or OR, node, node)

    def value(self, plane: int, point: Point) -> Fraction:
        """Of one plane at a point; positive inside."""
        found = self.planes[plane]
        return sum((n * x for n, x in zip(found.normal, point)), Fraction(found.constant, GRID))

    def owns(self, point: Point) -> bool:
        """Whether a point belongs to the unit."""
        return all(self._on_side(plane, point) for plane in range(self.facets))

    def _on_side(self, plane: int, point: Point) -> bool:
        value = self.value(plane, point)
        if value:
            return value > 0
        rule = self.planes[plane].rule
        return self.planes[plane].inclusive if rule < 0 else self._holds(rule, point)

    def _holds(self, node: int, point: Point) -> bool:
        kind, left, right = self.nodes[node]
        if kind == LEAF:
            return self._on_side(left, point)
        if kind == AND:
            return self._holds(left, point) and self._holds(right, point)
        return self._holds(left, point) or self._holds(right, point)


@dataclass(frozen=True)
class Shape:
    """A convex piece of a position in the unit: x = linear @ u + origin / 24, with u the free parameters."""

    linear: np.ndarray  # (3, freedom)
    origin: np.ndarray  # (3,) in 24ths, not reduced
    vertices: list[Point]  # in u; of a polygon in order


def asymmetric_unit(number: int) -> Unit:
    """The unit of a group from cctbx's table."""
    source = reference_table.get_asu(number)
    planes: list[Plane | None] = [None] * len(source.cuts)
    nodes: list[tuple[int, int, int]] = []

    def expression(found: object) -> int:
        if isinstance(found, cut):
            planes.append(None)
            place = len(planes) - 1
            node = (LEAF, place, -1)
            planes[place] = plane(found)
        else:
            kind = {"&": AND, "|": OR}[found.op]
            node = (kind, expression(found.lhs), expression(found.rhs))
        nodes.append(node)
        return len(nodes) - 1

    def plane(found: cut) -> Plane:
        constant = Fraction(str(found.c)) * GRID
        normal = tuple(int(n) for n in found.n)
        if constant.denominator != 1 or normal != tuple(found.n):
            raise SystemExit(f"group {number}: a plane of its unit is not in 24ths")
        return Plane(normal, int(constant), found.inclusive, expression(found.cut_expr) if found.has_cuts() else -1)

    for place, found in enumerate(source.cuts):
        planes[place] = plane(found)
    return Unit([p for p in planes if p is not None], len(source.cuts), nodes)


def corners(unit: Unit) -> list[Point]:
    """Corners of the closed polyhedron."""
    found = set()
    for three in combinations(range(unit.facets), 3):
        point = _meet([unit.planes[i] for i in three])
        if point is not None and all(unit.value(i, point) >= 0 for i in range(unit.facets)):
            found.add(point)
    return sorted(found)


def _meet(planes: list[Plane]) -> Point | None:
    """The point that three planes have in common, if there is just one."""
    a, b, c = (np.array(p.normal) for p in planes)
    determinant = int(np.dot(a, np.cross(b, c)))
    if not determinant:
        return None
    sides = (np.cross(b, c), np.cross(c, a), np.cross(a, b))
    total = sum(-p.constant * side for p, side in zip(planes, sides))
    return tuple(Fraction(int(v), GRID * determinant) for v in total)


def volume(unit: Unit, points: list[Point]) -> Fraction:
    """Of the polyhedron, as a share of the cell: pyramids over its facets, from the mean of its corners."""
    centre = tuple(sum(axis) / len(points) for axis in zip(*points))
    total = Fraction(0)
    for facet in range(unit.facets):
        ring = around([p for p in points if unit.value(facet, p) == 0], unit.planes[facet].normal)
        for second, third in pairwise(ring[1:]):
            sides = [[x - y for x, y in zip(p, centre)] for p in (ring[0], second, third)]
            total += abs(_determinant(sides)) / 6
    return total


def _determinant(rows: list[list[Fraction]]) -> Fraction:
    (a, b, c), (d, e, f), (g, h, i) = rows
    return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)


def around(points: list[Point], normal: tuple[int, ...]) -> list[Point]:
    """Corners of a convex polygon in order; points are given in three dimensions, seen along a normal."""
    axis = int(np.argmax(np.abs(normal)))
    flat = {tuple(v for i, v in enumerate(p) if i != axis): p for p in points}
    return [flat[p] for p in hull(list(flat))]


def hull(points: list[Point]) -> list[Point]:
    """Convex hull of points of the plane, counterclockwise, without points on its edges (Andrew's monotone chain)."""
    points = sorted(set(points))
    if len(points) < 3:
        return points
    halves = []
    for ordered in (points, points[::-1]):
        chain: list[Point] = []
        for point in ordered:
            while len(chain) > 1 and turn(chain[-2], chain[-1], point) <= 0:
                chain.pop()
            chain.append(point)
        halves.append(chain[:-1])
    return halves[0] + halves[1]


def turn(a: Point, b: Point, c: Point) -> Fraction:
    """Twice the signed area of a triangle."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def shapes(
    unit: Unit, points: list[Point], operations: tuple[np.ndarray, np.ndarray], linear: np.ndarray, origin: np.ndarray
) -> list[Shape]:
    """What a position has in common with its unit.

    Args:
        unit: the unit.
        points: its corners.
        operations: rotations (n, 3, 3) and translations (n, 3), in 24ths, of the conventional cell.
        linear: (3, freedom) of the position's representative.
        origin: (3,) of the same, in 24ths.
    """
    freedom = linear.shape[1]
    if freedom == 3:
        return [Shape(linear, origin, points)]
    found = []
    for direction, place in _images(unit, points, operations, linear, origin):
        image = _Image(unit, direction, place)
        if freedom == 0:
            if unit.owns(image.at(())):
                found.append(Shape(direction, place, [()]))
        elif freedom == 1:
            found += [Shape(direction, place, list(ends)) for ends in image.segments()]
        else:
            found += [Shape(direction, place, polygon) for polygon in image.polygons()]
    return found


def _images(
    unit: Unit, points: list[Point], operations: tuple[np.ndarray, np.ndarray], linear: np.ndarray, origin: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Distinct images of the representative's subspace that come near the unit, the first operation that makes each."""
    rotations, translations = operations
    directions = rotations @ linear
    places = (rotations @ origin + translations)[:, None] + GRID * SHIFTS[None]
    directions = np.repeat(directions, len(SHIFTS), axis=0)
    places = places.reshape(-1, 3)
    near = _near(unit, np.array(points, dtype=float), directions, places / GRID)
    seen, found = set(), []
    for direction, place in zip(directions[near], places[near]):
        name = _name(direction, place)
        if name not in seen:
            seen.add(name)
            found.append((direction, place))
    return found


def _near(unit: Unit, points: np.ndarray, directions: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Rows of subspaces that could meet the ball around the unit (in fractional coordinates)."""
    centre = points.mean(axis=0)
    radius = np.linalg.norm(points - centre, axis=1).max() + 1e-6
    away = centre - places
    if directions.shape[2]:
        project = directions @ np.linalg.pinv(directions.astype(float))
        away = away - (project @ away[..., None])[..., 0]
    return np.flatnonzero(np.linalg.norm(away, axis=1) <= radius)


def _name(direction: np.ndarray, place: np.ndarray) -> tuple[int, ...]:
    """The same for every way of writing one affine subspace."""
    freedom = direction.shape[1]
    if freedom == 0:
        return tuple(place.tolist())
    axis = direction[:, 0] if freedom == 1 else np.cross(direction[:, 0], direction[:, 1])
    axis = axis // gcd(*axis.tolist())
    axis = axis * int(np.sign(axis[np.flatnonzero(axis)[0]]))
    moment = np.cross(place, axis) if freedom == 1 else [place @ axis]
    return (*axis.tolist(), *(int(v) for v in moment))


class _Image:
    """One image of a position beside a unit."""

    def __init__(self, unit: Unit, direction: np.ndarray, place: np.ndarray) -> None:
        self.unit, self.direction, self.place = unit, direction.tolist(), place.tolist()

    def at(self, free: Point) -> Point:
        """Coordinates at free parameters."""
        return tuple(
            sum((d * u for d, u in zip(row, free)), Fraction(p, GRID)) for row, p in zip(self.direction, self.place)
        )

    def plane(self, index: int) -> tuple[list[int], Fraction]:
        """Slope (freedom) and constant of a plane's value as a function of the free parameters."""
        found = self.unit.planes[index]
        slope = [sum(n * row[k] for n, row in zip(found.normal, self.direction)) for k in range(len(self.direction[0]))]
        constant = found.constant + sum(n * p for n, p in zip(found.normal, self.place))
        return slope, Fraction(constant, GRID)

    def segments(self) -> list[tuple[Point, Point]]:
        """Owned segments of a line, joined where they follow each other."""
        low, high = Fraction(-100), Fraction(100)
        for facet in range(self.unit.facets):
            (slope,), constant = self.plane(facet)
            if slope > 0:
                low = max(low, -constant / slope)
            elif slope < 0:
                high = min(high, -constant / slope)
            elif constant < 0:
                return []
        if low >= high:
            return []
        stops = {low, high}
        for index in range(self.unit.facets, len(self.unit.planes)):
            (slope,), constant = self.plane(index)
            if slope and low < -constant / slope < high:
                stops.add(-constant / slope)
        ordered = sorted(stops)
        out: list[tuple[Point, Point]] = []
        for begin, end in pairwise(ordered):
            if self.unit.owns(self.at(((begin + end) / 2,))):
                begins = out.pop()[0] if out and out[-1][1] == (begin,) else (begin,)
                out.append((begins, (end,)))
        return out

    def polygons(self) -> list[list[Point]]:
        """Owned convex polygons of a plane, joined where they are convex together."""
        size = Fraction(100)
        polygon: list[Point] = [(-size, -size), (size, -size), (size, size), (-size, size)]
        for facet in range(self.unit.facets):
            polygon = clip(polygon, *self.plane(facet))
            if len(polygon) < 3:
                return []
        cells = [polygon]
        for index in range(self.unit.facets, len(self.unit.planes)):
            slope, constant = self.plane(index)
            if any(slope):
                halves = [(slope, constant), ([-s for s in slope], -constant)]
                cells = [side for cell in cells for half in halves if len(side := clip(cell, *half)) > 2]
        owned = [cell for cell in cells if self.unit.owns(self.at(middle(cell)))]
        return joined(owned)


def clip(polygon: list[Point], slope: list[int], constant: Fraction) -> list[Point]:
    """The part of a convex polygon where slope . u + constant >= 0; fewer than three corners where it has no area."""
    values = [sum((s * u for s, u in zip(slope, p)), constant) for p in polygon]
    out: list[Point] = []
    for i, (point, value) in enumerate(zip(polygon, values)):
        following, after = polygon[(i + 1) % len(polygon)], values[(i + 1) % len(polygon)]
        if value >= 0:
            out.append(point)
        if value * after < 0:
            share = value / (value - after)
            out.append(tuple(x + share * (y - x) for x, y in zip(point, following)))
    return hull(out)


def middle(polygon: list[Point]) -> Point:
    """The mean of the corners, which lies inside."""
    return tuple(sum(axis) / len(polygon) for axis in zip(*polygon))


def area(polygon: list[Point]) -> Fraction:
    """Of a convex polygon in parameters."""
    return sum((turn(polygon[0], b, c) for b, c in pairwise(polygon[1:])), Fraction(0)) / 2


def joined(cells: list[list[Point]]) -> list[list[Point]]:
    """Fewest convex polygons that any joining of neighbours leads to, all orders tried."""
    best = cells
    for one, other in combinations(range(len(cells)), 2):
        together = hull(cells[one] + cells[other])
        if area(together) == area(cells[one]) + area(cells[other]):
            rest = [cell for i, cell in enumerate(cells) if i not in (one, other)]
            found = joined([*rest, together])
            if len(found) < len(best):
                best = found
    return best
