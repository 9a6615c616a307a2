"""Sampling without hard conditions: legal in every group, reproducible, and distributed as `log_prob` says."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from aristotype.crystal import Conditions, CrystalTable, canonical_genes, gene_keys
from aristotype.errors import InputError
from aristotype.models.wyckoff_transformer import _sampler as sampler
from tests.models.worlds import VOCABULARY, all_genes, closed_world, frequencies, model_of_all_groups
from tests.random_genes import GROUPS


def test_all_groups_can_be_asked_for(monkeypatch):
    """Also those that training never saw."""
    monkeypatch.setattr(sampler, "BLOCK", 16)
    model = model_of_all_groups()
    for number in GROUPS:
        genes = model.sample(16, Conditions(space_groups=number), seed=number, score=False).genes()
        genes.check()
        assert (genes.space_group == number).all()
        assert genes.legal().all()
        assert (genes.num_sites <= 8).all()
        assert np.isin(genes.elements, (0, *VOCABULARY)).all()


def test_genes_are_canonical_and_legal():
    genes = model_of_all_groups().sample(1500, seed=0, score=False).genes()
    assert genes.legal().all()
    canonical = canonical_genes(genes)
    assert (canonical.wyckoffs == genes.wyckoffs).all()
    assert (canonical.elements == genes.elements).all()
    assert len(np.unique(genes.space_group)) > 100


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"space_groups": [225, 62]},
        {"required_elements": ["O"]},
        {"formula": "LiO", "formula_units": 4, "space_groups": [62, 1]},
    ],
)
def test_a_longer_run_begins_with_the_shorter(asked, monkeypatch):
    """Bit by bit, scores included; across block borders; a second run of one seed is the first again."""
    monkeypatch.setattr(sampler, "BLOCK", 64)
    model, conditions = model_of_all_groups(), Conditions(**asked)
    longer = model.sample(200 if not asked else 9, conditions, seed=5)
    for n in (0, 1, 5, len(longer)):
        assert model.sample(n, conditions, seed=5) == longer[:n]
    other = model.sample(len(longer), conditions, seed=6)
    assert gene_keys(other.genes()).tolist() != gene_keys(longer.genes()).tolist()
    streamed = CrystalTable.concatenate(list(islice(model.stream(conditions, seed=5, score=True), 4)))
    n = min(len(streamed), len(longer))
    assert streamed[:n] == longer[:n]


def test_tables_say_where_rows_come_from():
    model = model_of_all_groups()
    table = model.sample(20, seed=3)
    assert table.ids == [f"3-{row}" for row in range(20)]
    assert table.column("model").to_pylist() == ["wyckoff-transformer"] * 20
    assert table.column("seed").to_pylist() == [3] * 20
    assert np.abs(table.column("log_prob").to_numpy() - model.log_prob(table)).max() < 2e-5
    assert model.sample(2, seed=3, score=False).column("log_prob").null_count == 2


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_seeds_out_of_range_are_refused(seed):
    with pytest.raises(InputError, match=r"seed is .*2\^63"):
        model_of_all_groups().sample(1, seed=seed)


def test_the_largest_seed_is_a_seed():
    assert model_of_all_groups().sample(1, seed=2**63 - 1).column("seed").to_pylist() == [2**63 - 1]


def test_negative_counts_are_refused():
    with pytest.raises(InputError, match="-1 genes"):
        model_of_all_groups().sample(-1, seed=0)


@pytest.mark.parametrize(("number", "most"), [(225, 2), (216, 2), (47, 2), (2, 2), (16, 2), (5, 3)])
def test_frequencies_are_the_probabilities(number, most):
    """Chi-square over all genes of a world, those expected fewer than five times together, within six sigma."""
    model, everything = closed_world(number, most)
    rows = 8192
    sampled = model.sample(rows, Conditions(space_groups=number), seed=1, score=False).genes()
    probabilities = np.exp(model.log_prob(everything))
    expected = rows * probabilities / probabilities.sum()
    counts = frequencies(sampled, everything)
    rare = expected < 5
    observed, expected = np.append(counts[~rare], counts[rare].sum()), np.append(expected[~rare], expected[rare].sum())
    freedom = len(expected) - 1
    statistic = ((observed - expected) ** 2 / np.maximum(expected, 1e-9)).sum()
    assert statistic < freedom + 6 * np.sqrt(2 * freedom)


def test_frequencies_of_groups_are_the_probabilities():
    """No condition at all; groups expected fewer than five times together, within six sigma."""
    model, rows = model_of_all_groups(), 4096
    counts = np.bincount(model.sample(rows, seed=8, score=False).space_group, minlength=231)
    expected = rows * model.memory.group_probabilities(model.config.group_smoothing)
    rare = expected < 5
    assert counts[rare].sum() <= expected[rare].sum() + 6 * np.sqrt(expected[rare].sum())
    statistic = ((counts - expected)[~rare] ** 2 / expected[~rare]).sum()
    assert statistic < (~rare).sum() + 6 * np.sqrt(2 * (~rare).sum())


def test_rows_of_a_block_are_independent():
    """Neighbours coincide as often as chance has it: the sum of squared probabilities, within six sigma."""
    model, everything = closed_world(16)
    sampled = gene_keys(model.sample(8192, Conditions(space_groups=16), seed=2, score=False).genes())
    probabilities = np.exp(model.log_prob(everything))
    chance = ((probabilities / probabilities.sum()) ** 2).sum()
    for lag in (1, 7, 512):
        same = (sampled[lag:] == sampled[:-lag]).mean()
        assert abs(same - chance) < 6 * np.sqrt(chance / len(sampled))


@pytest.mark.parametrize("number", [195, 2])
def test_worlds_hold_every_gene_once(number):
    """The enumeration that the laws above rest on."""
    everything = all_genes(number, (3, 8), 2)
    assert everything.legal().all()
    assert len(set(gene_keys(everything).tolist())) == len(everything)
