"""Scores do not depend on the description, samples on nothing but their number and the seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from aristotype.crystal import Conditions, CrystalTable, GeneBatch, crystal_equivalents
from aristotype.errors import InfeasibleConditionsError, InputError
from aristotype.models import load
from aristotype.models._parts import log_sum_by_row
from aristotype.models.blocks import primitive_multiplicities
from aristotype.models.wyckoff_augen import Tries
from aristotype.models.wyckoff_augen._score import log_sequences
from aristotype.models.wyckoff_augen._sequences import all_orders, descriptions_of
from aristotype.models.wyckoff_augen._spaces import Spaces
from aristotype.symmetry import asymmetric_unit, space_group
from tests.models.wyckoff_augen.small import tiny_model

GROUPS = (2, 4, 5, 12, 15, 19, 33, 62, 63, 92, 99, 123, 148, 166, 186, 194, 198, 221, 225, 227)


@pytest.fixture(scope="module")
def model():
    return tiny_model(max_sites=3)


@pytest.fixture(scope="module")
def crystals(model):
    return model.sample(60, Conditions(space_groups=GROUPS), seed=3, score=False)


def test_scores_are_the_same_for_every_description(model, crystals):
    described = [[crystal, *crystal_equivalents(crystal)[:4]] for crystal in crystals[:24]]
    every = [one for some in described for one in some]
    flat = CrystalTable.from_crystals([replace(one, id=str(row)) for row, one in enumerate(every)])
    parts = model.log_prob_parts(flat)
    first = 0
    for some in described:
        values = parts["total"][first : first + len(some)]
        np.testing.assert_allclose(values, values[0], atol=2e-3)  # features are in single precision
        first += len(some)
    assert parts["exact"].mean() > 0.5


def test_samples_are_legal_and_lie_in_the_unit(model, crystals):
    assert crystals.genes().legal().all()
    assert set(crystals.space_group.tolist()) <= set(GROUPS)
    for crystal in crystals[:30]:
        unit, start = asymmetric_unit(crystal.space_group), 0
        for letter in crystal.wyckoffs:
            position = space_group(crystal.space_group).positions[letter]
            free = np.array(crystal.free[start : start + position.freedom])
            start += position.freedom
            wrapped = unit.wrap(position.representative(free[None]))
            unit.locate(position.index, wrapped.points)  # it is on a shape, or this is an error


def test_fewer_are_the_first_of_more_and_seeds_differ(model):
    more, fewer = (model.sample(n, seed=5, score=False) for n in (70, 9))
    for name in ("space_group", "lattice"):
        np.testing.assert_array_equal(getattr(more[:9], name), getattr(fewer, name))
    assert not np.array_equal(model.sample(9, seed=6, score=False).lattice, fewer.lattice)


def test_scores_of_draws_are_finite_and_come_with_them(model):
    table = model.sample(6, seed=1)
    np.testing.assert_allclose(table.column("log_prob").to_numpy(), model.log_prob(table), atol=1e-3)


def test_orders_that_are_drawn_estimate_the_sum_over_all():
    """Weights of drawn orders make up for those that are left out, in the mean."""
    small = tiny_model(elements=(8,), max_sites=4, seed=2)
    table = small.sample(40, Conditions(space_groups=[62]), seed=0, score=False)
    table = table.filter(table.genes().num_sites == 4)[:6]
    found = descriptions_of(table)

    def total(most: int, seed: int) -> np.ndarray:
        rngs = [np.random.default_rng([seed, row]) for row in range(len(table))]
        orders = all_orders(found, np.full(len(table), most), rngs)
        parts = log_sequences(small.network, found, orders, small.vocabulary_index, 4)
        return log_sum_by_row(
            np.sum(list(parts.values()), axis=0) + orders.log_weight, found.owner[orders.description], len(table)
        )

    whole = total(10**6, 0)
    drawn = np.array([total(1, seed) for seed in range(60)])
    ratio = np.exp(drawn - whole)
    error = ratio.std(axis=0) / np.sqrt(len(ratio))
    assert (np.abs(ratio.mean(axis=0) - 1) < 5 * error + 1e-3).all()


def test_second_tries_bring_closer_atoms_apart(model):
    free = model.sample(40, Conditions(space_groups=[62, 14]), seed=0, score=False)
    again = tiny_model(max_sites=3)
    again.tries = Tries()
    tried = again.sample(40, Conditions(space_groups=[62, 14]), seed=0, score=False)
    assert np.median(tried.column("closest").to_numpy()) > np.median(free.column("closest").to_numpy())
    assert tried.column("site_draws").to_numpy().max() > 0 == free.column("site_draws").to_numpy().max()
    draws, closest = tried.column("crystal_draws").to_numpy(), tried.column("closest").to_numpy()
    assert draws.max() > 1 and (draws[closest < again.tries.closest] == again.tries.crystals).all()
    assert (free.column("crystal_draws").to_numpy() == 1).all() and tried.ids == free.ids
    assert tried.genes().legal().all()
    # Group and elements are those of the first draw.
    assert (tried.space_group == free.space_group).all()
    assert (again.members(tried.genes()) == again.members(free.genes())).all()


def test_spaces_of_elements_are_heeded(model):
    only = model.sample(30, Conditions(allowed_elements=["Li", "O"], required_elements=["O"]), seed=0, score=False)
    elements = only.genes().elements
    assert set(np.unique(elements)) <= {0, 3, 8} and (elements == 8).any(axis=1).all()
    without = model.sample(30, Conditions(excluded_elements=["O"], space_groups=[225]), seed=0, score=False)
    assert not (without.genes().elements == 8).any()
    with pytest.raises(InputError, match="element 92 is required"):
        model.sample(1, Conditions(required_elements=["U"]), seed=0)
    with pytest.raises(InfeasibleConditionsError, match="allow more"):
        model.sample(1, Conditions(allowed_elements=["U"]), seed=0)


@pytest.mark.parametrize(
    "more", [{}, {"space_groups": GROUPS}, {"formula_units": 2}, {"num_sites": 3}, {"max_atoms": 9}]
)
def test_formulas_are_exact(model, more):
    table = model.sample(25, Conditions(formula="LiFeO2", **more), seed=0, score=False)
    genes = table.genes()
    atoms = primitive_counts(genes)
    assert (atoms[:, [3, 26, 8]] == atoms[:, [3]] * np.array([1, 1, 2])).all()
    assert (atoms.sum(axis=1) == atoms[:, 3] * 4).all()
    if "formula_units" in more:
        assert (atoms[:, 3] == 2).all()
    assert (genes.num_sites == 3).all() or "num_sites" not in more
    assert atoms.sum(axis=1).max() <= more.get("max_atoms", 40)
    assert set(genes.space_group.tolist()) <= set(more.get("space_groups", range(1, 231)))


def test_numbers_of_sites_and_atoms_are_kept(model):
    table = model.sample(40, Conditions(num_sites=2, max_atoms=7, required_elements=["O"]), seed=1, score=False)
    genes = table.genes()
    assert (genes.num_sites == 2).all() and (genes.elements == 8).any(axis=1).all()
    assert primitive_counts(genes).sum(axis=1).max() <= 7
    with pytest.raises(InfeasibleConditionsError, match="loosen the formula"):
        model.sample(1, Conditions(formula="LiFeO2", num_sites=2), seed=0)
    with pytest.raises(InfeasibleConditionsError, match="loosen the formula"):
        model.sample(1, Conditions(max_atoms=3, space_groups=[225], required_elements=["Li", "Fe", "O"]), seed=0)


def test_templates_and_known_sites_are_kept(model):
    template = GeneBatch.from_lists([225], [[3, 8]], [[0, 1]])
    genes = model.sample(20, Conditions(template=template), seed=0, score=False).genes()
    assert (genes.wyckoffs[:, :2] == [0, 1]).all() and (genes.space_group == 225).all()
    exact = model.sample(8, Conditions(template=template, formula="LiFe"), seed=0, score=False).genes()
    assert (np.sort(exact.elements[:, :2], axis=1) == [3, 26]).all()
    known = GeneBatch.from_lists([62], [[8, 26]], [[0, 2]])
    genes = model.sample(20, Conditions(partial=known, max_atoms=16), seed=0, score=False).genes()
    for letter, element in ((0, 8), (2, 26)):
        assert ((genes.wyckoffs == letter) & (genes.elements == element)).any(axis=1).all()
    assert primitive_counts(genes).sum(axis=1).max() <= 16 and (genes.num_sites > 2).any()
    with pytest.raises(InfeasibleConditionsError, match="the template has 2 sites"):
        model.stream(Conditions(template=template, num_sites=3), seed=0)
    with pytest.raises(InfeasibleConditionsError, match="space group 62, which is not among"):
        model.stream(Conditions(partial=known, space_groups=[2]), seed=0)


def primitive_counts(genes) -> np.ndarray:
    """(n, 119) atoms of each element in the primitive cell."""
    out = np.zeros((len(genes), 119), np.int64)
    for row, number in enumerate(genes.space_group.tolist()):
        for letter, element in zip(genes.wyckoffs[row].tolist(), genes.elements[row].tolist(), strict=True):
            if letter >= 0:
                out[row, element] += primitive_multiplicities(number)[letter]
    return out


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


def test_checkpoints_give_the_same_model(model, crystals, tmp_path):
    model.save(tmp_path / "kept", half=False)
    again = load(tmp_path / "kept")
    np.testing.assert_allclose(again.log_prob(crystals[:4]), model.log_prob(crystals[:4]), atol=1e-5)
