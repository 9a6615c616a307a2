"""Training batches: every gene once an epoch, in a random equivalent description, a pure function of its arguments."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aristotype.crystal import (
    GeneBatch,
    canonical_genes,
    equivalents,
    gene_keys,
    sorted_genes,
    template_descriptions,
    templates_of,
)
from aristotype.datasets import GeneSource, TrainingBatch
from aristotype.errors import InputError
from tests.random_genes import GROUPS, random_genes

VOCABULARY = (3, 8, 26)


@pytest.fixture(scope="module")
def genes() -> GeneBatch:
    """Four genes of every group."""
    return random_genes(
        np.random.default_rng(3), [n for n in GROUPS for _ in range(4)], elements=VOCABULARY, max_sites=7
    )


@pytest.fixture(scope="module")
def source(genes) -> GeneSource:
    return GeneSource(genes, VOCABULARY, tokens=300, seed=4)


def described(batch: TrainingBatch, *, anyhow: bool) -> GeneBatch:
    """The genes of a batch, in one description or the other."""
    letters, elements = (batch.any_wyckoffs, batch.any_elements) if anyhow else (batch.wyckoffs, batch.elements)
    return GeneBatch(
        space_group=batch.group.numpy().astype(np.int16),
        elements=np.array(VOCABULARY, dtype=np.int8)[elements.numpy()],
        wyckoffs=letters.numpy().astype(np.int8),
    )


def same(left: list[TrainingBatch], right: list[TrainingBatch]) -> bool:
    names = ("rows", "group", "wyckoffs", "elements", "any_wyckoffs", "any_elements")
    return len(left) == len(right) and all(
        torch.equal(getattr(a, name), getattr(b, name)) for a, b in zip(left, right, strict=True) for name in names
    )


def test_every_gene_once_an_epoch(genes, source):
    batches = list(source.batches(0, 0, 1))
    rows = torch.cat([batch.rows for batch in batches])
    assert sorted(rows.tolist()) == list(range(len(genes)))
    assert len(batches) == source.steps_per_epoch(1)
    for batch in batches:
        assert (genes.num_sites[batch.rows.numpy()] == batch.wyckoffs.shape[1]).all(), "one length a batch"
        assert (genes.space_group[batch.rows.numpy()] == batch.group.numpy()).all()


def test_batches_hold_about_the_tokens_asked_for(source):
    """Half to one and a half times as many: a length's genes are split evenly."""
    batches = list(source.batches(0, 0, 1))
    tokens = [len(batch.rows) * (batch.wyckoffs.shape[1] + 1) for batch in batches]
    assert 150 <= min(tokens) <= max(tokens) <= 450
    assert np.mean([len(batch.rows) for batch in batches]) == pytest.approx(batches[0].mean_rows)


def test_descriptions_are_equivalent_to_the_genes(genes, source):
    keys = gene_keys(genes)
    templates = templates_of(genes)
    for epoch in range(3):
        for batch in source.batches(epoch, 0, 1):
            rows = batch.rows.numpy()
            for anyhow in (False, True):
                own = described(batch, anyhow=anyhow)
                assert (gene_keys(own) == keys[rows]).all()
                ordered = sorted_genes(own)
                assert (ordered.wyckoffs == own.wyckoffs).all()
                assert (ordered.elements == own.elements).all()
            length = batch.wyckoffs.shape[1]
            assert (batch.wyckoffs.numpy() == templates.wyckoffs[rows, :length]).all(), "on the canonical template"


@pytest.mark.parametrize("anyhow", [False, True])
def test_descriptions_are_drawn_evenly(anyhow):
    """400 epochs over one gene of several descriptions: chi-square within its 99.99 % quantile."""
    gene = canonical_genes(GeneBatch.from_lists([47] * 8, [[3, 3, 8]] * 8, [[0, 1, 2]] * 8))
    expected = (equivalents if anyhow else template_descriptions)(gene.take([0]))[0]
    source = GeneSource(gene, VOCABULARY, tokens=64, seed=1)
    counts = dict.fromkeys(map(tuple, np.hstack([expected.wyckoffs, expected.elements]).tolist()), 0)
    for epoch in range(400):
        for batch in source.batches(epoch, 0, 1):
            own = described(batch, anyhow=anyhow)
            for row in np.hstack([own.wyckoffs, own.elements]).tolist():
                counts[tuple(row)] += 1
    observed = np.array(list(counts.values()))
    assert observed.sum() == 3200
    assert len(observed) == (48 if anyhow else 2)
    mean = 3200 / len(observed)
    assert ((observed - mean) ** 2 / mean).sum() < (92 if anyhow else 15.2)


def test_a_pure_function_of_seed_epoch_rank_and_world(genes, source):
    first = list(source.batches(2, 0, 1))
    list(source.batches(5, 0, 1))
    assert same(first, list(source.batches(2, 0, 1))), "what was asked before changes nothing"
    assert same(first, list(GeneSource(genes, VOCABULARY, tokens=300, seed=4).batches(2, 0, 1)))
    assert not same(first, list(source.batches(3, 0, 1)))
    assert not same(first, list(GeneSource(genes, VOCABULARY, tokens=300, seed=5).batches(2, 0, 1)))


@pytest.mark.parametrize("world", [2, 3])
def test_ranks_share_an_epoch_in_equal_parts(genes, source, world):
    ranks = [list(source.batches(1, rank, world)) for rank in range(world)]
    assert {len(batches) for batches in ranks} == {source.steps_per_epoch(world)}
    seen: list[int] = []
    for together in zip(*ranks, strict=True):
        assert len({batch.wyckoffs.shape for batch in together}) == 1, "equal rows, so that gradients weigh alike"
        seen.extend(row for batch in together for row in batch.rows.tolist())
    assert len(seen) == len(set(seen)), "no gene twice"
    assert len(genes) - len(seen) <= (world - 1) * source.steps_per_epoch(world)


def test_lengths_with_fewer_genes_than_ranks_are_left_out():
    genes = GeneBatch.from_lists([1] * 5, [[3]] * 4 + [[3, 3]], [[0]] * 4 + [[0, 0]])
    source = GeneSource(genes, VOCABULARY, tokens=100, seed=0)
    assert [batch.wyckoffs.shape for batch in source.batches(0, 1, 2)] == [(2, 1)]
    assert source.steps_per_epoch(2) == 1
    assert source.steps_per_epoch(1) == 2


def test_unknown_elements_are_refused():
    genes = GeneBatch.from_lists([1, 1], [[3], [92]], [[0], [0]])
    with pytest.raises(InputError, match="holds U, which are not among the 3 elements"):
        GeneSource(genes, VOCABULARY, tokens=100, seed=0)


def test_batches_say_which_rows_they_hold(source):
    batch = next(iter(source.batches(0, 0, 1)))
    text = batch.describe()
    assert text.startswith(f"rows {batch.rows[0]}, {batch.rows[1]}, ")
    assert f"({len(batch.rows)} genes of {batch.wyckoffs.shape[1]} sites)" in text


def test_likely_partners_are_exchanged():
    """Li and Na stand for each other in LiO and NaO, the others for nothing; templates are learnt from real genes."""
    vocabulary = np.array((3, 8, 9, 11, 26))
    genes = GeneBatch.from_lists([225] * 12, [[3, 8], [11, 8], [26, 9]] * 4, [[0, 1]] * 12)
    source = GeneSource(genes, tuple(vocabulary.tolist()), tokens=100, seed=0, substitution=0.5)
    exchanged = 0
    for epoch in range(100):
        for batch in source.batches(epoch, 0, 1):
            before = np.sort(genes.elements[batch.rows.numpy()], axis=1)
            after = np.sort(vocabulary[batch.elements.numpy()], axis=1)
            assert (np.sort(vocabulary[batch.any_elements.numpy()], axis=1) == before).all()
            for old, new in zip(before.tolist(), after.tolist(), strict=True):
                assert new in (old, sorted({3: 11, 11: 3}.get(z, z) for z in old))
                exchanged += new != old
    # Of 1200 genes two in three can be exchanged, half are tried, half of those pick the element that has a partner.
    assert abs(exchanged - 200) < 6 * np.sqrt(200)
