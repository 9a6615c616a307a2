"""Numbers of elements and sites that chains are told: counted, smoothed, drawn, and what conditions leave of them."""

from __future__ import annotations

import numpy as np
import pytest

from aristotype.crystal import Conditions, GeneBatch
from aristotype.models import load
from aristotype.models.wyckoffdiff import WyckoffDiff, WyckoffDiffConfig, fit
from aristotype.models.wyckoffdiff._occupation import Layout, occupation_of
from aristotype.models.wyckoffdiff._plan import Plan
from aristotype.models.wyckoffdiff._sizes import counted, drawn_sizes, size_probabilities, sizes_of, sizes_on
from aristotype.symmetry import NUM_GROUPS
from aristotype.training import TrainingConfig
from tests.models.wyckoffdiff.small import tiny_model
from tests.random_genes import GROUPS, random_genes

NAMES = (3, 8, 26)


def test_sizes_are_those_of_genes_and_of_their_variables():
    genes = random_genes(np.random.default_rng(0), GROUPS, elements=NAMES, max_sites=6)
    found = sizes_of(genes)
    wanted = [(len(set(row) - {0}), int((np.array(row) > 0).sum())) for row in genes.elements.tolist()]
    assert found.tolist() == [list(pair) for pair in wanted]
    index = np.full(128, -1)
    index[list(NAMES)] = range(3)
    layout = Layout.of(genes.space_group)
    present, sites = sizes_on(layout, occupation_of(genes, layout, index, 3))
    assert present.sum(dim=1).tolist() == found[:, 0].tolist()
    assert sites.tolist() == found[:, 1].tolist()


def test_probabilities_are_smoothed_counts_and_leave_out_what_cannot_be():
    salts, oxides = ([225] * 990, [[3, 8]] * 990, [[0, 1]] * 990), ([62] * 10, [[3, 8, 8]] * 10, [[2] * 3] * 10)
    genes = GeneBatch.from_lists(*(one + other for one, other in zip(salts, oxides, strict=True)))
    counts = counted(genes, NUM_GROUPS, 2, 4).numpy()
    chance = size_probabilities(counts, np.array([225, 62, 1]))
    assert chance.sum(axis=(1, 2)) == pytest.approx(1)
    assert chance[0, 2, 2] > 0.98
    assert 0.4 < chance[1, 2, 3] < 0.6  # ten of its own and ten of all groups
    assert chance[2, 2, 2] > 0.9  # of all groups alone
    assert (chance[:, 2, :2] == 0).all()
    assert (chance[:, 0] == 0).all()
    assert (chance[:, 1, 1:] > 0).all()


def test_nothing_counted_leaves_all_pairs_alike():
    chance = size_probabilities(counted(GeneBatch.from_lists([], [], []), NUM_GROUPS, 2, 3).numpy(), np.array([5]))
    assert np.unique(chance[chance > 0]) == pytest.approx([1 / 5])


def test_draws_follow_the_weights():
    rng = np.random.default_rng(0)
    weights = rng.random((3, 4)) * (rng.random((3, 4)) > 0.3)
    drawn = drawn_sizes(np.repeat(weights[None], 20_000, axis=0), rng.random(20_000))
    found = np.zeros((3, 4))
    np.add.at(found, tuple(drawn.T), 1 / 20_000)
    assert found == pytest.approx(weights / weights.sum(), abs=0.02)
    assert (found[weights == 0] == 0).all()
    ends = drawn_sizes(np.repeat(weights[None], 2, axis=0), np.array([0.0, 1.0 - 2**-53]))
    places = np.argwhere(weights > 0)
    assert ends.tolist() == [places[0].tolist(), places[-1].tolist()]


@pytest.mark.parametrize(
    ("conditions", "kinds", "sites"),
    [
        (Conditions(), {1, 2, 3}, {1, 2, 3, 4, 5}),
        (Conditions(allowed_elements=["Li", "O"]), {1, 2}, {1, 2, 3, 4, 5}),
        (Conditions(formula="Li2O"), {2}, {2, 3, 4, 5}),
        (Conditions(num_sites=2), {1, 2}, {2}),
        (Conditions(num_sites=9), {1, 2, 3}, {5}),  # more than is told: as many as can be
        (Conditions(template=GeneBatch.from_lists([62], [[1, 1, 1]], [[2, 2, 3]])), {1, 2, 3}, {3}),
        (Conditions(partial=GeneBatch.from_lists([62], [[3, 8]], [[2, 3]])), {2, 3}, {2, 3, 4, 5}),
        (Conditions(required_elements=["Fe", "O"]), {1, 2, 3}, {1, 2, 3, 4, 5}),
    ],
)
def test_conditions_leave_what_can_be_of_them(conditions, kinds, sites):
    model = tiny_model(NAMES, told_sizes=True, max_kinds=3, max_sites=5, groups=[62])
    left = Plan.of(model, conditions).size_weights(model.size_probabilities(np.array([62])))[0] > 0
    assert set(np.flatnonzero(left.any(axis=1)).tolist()) == kinds
    assert set(np.flatnonzero(left.any(axis=0)).tolist()) == sites


def test_a_chain_does_what_it_is_told_once_it_has_learnt(tmp_path):
    """Genes of one or of three sites, never of two: a chain that knows nothing would write two as well."""
    genes = GeneBatch.from_lists([1] * 400, [[3], [3, 8, 8]] * 200, [[0], [0, 0, 0]] * 200)
    config = WyckoffDiffConfig(width=16, layers=1, heads=2, timesteps=40, steps=8, dropout=0.0)
    training = TrainingConfig(
        epochs=25, batch_size=64, learning_rate=1e-2, warmup_steps=5, threads=1, tensorboard=False
    )
    fit(config, genes, genes.take(range(64)), training, tmp_path / "run")
    model = load(tmp_path / "run" / "best")
    assert isinstance(model, WyckoffDiff)
    assert (model.config.max_kinds, model.config.max_sites) == (2, 3)
    drawn = sizes_of(model.sample(200, Conditions(space_groups=1), seed=0, score=False).genes())
    share = [np.mean((drawn == pair).all(axis=1)) for pair in ((1, 1), (2, 3))]
    assert sum(share) > 0.9
    assert min(share) > 0.35
