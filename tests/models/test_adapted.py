"""Fine-tuning begins with the new data's groups, templates and elements, and with what the network knows."""

from __future__ import annotations

import numpy as np
import pytest

from aristotype.crystal import GeneBatch
from aristotype.models import load
from aristotype.models.wyckoff_transformer import WyckoffTransformer
from aristotype.models.wyckoff_transformer._calibration import calibrated
from tests.models.worlds import all_genes, closed_world, model_of_all_groups

NUMBER = 5
NEW = (3, 8, 26)


@pytest.fixture(scope="module")
def genes() -> GeneBatch:
    """A quarter of the genes of a group, with an element that the first model does not know."""
    return all_genes(NUMBER, NEW, 2).take(np.arange(0, 33, 4))


@pytest.fixture(scope="module")
def start() -> WyckoffTransformer:
    return closed_world(NUMBER)[0]


@pytest.fixture(scope="module")
def adapted(start, genes) -> WyckoffTransformer:
    return start.adapted(genes)


def test_groups_are_those_of_the_new_genes(genes):
    model = model_of_all_groups()
    before = model.memory.group_probabilities(model.config.group_smoothing)[NUMBER]
    after = model.adapted(genes).memory.group_probabilities(model.config.group_smoothing)[NUMBER]
    assert before < 0.1
    assert after > 0.99


def test_new_elements_join_and_known_ones_keep_their_weights(start, adapted):
    assert start.config.elements == (3, 8)
    assert adapted.config.elements == NEW
    for old, new in zip(start.members, adapted.members, strict=True):
        assert (new.elements.identity.weight[[0, 1]] == old.elements.identity.weight).all()
        assert (new.elements.identity.weight[2] == 0).all()
        assert (new.bias[[0, 1]] == old.bias).all()
        assert new.bias[2].item() == pytest.approx(old.bias.mean().item())
        assert (new.out.weight == old.out.weight).all()


def test_probabilities_sum_to_one_before_and_after_calibration(adapted, genes):
    """All genes of the group that the model can write."""
    world = all_genes(NUMBER, NEW, adapted.config.max_sites)
    share = adapted.memory.group_probabilities(adapted.config.group_smoothing)[NUMBER]
    assert np.exp(adapted.log_prob(world)).sum() == pytest.approx(share, abs=1e-4)
    after = calibrated(adapted, genes, world.take(np.arange(0, len(world), 7)))
    assert after.config.known_rejection > 0
    assert np.exp(after.log_prob(world)).sum() == pytest.approx(share, abs=1e-4)


def test_both_data_are_no_novelty_and_only_the_new_are_drawn_again(start, adapted, genes, tmp_path):
    assert adapted.train_keys() > start.train_keys()
    assert adapted.is_known(genes).all()
    adapted.save(tmp_path / "model", half=False)
    found = load(tmp_path / "model")
    assert found.train_keys() == adapted.train_keys()
    world = closed_world(NUMBER)[1]
    assert (found.is_known(world) == adapted.is_known(world)).all()
    assert adapted.is_known(world).sum() < start.is_known(world).sum() + len(genes)
