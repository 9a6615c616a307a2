"""Uniqueness and novelty at three levels."""

from __future__ import annotations

import numpy as np
import pytest

from aristotype.crystal import Crystal, CrystalTable, GeneBatch, canonical_genes, equivalents, gene_keys, template_keys
from aristotype.errors import TableError
from aristotype.evaluate import Matcher, gene_novelty, novelty_columns
from tests.evaluate.disguises import families, table_of


def booleans(columns, name: str) -> np.ndarray:
    return np.array(columns[name].to_pylist())


def crystal(name: str, group: int, elements: tuple[int, ...], letters: tuple[int, ...], edge: float) -> Crystal:
    return Crystal(
        id=name,
        space_group=group,
        elements=elements,
        wyckoffs=letters,
        free=(),
        lattice=(edge, edge, edge, 90.0, 90.0, 90.0),
    )


def test_columns_say_what_the_matcher_and_the_keys_say():
    cells = families(seed=11)
    table, reference = table_of(cells[:20], "row "), table_of(cells[20:], "known ")
    columns = novelty_columns(table, reference)
    found = Matcher().matches(table, reference)
    expected = [None if row is None else f"row {row}" for row in found.firsts]
    assert columns["duplicate_of"].to_pylist() == expected
    assert columns["reference_match"].to_pylist() == [
        None if row is None else f"known {row}" for row in found.references
    ]
    assert booleans(columns, "unique").tolist() == [row is None for row in expected]
    known = set(gene_keys(reference.genes(), merge_enantiomorphs=True).tolist())
    keys = gene_keys(table.genes(), merge_enantiomorphs=True).tolist()
    assert booleans(columns, "novel_gene").tolist() == [key not in known for key in keys]
    assert set(columns) <= set(table.with_columns(columns).columns)
    assert 0 < booleans(columns, "novel").sum() < len(table)


def test_levels_that_know_less_find_less_new():
    rock_salt, other_salt = crystal("a", 225, (11, 17), (0, 1), 5.6), crystal("b", 225, (19, 17), (0, 1), 6.3)
    stretched = crystal("c", 225, (11, 17), (0, 1), 6.0)
    perovskite = crystal("d", 221, (22, 38, 8), (0, 1, 2), 3.9)
    table = CrystalTable.from_crystals([rock_salt, other_salt, stretched, perovskite])
    reference = CrystalTable.from_crystals([crystal("known", 225, (12, 8), (0, 1), 4.2)])
    columns = novelty_columns(table, reference)
    assert booleans(columns, "unique").tolist() == [True, True, False, True]
    assert columns["duplicate_of"].to_pylist() == [None, None, "a", None]
    assert booleans(columns, "unique_gene").tolist() == [True, True, False, True]
    assert booleans(columns, "unique_template").tolist() == [True, False, False, True]
    assert booleans(columns, "novel").all() and booleans(columns, "novel_gene").all()
    assert booleans(columns, "novel_template").tolist() == [False, False, False, True]
    unscaled = novelty_columns(table, reference, matcher=Matcher(scale=False, ltol=0.05))
    assert booleans(unscaled, "unique").tolist() == [True] * 4


def test_no_row_of_its_own_reference_is_novel():
    table = table_of(families(seed=12))
    columns = novelty_columns(table, table)
    for name in columns:
        if name.startswith("novel"):
            assert not booleans(columns, name).any(), name


def test_rows_appended_again_are_duplicates_at_every_level():
    table = table_of(families(seed=13))
    copies = table.with_columns(id=[f"copy of {name}" for name in table.ids])
    columns = novelty_columns(CrystalTable.concatenate([table, copies]), table.take([]))
    for name in columns:
        if name.startswith("unique"):
            assert not booleans(columns, name)[len(table) :].any(), name
            assert booleans(columns, name)[0]
        if name.startswith("novel"):
            assert booleans(columns, name).all(), name
    assert columns["reference_match"].null_count == 2 * len(table)


def test_equivalent_descriptions_are_one_gene(random_genes):
    genes = random_genes(200, seed=0)
    described, owners = equivalents(canonical_genes(genes))
    columns = gene_novelty(described, genes)
    for level in ("gene", "gene_unmerged", "template"):
        assert not booleans(columns, f"novel_{level}").any()
        assert len(set(owners[booleans(columns, f"unique_{level}")])) == booleans(columns, f"unique_{level}").sum()
    distinct = len(set(gene_keys(genes, merge_enantiomorphs=True).tolist()))
    assert booleans(columns, "unique_gene").sum() == distinct
    distinct = len(set(template_keys(genes, merge_enantiomorphs=True).tolist()))
    assert booleans(columns, "unique_template").sum() == distinct


def test_groups_of_an_enantiomorphic_pair_are_one_unless_asked_apart():
    left, right = (GeneBatch.from_lists([group], [[14, 8]], [[0, 2]]) for group in (152, 154))
    columns = gene_novelty(right, left)
    assert not booleans(columns, "novel_gene")[0] and not booleans(columns, "novel_template")[0]
    assert booleans(columns, "novel_gene_unmerged")[0]


def test_genes_have_no_structure_to_compare():
    table = table_of(families(seed=14, count=1))
    with pytest.raises(TableError, match="have no geometry"):
        novelty_columns(CrystalTable.from_genes(table.genes()), table)
