"""Asymmetric units: one point of every orbit, boundaries included, and the shapes that positions have in them."""

from __future__ import annotations

import shutil
from importlib.resources import as_file, files

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from scipy.spatial import ConvexHull

from aristotype.errors import SymmetryError
from aristotype.symmetry import GRID, asymmetric_unit, cell_matrix, space_group
from aristotype.symmetry._asymmetric_unit import _read
from tests.symmetry.conftest import GROUPS

NUMBERS = st.integers(1, 230)
SEEDS = st.integers(0, 2**32 - 1)


def box(unit) -> np.ndarray:
    """Lattice translations (m, 3) by which a point of the cell can reach the unit."""
    low, high = np.floor(unit.corners.min(axis=0) / GRID) - 1, np.ceil(unit.corners.max(axis=0) / GRID)
    axes = [np.arange(a, b + 1) for a, b in zip(low, high, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.int64)


def members(unit, point: np.ndarray, denominator: int) -> int:
    """How many points of the orbit of a rational point belong to the unit, in integers."""
    group = unit.group
    images = (GRID * group.rotations @ point + denominator * group.translations) % (GRID * denominator)
    images = np.unique(images, axis=0)
    every = (images[:, None] + GRID * denominator * box(unit)).reshape(-1, 3)
    return int(unit.contains_rational(every, GRID * denominator).sum())


@pytest.mark.parametrize("number", GROUPS)
def test_every_orbit_has_one_point_in_the_unit(number):
    """On every position, at parameters that are often on boundaries and at others."""
    unit, rng = asymmetric_unit(number), np.random.default_rng(number)
    for position in unit.group.positions:
        for denominator in (12, 48, 97):
            free = rng.integers(0, denominator, position.freedom)
            point = GRID * position.linear @ free + denominator * position.origin
            assert members(unit, point, GRID * denominator) == 1, (position, free, denominator)


@given(
    number=NUMBERS, point=st.tuples(*[st.integers(0, 47)] * 3), denominator=st.sampled_from([1, 2, 6, 8, 16, 24, 48])
)
@settings(max_examples=300)
def test_every_point_of_a_grid_is_in_one_image_of_the_unit(number, point, denominator):
    assert members(asymmetric_unit(number), np.array(point), denominator) == 1


@pytest.mark.parametrize("number", GROUPS)
def test_volumes_are_those_of_the_cell_over_the_order(number):
    unit = asymmetric_unit(number)
    hull = ConvexHull(unit.corners / GRID)
    assert hull.volume * len(unit.group.rotations) == pytest.approx(1.0, abs=1e-12)
    assert len(hull.vertices) == len(unit.corners)
    values = unit.corners @ unit.normals[: unit.facets].T + unit.constants[: unit.facets]
    assert values.min() == 0


@pytest.mark.parametrize("number", GROUPS)
def test_faces_close_the_unit(number):
    """Every edge is of two faces, and Euler's formula holds."""
    unit = asymmetric_unit(number)
    edges = [frozenset(pair) for face in unit.faces for pair in zip(face, face[1:] + face[:1], strict=True)]
    assert all(edges.count(edge) == 2 for edge in edges)
    assert len(unit.corners) - len(edges) // 2 + len(unit.faces) == 2


def test_counts_of_all_groups():
    units = [asymmetric_unit(number) for number in GROUPS]
    shapes = [shape for unit in units for some in unit.shapes for shape in some]
    assert np.bincount([shape.dimension for shape in shapes]).tolist() == [616, 948, 245, 230]
    assert max(len(some) for unit in units for some in unit.shapes) == 4
    assert np.bincount([unit.facets for unit in units]).tolist() == [0, 0, 0, 0, 17, 43, 145, 23, 1, 1]
    outside = sum(bool((unit.corners < 0).any() or (unit.corners > GRID).any()) for unit in units)
    assert outside == 30


@pytest.mark.parametrize("number", GROUPS)
def test_wrapping_agrees_with_exact_arithmetic(number):
    """4,400 points a group, a million in all; a third are on a coarse grid, where boundaries are."""
    unit, rng = asymmetric_unit(number), np.random.default_rng(number)
    group = unit.group
    for denominator, count in ((24, 1500), (840, 1500), (9973, 1400)):
        points = rng.integers(-2 * denominator, 3 * denominator, (count, 3))
        found = unit.wrap(points / denominator)
        exact = GRID * np.einsum("nij,nj->ni", group.rotations[found.operation], points)
        exact += denominator * (group.translations[found.operation] + GRID * found.shift)
        assert unit.contains_rational(exact, GRID * denominator).all()
        np.testing.assert_allclose(found.points, exact / (GRID * denominator), rtol=0, atol=1e-12)
        inside = rng.integers(-denominator, 2 * denominator, (count, 3))
        assert (unit.contains(inside / denominator) == unit.contains_rational(inside, denominator)).all()


@given(number=NUMBERS, seed=SEEDS)
@settings(max_examples=300)
def test_wrapping_gives_one_point_for_an_orbit(number, seed):
    unit, rng = asymmetric_unit(number), np.random.default_rng(seed)
    group, point = unit.group, rng.random(3)
    images = group.rotations @ point + group.translations / GRID + rng.integers(-3, 4, (len(group.rotations), 3))
    found = unit.wrap(images).points
    np.testing.assert_allclose(found, np.broadcast_to(found[0], found.shape), atol=1e-9)


@pytest.mark.parametrize("number", GROUPS)
def test_shapes_have_the_measure_of_their_position(number, random_cell):
    """Multiplicity times the measure of the shapes is that of all images of the position in the cell."""
    unit, rng = asymmetric_unit(number), np.random.default_rng(number)
    cell = random_cell(number, rng)
    basis = cell_matrix(cell)
    for position, shapes in zip(unit.group.positions, unit.shapes, strict=True):
        freedom, off = position.freedom, position.inverse[position.freedom :]
        # A subspace closes on itself at integer parameters; on it lie the images that differ from it in nothing.
        sides = position.linear.T @ basis
        closed = np.sqrt(np.linalg.det(sides @ sides.T))
        along = (off @ position.orbit_linear == 0).all(axis=(1, 2))
        same = along & ((position.orbit_origin - position.origin) @ off.T % GRID == 0).all(axis=1)
        whole = position.multiplicity / same.sum() * closed
        assert position.multiplicity * sum(shape.measure(cell) for shape in shapes) == pytest.approx(whole, rel=1e-9)
        assert all(shape.dimension == freedom for shape in shapes)


@pytest.mark.parametrize("number", GROUPS)
def test_points_on_positions_are_found_on_their_shapes(number):
    unit, rng = asymmetric_unit(number), np.random.default_rng(number)
    for place, position in enumerate(unit.group.positions):
        free = rng.random((20, position.freedom))
        wrapped = unit.wrap(position.representative(free)).points
        shape, found = unit.locate(place, wrapped)
        back = np.stack([unit.shapes[place][s].point(f) for s, f in zip(shape, found, strict=True)])
        np.testing.assert_allclose(back, wrapped, atol=1e-9)
        # The parameters of a shape are those of the representative: the orbit is the same.
        again = unit.wrap(position.representative(found)).points
        np.testing.assert_allclose(again, wrapped, atol=1e-8)


@pytest.mark.parametrize("number", GROUPS)
def test_shapes_belong_to_the_unit_and_do_not_overlap(number):
    unit, rng = asymmetric_unit(number), np.random.default_rng(number)
    for place, shapes in enumerate(unit.shapes):
        for index, shape in enumerate(shapes):
            weights = rng.dirichlet(np.ones(len(shape.vertices)), 10)  # inside: all weights are positive
            points = weights @ shape.corners
            assert unit.contains(points).all()
            np.testing.assert_allclose(shape.read(points), weights @ (shape.vertices / GRID), atol=1e-9)
            assert (unit.locate(place, points)[0] == index).all()
            others = [other for other in shapes if other is not shape]
            reached = [
                other.covers(other.read(points)) & np.isclose(other.point(other.read(points)), points).all(axis=1)
                for other in others
            ]
            assert not np.any(reached)


@pytest.mark.parametrize("number", GROUPS)
def test_polygons_are_convex_and_cannot_be_joined(number):
    for shapes in asymmetric_unit(number).shapes:
        for shape in shapes:
            if shape.dimension == 2:
                hull = ConvexHull(shape.vertices)
                assert hull.volume / GRID**2 == pytest.approx(shape.extent)  # of two dimensions: the area
                assert len(hull.vertices) == len(shape.vertices)
                assert shape.covers(shape.vertices / GRID, tolerance=1e-12).all()
                assert not shape.covers(2 * shape.vertices / GRID - shape.vertices.mean(axis=0) / GRID).any()
        for i, one in enumerate(shapes):
            for other in shapes[i + 1 :]:
                if one.dimension == 2 and (one.linear == other.linear).all() and (one.origin == other.origin).all():
                    both = ConvexHull(np.concatenate([one.vertices, other.vertices])).volume / GRID**2
                    assert both > one.extent + other.extent + 1e-9


def test_points_of_p6mcc_are_wrapped_as_by_hand():
    """Group 192: the axis 0, 0, z has one segment, from the level of 2a at 1/4 to the mirror at 0."""
    unit = asymmetric_unit(192)
    place = [str(position) for position in unit.group.positions].index("4e")
    (segment,) = unit.shapes[place]
    assert sorted(segment.corners[:, 2].tolist()) == [0.0, 0.25]
    np.testing.assert_allclose(unit.wrap([[0.0, 0.0, 0.9]]).points, [[0.0, 0.0, 0.1]], atol=1e-12)


def test_what_is_no_point_is_refused():
    unit = asymmetric_unit(62)
    with pytest.raises(SymmetryError, match=r"point 1 has the coordinates \[nan"):
        unit.wrap([[0.1, 0.2, 0.3], [np.nan, 0.0, 0.0]])
    with pytest.raises(SymmetryError, match="space group 231 does not exist"):
        asymmetric_unit(231)
    with pytest.raises(SymmetryError, match=r"4c of space group 62.*wrap it first"):
        unit.locate(2, [[0.1, 0.1, 0.1]])
    assert len(unit.wrap(np.zeros((0, 3))).points) == 0


def test_a_damaged_file_is_refused(tmp_path):
    with as_file(files("aristotype.symmetry") / "asymmetric_units.safetensors") as path:
        copy = shutil.copy(path, tmp_path / "units.safetensors")
    arrays = load_file(copy)
    arrays["corner"] = arrays["corner"] + 1
    save_file(arrays, copy, metadata={"format": "aristotype-asymmetric-units", "version": "1", "sha256": "0"})
    with pytest.raises(SymmetryError, match="changed or damaged"):
        _read(copy)


def test_units_stand_beside_the_groups():
    assert all(asymmetric_unit(number).group is space_group(number) for number in (1, 230))
