"""Settings of a gene: what proper operations on sites and cell connect, and every crystal has one of them."""

import numpy as np
import pytest

from aristotype.crystal import GeneBatch, canonical_genes, crystal_equivalents, equivalents, setting_of, settings_of
from tests.crystal.builders import random_crystal
from tests.random_genes import GROUPS, random_genes

ALL = list(GROUPS)


def as_rows(genes: GeneBatch) -> list[tuple[bytes, bytes]]:
    return [(w.tobytes(), e.tobytes()) for w, e in zip(genes.wyckoffs, genes.elements, strict=True)]


def test_settings_are_descriptions_of_the_gene_and_stand_for_themselves():
    genes = random_genes(np.random.default_rng(0), ALL * 2, elements=[3, 8], max_sites=4)
    settings, owner = settings_of(genes)
    assert set(owner.tolist()) == set(range(len(genes)))
    assert as_rows(canonical_genes(settings)) == as_rows(canonical_genes(genes).take(owner))
    assert as_rows(setting_of(settings)) == as_rows(settings)
    assert len(set(zip(owner.tolist(), as_rows(settings), strict=True))) == len(settings)


def test_settings_do_not_depend_on_the_description():
    genes = random_genes(np.random.default_rng(1), ALL, elements=[3, 8], max_sites=4)
    described, owner = equivalents(genes)
    rng = np.random.default_rng(2)
    chosen = np.array([rng.choice(np.flatnonzero(owner == row)) for row in range(len(genes))])
    first, _ = settings_of(genes)
    again, _ = settings_of(described.take(chosen))
    assert as_rows(first) == as_rows(again)


@pytest.mark.parametrize("start", range(1, 231, 46))
def test_all_descriptions_of_a_crystal_are_in_one_setting(start):
    """Cells of random crystals have no symmetry by accident, so that no second reduced basis gives another setting."""
    for number in range(start, min(231, start + 46)):
        described = crystal_equivalents(random_crystal(number, np.random.default_rng(number)))
        genes = GeneBatch.from_lists(
            [c.space_group for c in described], [c.elements for c in described], [c.wyckoffs for c in described]
        )
        found = set(as_rows(setting_of(genes)))
        assert len(found) == 1
        assert found <= set(as_rows(settings_of(genes.take([0]))[0]))


def test_only_hands_and_oblique_cells_give_several_settings():
    genes = random_genes(np.random.default_rng(3), ALL * 3, elements=[3, 8, 11], max_sites=5)
    _, owner = settings_of(genes)
    count = np.bincount(owner)
    assert count[genes.space_group >= 16].max() <= 2
    assert count[genes.space_group == 2].max() > 10
