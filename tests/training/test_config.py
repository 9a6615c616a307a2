"""The settings of a run: every field is checked, and messages give field, value and limit."""

from __future__ import annotations

import pytest

from aristotype.errors import ConfigError
from aristotype.training import TrainingConfig


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("max_steps", -1),
        ("batch_size", 0),
        ("log_every", 0),
        ("seed", -1),
        ("warmup_steps", -1),
        ("patience", -1),
        ("validate_every", -5),
        ("save_every", -1),
        ("threads", -1),
        ("prefetch", -1),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("min_learning_rate", 0.1),
        ("weight_decay", -0.1),
        ("clip_norm", -1.0),
        ("ema_decay", 1.0),
        ("betas", (0.9, 1.0)),
        ("betas", (0.9,)),
        ("schedule", "cosin"),
        ("device", "tpu"),
    ],
)
def test_a_value_outside_its_range_is_refused(field, value):
    with pytest.raises(ConfigError, match=f"{field} is .*it must be"):
        TrainingConfig(**({"max_steps": 10} | {field: value}))


def test_a_run_needs_an_end():
    with pytest.raises(ConfigError, match="neither epochs nor max_steps"):
        TrainingConfig()


@pytest.mark.parametrize(("epochs", "max_steps", "total"), [(3, None, 30), (None, 7, 7), (3, 7, 7), (3, 70, 30)])
def test_the_first_end_counts(epochs, max_steps, total):
    assert TrainingConfig(epochs=epochs, max_steps=max_steps).total_steps(10) == total
