"""The policy gradient on worlds of a few outcomes, where every expectation can be written out."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from aristotype.errors import ConfigError, TrainingError
from aristotype.training import PolicyConfig, PolicyGradient, leave_one_out, surrogate

OUTCOMES = 5
numbers = st.lists(st.floats(-2, 2), min_size=OUTCOMES, max_size=OUTCOMES)


class Categorical(nn.Module):
    """A policy over a few outcomes."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits.clone().double())

    def log_prob(self, rows: Tensor) -> Tensor:
        return torch.log_softmax(self.logits, dim=0)[rows]


def objective(logits: Tensor, base: Tensor, reward: Tensor, weight: float) -> Tensor:
    """E[r] - weight KL(p || base), written out."""
    log_p, log_base = torch.log_softmax(logits, 0), torch.log_softmax(base, 0)
    return (log_p.exp() * (reward - weight * (log_p - log_base))).sum()


def estimate(logits: Tensor, base: Tensor, reward: Tensor, weight: float, rows: Tensor) -> Tensor:
    """The gradient estimate of one batch."""
    leaf = logits.clone().requires_grad_(True)
    log_p, log_base = torch.log_softmax(leaf, 0)[rows], torch.log_softmax(base, 0)[rows]
    advantage = leave_one_out(reward[rows] - weight * (log_p.detach() - log_base))
    surrogate(log_p, log_p.detach(), advantage, 0.2).backward()
    assert leaf.grad is not None
    return -leaf.grad


@settings(max_examples=40, deadline=None)
@given(numbers, numbers, numbers, st.floats(0, 3), st.sampled_from([2, 3]))
def test_the_estimator_has_the_mean_that_it_should_have(logits, base, reward, weight, n):
    """Over all batches of n rows, each with its probability: no sampling, so to rounding."""
    here, there, gain = (torch.tensor(values, dtype=torch.float64) for values in (logits, base, reward))
    log_p = torch.log_softmax(here, 0)
    mean = torch.zeros(OUTCOMES, dtype=torch.float64)
    for batch in product(range(OUTCOMES), repeat=n):
        rows = torch.tensor(batch)
        mean += log_p[rows].sum().exp() * estimate(here, there, gain, weight, rows)
    leaf = here.clone().requires_grad_(True)
    (wanted,) = torch.autograd.grad(objective(leaf, there, gain, weight), leaf)
    assert torch.allclose(mean, wanted, atol=1e-10)


@settings(max_examples=40, deadline=None)
@given(numbers, numbers, st.floats(0.1, 3), st.lists(st.integers(0, OUTCOMES - 1), min_size=2, max_size=8))
def test_at_the_optimum_no_batch_moves_anything(base, reward, weight, batch):
    """There the return of every outcome is the same: p_base exp(r / weight), normalised."""
    there, gain = (torch.tensor(values, dtype=torch.float64) for values in (base, reward))
    best = torch.log_softmax(there, 0) + gain / weight
    assert estimate(best, there, gain, weight, torch.tensor(batch)).abs().max() < 1e-10


def learn(weight: float, reward: Tensor, *, steps: int = 200, updates: int = 2) -> tuple[Tensor, Tensor]:
    """Probabilities after a run with sampled batches, and those of the base."""
    base = torch.tensor([0.3, -0.5, 0.0, 1.0, -1.0], dtype=torch.float64)
    policy = Categorical(base)
    config = PolicyConfig(steps=steps, batch_size=64, learning_rate=0.03, kl_weight=weight, updates=updates)
    gradient = PolicyGradient(policy, config)
    generator = torch.Generator().manual_seed(1)
    log_base = torch.log_softmax(base, 0)
    for _ in range(steps):
        shares = torch.softmax(policy.logits.detach(), 0)
        rows = torch.multinomial(shares, config.batch_size, replacement=True, generator=generator)
        gradient.update(lambda rows=rows: policy.log_prob(rows), log_base[rows], reward[rows])
    return torch.softmax(policy.logits.detach(), 0), log_base.exp()


def test_sampled_batches_lead_to_the_optimum():
    reward = torch.tensor([0.0, 1.0, 0.3, -0.5, 0.7], dtype=torch.float64)
    found, base = learn(0.5, reward)
    wanted = base * torch.exp(reward / 0.5)
    assert torch.allclose(found, wanted / wanted.sum(), atol=0.02)


def test_what_costs_much_stays_where_it_is():
    reward = torch.tensor([0.0, 1.0, 0.3, -0.5, 0.7], dtype=torch.float64)
    found, base = learn(1000.0, reward)
    assert torch.allclose(found, base, atol=0.03)  # Adam has steps of a size, however small the gradient


def test_without_rewards_and_at_the_base_nothing_moves():
    found, base = learn(0.5, torch.zeros(OUTCOMES, dtype=torch.float64), steps=20)
    assert torch.allclose(found, base, atol=1e-15)


def test_further_updates_leave_rows_alone_that_have_moved_far_enough():
    drawn_with = torch.zeros(4)
    log_prob = torch.tensor([0.5, -0.5, 0.5, -0.5], requires_grad=True)
    advantage = torch.tensor([1.0, 1.0, -1.0, -1.0])
    surrogate(log_prob, drawn_with, advantage, 0.2).backward()
    # Likelier and good, or less likely and bad: enough. The other two go back.
    assert log_prob.grad is not None
    assert (log_prob.grad != 0).tolist() == [False, True, True, False]


def test_a_gradient_that_is_no_number_stops_the_run():
    policy = Categorical(torch.zeros(OUTCOMES))
    gradient = PolicyGradient(policy, PolicyConfig())
    rows = torch.tensor([0, 1])
    with pytest.raises(TrainingError, match="learning_rate"):
        gradient.update(lambda: policy.log_prob(rows) * torch.nan, torch.zeros(2), torch.tensor([0.0, 1.0]))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("steps", 0),
        ("batch_size", 1),
        ("learning_rate", 0.0),
        ("kl_weight", -0.1),
        ("kl_weight", float("nan")),
        ("updates", 0),
        ("clip_ratio", 0.0),
        ("repeat_penalty", -1.0),
        ("patience", 0),
        ("seed", -1),
    ],
)
def test_settings_out_of_range_are_refused_by_name(field, value):
    with pytest.raises(ConfigError, match=field):
        PolicyConfig(**{field: value})
