"""Genes as variables of positions, and back, in all groups."""

from __future__ import annotations

import numpy as np
import pytest

from aristotype.crystal import GeneBatch, sorted_genes
from aristotype.models._parts import vocabulary_index
from aristotype.models.wyckoffdiff._occupation import Layout, genes_of, largest_count, occupation_of
from aristotype.symmetry import NUM_GROUPS, tables
from tests.random_genes import random_genes

VOCABULARY = (1, 3, 8, 26, 92)


def test_genes_of_all_groups_survive_the_way_there_and_back():
    genes = random_genes(np.random.default_rng(0), range(1, NUM_GROUPS + 1), elements=VOCABULARY, max_sites=12)
    layout = Layout.of(genes.space_group)
    occupation = occupation_of(genes, layout, vocabulary_index(VOCABULARY), len(VOCABULARY))
    again, expected = genes_of(occupation, layout, VOCABULARY), sorted_genes(genes)
    assert (again.space_group == expected.space_group).all()
    assert (again.wyckoffs == expected.wyckoffs[:, : again.wyckoffs.shape[1]]).all()
    assert (again.elements == expected.elements[:, : again.elements.shape[1]]).all()
    assert not occupation.empty(layout).any()


def test_layouts_are_those_of_the_tables():
    layout = Layout.of(np.arange(1, NUM_GROUPS + 1))
    assert (layout.exists.sum(dim=1).numpy() == tables().num_positions[1:]).all()
    assert len(layout.fixed) + len(layout.free) == 1731
    freedom = tables().padded("freedom", fill=-1)[1:]
    assert (freedom.ravel()[layout.fixed.numpy()] == 0).all()
    assert (freedom.ravel()[layout.free.numpy()] > 0).all()


def test_counts_on_one_position():
    genes = GeneBatch.from_lists(
        [1, 225, 2, 2],
        [[8, 8, 8, 3], [11, 17], [8, 3, 8, 3], [8]],
        [[0, 0, 0, 0], [0, 1], [8, 8, 8, 8], [0]],
    )
    assert largest_count(genes).tolist() == [3, 0, 2, 0]


@pytest.mark.parametrize("group", [1, 47, 225])
def test_a_row_without_anything_has_no_site(group):
    layout = Layout.of(np.array([group, group]))
    some = GeneBatch.from_lists([group, group], [[3], [3]], [[0], [0]])
    occupation = occupation_of(some, layout, vocabulary_index(VOCABULARY), len(VOCABULARY))
    occupation.fixed[layout.fixed_row == 0] = 0
    occupation.free[layout.free_row == 0] = 0
    assert occupation.empty(layout).tolist() == [True, False]
    assert genes_of(occupation, layout, VOCABULARY).num_sites.tolist() == [0, 1]
