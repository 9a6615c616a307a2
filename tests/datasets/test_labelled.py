"""Batches of labelled genes: whole epochs, equal shares of processes, the same again on a resumed run."""

from __future__ import annotations

import numpy as np
import pytest

from aristotype.crystal import GeneBatch, gene_keys
from aristotype.datasets import LabelledSource
from aristotype.errors import InputError
from tests.random_genes import random_genes


@pytest.fixture(scope="module")
def genes() -> GeneBatch:
    groups = np.random.default_rng(0).integers(1, 231, 103).tolist()
    return random_genes(np.random.default_rng(1), groups, elements=(3, 8, 26), max_sites=6)


@pytest.fixture
def source(genes) -> LabelledSource:
    return LabelledSource(genes, np.arange(len(genes), dtype=float), batch_size=10, seed=4)


@pytest.mark.parametrize("world", [1, 2, 3])
def test_an_epoch_gives_each_row_at_most_once_and_processes_alike(source, world):
    parts = [list(source.batches(0, rank, world)) for rank in range(world)]
    assert {len(part) for part in parts} == {source.steps_per_epoch(world)}
    assert {len(batch.rows) for part in parts for batch in part} == {10}
    rows = np.concatenate([batch.rows.numpy() for part in parts for batch in part])
    assert len(np.unique(rows)) == len(rows) == 103 // (10 * world) * 10 * world


def test_values_and_descriptions_belong_to_their_rows(source, genes):
    keys = gene_keys(genes).tolist()
    changed = 0
    for batch in source.batches(3, 0, 1):
        rows = batch.rows.numpy()
        assert batch.values.tolist() == rows.tolist()
        elements = batch.elements.numpy()
        letters = np.where(elements > 0, batch.wyckoffs.numpy(), -1)
        described = GeneBatch(
            space_group=batch.group.numpy().astype(np.int16),
            elements=elements.astype(np.int8),
            wyckoffs=letters.astype(np.int8),
        )
        assert gene_keys(described).tolist() == [keys[row] for row in rows]
        width = letters.shape[1]
        changed += int((letters != np.sort(genes.wyckoffs[rows], axis=1)[:, -width:]).any(axis=1).sum())
    assert changed > 10  # descriptions are drawn anew


def test_an_epoch_is_a_function_of_its_number(source):
    def all_rows(epoch):
        return [batch.rows.tolist() for batch in source.batches(epoch, 0, 1)]

    assert all_rows(2) == all_rows(2)
    assert all_rows(2) != all_rows(3)


def test_fewer_rows_than_a_batch_are_one_batch(genes):
    few = LabelledSource(genes.take([0, 1, 2]), np.arange(3.0), batch_size=10, seed=0)
    assert few.steps_per_epoch(1) == 1
    (batch,) = few.batches(0, 0, 1)
    assert sorted(batch.rows.tolist()) == [0, 1, 2]


def test_values_that_are_no_numbers_are_refused(genes):
    for values in (np.full(103, np.nan), np.arange(4.0)):
        with pytest.raises(InputError, match="finite"):
            LabelledSource(genes, values, batch_size=10, seed=0)
