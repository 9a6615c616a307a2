"""Prototype keys: equal exactly where a renaming of elements makes genes equivalent."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import pytest

from aristotype.crystal import GeneBatch, equivalents, gene_keys, prototype_keys, template_keys
from aristotype.symmetry import NUM_GROUPS
from tests.random_genes import random_genes, shuffled

NAMES = (3, 8, 26)


def renamed(genes: GeneBatch, new: dict[int, int]) -> GeneBatch:
    table = np.zeros(128, np.int8)
    table[list(new)] = list(new.values())
    return GeneBatch(space_group=genes.space_group, elements=table[genes.elements], wyckoffs=genes.wyckoffs)


def smallest_keys(genes: GeneBatch) -> list[bytes]:
    """By brute force: the smallest key of all renamings."""
    every = [gene_keys(renamed(genes, dict(zip(NAMES, new)))).tolist() for new in permutations((1, 2, 3))]
    return [min(keys) for keys in zip(*every, strict=True)]


@pytest.mark.parametrize("number", [1, 2, 5, 16, 47, 68, 99, 123, 166, 191, 194, 216, 221, 225, 227])
def test_keys_are_equal_exactly_where_a_renaming_makes_genes_equivalent(number):
    genes = random_genes(np.random.default_rng(number), [number] * 150, elements=NAMES, max_sites=3)
    found, wanted = prototype_keys(genes).tolist(), smallest_keys(genes)
    pairs = [(found[i] == found[j], wanted[i] == wanted[j]) for i, j in combinations(range(len(genes)), 2)]
    assert {a for a, _ in pairs} == {True, False}
    assert all(a == b for a, b in pairs)


def test_names_descriptions_and_orders_do_not_matter_in_any_group():
    rng = np.random.default_rng(0)
    genes = random_genes(rng, range(1, NUM_GROUPS + 1), elements=NAMES, max_sites=5)
    described, owner = equivalents(genes)
    some = np.array([rng.choice(np.flatnonzero(owner == row)) for row in range(len(genes))])
    others = shuffled(renamed(described.take(some), {3: 92, 8: 1, 26: 7}), rng)
    assert prototype_keys(others).tolist() == prototype_keys(genes).tolist()


def test_a_prototype_says_which_sites_are_alike_and_a_template_does_not():
    genes = GeneBatch.from_lists([62, 62], [[8, 8, 3], [8, 3, 26]], [[2, 2, 3], [2, 2, 3]])
    assert len(set(template_keys(genes).tolist())) == 1
    assert len(set(prototype_keys(genes).tolist())) == 2


def test_mirror_images_are_one_on_request():
    genes = GeneBatch.from_lists([144, 145], [[8], [8]], [[0], [0]])
    assert len(set(prototype_keys(genes).tolist())) == 2
    assert len(set(prototype_keys(genes, merge_enantiomorphs=True).tolist())) == 1


def test_no_genes_have_no_keys():
    assert len(prototype_keys(GeneBatch.from_lists([], [], []))) == 0
