"""Exact asymmetric units of the 230 groups: every orbit of points has exactly one point in the unit of its group.

A unit is a convex polyhedron with rules that say which part of each facet belongs to it (R. W. Grosse-Kunstleve,
B. Wong, M. Mustyakimov and P. D. Adams, Acta Cryst. A67, 269, 2011; a set that is not quite that of ITA A, which leaves
boundaries open). The file is made by `tools/build_asymmetric_units.py` in exact rationals; all numbers in it are
integers, of 24ths where they are fractions.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache, cached_property
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aristotype.errors import SymmetryError
from aristotype.symmetry._groups import SpaceGroup, space_group
from aristotype.symmetry._shapes import WyckoffShape
from aristotype.symmetry._tables import GRID, Ints, check_group, read_arrays, tables

if TYPE_CHECKING:
    from pathlib import Path

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
TOLERANCE = 1e-9
"""Fractional distance from a boundary below which a point in floating-point numbers lies on it."""
_FORMAT = {"format": "aristotype-asymmetric-units", "version": "1"}
_LEAF, _AND = 0, 1  # kinds of nodes; another one is `or`
_AT_ONCE = 1 << 15  # images that are held at once


@dataclass(frozen=True, kw_only=True)
class _Arrays:
    """Raw arrays, ragged ones with an `_offset` array of starts beside them."""

    facet_count: Ints  # (G,) planes of a group that bound its unit; they come first
    plane_offset: Ints
    plane_normal: Ints  # (., 3) the unit is where normal . x + constant / 24 is positive
    plane_constant: Ints
    plane_inclusive: Ints  # whether points on the plane belong to it, where there is no rule
    plane_rule: Ints  # node of the rule for points on the plane, -1 for none
    node_offset: Ints
    node: Ints  # (., 3) kind, then a plane, or two nodes
    corner_offset: Ints
    corner: Ints  # (., 3) in 24ths
    shape_offset: Ints  # (P + 1,)
    shape_linear: Ints  # (., 3, 3)
    shape_origin: Ints
    vertex_offset: Ints
    vertex: Ints  # (., 3) free parameters in 24ths

    def ragged(self, name: str, row: int) -> NDArray[Any]:
        """Row `row` of an array whose starts are in `<prefix>_offset` (prefix: up to the first underscore)."""
        start = getattr(self, f"{name.split('_')[0]}_offset")
        found: NDArray[Any] = getattr(self, name)[start[row] : start[row + 1]]
        return found


@cache
def _arrays() -> _Arrays:
    with as_file(files("aristotype.symmetry") / "asymmetric_units.safetensors") as path:
        return _read(path)


def _read(path: Path) -> _Arrays:
    arrays, _ = read_arrays(path, [field.name for field in fields(_Arrays)], _FORMAT)
    return _Arrays(**arrays)


@dataclass(frozen=True, kw_only=True)
class Wrapped:
    """Points carried into an asymmetric unit."""

    points: Floats  # (n, 3) in the unit
    operation: Ints  # (n,) of `SpaceGroup.rotations` and `translations`
    shift: Ints  # (n, 3) lattice translation after it


@dataclass(frozen=True, kw_only=True)
class AsymmetricUnit:
    """The asymmetric unit of a space group in its standard setting, with its boundaries."""

    number: int
    facets: int  # planes that bound it; those after belong to rules
    normals: Ints  # (K, 3)
    constants: Ints  # (K,) in 24ths
    corners: Ints  # (k, 3) in 24ths

    @cached_property
    def group(self) -> SpaceGroup:
        """Its space group."""
        return space_group(self.number)

    @cached_property
    def shapes(self) -> tuple[tuple[WyckoffShape, ...], ...]:
        """What each Wyckoff position, in letter order, has in common with the unit."""
        start = tables().position_offset[self.number - 1]
        return tuple(
            tuple(self._shape(row, position.freedom) for row in range(*_arrays().shape_offset[start + place :][:2]))
            for place, position in enumerate(self.group.positions)
        )

    @cached_property
    def faces(self) -> tuple[tuple[int, ...], ...]:
        """Corners of each facet, in order around it."""
        values = self.corners @ self.normals[: self.facets].T + self.constants[: self.facets]
        return tuple(
            _around(self.corners, np.flatnonzero(on), normal)
            for on, normal in zip((values == 0).T, self.normals[: self.facets], strict=True)
        )

    def contains(self, points: ArrayLike, tolerance: float = TOLERANCE) -> Flags:
        """Whether points (n, 3) belong to the unit; within the tolerance of a plane they lie on it."""
        values = np.asarray(points, float) @ self.normals.T + self.constants / GRID
        return self._owned(np.where(np.abs(values) <= tolerance, 0, np.sign(values)).astype(np.int8))

    def contains_rational(self, numerators: ArrayLike, denominator: int) -> Flags:
        """The same, exactly, for points `numerators` (n, 3) over a common denominator (numbers below 2^40)."""
        values = GRID * np.asarray(numerators, np.int64) @ self.normals.T + self.constants * denominator
        return self._owned(np.sign(values).astype(np.int8))

    def wrap(self, points: ArrayLike, tolerance: float = TOLERANCE) -> Wrapped:
        """The point of the unit in the orbit of each point.

        Args:
            points: coordinates (n, 3).
            tolerance: fractional distance from a boundary below which a point lies on it.

        Raises:
            SymmetryError: a coordinate is not finite.
        """
        points = np.asarray(points, float).reshape(-1, 3)
        if not np.isfinite(points).all():
            row = int(np.flatnonzero(~np.isfinite(points).all(axis=1))[0])
            raise SymmetryError(f"point {row} has the coordinates {points[row].tolist()}; they must be finite")
        step = max(1, _AT_ONCE // len(self.group.rotations))
        parts = [self._wrap(points[row : row + step], tolerance) for row in range(0, max(len(points), 1), step)]
        operation, shift = (np.concatenate(some) for some in zip(*parts, strict=True))
        moved = np.einsum("nij,nj->ni", self.group.rotations[operation], points)
        moved += self.group.translations[operation] / GRID + shift
        return Wrapped(points=moved, operation=operation, shift=shift)

    def locate(self, position: int, points: ArrayLike, tolerance: float = 1e-6) -> tuple[Ints, Floats]:
        """Shape (n,) and free parameters (n, freedom) of points (n, 3) of the unit that are on a position.

        On what two shapes have in common, the first counts. The parameters are those of the shape and of the position's
        representative at once, up to lattice translations.

        Raises:
            SymmetryError: a point is on no shape of the position.
        """
        points = np.asarray(points, float).reshape(-1, 3)
        shape = np.full(len(points), -1)
        free = np.zeros((len(points), self.group.positions[position].freedom))
        for number, found in enumerate(self.shapes[position]):
            read = found.read(points)
            on = (shape < 0) & found.covers(read, tolerance) & (np.abs(found.point(read) - points) <= tolerance).all(1)
            shape[on], free[on] = number, read[on]
        if (shape < 0).any():
            row = int(np.flatnonzero(shape < 0)[0])
            raise SymmetryError(
                f"point {points[row].tolist()} is on no part of position {self.group.positions[position]} of space "
                f"group {self.number} that belongs to the asymmetric unit; wrap it first"
            )
        return shape, free

    def _shape(self, row: int, dimension: int) -> WyckoffShape:
        arrays = _arrays()
        vertices = arrays.ragged("vertex", row)[:, :dimension].astype(np.int64)
        normals: Ints = np.zeros((0, 0), np.int64)
        constants: Ints = np.zeros(0, np.int64)
        extent = 1.0
        if dimension == 1:
            low, high = vertices[:, 0].min(), vertices[:, 0].max()
            normals, constants, extent = np.array([[1], [-1]]), np.array([-low, high]), float(high - low) / GRID
        elif dimension == 2:
            normals, constants, extent = _polygon_sides(vertices)
        elif dimension == 3:  # the unit itself, whose parameters are coordinates
            normals, constants = self.normals[: self.facets], self.constants[: self.facets]
            extent = 1.0 / len(self.group.rotations)
        return WyckoffShape(
            dimension=dimension,
            linear=arrays.shape_linear[row, :, :dimension].astype(np.int64),
            origin=arrays.shape_origin[row].astype(np.int64),
            vertices=vertices,
            normals=normals,
            constants=constants,
            extent=extent,
        )

    def _wrap(self, points: Floats, tolerance: float) -> tuple[Ints, Ints]:
        """Operation (n,) and shift (n, 3) of each point."""
        rotations, translations = self.group.rotations, self.group.translations / GRID
        images = (points @ rotations.reshape(-1, 3).T).reshape(len(points), len(rotations), 3) + translations
        shift = -np.floor(images - self._low + tolerance)
        images += shift
        facets = self.normals[: self.facets].astype(float)
        least = np.full(images.shape[:2], np.inf)
        for normal, constant in zip(facets, self.constants[: self.facets] / GRID, strict=True):
            np.minimum(least, images @ normal + constant, out=least)
        operation = least.argmax(axis=1)
        rows = np.arange(len(points))
        chosen = shift[rows, operation]
        edge = np.flatnonzero(least[rows, operation] <= tolerance)
        if len(edge):  # where rules decide
            operation[edge], box = self._on_boundary(images[edge], tolerance)
            chosen[edge] = shift[edge, operation[edge]] + box
        return operation, chosen.astype(np.int64)

    def _on_boundary(self, images: Floats, tolerance: float) -> tuple[Ints, Floats]:
        """First operation (n,), and further shift (n, 3), that carry points on a boundary, images (n, g, 3), inside."""
        tried = images[:, :, None] + self._corners_of_box
        owned = self.contains(tried.reshape(-1, 3), tolerance).reshape(len(images), -1)
        if not owned.any(axis=1).all():
            row = int(np.flatnonzero(~owned.any(axis=1))[0])
            raise SymmetryError(
                f"no image of {images[row, 0].tolist()} is in the asymmetric unit of space group {self.number}; is the "
                f"tolerance, {tolerance:g}, too large?"
            )
        operation, corner = np.divmod(owned.argmax(axis=1), len(self._corners_of_box))
        return operation, self._corners_of_box[corner]

    def _owned(self, signs: NDArray[np.int8]) -> Flags:
        """Whether points belong to the unit, by the signs (n, K) of the planes at them."""
        inside = np.asarray((signs[:, : self.facets] >= 0).all(axis=1))
        edge = np.flatnonzero(inside & (signs[:, : self.facets] == 0).any(axis=1))
        if len(edge):
            few = signs[edge]
            inside[edge] = np.all([self._on_side(plane, few) for plane in range(self.facets)], axis=0)
        return inside

    def _on_side(self, plane: int, signs: NDArray[np.int8]) -> Flags:
        arrays = _arrays()
        rule = int(arrays.ragged("plane_rule", self.number - 1)[plane])
        sign = signs[:, plane]
        if rule < 0:
            inclusive = bool(arrays.ragged("plane_inclusive", self.number - 1)[plane])
            return sign >= 0 if inclusive else sign > 0
        return (sign > 0) | (sign == 0) & self._holds(rule, signs)

    def _holds(self, node: int, signs: NDArray[np.int8]) -> Flags:
        kind, left, right = _arrays().ragged("node", self.number - 1)[node].tolist()
        if kind == _LEAF:
            return self._on_side(left, signs)
        one, other = self._holds(left, signs), self._holds(right, signs)
        return one & other if kind == _AND else one | other

    @cached_property
    def _low(self) -> Floats:
        """(3,) lower ends of the box around it."""
        return self.corners.min(axis=0) / GRID

    @cached_property
    def _corners_of_box(self) -> Floats:
        """(m, 3) translations by one along axes that the unit fills: a point on its lower end has two images in it."""
        full = np.flatnonzero(np.ptp(self.corners, axis=0) == GRID)
        steps = np.zeros((1 << len(full), 3))
        for place, axis in enumerate(full):
            steps[:, axis] = np.arange(len(steps)) >> place & 1
        return steps


def _polygon_sides(vertices: Ints) -> tuple[Ints, Ints, float]:
    """Normals to the inside, constants in 24ths, and the area of a polygon with corners (k, 2), counterclockwise."""
    following = np.roll(vertices, -1, axis=0)
    along = following - vertices
    along //= np.gcd.reduce(along, axis=1)[:, None]
    normals = np.stack([-along[:, 1], along[:, 0]], axis=1)
    twice = np.sum(vertices[:, 0] * following[:, 1] - vertices[:, 1] * following[:, 0])
    return normals, -(normals * vertices).sum(axis=1), float(twice) / (2 * GRID**2)


def _around(corners: Ints, on: Ints, normal: Ints) -> tuple[int, ...]:
    """Corners of a facet, in order around it."""
    points = corners[on] - corners[on].mean(axis=0)
    first = points[0]
    second = np.cross(normal, first)  # in the facet's plane, by the coordinates' own metric: the order is the same
    angle = np.arctan2(points @ second / np.linalg.norm(second), points @ first / np.linalg.norm(first))
    return tuple(int(place) for place in on[np.argsort(angle)])


@cache
def asymmetric_unit(number: int) -> AsymmetricUnit:
    """The asymmetric unit of the space group with an ITA number.

    Raises:
        SymmetryError: the number is not one of 1 to 230, or the shipped table is damaged.
    """
    row = check_group(number) - 1
    arrays = _arrays()
    return AsymmetricUnit(
        number=row + 1,
        facets=int(arrays.facet_count[row]),
        normals=arrays.ragged("plane_normal", row).astype(np.int64),
        constants=arrays.ragged("plane_constant", row).astype(np.int64),
        corners=arrays.ragged("corner", row).astype(np.int64),
    )
