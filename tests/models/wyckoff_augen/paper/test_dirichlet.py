"""Dirichlet mixtures on polygons: normalised over each of the 245, and followed by draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from aristotype.models.wyckoff_augen.paper._dirichlet import (
    MOST,
    DirichletMixture,
    draw,
    log_density,
    log_on_triangle,
    mixture,
    placed,
)
from aristotype.models.wyckoff_augen.paper._gammas import EDGE
from aristotype.models.wyckoff_augen.paper._polygons import all_polygons, polygon_shapes
from aristotype.symmetry import asymmetric_unit
from tests.models.wyckoff_augen.paper.polygons import fans, kinds, repeated


def random_law(rows: int, seed: int, components: int = 4, spread: float = 1.0) -> DirichletMixture:
    raw = np.random.default_rng(seed).normal(0.0, spread, (rows, 4 * components))
    return mixture(torch.from_numpy(raw))


def spread_over(law: DirichletMixture, rows: int) -> DirichletMixture:
    return DirichletMixture(*(part.repeat_interleave(rows, dim=0) for part in law))


@given(
    raw=st.lists(st.floats(-3.0, 9.0), min_size=8, max_size=8), y=st.lists(st.floats(0.01, 1), min_size=3, max_size=3)
)
@settings(max_examples=50)
def test_a_density_on_the_triangle_is_that_of_scipy(raw, y):
    law = mixture(torch.tensor([raw], dtype=torch.float64))
    point = np.array(y) / np.sum(y)
    each = [stats.dirichlet.logpdf(point, alpha) for alpha in law.alpha[0].numpy()]
    found = float(log_on_triangle(law, torch.from_numpy(point)[None]))
    assert found == pytest.approx(special.logsumexp(law.log_weight[0].numpy() + each), rel=1e-9, abs=1e-6)


def test_a_density_integrates_to_one_over_every_polygon():
    """By area in the parameters of the shape; the rule knows nothing of the map."""
    maps = all_polygons()[0]
    law = random_law(len(maps.area), 0)
    law = law._replace(alpha=law.alpha.ceil())  # fractional powers of the distance to an edge ask for a finer rule
    point, weight = fans(maps.vertex, 10)
    n = point.shape[1]
    density = log_density(spread_over(law, n), placed(repeated(n), point.reshape(-1, 2))).exp().view(-1, n)
    total = (density * weight).sum(dim=1)
    assert total.numpy() == pytest.approx(1.0, abs=1e-3)
    assert float((weight.sum(dim=1) - maps.area).abs().max()) < 1e-12


@pytest.mark.parametrize("seed", range(3))
def test_a_sharp_density_integrates_to_one(seed):
    """On one polygon of each kind, by a fine rule; exponents up to two hundred."""
    maps = all_polygons()[0].take(kinds())
    law = random_law(len(maps.area), seed, components=2, spread=2.5)
    law = law._replace(alpha=law.alpha.clamp(max=200.0))
    point, weight = fans(maps.vertex, 40)
    n = point.shape[1]
    many = maps.take(torch.arange(len(maps.area)).repeat_interleave(n))
    density = log_density(spread_over(law, n), placed(many, point.reshape(-1, 2))).exp().view(-1, n)
    assert (density * weight).sum(dim=1).numpy() == pytest.approx(1.0, abs=2e-3)


def test_edges_have_a_finite_density_and_what_is_beyond_has_none():
    maps = all_polygons()[0]
    law = random_law(len(maps.area), 1, spread=20.0)
    middle = maps.vertex.mean(dim=1)
    for i in range(5):
        vertex = maps.vertex[:, i]
        following = maps.vertex[:, (i + 1) % 5]
        for point in (vertex, 0.5 * (vertex + following), vertex + 1e-6 * (vertex - middle)):
            assert torch.isfinite(log_density(law, placed(maps, point))).all()
        assert (log_density(law, placed(maps, vertex + 0.01 * (vertex - middle))) == -torch.inf).all()
    nowhere = placed(maps, torch.full_like(middle, torch.nan))
    assert (log_density(law, nowhere) == -torch.inf).all()


def test_parameters_have_bounds_and_gradients():
    raw = torch.randn(50, 40, generator=torch.Generator().manual_seed(0)).mul(30.0).requires_grad_()
    law = mixture(raw)
    assert float(law.alpha.detach().min()) >= 1.0
    assert float(law.alpha.detach().max()) <= MOST
    maps = all_polygons()[0].take(torch.arange(50))
    log_density(law, placed(maps, maps.vertex.mean(dim=1))).sum().backward()
    assert torch.isfinite(raw.grad).all()


def test_draws_lie_on_their_polygons():
    """Each of the 245: the unit finds what is drawn on the shape it was drawn for, at the same parameters."""
    shapes, maps = polygon_shapes(), all_polygons()[0]
    rng = np.random.default_rng(0)
    law = random_law(len(shapes), 2, spread=3.0)
    drawn = draw(law, maps, torch.from_numpy(rng.random((len(shapes), 4)))).numpy()
    for (number, position, part, shape), free in zip(shapes, drawn, strict=True):
        assert shape.covers(free)
        point = shape.point(free[None])
        unit = asymmetric_unit(number)
        assert unit.contains(point).all()
        found, read = unit.locate(position, point)
        assert found[0] == part
        assert read[0] == pytest.approx(free, abs=1e-12)


def test_draws_follow_the_density():
    """Counts in nine parts of a polygon of each kind, against integrals of the density."""
    n, parts = 2000, 9
    for number, row in enumerate(kinds().tolist()):
        maps = all_polygons()[0].take(torch.tensor([row]))
        law = random_law(1, number, spread=1.5)
        uniform = torch.from_numpy(np.random.default_rng(number).random((n, 4)))
        drawn = draw(spread_over(law, n), maps.take(torch.zeros(n, dtype=torch.long)), uniform)
        counts = _cells(maps.vertex[0], drawn, parts)
        point, weight = fans(maps.vertex, 60)
        m = point.shape[1]
        where = placed(maps.take(torch.zeros(m, dtype=torch.long)), point[0])
        mass = log_density(spread_over(law, m), where).exp() * weight[0]
        expected = torch.zeros(parts, dtype=torch.float64)
        expected.index_add_(0, _cell_of(maps.vertex[0], point[0], parts), mass)
        few = expected * n < 5
        expected, counts = (torch.cat([p[~few], p[few].sum()[None]]) for p in (expected / expected.sum() * n, counts))
        kept = expected > 1.0
        scaled = expected[kept] * counts[kept].sum() / expected[kept].sum()
        assert stats.chisquare(counts[kept].numpy(), scaled.numpy()).pvalue > 1e-3


def _cells(vertex: torch.Tensor, point: torch.Tensor, parts: int) -> torch.Tensor:
    return torch.bincount(_cell_of(vertex, point, parts), minlength=parts).double()


def _cell_of(vertex: torch.Tensor, point: torch.Tensor, parts: int) -> torch.Tensor:
    """Part of each point: three by three in the frame of the polygon's box."""
    low, high = vertex.amin(dim=0), vertex.amax(dim=0)
    share = ((point - low) / (high - low) * 3.0).long().clamp(0, 2)
    return share[:, 0] * 3 + share[:, 1]


def test_the_edge_is_as_wide_as_it_says():
    """Points nearer to an edge than EDGE have the density of those at EDGE: no more than that share is not exact."""
    maps = all_polygons()[0]
    law = random_law(len(maps.area), 3)
    middle, vertex = maps.vertex.mean(dim=1), maps.vertex[:, 0]
    inside = middle + (1.0 - EDGE) * (vertex - middle)
    found, near = (log_density(law, placed(maps, point)) for point in (vertex, inside))
    assert float((found - near).abs().max()) < 1e-6
