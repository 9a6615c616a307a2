"""Beta mixtures on segments: against scipy, and draws against the density."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, special, stats

from aristotype.models.wyckoff_augen.paper._beta import MOST, BetaMixture, draw, log_density, mixture
from aristotype.models.wyckoff_augen.paper._gammas import EDGE, bounded, gamma_quantile
from aristotype.symmetry import asymmetric_unit

raws = st.lists(st.floats(-3.0, 8.0), min_size=9, max_size=9)


def law_of(raw: list[float], rows: int = 1) -> BetaMixture:
    return mixture(torch.tensor([raw], dtype=torch.float64).expand(rows, len(raw)))


def parts_of(law: BetaMixture) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    weight, alpha, beta = (part[0].numpy() for part in law)
    return np.exp(weight), alpha, beta


@given(raw=raws, s=st.floats(0.001, 0.999))
def test_a_density_is_that_of_scipy(raw, s):
    law = law_of(raw)
    weight, alpha, beta = parts_of(law)
    expected = special.logsumexp(np.log(weight) + stats.beta.logpdf(s, alpha, beta))
    found = log_density(law, torch.tensor([s], dtype=torch.float64))
    assert float(found) == pytest.approx(expected, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("seed", range(10))
def test_a_density_integrates_to_one(seed):
    """By a rule with a node every 2e-5, for random laws of ten parts, some of them as sharp as may be."""
    raw = torch.from_numpy(np.random.default_rng(seed).normal(0.0, 6.0, (1, 30)))
    grid = np.linspace(0.0, 1.0, 50_001)
    law = BetaMixture(*(part.expand(len(grid), 10) for part in mixture(raw)))
    density = log_density(law, torch.from_numpy(grid)).exp().numpy()
    assert integrate.simpson(density, x=grid) == pytest.approx(1.0, abs=1e-3)  # what is at an end is least well known


def test_single_precision_is_enough_for_the_sharpest_law():
    raw = torch.tensor([[0.0, 30.0, 30.0]])
    s = torch.tensor([0.503], dtype=torch.float64)
    expected = float(log_density(mixture(raw.double()), s))
    assert float(log_density(mixture(raw), s)) == pytest.approx(expected, abs=1e-3)


def test_ends_have_a_finite_density_and_what_is_beyond_has_none():
    """Atoms are there: at the origin of a polar axis, by the choice of an origin."""
    law = mixture(torch.from_numpy(np.random.default_rng(0).normal(0.0, 20.0, (6, 30))))
    for end in (0.0, 1.0, -1e-6, 1.0 + 1e-6):
        s = torch.full((6,), end, dtype=torch.float64)
        near = (s - 0.5) * (1.0 - EDGE) + 0.5
        assert torch.isfinite(log_density(law, s)).all()
        assert torch.equal(log_density(law, s), log_density(law, near))
    for outside in (-0.01, 1.01, float("nan")):
        assert (log_density(law, torch.full((6,), outside).double()) == -torch.inf).all()


def test_parameters_have_bounds():
    found = bounded(torch.tensor([-1e4, 0.0, 1e4], dtype=torch.float64), MOST)
    assert found.tolist() == pytest.approx([1.0, 2.0, MOST])


@pytest.mark.parametrize("raw", [[0.0, 1.0, -1.0, 0.0, 8.0, -4.0, 2.0, 8.0, 20.0], [0.0, 0.0, 0.0, -9, 1, 4, -9, 1, 0]])
def test_draws_follow_the_density(raw):
    n = 3000
    law = law_of(raw, n)
    drawn = draw(law, torch.from_numpy(np.random.default_rng(0).random((n, 3)))).numpy()
    weight, alpha, beta = parts_of(law)
    cumulative = (weight * stats.beta.cdf(drawn[:, None], alpha, beta)).sum(axis=1)
    assert stats.kstest(cumulative, "uniform").pvalue > 1e-3
    assert ((drawn >= EDGE) & (drawn <= 1.0 - EDGE)).all()


def test_quantiles_of_gamma_laws_are_those_of_scipy():
    rng = np.random.default_rng(0)
    shape, uniform = np.exp(rng.uniform(0.0, np.log(MOST), 2000)), rng.random(2000)
    uniform[:4], shape[:4] = [0.0, 2.0**-53, 1.0 - 1e-12, 1.0 - 1e-12], [1.0, MOST, 1.0, MOST]
    found = gamma_quantile(torch.from_numpy(shape), torch.from_numpy(uniform)).numpy()
    off = np.abs(found - stats.gamma.ppf(uniform, shape)) / np.sqrt(shape)
    assert off[4:].max() < 1e-7
    assert off.max() < 1e-3  # where probabilities of double precision are coarse


def test_draws_are_on_their_segments():
    """Each of the 948 draws: the unit finds it on the shape it was drawn for."""
    rng = np.random.default_rng(0)
    for number in range(1, 231):
        unit = asymmetric_unit(number)
        for position, shapes in enumerate(unit.shapes):
            if shapes[0].dimension != 1:
                continue
            law = mixture(torch.from_numpy(rng.normal(0.0, 3.0, (len(shapes), 12))))
            s = draw(law, torch.from_numpy(rng.random((len(shapes), 3)))).numpy()
            for row, shape in enumerate(shapes):
                start, end = shape.vertices[:, 0] / 24
                point = shape.point([[start + s[row] * (end - start)]])
                assert unit.contains(point).all()
                assert unit.locate(position, point)[0] == row
