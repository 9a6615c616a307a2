"""Chains: moves by an exact score leave the distribution of draws as it is, and properties pull on any model."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ks_2samp

from aristotype.crystal import Conditions
from aristotype.discover import ChainConfig, Guide, guide
from aristotype.models.wyckoff_augen import Tries

from .diffusion.small import tiny_model as tiny_diffusion
from .grids.small import tiny_model


def volume(table):
    return np.log(np.prod(table.lattice[:, :3], axis=1))


def moment(table):
    """A number of the coordinates that is the same for every description."""
    return np.array([np.cos(4 * np.pi * np.array(row.free)).sum() if row.free else 0.0 for row in table])


@pytest.mark.parametrize("number", [225, 186])
def test_moves_keep_what_the_model_draws(number):
    model = tiny_model(max_sites=2)
    model.tries = Tries()
    nothing = Guide(name="volume", property=volume, weight=1e-9)
    config = ChainConfig(steps=8, strain=0.2, displacement=0.5, closest=0.0, seed=1)
    conditions = Conditions(space_groups=[number])
    moves = {"draw": 0.01, "strain": 1.0, "displace": 1.0}
    result = guide(model, [nothing], conditions, chains=60, moves=moves, config=config)
    last = result.table.filter(np.array(result.table.column("kind").to_pylist()) == "last")
    drawn = model.without_redraws().sample(200, conditions, seed=5, score=False)
    for figure in (volume, moment):
        assert ks_2samp(figure(last), figure(drawn)).pvalue > 1e-3
    assert model.tries == Tries()
    accepted = result.table.column("accepted").to_numpy() if "accepted" in result.table.columns else None
    assert accepted is None or accepted.max() > 0


@pytest.mark.parametrize("make", [tiny_model, tiny_diffusion])
def test_chains_are_drawn_towards_a_property(make):
    small = Guide(name="volume", property=volume, weight=-20.0)
    config = ChainConfig(steps=15, closest=0.0, seed=0)
    conditions = Conditions(space_groups=[225])
    model = make(max_sites=2)
    result = guide(model, [small], conditions, chains=10, config=config)
    last = result.table.filter(np.array(result.table.column("kind").to_pylist()) == "last")
    assert volume(last).mean() < volume(model.sample(100, conditions, seed=2, score=False)).mean() - 0.2
