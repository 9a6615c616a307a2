"""Discrete diffusion: the closed form, the marginals, what zero means; against dense matrices."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aristotype.models.wyckoffdiff._noise import (
    Step,
    divergence,
    divergence_from_zero,
    drawn_before,
    drawn_from_zero,
    noised,
    pick,
    posterior,
    schedule,
    spaced,
)

PRIORS = ("uniform", "marginal", "zeros")


def prior_of(kind: str, d: int, rng: np.random.Generator) -> np.ndarray:
    if kind == "uniform":
        return np.full(d, 1 / d)
    return np.eye(d)[0] if kind == "zeros" else rng.dirichlet(np.ones(d))


def transition(kept: float, m: np.ndarray) -> np.ndarray:
    """Q[i, j] = q(j | i) where a value is kept with a probability, else drawn from m."""
    return kept * np.eye(len(m)) + (1 - kept) * np.ones((len(m), 1)) * m


def dense_posterior(p0: np.ndarray, value: int, kept: float, before: float, m: np.ndarray) -> np.ndarray:
    """p(j) = sum over x_0 of p(x_0) q(j | x_t, x_0), with q from products of matrices; d^2 terms."""
    early, late = transition(before, m), transition(kept / before, m)
    out = np.zeros(len(m))
    for x0, weight in enumerate(p0):
        joint = early[x0] * late[:, value]
        if joint.sum() > 0:
            out += weight * joint / joint.sum()
    return out / out.sum() if out.sum() > 0 else out


@given(
    kind=st.sampled_from(PRIORS),
    d=st.integers(2, 12),
    seed=st.integers(0, 1 << 32),
    share=st.just(0.0) | st.floats(1e-6, 1),
    last=st.booleans(),
)
def test_the_closed_form_is_the_dense_posterior(kind, d, seed, share, last):
    rng = np.random.default_rng(seed)
    m, p0, value = prior_of(kind, d, rng), rng.dirichlet(np.ones(d)), int(rng.integers(d))
    before = 1.0 if last else float(rng.uniform(0.01, 1))
    kept = share * before
    expected = dense_posterior(p0, value, kept, before, m)
    step = Step(kept=torch.tensor([kept], dtype=torch.float64), kept_before=torch.tensor([before], dtype=torch.float64))
    got = posterior(torch.tensor(p0), torch.tensor(value), step, torch.tensor(m)).numpy()
    assert np.abs(got - expected).max() < 1e-12


@pytest.mark.parametrize("timesteps", [1, 7, 1000])
def test_the_schedule_goes_from_one_to_zero_and_follows_the_cosine(timesteps):
    kept = schedule(timesteps).numpy()
    assert kept[0] == 1
    assert kept[-1] == 0
    assert (np.diff(kept) < 0).all()
    t = np.arange(timesteps) / timesteps
    expected = np.cos((t + 0.008) / 1.008 * np.pi / 2) / np.cos(0.008 / 1.008 * np.pi / 2)
    assert np.abs(kept[:-1] - expected).max() < 1e-12


def test_spaced_steps_go_from_end_to_end_without_repeats():
    for timesteps, steps in ((1000, 1000), (1000, 100), (1000, 7), (40, 3), (5, 5)):
        visited = spaced(timesteps, steps).numpy()
        assert visited[0] == 0
        assert visited[-1] == timesteps
        assert len(visited) == steps + 1
        assert (np.diff(visited) >= 1).all()


@pytest.mark.parametrize("kind", PRIORS)
def test_marginals_of_noise_are_the_products_of_its_steps(kind):
    """q(x_t | x_0) by T matrices one after another, and the frequencies of draws."""
    rng = np.random.default_rng(0)
    d, timesteps = 5, 20
    m, kept = prior_of(kind, d, rng), schedule(timesteps).numpy()
    product = np.eye(d)
    n = 40_000
    for t in range(1, timesteps + 1):
        product = product @ transition(kept[t] / kept[t - 1], m)
        assert np.abs(product - transition(kept[t], m)).max() < 1e-12
        if t in (1, 7, 20):
            start = torch.full((n,), 3)
            drawn = noised(start, torch.tensor(kept[t]), torch.tensor(m), torch.tensor(rng.random(n)))
            share = np.bincount(drawn.numpy(), minlength=d) / n
            assert np.abs(share - product[3]).max() < 5 * np.sqrt(0.25 / n)


def test_a_variable_that_left_zero_never_changes_and_zero_is_left_at_the_known_rate():
    rng = np.random.default_rng(1)
    log_p = torch.log_softmax(torch.tensor(rng.normal(size=(4, 6))), dim=-1)
    values = torch.tensor([0, 1, 3, 5])
    for kept, before in ((0.1, 0.2), (0.3, 0.7), (0.5, 1.0)):
        step = Step(
            kept=torch.tensor([kept], dtype=torch.float64), kept_before=torch.tensor([before], dtype=torch.float64)
        )
        out = posterior(log_p.exp(), values, step, torch.eye(6, dtype=torch.float64)[0]).numpy()
        assert (out[1:] == np.eye(6)[[1, 3, 5]]).all()
        rate = (before - kept) / (1 - kept)
        assert out[0, 0] == pytest.approx(1 - rate * (1 - float(log_p[0, 0].exp())), abs=1e-12)


@given(seed=st.integers(0, 1 << 32), last=st.booleans())
def test_the_short_forms_for_zeros_are_the_general_ones(seed, last):
    rng = np.random.default_rng(seed)
    d, n = int(rng.integers(2, 8)), 40
    log_p = torch.log_softmax(torch.tensor(rng.normal(size=(n, d)) * 2), dim=-1)
    before = torch.tensor(np.ones(n) if last else rng.uniform(0.05, 1, n))
    kept = before * torch.tensor(rng.uniform(0, 0.99, n))
    step = Step(kept=kept[:, None], kept_before=before[:, None])
    truth = torch.tensor(rng.integers(d, size=n))
    zeros = torch.eye(d, dtype=torch.float64)[0]
    noisy = torch.where(torch.tensor(rng.random(n)) < kept, truth, 0)
    general = divergence(log_p, truth, noisy, step, zeros)
    short = divergence_from_zero(log_p, truth, noisy, step)
    assert torch.allclose(general, short, atol=1e-10)
    uniform = torch.tensor(rng.random(n))
    one = drawn_before(log_p, noisy, step, zeros, uniform)
    assert (one == drawn_from_zero(log_p, noisy, step, uniform)).all()
    if last:
        hidden = noisy == 0
        at_truth = -log_p.gather(1, truth[:, None])[:, 0]
        assert torch.allclose(general[hidden], at_truth[hidden], atol=1e-10)


@given(seed=st.integers(0, 1 << 32))
def test_divergences_are_those_of_their_definition(seed):
    rng = np.random.default_rng(seed)
    d = int(rng.integers(2, 7))
    m, p0 = rng.dirichlet(np.ones(d)), rng.dirichlet(np.ones(d))
    truth, noisy = int(rng.integers(d)), int(rng.integers(d))
    before, kept = 0.8, 0.5
    q = dense_posterior(np.eye(d)[truth], noisy, kept, before, m)
    p = dense_posterior(p0, noisy, kept, before, m)
    expected = float((q * np.log(q / p)).sum())
    step = Step(kept=torch.tensor([kept], dtype=torch.float64), kept_before=torch.tensor([before], dtype=torch.float64))
    got = divergence(torch.tensor(p0).log(), torch.tensor(truth), torch.tensor(noisy), step, torch.tensor(m))
    assert float(got) == pytest.approx(expected, abs=1e-10)
    assert expected >= -1e-12


def test_what_has_no_probability_is_never_picked():
    p = torch.tensor([[0.0, 0.5, 0.0, 0.5, 0.0]]).expand(5, -1)
    uniform = torch.tensor([0.0, 0.25, 0.4999999, 0.75, 1.0])
    assert pick(p, uniform).tolist() == [1, 1, 1, 3, 3]
