"""Scores: exact, normalised, the same for every description, and what training minimises."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aristotype.crystal import CrystalTable, GeneBatch, equivalents, template_descriptions
from aristotype.datasets import TrainingBatch
from aristotype.errors import ConfigError, InputError
from aristotype.models.wyckoff_transformer import WyckoffTransformer, WyckoffTransformerConfig
from aristotype.symmetry import space_group
from tests.models.worlds import (
    SIZES,
    VOCABULARY,
    all_genes,
    closed_world,
    model_of_all_groups,
    tiny_model,
    training_genes,
)
from tests.random_genes import GROUPS, random_genes, shuffled

# float32 networks, probabilities added in float64: a relative error of 1e-6 an addend, a few dozen addends.
NATS = 2e-5


@pytest.fixture(scope="module")
def genes() -> GeneBatch:
    return random_genes(
        np.random.default_rng(1), [n for n in GROUPS for _ in range(2)], elements=VOCABULARY, max_sites=6
    )


def logsumexp(values: np.ndarray) -> float:
    return float(np.logaddexp.reduce(values))


def test_every_description_has_the_same_score(genes):
    """Up to four other descriptions of genes of all groups, sites in any order."""
    model, rng = model_of_all_groups(), np.random.default_rng(2)
    described, owner = equivalents(genes)
    rows = np.split(np.arange(len(owner)), np.flatnonzero(np.diff(owner)) + 1)
    chosen = np.concatenate([rng.permutation(own)[:4] for own in rows])
    variants = shuffled(described.take(chosen), rng)
    expected = model.log_prob(genes)
    assert np.isfinite(expected).all()
    assert np.abs(model.log_prob(variants) - expected[owner[chosen]]).max() < NATS


def test_a_score_depends_on_nothing_else_in_the_batch(genes):
    model = model_of_all_groups()
    together = model.log_prob(genes)
    for row in range(0, len(genes), 37):
        assert model.log_prob(genes.take([row]))[0] == pytest.approx(together[row], abs=NATS)
    fresh = tiny_model(training_genes(), max_sites=8)
    assert np.abs(fresh.log_prob(genes.take(np.arange(len(genes))[::-1]))[::-1] - together).max() < NATS
    table = CrystalTable.from_genes(genes)
    assert np.abs(model.log_prob(table) - together).max() < NATS


@pytest.mark.parametrize(
    ("number", "most"),
    [(225, 2), (216, 2), (47, 2), (2, 2), (16, 2), (68, 2), (1, 4), (5, 3), (167, 3), (76, 3), (230, 3)],
)
def test_probabilities_of_a_closed_world_sum_to_one(number, most):
    """Every gene of up to `most` sites of two elements: together they have the probability of their group."""
    model, everything = closed_world(number, most)
    share = model.memory.group_probabilities(model.config.group_smoothing)[number]
    assert logsumexp(model.log_prob(everything)) == pytest.approx(np.log(share), abs=NATS)


@pytest.mark.parametrize(("number", "most"), [(2, 2), (16, 2), (225, 3)])
@torch.no_grad()
def test_written_templates_sum_to_one(number, most):
    """The network that writes templates, without what is remembered."""
    model, _ = closed_world(number, most)
    assert logsumexp(model.log_writer(all_genes(number, (3,), most))) == pytest.approx(0, abs=NATS)


def test_what_is_missing_is_what_is_longer():
    """Genes of up to two sites where three can be written: one less the probability of three sites."""
    model, everything = closed_world(167, 3)
    share = model.memory.group_probabilities(model.config.group_smoothing)[167]
    probabilities = np.exp(model.log_prob(everything)) / share
    shorter = probabilities[everything.num_sites <= 2].sum()
    assert 0.05 < shorter < 0.95
    assert shorter == pytest.approx(1 - probabilities[everything.num_sites == 3].sum(), abs=NATS)


def test_probabilities_of_groups_sum_to_one():
    model = model_of_all_groups()
    shares = model.memory.group_probabilities(model.config.group_smoothing)
    assert shares[0] == 0
    assert shares.sum() == pytest.approx(1)
    unseen = np.setdiff1d(np.arange(1, 231), training_genes().space_group)
    assert len(unseen) > 70
    assert (shares[unseen] > 0).all()
    assert shares[unseen].sum() <= 0.002


def test_parts_sum_to_the_total(genes):
    parts = model_of_all_groups().log_prob_parts(genes)
    total = parts.pop("total")
    assert {"group", "template", "elements"} <= set(parts)
    assert np.allclose(sum(parts.values()), total)
    assert all((values <= NATS).all() for values in parts.values())


def test_illegal_genes_have_no_probability():
    """A fixed point twice, no site at all, more sites than can be written; neighbours in the batch keep theirs."""
    model = model_of_all_groups()
    good, twice, empty, long = [3, 8], [3, 8], [], [3] * 9
    batch = GeneBatch.from_lists([225] * 4, [good, twice, empty, long], [[0, 1], [0, 0], [], [11] * 9])
    scores = model.log_prob(batch)
    assert np.isneginf(scores[1:]).all()
    assert scores[0] == pytest.approx(model.log_prob(batch.take([0]))[0], abs=NATS)
    assert np.isneginf(model.log_prob(batch.take([1, 2]))).all()
    assert model.log_prob(batch.take([])).shape == (0,)
    fixed = [(n, p.index) for n in GROUPS for p in space_group(n).positions if p.freedom == 0]
    doubled = GeneBatch.from_lists([n for n, _ in fixed], [[3, 8]] * len(fixed), [[w, w] for _, w in fixed])
    assert np.isneginf(model.log_prob(doubled)).all()


def test_elements_outside_the_vocabulary_are_refused():
    batch = GeneBatch.from_lists([225, 225], [[3], [92]], [[0], [0]])
    with pytest.raises(InputError, match=r"gene 1 .*element 92.*3 elements"):
        model_of_all_groups().log_prob(batch)


def test_genes_too_long_for_the_model_are_refused_before_training():
    genes = GeneBatch.from_lists([1], [[3] * 5], [[0] * 5])
    with pytest.raises(ConfigError, match=r"5 sites.*max_sites is 4"):
        WyckoffTransformer.for_training(WyckoffTransformerConfig(**SIZES, max_sites=4), genes)


def test_elements_without_features_are_refused():
    with pytest.raises(ConfigError, match="104"):
        WyckoffTransformer.for_training(WyckoffTransformerConfig(**SIZES), GeneBatch.from_lists([1], [[104]], [[0]]))


@pytest.mark.parametrize(
    "change",
    [
        {"width": 15},
        {"template_width": 13},
        {"members": 0},
        {"max_sites": 0},
        {"dropout": 1.0},
        {"group_smoothing": 0.0},
        {"group_smoothing": 0.003},
        {"elements": (8, 3)},
        {"elements": (0, 3)},
    ],
)
def test_configurations_out_of_range_are_refused(change):
    with pytest.raises(ConfigError):
        WyckoffTransformerConfig(**{**SIZES, **change})


def one_row_batch(on_template: GeneBatch, anyhow: GeneBatch) -> TrainingBatch:
    """One gene in two descriptions, as the loss wants it."""
    index = np.zeros(128, dtype=np.int64)
    index[list(VOCABULARY)] = np.arange(len(VOCABULARY))
    sites = int(on_template.num_sites[0])

    def tensors(genes: GeneBatch) -> tuple[torch.Tensor, torch.Tensor]:
        return (
            torch.from_numpy(genes.wyckoffs[:1, :sites].astype(np.int64)),
            torch.from_numpy(index[genes.elements[:1, :sites]]),
        )

    (wyckoffs, elements), (any_wyckoffs, any_elements) = tensors(on_template), tensors(anyhow)
    return TrainingBatch(
        rows=torch.zeros(1, dtype=torch.long),
        group=torch.from_numpy(on_template.space_group[:1].astype(np.int64)),
        wyckoffs=wyckoffs,
        elements=elements,
        any_wyckoffs=any_wyckoffs,
        any_elements=any_elements,
        mean_rows=1.0,
    )


@torch.no_grad()
def test_the_loss_is_the_score_of_one_description():
    """The exponentials of minus the loss, added over all descriptions, are the two probabilities of the score."""
    model = tiny_model(training_genes(), max_sites=8, members=1)
    genes = random_genes(np.random.default_rng(4), [1, 16, 25, 68, 47, 225, 166, 194], elements=VOCABULARY, max_sites=4)
    templates, elements = model.log_writer(genes), model.log_elements(genes)
    for row in range(len(genes)):
        gene = genes.take([row])
        descriptions, _ = equivalents(gene)
        distinct = descriptions.take(np.unique(descriptions.wyckoffs, axis=0, return_index=True)[1])
        on_template, _ = template_descriptions(gene)
        losses = [
            model.loss(one_row_batch(on_template, distinct.take([i])))[1]["template"] for i in range(len(distinct))
        ]
        assert logsumexp(-np.array(losses, dtype=float)) == pytest.approx(templates[row], abs=NATS)
        losses = [
            model.loss(one_row_batch(on_template.take([i]), gene))[1]["elements"] for i in range(len(on_template))
        ]
        assert logsumexp(-np.array(losses, dtype=float)) == pytest.approx(elements[row], abs=NATS)


@torch.no_grad()
def test_the_loss_adds_its_parts():
    model = model_of_all_groups()
    gene = training_genes().take([5])
    described, _ = template_descriptions(gene)
    batch = one_row_batch(described, described)
    total, parts = model.loss(batch)
    each = [-member.log_prob(batch.group, batch.wyckoffs, batch.elements).sum() for member in model.members]
    assert float(total) == pytest.approx(float(parts["template"] + sum(each)), abs=1e-5)
    assert float(parts["elements"]) == pytest.approx(float(sum(each)) / len(each), abs=1e-5)


def test_scores_follow_the_weights():
    """Nothing computed from earlier weights survives a step of training."""
    model = tiny_model(training_genes(), max_sites=8)
    genes = training_genes().take(np.arange(20))
    before = model.log_prob(genes)
    model.train()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.1)
    after = model.log_prob(genes)
    assert not model.training
    assert np.abs(after - before).min() > 1e-6
    saved = model.state_dict()
    fresh = tiny_model(training_genes(), max_sites=8, seed=9)
    fresh.log_prob(genes)
    fresh.load_state_dict(saved)
    assert np.abs(fresh.train().log_prob(genes) - after).max() < NATS


@torch.no_grad()
def test_writing_step_by_step_is_writing_at_once():
    """Cached keys and values give the log-probabilities of the whole sequence; rows of four letters of many groups."""
    writer = model_of_all_groups().writer
    numbers = [n for n in GROUPS if len(space_group(n).positions) >= 4]
    group = torch.tensor(numbers)
    rng = np.random.default_rng(0)
    letters = torch.tensor(np.sort([rng.permutation(len(space_group(n).positions))[:4] for n in numbers], axis=1))
    at_once = writer(group, letters)
    state = writer.start_writing(group, 8)
    last = torch.full((len(group),), -1)
    for step in range(5):
        stepwise = state.step(step, last)
        assert torch.equal(stepwise.isneginf(), at_once[:, step].isneginf())
        finite = ~stepwise.isneginf()
        assert (stepwise[finite] - at_once[:, step][finite]).abs().max() < NATS
        assert (stepwise.exp().sum(dim=1) - 1).abs().max() < NATS
        last = letters[:, min(step, 3)]
