"""The moving average of weights."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from aristotype.training import EMA


def scalar_module(value: float) -> nn.Module:
    module = nn.Module()
    module.register_parameter("x", nn.Parameter(torch.tensor([value], dtype=torch.float64)))
    return module


@settings(deadline=None)
@given(decay=st.floats(0.01, 0.9999), values=st.lists(st.floats(-10, 10), min_size=2, max_size=20))
def test_it_is_the_weighted_mean_of_all_weights_so_far(decay, values):
    """Weights (1 - d_t) times the later decays, and the initial value with the product of all: they sum to one."""
    module = scalar_module(values[0])
    ema = EMA(module, decay)
    for value in values[1:]:
        module.x.data.fill_(value)
        ema.update()
    rates = [min(decay, (1 + t) / (10 + t)) for t in range(1, len(values))]
    weights = [1.0] + [1 - rate for rate in rates]
    for i in range(len(values)):
        for rate in rates[i:]:
            weights[i] *= rate
    assert sum(weights) == pytest.approx(1.0)
    expected = sum(weight * value for weight, value in zip(weights, values))
    assert float(ema.tensors()["x"]) == pytest.approx(expected, abs=1e-9)


def test_constant_weights_are_their_average():
    module = nn.Linear(3, 3).double()
    ema = EMA(module, 0.99)
    for _ in range(5):
        ema.update()
    torch.testing.assert_close(ema.tensors()["weight"], module.weight.detach(), rtol=1e-14, atol=1e-14)


def test_swapping_shows_the_average_and_gives_back_the_weights():
    module = scalar_module(1.0)
    ema = EMA(module, 0.5)
    module.x.data.fill_(2.0)
    ema.update()
    with pytest.raises(ValueError, match="inside"), ema.swapped():
        assert module.x.item() == ema.tensors()["x"].item() != 2.0
        raise ValueError("inside")
    assert module.x.item() == 2.0


def test_off_it_is_the_weights_themselves():
    module = scalar_module(1.0)
    ema = EMA(module, 0.0)
    module.x.data.fill_(2.0)
    ema.update()
    with ema.swapped():
        assert module.x.item() == 2.0
    ema.copy_to_module()
    assert module.x.item() == 2.0
    assert ema.tensors() == {}
