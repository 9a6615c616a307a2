"""Scores do not depend on the description, draws follow them, and depend on nothing but their number and the seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aristotype.crystal import Conditions
from aristotype.models.wyckoff_augen._score import sequences_of
from aristotype.models.wyckoff_augen._sequences import descriptions_of, some_order
from aristotype.models.wyckoff_augen.paper._batches import batch_of
from tests.models.wyckoff_augen.paper.small import tiny_model

GROUPS = (2, 4, 5, 12, 15, 19, 33, 62, 63, 92, 99, 123, 148, 166, 186, 194, 198, 221, 225, 227)


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture(scope="module")
def crystals(model):
    return model.sample(64, Conditions(space_groups=GROUPS), seed=3, score=False)


def test_laws_sum_to_one_and_stay_with_what_is_allowed(model, crystals):
    found = descriptions_of(crystals)
    found = found.take(np.flatnonzero(found.genes.num_sites == 3)[:40])
    batch = batch_of(found, some_order(found, np.random.default_rng(0)), model.vocabulary_index, 3)
    network = model.network
    with torch.no_grad():
        about = network.about(batch.group, batch.space)
        state = network.read(about, batch)
        letters, _ = network.heads.letters(state, about.positions, batch.letters_allowed)
        position = about.positions.gather(1, batch.wyckoffs[..., None].expand(-1, -1, 16))
        args = batch.space, batch.elements_allowed
        elements, _ = network.heads.elements(state[:, :-1], position, about.elements, *args)
        group, letter = batch.group.repeat_interleave(3), batch.wyckoffs.flatten()
        site = [state[:, :-1].flatten(0, 1), position.flatten(0, 1), about.elements[batch.elements].flatten(0, 1)]
        vectors, there = network.embeddings.shapes(group, letter)
        shapes = network.heads.shapes(site, vectors, there)
    for law, allowed in ((letters, batch.letters_allowed), (elements, batch.elements_allowed), (shapes, there)):
        assert torch.exp(law).sum(dim=-1).numpy() == pytest.approx(np.ones(law.shape[:-1]), abs=1e-5)
        assert torch.equal(torch.isfinite(law), allowed)
    freedom = found.genes.freedoms
    rows, sites = np.nonzero(freedom == 0)
    for row, site in zip(rows.tolist(), sites.tolist(), strict=True):  # what is occupied is not offered again
        assert not batch.letters_allowed[row, site + 1 :, batch.wyckoffs[row, site]].any()


def test_sequences_of_one_crystal_differ_and_are_all_scored(model):
    table = model.sample(64, Conditions(space_groups=[62], required_elements=["O"]), seed=1, score=False)
    found, orders = sequences_of(table)
    parts = model.log_sequences(found, orders, double=True)
    assert len(orders.description) > len(found)
    assert set(parts) == {"cell", "letters", "elements", "shapes", "coordinates"}
    assert all(np.isfinite(values).all() for values in parts.values())


def test_scores_that_are_lower_bounds_are_not_called_exact():
    model = tiny_model(max_sites=2)
    table = model.sample(24, Conditions(space_groups=[2, 12, 62, 225]), seed=0, score=False)
    exact = model.log_prob_parts(table)["exact"]
    low = table.space_group <= 15
    assert low.any() and not exact[low].any()
    assert exact[~low].any()
