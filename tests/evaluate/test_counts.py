"""Whole numbers of genes, against the crystals themselves and small examples."""

from __future__ import annotations

import numpy as np
import pytest

from aristotype.crystal import GeneBatch, equivalents
from aristotype.evaluate import _counts as evaluate
from aristotype.symmetry import space_group


@pytest.fixture(scope="module")
def rock_salt_and_more() -> GeneBatch:
    # NaCl; rutile TiO2; calcite CaCO3 (R-3c); P1 with two sites; Na2 on two positions of Fm-3m.
    return GeneBatch.from_lists(
        [225, 136, 167, 1, 225],
        [[11, 17], [22, 8], [20, 6, 8], [3, 8], [11, 11]],
        [[0, 1], [0, 5], [1, 0, 4], [0, 0], [0, 2]],
    )


def test_numbers_of_known_structures(rock_salt_and_more):
    genes = rock_salt_and_more
    assert evaluate.num_elements(genes).tolist() == [2, 2, 3, 2, 1]
    assert evaluate.conventional_atoms(genes).tolist() == [8, 6, 30, 2, 12]
    assert evaluate.primitive_atoms(genes).tolist() == [2, 6, 10, 2, 3]
    assert evaluate.free_parameters(genes).tolist() == [0, 1, 1, 6, 0]
    assert evaluate.special_atoms(genes).tolist() == [2, 6, 10, 0, 3]
    composition = evaluate.compositions(genes)
    assert composition[2, [20, 6, 8]].tolist() == [2, 2, 6]
    assert evaluate.site_compositions(genes)[4, 11] == 2


def test_numbers_agree_with_positions_one_by_one(random_genes):
    genes = random_genes(200, seed=1)
    for row in range(len(genes)):
        group = space_group(int(genes.space_group[row]))
        sites = [(int(z), group.positions[w]) for z, w in zip(genes.elements[row], genes.wyckoffs[row]) if w >= 0]
        one = genes.take([row])
        assert evaluate.num_elements(one)[0] == len({z for z, _ in sites})
        assert evaluate.conventional_atoms(one)[0] == sum(p.multiplicity for _, p in sites)
        assert evaluate.primitive_atoms(one)[0] * group.centring_order == sum(p.multiplicity for _, p in sites)
        assert evaluate.free_parameters(one)[0] == sum(p.freedom for _, p in sites)
        general = sum(p.multiplicity for _, p in sites if p is group.positions[-1])
        special = evaluate.primitive_atoms(one)[0] - evaluate.special_atoms(one)[0]
        assert special * group.centring_order == general


def test_numbers_are_those_of_every_equivalent_description(random_genes):
    genes = random_genes(100, seed=2)
    described, owner = equivalents(genes)
    for count in (
        evaluate.num_elements,
        evaluate.primitive_atoms,
        evaluate.free_parameters,
        evaluate.special_atoms,
        evaluate.compositions,
        evaluate.site_compositions,
        lambda batch: np.sort(evaluate.site_freedoms(batch), axis=1),
    ):
        np.testing.assert_array_equal(count(described), count(genes)[owner])


def test_an_empty_batch_has_no_numbers():
    empty = GeneBatch.from_lists([], [], [])
    assert evaluate.num_elements(empty).shape == (0,)
    assert evaluate.compositions(empty).shape == (0, 119)
