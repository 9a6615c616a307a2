"""Crystals in the letters of a given description of their gene."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aristotype.crystal import Crystal, CrystalTable, GeneBatch, canonical_crystal, described_as, equivalents
from aristotype.crystal._described import _operations
from aristotype.crystal._gauge import sort_key
from aristotype.crystal._transform import describe, to_crystal, transform
from aristotype.errors import TableError
from aristotype.symmetry import relabellings, space_group
from tests.crystal.builders import random_crystal, table_of
from tests.random_genes import shuffled

NUMBERS = [1, 2, 3, 5, 7, 9, 10, 12, 13, 14, 15, 16, 19, 33, 47, 62, 75, 91, 99, 129, 146, 156, 166, 194, 198, 216, 227]


def test_every_relabelling_of_every_group_is_reached():
    for number in range(1, 231):
        reached = {row.tobytes() for row in np.unique(_operations(number).letters, axis=0)}
        assert reached == {row.tobytes() for row in relabellings(number).astype(np.int8)}, number


@pytest.mark.parametrize("number", NUMBERS)
def test_the_sites_are_those_asked_for_and_the_crystal_is_the_same(number):
    """Up to its hand, where only a change of hand leads to the letters; whichever description is asked for."""
    rng = np.random.default_rng(number)
    crystal = random_crystal(number, rng, special=3)
    described, _ = equivalents(table_of(crystal).genes())
    chosen = shuffled(described.take(rng.permutation(len(described))[:3]), rng)
    copies = CrystalTable.from_crystals([replace(crystal, id=str(place)) for place in range(len(chosen))])
    found = described_as(copies, chosen)
    genes = found.genes()
    for row in range(len(chosen)):
        there = chosen.wyckoffs[row] >= 0
        assert genes.wyckoffs[row][genes.wyckoffs[row] >= 0].tolist() == chosen.wyckoffs[row][there].tolist()
        assert genes.elements[row][genes.elements[row] > 0].tolist() == chosen.elements[row][there].tolist()
        assert min(np.abs(canonical_key(found[row]) - key).max() for key in hands(crystal)) < 1e-4


def canonical_key(crystal: Crystal) -> np.ndarray:
    return np.array(sort_key(canonical_crystal(crystal)))


def hands(crystal: Crystal) -> list[np.ndarray]:
    """The crystal, and its mirror image where its group has any."""
    normalizer = space_group(crystal.space_group).normalizer
    images = [crystal]
    for matrix, shift in zip(normalizer.linear[~normalizer.proper], normalizer.translation[~normalizer.proper]):
        images = [crystal, to_crystal(transform(describe(crystal), matrix, shift), "")]
    return [canonical_key(image) for image in images]


@pytest.mark.parametrize("number", [2, 5, 14, 62, 75, 227])
def test_of_several_cells_a_short_one_is_taken(number):
    """Back to the letters of a reduced crystal, from wherever: the cell is as short as it was."""
    crystal = canonical_crystal(random_crystal(number, np.random.default_rng(number)))
    own = table_of(crystal)
    described, _ = equivalents(own.genes())
    away = described_as(own, described.take([len(described) - 1]))
    back = described_as(away, own.genes())
    assert (back.lattice[0, :3] ** 2).sum() == pytest.approx((own.lattice[0, :3] ** 2).sum())


def test_another_gene_is_refused():
    crystal = table_of(random_crystal(62, np.random.default_rng(0)))
    genes = crystal.genes()
    other = GeneBatch(space_group=genes.space_group, elements=genes.elements + 20, wyckoffs=genes.wyckoffs)
    with pytest.raises(TableError, match="'62' does not have the gene"):
        described_as(crystal, other)
    with pytest.raises(TableError, match="1 crystals for 2 genes"):
        described_as(crystal, GeneBatch.concatenate([genes, genes]))
    with pytest.raises(TableError, match="geometry"):
        described_as(CrystalTable.from_genes(genes), genes)
