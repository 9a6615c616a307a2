"""Scores do not depend on the description, samples on nothing but their number and the seed; training learns."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from aristotype.crystal import Conditions
from aristotype.errors import ConfigError
from aristotype.models import load
from aristotype.models.wyckoff_augen import WyckoffAugenConfig, fit
from aristotype.models.wyckoff_augen._sequences import descriptions_of, first_of_each, some_order
from aristotype.models.wyckoff_augen.diffusion._score import one_order
from aristotype.training import TrainingConfig
from tests.models.wyckoff_augen.diffusion.small import tiny_model

GROUPS = (2, 4, 5, 12, 15, 19, 33, 62, 63, 92, 99, 123, 148, 166, 186, 194, 198, 221, 225, 227)


@pytest.fixture(scope="module")
def model():
    return tiny_model(max_sites=3)


@pytest.fixture(scope="module")
def crystals(model):
    return model.sample(60, Conditions(space_groups=GROUPS), seed=3, score=False)


def test_parts_add_up_and_a_score_is_never_below_that_of_one_sequence(model, crystals):
    parts = model.log_prob_parts(crystals)
    names = ("cell", "letters", "elements", "coordinates", "space")
    np.testing.assert_allclose(sum(parts[name] for name in names), parts["total"], atol=1e-6)
    first = first_of_each(descriptions_of(crystals))
    one = model.log_sequences(first, some_order(first, np.random.default_rng(0)), double=True)
    orders = one_order(first).log_weight
    assert (parts["total"] - parts["space"] > sum(one.values()) + orders - 1e-3).all()


def test_the_first_site_of_a_polar_group_holds_the_origin(model):
    table = model.sample(12, Conditions(space_groups=[33, 99, 160]), seed=0, score=False)
    for crystal in table[:12]:
        assert min(abs(free[-1]) for free in crystal.site_free) == 0.0


def test_scores_of_draws_are_finite_and_come_with_them(model):
    table = model.sample(6, seed=1)
    np.testing.assert_allclose(table.column("log_prob").to_numpy(), model.log_prob(table), atol=1e-3)
    moving = table.genes().freedoms.sum(axis=1) > 0
    assert table.column("log_prob_kind").to_pylist() == np.where(moving, "bound", "exact").tolist()
    assert (table.column("log_prob_error").to_numpy()[~moving] == 0).all()


def test_training_lowers_the_bound(model, tmp_path):
    small = {"width": 16, "layers": 1, "heads": 2, "element_width": 8, "cell_components": 3, "dropout": 0.0}
    config = WyckoffAugenConfig(**small, score_layers=1, edge_width=12, vectors=4, levels=4)
    table = model.sample(120, seed=8, score=False)
    settings = TrainingConfig(max_steps=24, batch_size=32, learning_rate=5e-3, validate_every=12, schedule="constant")
    fit(config, table, table[:40], settings, tmp_path / "run")
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    values = [line["nll"] for line in log if "nll" in line]
    assert values[-1] < values[0]
    weights = load(tmp_path / "run" / "last").state_dict()
    assert all(torch.isfinite(value.float()).all() for value in weights.values())


def test_batches_depend_on_their_rows_alone(model, crystals):
    """What a resumed run goes on with: noise is that of the rows, whatever came before."""
    learnt = first_of_each(descriptions_of(crystals))
    rows = np.flatnonzero(learnt.genes.num_sites == 3)
    first, second = model.batches(learnt, 5), model.batches(learnt, 5)
    second(rows[:2], 1.0)
    for one, other in zip(first(rows, 1.0).noised.__dict__.values(), second(rows, 1.0).noised.__dict__.values()):
        if isinstance(one, torch.Tensor):
            torch.testing.assert_close(one, other, rtol=0, atol=0)
    target = first(rows, 1.0).noised.target
    assert not torch.equal(target, model.batches(learnt, 6)(rows, 1.0).noised.target)


def test_parts_of_the_loss_are_learnt_by_networks_of_their_own(model, crystals):
    """So that they may be trained apart, and each with the dropout that suits it."""
    learnt = first_of_each(descriptions_of(crystals))
    batch = model.batches(learnt, 5)(np.flatnonzero(learnt.genes.num_sites == 3), 1.0)
    network = model.network
    parts = {**network.log_prob(batch), "coordinates": network.bound(batch.noised)}
    parts["space"] = model.log_spaces(batch.group, batch.space)
    owners = {"letters": "sequence", "elements": "sequence", "cell": "cell", "coordinates": "score", "space": "space"}
    for name, values in parts.items():
        model.zero_grad()
        values.sum().backward(retain_graph=True)
        moved = {key for key, weights in model.named_parameters() if weights.grad is not None and weights.grad.any()}
        assert {key.removeprefix("network.").split(".")[0] for key in moved} == {owners[name]}
    model.zero_grad()


@pytest.mark.parametrize(
    ("setting", "parts"),
    [("dropout", {"letters", "elements"}), ("cell_dropout", {"cell"}), ("space_dropout", {"space"})],
)
def test_each_dropout_is_of_its_part(crystals, setting, parts):
    model = tiny_model(max_sites=3, cell_dropout=0.0, space_dropout=0.0).with_config(**{setting: 0.5})
    learnt = first_of_each(descriptions_of(crystals))
    batch = model.batches(learnt, 5)(np.flatnonzero(learnt.genes.num_sites == 3), 1.0)
    still, shaken = (model.train(mode).loss(batch)[1] for mode in (False, True))
    assert {name for name, value in still.items() if not torch.equal(value, shaken[name])} == parts


def test_settings_are_checked():
    for wrong in (
        {"cutoff": 0.5},
        {"smallest_noise": 1.0},
        {"levels": 0},
        {"cell_dropout": 1.0},
        {"space_dropout": -0.1},
    ):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            WyckoffAugenConfig(**wrong)
