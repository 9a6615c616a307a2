"""Sampling temperatures of crystals."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from aristotype.crystal import Conditions
from aristotype.models import load
from benchmarks import quality_temperature
from benchmarks.core import Skipped

SHIPPED = "crystalformer-mp20"


def test_the_calibrated_temperature_changes_nothing_and_cold_crystals_are_likelier():
    drawer, asked = load(SHIPPED), Conditions(space_groups=[225])
    plain = drawer.sample(8, asked, seed=0)
    same = quality_temperature.at_temperature(drawer, 1.0).sample(8, asked, seed=0)
    columns = ["model", "log_prob"]  # weights at other places in memory may give scores with other last bits
    assert same.without_columns(columns) == plain.without_columns(columns)
    np.testing.assert_allclose(same.column("log_prob").to_numpy(), plain.column("log_prob").to_numpy(), atol=1e-6)
    cold = quality_temperature.at_temperature(drawer, 0.4).sample(32, asked, seed=0, score=False)
    hot = quality_temperature.at_temperature(drawer, 1.6).sample(32, asked, seed=0, score=False)
    assert drawer.log_prob(cold).mean() > drawer.log_prob(hot).mean() + 1


def test_a_model_of_genes_is_not_asked_for_crystals(tiny):
    with pytest.raises(Skipped, match="draws genes without geometry"):
        list(quality_temperature.crystal_temperature(dataclasses.replace(tiny, crystal_model="tiny")))
