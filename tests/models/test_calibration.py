"""Calibration: a temperature and a share of training genes, both set on held-out genes, in scores and samples alike."""

from __future__ import annotations

import numpy as np
import pytest

from aristotype.crystal import Conditions, GeneBatch, template_keys
from aristotype.models.wyckoff_transformer import WyckoffTransformer, calibrated
from aristotype.models.wyckoff_transformer._calibration import _balanced, share_moments
from aristotype.models.wyckoff_transformer._model import MOST_REJECTED
from tests.models.worlds import all_genes, closed_world, frequencies

NUMBER = 5
ELEMENTS = (3, 8)


@pytest.fixture(scope="module")
def world() -> GeneBatch:
    """All that the model can write in the two groups that it was trained on; no training gene is anywhere else."""
    return GeneBatch.concatenate([closed_world(NUMBER)[1], all_genes(1, ELEMENTS, 2)])


@pytest.fixture(scope="module")
def plain() -> WyckoffTransformer:
    return closed_world(NUMBER)[0]


@pytest.fixture(scope="module")
def model(plain, world) -> WyckoffTransformer:
    """Calibrated on genes of which a tenth are training genes."""
    known = plain.is_known(world)
    rng = np.random.default_rng(0)
    held_out = [rng.choice(np.flatnonzero(known), 20), rng.choice(np.flatnonzero(~known), 180)]
    return calibrated(plain, world.take(known), world.take(np.concatenate(held_out)))


def test_training_genes_recur_as_in_held_out_data(plain, model, world):
    known = plain.is_known(world)
    before = np.exp(plain.log_prob(world))[known].sum()
    after = np.exp(model.log_prob(world))[known].sum()
    rejected, mass = model.rejection(*np.indices(model.memory.known.shape).reshape(2, -1))
    assert before > 0.2
    capped = (rejected < model.config.known_rejection).any()  # too little else to draw on some template
    assert after == pytest.approx(0.1, abs=1e-3) or (capped and 0.1 < after < before)
    assert (rejected * mass).max() <= MOST_REJECTED + 1e-12


def test_templates_keep_their_probability(model, world):
    """Training genes give way to other genes of their own template and number of elements."""
    parts = model.log_prob_parts(world)
    given = np.exp(parts["elements"] + parts["known"])
    cell = np.column_stack([model.memory.find(world), world.num_elements])
    _, where = np.unique(
        np.column_stack([template_keys(world).view(np.int64).reshape(-1, 2), cell]), axis=0, return_inverse=True
    )
    sums = np.bincount(where.ravel(), weights=given)
    assert sums == pytest.approx(np.ones(len(sums)), abs=1e-4)


def test_probabilities_still_sum_to_one(model, world):
    """The world, and the groups beside it, whose templates are not remembered and change nothing."""
    shares = model.memory.group_probabilities(model.config.group_smoothing)
    rest = 1 - shares[NUMBER] - shares[1]
    assert np.exp(model.log_prob(world)).sum() + rest == pytest.approx(1, abs=1e-4)


def test_the_temperature_is_no_worse_than_none(plain, model, world):
    known = plain.is_known(world)
    rng = np.random.default_rng(0)
    held_out = world.take(
        np.concatenate([rng.choice(np.flatnonzero(known), 20), rng.choice(np.flatnonzero(~known), 180)])
    )
    assert model.config.temperature > 0
    assert model.log_elements(held_out).mean() >= plain.log_elements(held_out).mean()


def test_elements_are_shifted_to_the_shares_of_the_genes(plain, world):
    """Expected share of each element in the sites and in the atoms, exactly, before and after.

    With two elements most of them are settled by how many different ones there are; what is free moves the right way.
    """

    def shares(weight: np.ndarray) -> np.ndarray:
        moments = sum(w * share_moments(world.take([row]), ELEMENTS)[:2] for row, w in enumerate(weight))
        return moments / moments.sum(axis=1, keepdims=True)

    def expected(model: WyckoffTransformer) -> np.ndarray:
        return shares(np.exp(model.log_prob(world)))

    before = expected(plain)
    scarce = ELEMENTS[int(before[1].argmin())]
    on_large = ((world.elements == scarce) & (world.wyckoffs == world.wyckoffs.max(axis=1, keepdims=True))).any(axis=1)
    times = 40 * (1 + 2 * on_large)
    wanted = shares(times)
    after = expected(_balanced(plain, world.take(np.repeat(np.arange(len(world)), times)), gain=2))
    assert (abs(before - wanted).max(axis=1) > 0.05).all()
    assert (abs(after - wanted).max(axis=1) < 0.9 * abs(before - wanted).max(axis=1)).all()


def test_moments_are_those_of_the_atoms():
    """Rock salt and fluorite: shares 1/2 and 1/2, 1/3 and 2/3."""
    genes = GeneBatch.from_lists([225, 225], [[11, 17], [20, 9]], [[0, 1], [0, 2]])
    moments = share_moments(genes, (9, 11, 17, 20, 26)) * 2
    assert moments[0].tolist() == [1, 1, 1, 1, 0]
    assert moments[1] == pytest.approx([2 / 3, 1 / 2, 1 / 2, 1 / 3, 0])
    assert moments[2] == pytest.approx([4 / 9, 1 / 4, 1 / 4, 1 / 9, 0])


@pytest.mark.parametrize("asked", [{}, {"num_sites": 2}])
def test_frequencies_are_the_calibrated_probabilities(model, asked):
    """Without a condition by rejection, under one by weight; total variation within 0.03 of what chance gives."""
    everything = closed_world(NUMBER)[1]
    kept = everything.num_sites == 2 if asked else everything.num_sites > 0
    expected = np.where(kept, np.exp(model.log_prob(everything)), 0)
    expected /= expected.sum()
    rows = 2000 if not asked else 600
    sampled = model.sample(rows, Conditions(space_groups=NUMBER, **asked), seed=4, score=False).genes()
    chance = np.random.default_rng(0).multinomial(rows, expected, size=20) / rows
    noise = np.abs(chance - expected).sum(axis=1).max() / 2
    assert np.abs(frequencies(sampled, everything) / rows - expected).sum() / 2 < noise + 0.03


def test_a_longer_run_still_begins_with_the_shorter(model):
    longer = model.sample(700, seed=1)
    assert model.sample(520, seed=1) == longer[:520]
