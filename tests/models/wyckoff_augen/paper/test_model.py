"""Scores do not depend on the description, draws follow them, and depend on nothing but their number and the seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from aristotype.crystal import Conditions, CrystalTable, crystal_equivalents
from aristotype.models import load
from aristotype.models.wyckoff_augen import Tries
from aristotype.models.wyckoff_augen._score import sequences_of
from aristotype.models.wyckoff_augen._sequences import descriptions_of, some_order
from aristotype.models.wyckoff_augen.paper._batches import batch_of
from aristotype.symmetry import asymmetric_unit, space_group
from tests.models.wyckoff_augen.paper.small import tiny_model

GROUPS = (2, 4, 5, 12, 15, 19, 33, 62, 63, 92, 99, 123, 148, 166, 186, 194, 198, 221, 225, 227)


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture(scope="module")
def crystals(model):
    return model.sample(64, Conditions(space_groups=GROUPS), seed=3, score=False)


def test_scores_are_the_same_for_every_description(model, crystals):
    described = [[crystal, *crystal_equivalents(crystal)[:4]] for crystal in crystals[:30]]
    every = [one for some in described for one in some]
    flat = CrystalTable.from_crystals([replace(one, id=str(row)) for row, one in enumerate(every)])
    parts = model.log_prob_parts(flat)
    assert np.isfinite(parts["total"]).all()
    first = 0
    for some in described:
        values = parts["total"][first : first + len(some)]
        np.testing.assert_allclose(values, values[0], atol=1e-5)  # descriptions are rounded, densities steep
        first += len(some)
    assert len(flat) > 60


def test_samples_are_legal_and_lie_in_the_unit(crystals):
    assert crystals.genes().legal().all()
    assert set(crystals.space_group.tolist()) <= set(GROUPS)
    for crystal in crystals[:40]:
        unit, start = asymmetric_unit(crystal.space_group), 0
        for letter in crystal.wyckoffs:
            position = space_group(crystal.space_group).positions[letter]
            free = np.array(crystal.free[start : start + position.freedom])
            start += position.freedom
            wrapped = unit.wrap(position.representative(free[None]))
            unit.locate(position.index, wrapped.points)  # it is on a shape, or this is an error
            assert unit.contains(wrapped.points).all()


def test_fewer_are_the_first_of_more_and_seeds_differ(model):
    more, fewer = (model.sample(n, seed=5, score=False) for n in (70, 9))
    for name in ("space_group", "lattice"):
        np.testing.assert_array_equal(getattr(more[:9], name), getattr(fewer, name))
    assert not np.array_equal(model.sample(9, seed=6, score=False).lattice, fewer.lattice)


@pytest.mark.parametrize("groups", [(33, 36, 99, 160, 186), (19, 62, 122, 166, 198, 225)])
def test_draws_follow_the_score(groups):
    """The mean over draws of p of a model with slightly other weights, over the own, is one: both are densities.

    Of groups whose cells are always reduced, so that scores are not bounds.
    """
    model, other = tiny_model(max_sites=2), tiny_model(max_sites=2)
    torch.manual_seed(1)
    for weights in other.network.parameters():
        weights.data += 0.02 * torch.randn_like(weights)
    drawn = model.sample(256, Conditions(space_groups=groups), seed=0, score=False)
    ratio = np.exp(other.log_prob(drawn) - model.log_prob(drawn))
    assert 0.01 < ratio.std() < 2.0
    assert abs(ratio.mean() - 1.0) < 4.0 * ratio.std() / np.sqrt(len(ratio))


def test_second_tries_bring_closer_atoms_apart(model):
    free = model.sample(40, Conditions(space_groups=[62, 14]), seed=0, score=False)
    again = tiny_model()
    again.tries = Tries()
    tried = again.sample(40, Conditions(space_groups=[62, 14]), seed=0, score=False)
    assert np.median(tried.column("closest").to_numpy()) > np.median(free.column("closest").to_numpy())
    assert tried.column("site_draws").to_numpy().max() > 0 == free.column("site_draws").to_numpy().max()


def test_spaces_of_elements_are_heeded(model):
    only = model.sample(30, Conditions(allowed_elements=["Li", "O"], required_elements=["O"]), seed=0, score=False)
    elements = only.genes().elements
    assert set(np.unique(elements)) <= {0, 3, 8} and (elements == 8).any(axis=1).all()


def test_checkpoints_give_the_same_model(model, crystals, tmp_path):
    model.save(tmp_path / "kept", half=False)
    again = load(tmp_path / "kept")
    assert type(again) is type(model)
    np.testing.assert_allclose(again.log_prob(crystals[:4]), model.log_prob(crystals[:4]), atol=1e-5)


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
