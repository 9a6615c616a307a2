"""Scores do not depend on the description, samples on nothing but their number and the seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aristotype.crystal import Conditions
from aristotype.errors import ConfigError
from aristotype.models._parts import log_sum_by_row
from aristotype.models.wyckoff_augen._sequences import all_orders, descriptions_of
from aristotype.models.wyckoff_augen._spaces import Spaces
from aristotype.models.wyckoff_augen.grids import GridsConfig
from aristotype.models.wyckoff_augen.grids._score import log_sequences
from tests.models.wyckoff_augen.grids.small import tiny_model

GROUPS = (2, 4, 5, 12, 15, 19, 33, 62, 63, 92, 99, 123, 148, 166, 186, 194, 198, 221, 225, 227)


@pytest.fixture(scope="module")
def model():
    return tiny_model(max_sites=3)


@pytest.fixture(scope="module")
def crystals(model):
    return model.sample(60, Conditions(space_groups=GROUPS), seed=3, score=False)


def test_orders_that_are_drawn_estimate_the_sum_over_all():
    """Weights of drawn orders make up for those that are left out, in the mean."""
    small = tiny_model(elements=(8,), max_sites=4, seed=2)
    table = small.sample(40, Conditions(space_groups=[62]), seed=0, score=False)
    table = table.filter(table.genes().num_sites == 4)[:4]
    found = descriptions_of(table)

    def total(most: int, seed: int) -> np.ndarray:
        rngs = [np.random.default_rng([seed, row]) for row in range(len(table))]
        orders = all_orders(found, np.full(len(table), most), rngs)
        parts = log_sequences(small.network, found, orders, small.vocabulary_index, 4)
        return log_sum_by_row(
            np.sum(list(parts.values()), axis=0) + orders.log_weight, found.owner[orders.description], len(table)
        )

    whole = total(10**6, 0)
    drawn = np.array([total(1, seed) for seed in range(40)])
    ratio = np.exp(drawn - whole)
    error = ratio.std(axis=0) / np.sqrt(len(ratio))
    assert (np.abs(ratio.mean(axis=0) - 1) < 5 * error + 1e-3).all()


def test_frequencies_of_spaces_follow_their_probabilities(model):
    """p(space) by counting, with the group summed over."""
    group, space = Spaces(model, None).draw(0, np.arange(20_000))
    sets, counts = np.unique(space, axis=0, return_counts=True)
    members = torch.from_numpy(sets)

    def given(number: int) -> np.ndarray:
        with torch.no_grad():
            return model.space.log_space(torch.full((len(sets),), number), members).exp().double().numpy()

    law = model.group_probabilities()
    expected = 0.5 * (given(0) + sum(law[number] * given(number) for number in range(1, 231)))
    assert expected.sum() == pytest.approx(1.0, abs=1e-4)  # all seven sets came
    # Pearson's statistic has six degrees of freedom.
    assert (((counts - 20_000 * expected) ** 2) / (20_000 * expected)).sum() < 30
    assert len(np.unique(group)) > 200


@pytest.mark.parametrize(("setting", "value"), [("dropout", 1.0), ("space_dropout", -0.1), ("width", 12)])
def test_settings_are_checked(setting, value):
    with pytest.raises(ConfigError, match=setting):
        GridsConfig(**{setting: value})
