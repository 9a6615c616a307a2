"""Calibration never makes a model worse, finds a minimum that is known, and keeps settings within their ranges."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aristotype.models.crystalformer import CrystalFormer
from aristotype.models.crystalformer._calibrate import SETTINGS, calibrated
from tests.models.crystalformer.networks import network

AIMS = st.lists(st.floats(0.6, 1.8), min_size=len(SETTINGS), max_size=len(SETTINGS))


class _NoGenes:
    """Calibration looks at the geometry alone."""

    name = "none"


@pytest.fixture(scope="module")
def model() -> CrystalFormer:
    return CrystalFormer(_NoGenes(), network()).eval()


@given(aims=AIMS)
def test_the_settings_end_at_the_likeliest(model, aims):
    def nll(geometry) -> float:
        return sum(
            math.log(getattr(geometry.config, name) / aim) ** 2 for name, aim in zip(SETTINGS, aims, strict=True)
        )

    found = calibrated(model, nll)
    assert nll(found.geometry) <= nll(model.geometry)
    for name, aim in zip(SETTINGS, aims, strict=True):
        assert getattr(found.config, name) == pytest.approx(aim, rel=0.05)  # the last step is of 8 %


def test_a_model_that_cannot_be_bettered_is_left_alone(model):
    assert calibrated(model, lambda geometry: 0.0) is model


def test_a_drift_without_end_stops_at_the_range_of_a_setting(model):
    found = calibrated(model, lambda geometry: -geometry.config.bin_temperature)
    assert model.config.bin_temperature < found.config.bin_temperature < np.inf
