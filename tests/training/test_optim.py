"""Optimiser and schedule."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from aristotype.errors import ConfigError
from aristotype.training import TrainingConfig, decayed_parameters, learning_rate
from aristotype.training._optim import gradient_norm, load_optimizer_tensors, make_optimizer, optimizer_tensors


@settings(deadline=None)
@given(
    schedule=st.sampled_from(["cosine", "linear", "constant"]),
    warmup=st.integers(0, 50),
    total=st.integers(1, 200),
    floor=st.floats(0, 1e-3),
)
def test_warm_up_rises_to_the_peak_then_never_rises(schedule, warmup, total, floor):
    config = TrainingConfig(
        max_steps=total, warmup_steps=warmup, schedule=schedule, learning_rate=1e-3, min_learning_rate=floor
    )
    rates = [learning_rate(step, config, total) for step in range(max(total, warmup + 1))]
    assert all(0 <= rate <= 1e-3 * (1 + 1e-12) for rate in rates)
    assert all(a < b for a, b in itertools.pairwise(rates[:warmup]))
    assert max(rates) == pytest.approx(1e-3)
    after = rates[warmup:]
    assert all(a >= b for a, b in itertools.pairwise(after))
    end = 1e-3 if schedule == "constant" else floor
    if warmup < total:
        assert learning_rate(total, config, total) == pytest.approx(end, abs=1e-15)


def test_half_way_cosine_and_linear_are_half():
    for schedule in ("cosine", "linear"):
        config = TrainingConfig(max_steps=110, warmup_steps=10, schedule=schedule, learning_rate=1.0)
        assert learning_rate(60, config, 110) == pytest.approx(0.5)


def test_parts_have_their_own_rates():
    model = nn.ModuleDict({"a": nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), "ab": nn.Linear(2, 2)})
    config = TrainingConfig(
        max_steps=1, learning_rate=0.1, weight_decay=0.0, part_rates={"a": 0.2, "a.1": 0.4}, epsilon=1e-3
    )
    optimizer = make_optimizer(model, config)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for group in optimizer.param_groups:
        group["lr"] = 0.5 * config.learning_rate * group["factor"]  # as half-way down a schedule
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    for name, parameter in model.named_parameters():
        rate = 0.4 if name.startswith("a.1.") else 0.2 if name.startswith("a.") else 0.1
        moved = torch.full_like(parameter, 0.5 * rate / (1 + 1e-3))
        torch.testing.assert_close(before[name] - parameter.detach(), moved, rtol=1e-4, atol=1e-6)
    with pytest.raises(ConfigError, match=r"names 'a\.3', and no parameter begins so; did you mean a"):
        make_optimizer(model, TrainingConfig(max_steps=1, part_rates={"a.3": 1.0}))
    with pytest.raises(ConfigError, match="part_rates"):
        TrainingConfig(max_steps=1, part_rates={"a": 0.0})


def test_decay_spares_biases_gains_and_embeddings():
    model = nn.Sequential(nn.Embedding(4, 3), nn.LayerNorm(3), nn.Linear(3, 2))
    assert decayed_parameters(model) == {"2.weight"}
    model.requires_grad_(True)
    optimizer = make_optimizer(model, TrainingConfig(max_steps=1, learning_rate=0.1, weight_decay=0.5))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in model.named_parameters():
        factor = 1 - 0.1 * 0.5 if name == "2.weight" else 1.0
        torch.testing.assert_close(parameter.detach(), before[name] * factor)


def test_gradients_are_clipped_to_the_norm_and_the_norm_before_is_told():
    model = nn.Linear(2, 1, bias=False)
    model.weight.grad = torch.tensor([[3.0, 4.0]])
    assert float(gradient_norm(model, 0.0)) == pytest.approx(5.0)
    torch.testing.assert_close(model.weight.grad, torch.tensor([[3.0, 4.0]]))
    assert float(gradient_norm(model, 1.0)) == pytest.approx(5.0)
    assert float(model.weight.grad.norm()) == pytest.approx(1.0, rel=1e-5)


def test_optimizer_state_round_trips():
    config = TrainingConfig(max_steps=1)

    def stepped(model, optimizer, count):
        for _ in range(count):
            optimizer.zero_grad()
            model(torch.ones(3, 2)).square().sum().backward()
            optimizer.step()

    torch.manual_seed(0)
    first = nn.Linear(2, 2)
    one = make_optimizer(first, config)
    stepped(first, one, 3)
    second = nn.Linear(2, 2)
    second.load_state_dict(first.state_dict())
    other = make_optimizer(second, config)
    load_optimizer_tensors(other, second, optimizer_tensors(one, first))
    stepped(first, one, 2)
    stepped(second, other, 2)
    assert torch.equal(first.weight, second.weight)
