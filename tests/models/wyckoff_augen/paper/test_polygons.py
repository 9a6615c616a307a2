"""Maps from the triangle onto the 245 polygons: mean value coordinates, their gradients, bijections, distortion."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aristotype.errors import SymmetryError
from aristotype.models.wyckoff_augen.paper._gammas import EDGE
from aristotype.models.wyckoff_augen.paper._mean_value import CORNERS, SLOPES, coordinates, mean_values, nodes
from aristotype.models.wyckoff_augen.paper._polygons import (
    all_polygons,
    gauge,
    polygon_maps,
    polygon_shapes,
    to_polygon,
    to_triangle,
)
from tests.models.wyckoff_augen.paper.polygons import fans, kinds, repeated


def scattered(number: int, seed: int = 0, crowd: float = 0.3) -> torch.Tensor:
    """Points (n, 3) of the triangle; the less `crowd` is, the more of them are next to corners and sides."""
    found = np.random.default_rng(seed).dirichlet([crowd] * 3, number).clip(EDGE)
    return torch.from_numpy(found / found.sum(axis=1, keepdims=True))


def by_angles(vertices: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Floater's formula as he writes it."""
    offset = vertices - point
    distance = np.linalg.norm(offset, axis=1)
    angle = np.arctan2(offset[:, 1], offset[:, 0])
    tangent = np.tan(np.mod(np.roll(angle, -1) - angle, 2.0 * np.pi) / 2.0)
    weight = (tangent + np.roll(tangent, 1)) / distance
    return weight / weight.sum()


@given(
    places=st.lists(st.floats(0.02, 2.98), min_size=2, max_size=2),
    point=st.lists(st.floats(0.01, 1.0), min_size=3, max_size=3),
)
@settings(max_examples=60)
def test_coordinates_are_those_of_floater(places, point):
    """Of pentagons that are triangles: no negative one, sum one, the point itself by them."""
    place = np.sort([0.0, 1.0, 2.0, *places])
    if np.diff(place).min() < 0.01:
        return
    triangle = nodes(torch.from_numpy(place)[None])
    barycentric = torch.tensor([point], dtype=torch.float64)
    barycentric /= barycentric.sum()
    found = coordinates(triangle, barycentric)[0]
    y = barycentric @ CORNERS
    assert found[0].numpy() == pytest.approx(by_angles(triangle.point[0].numpy(), y[0].numpy()), abs=1e-10)
    assert (found > 0.0).all()
    assert float(found.sum()) == pytest.approx(1.0, abs=1e-14)
    assert (found @ triangle.point[0])[0].numpy() == pytest.approx(y[0].numpy(), abs=1e-14)
    offset = triangle.point - y[:, None]
    area = offset[..., 0] * offset.roll(-1, 1)[..., 1] - offset[..., 1] * offset.roll(-1, 1)[..., 0]
    assert mean_values(offset, 1.0 / area)[0].numpy() == pytest.approx(found[0].numpy(), abs=1e-10)


def test_partition_of_unity_and_linear_precision_on_every_triangle():
    maps = repeated(40)
    barycentric = scattered(len(maps.area), crowd=0.1)
    found, slope = coordinates(maps.triangle, barycentric)
    assert (found >= 0.0).all()  # 0 for repeated vertices
    assert float((found.sum(dim=1) - 1.0).abs().max()) < 1e-14
    assert float((torch.einsum("mv,mvi->mi", found, maps.triangle.point) - barycentric[:, 1:]).abs().max()) < 1e-14
    eye = torch.einsum("mvi,mvj->mij", maps.triangle.point, slope)
    assert float((eye - torch.eye(2)).abs().max()) < 1e-8  # next to a vertex 1e-6 away digits are lost


def test_gradients_are_finite_differences():
    maps = repeated(20)
    barycentric = scattered(len(maps.area), crowd=3.0)
    barycentric = (barycentric + 0.01) / 1.03
    slope = coordinates(maps.triangle, barycentric)[1]
    step = 1e-6
    for axis in range(2):
        move = step * SLOPES[:, axis]
        ahead, behind = (coordinates(maps.triangle, barycentric + sign * move)[0] for sign in (1.0, -1.0))
        off = (ahead - behind) / (2.0 * step) - slope[..., axis]
        assert float(off.abs().max()) < 1e-6  # third derivatives of order 1e4 times the step squared


def test_the_jacobian_is_that_of_finite_differences():
    maps = repeated(10)
    barycentric = (scattered(len(maps.area), crowd=3.0) + 0.01) / 1.03
    step = 1e-6
    moved = [
        (
            to_polygon(maps, barycentric + step * SLOPES[:, i])[0]
            - to_polygon(maps, barycentric - step * SLOPES[:, i])[0]
        )
        / (2.0 * step)
        for i in range(2)
    ]
    determinant = moved[0][:, 0] * moved[1][:, 1] - moved[0][:, 1] * moved[1][:, 0]
    ratio = to_polygon(maps, barycentric)[1].exp()
    assert float((determinant / (2.0 * maps.area) - ratio).abs().max()) < 1e-6


@pytest.mark.parametrize("crowd", [1.0, 0.2, 0.05])
def test_every_map_is_a_bijection_with_a_positive_jacobian(crowd):
    """There and back, on all 245 polygons, next to sides and corners too."""
    maps = repeated(60)
    barycentric = scattered(len(maps.area), crowd=crowd)
    point, log_ratio = to_polygon(maps, barycentric)
    assert torch.isfinite(log_ratio).all()  # the logarithm of what is not positive is no number
    assert float(log_ratio.abs().max()) < np.log(2.1)
    assert float(gauge(maps, point).max()) < 1.0
    back, log_back = to_triangle(maps, point)
    kept = gauge(maps, point) < 1.0 - EDGE
    assert float((back - barycentric)[kept].abs().max()) < 1e-9
    assert float((log_back - log_ratio)[kept].abs().max()) < 1e-7


def test_every_point_of_a_polygon_has_an_inverse():
    """Of its inside 1e-9, of its boundary within what is moved off it: vertices, edges, and what is next to them."""
    maps = all_polygons()[0]
    eye = torch.eye(5, dtype=torch.float64)
    shares = [0.0, 1e-8, 1e-6, 1e-4, 0.1, 0.5, 0.8, 0.9999, 1.0 - 1e-7]
    edges = torch.cat([eye * (1.0 - share) + eye.roll(1, dims=1) * share for share in shares])
    inside = torch.from_numpy(np.random.default_rng(0).dirichlet([0.3] * 5, 60))
    for weight, off in ((edges, 2.0 * EDGE), (inside, 1e-9)):
        point = torch.einsum("wv,pvi->pwi", weight, maps.vertex).reshape(-1, 2)
        many = repeated(len(weight))
        barycentric, log_ratio = to_triangle(many, point)
        assert float(barycentric.min()) > 0.1 * EDGE
        assert torch.isfinite(log_ratio).all()
        kept = (gauge(many, point) < 1.0 - EDGE) if off < EDGE else torch.ones(len(point), dtype=torch.bool)
        back = to_polygon(many, barycentric)[0]
        assert float((back - point)[kept].abs().max()) < off


def test_vertices_come_from_their_places():
    """Corners of the triangle go to vertices, the other points of its boundary to the others."""
    maps = repeated(1)
    inner = torch.einsum("pvi->pi", maps.triangle.point) / 5.0
    for i in range(5):
        near = 0.99999 * maps.triangle.point[:, i] + 0.00001 * inner
        barycentric = torch.cat([1.0 - near.sum(dim=1, keepdim=True), near], dim=1)
        assert float((to_polygon(maps, barycentric)[0] - maps.vertex[:, i]).abs().max()) < 1e-4


def test_the_shipped_table_has_least_distortion():
    """By equation 3 at points of the polygon itself; other places of the vertices between corners have more."""
    import safetensors.numpy

    from aristotype.models.wyckoff_augen.paper import _polygons

    path = _polygons.files("aristotype.models.wyckoff_augen.paper") / _polygons.FILE
    stored = safetensors.numpy.load(path.read_bytes())
    assert len(kinds()) == 5
    for row in kinds().tolist():
        maps = all_polygons()[0].take(torch.tensor([row]))
        expected = float(stored["distortion"][row])
        point, weight = fans(maps.vertex, 16)

        def distortion(place: np.ndarray, maps=maps, point=point, weight=weight) -> float:
            many = maps._replace(triangle=nodes(torch.from_numpy(place)[None])).take(torch.zeros(weight.shape[1]).int())
            ratio = torch.exp(-to_triangle(many, point[0])[1])
            return float((weight[0] * torch.square(ratio - 1.0)).sum() / weight.sum())

        place = stored["place"][row]
        least = distortion(place)
        assert least == pytest.approx(expected, rel=2e-3, abs=1e-12)  # two rules
        corners = int((place % 1.0 == 0.0).sum())
        assert set(place[place % 1.0 == 0.0]) == {0.0, 1.0, 2.0}
        for other in np.flatnonzero((place % 1.0 > 0.0) & (np.arange(5) < len(set(place.tolist())))):
            for change in (-0.02, 0.02):
                moved = np.where(place == place[other], place + change, place)
                assert distortion(moved) > least
        assert corners + (place % 1.0 > 0.0).sum() == 5


def test_what_is_no_polygon_is_refused():
    with pytest.raises(SymmetryError, match="shape 0 of position a of space group 225"):
        polygon_maps(torch.tensor([225]), torch.tensor([0]), torch.tensor([0]))


def test_maps_are_found_by_group_position_and_shape():
    shapes = polygon_shapes()
    assert len(shapes) == 245
    maps = polygon_maps(*(torch.tensor([row[i] for row in shapes]) for i in range(3)))
    for row, (*_, shape) in enumerate(shapes):
        k = len(shape.vertices)
        assert np.array_equal(24.0 * maps.vertex[row, :k].numpy(), shape.vertices)
        assert float(maps.area[row]) == shape.extent
