"""What models learnt of chemistry: figures of known answer, and exchanges in known crystals."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aristotype.crystal import CrystalTable, GeneBatch, compositions
from aristotype.models import load
from benchmarks import chemistry_positions, chemistry_substitution, chemistry_vectors
from benchmarks.chemistry import chemistry
from benchmarks.core import Skipped
from tests.evaluate.crystals import crystal

ALKALI_AND_HALOGENS = (3, 11, 19, 9, 17, 35)
SHIPPED = "crystalformer-mp20"


def test_groups_that_point_one_way_each_have_the_largest_contrast():
    vectors = np.repeat(np.eye(2), 3, axis=0)
    cosine = chemistry_vectors.cosines(vectors)
    group = np.array([1, 1, 1, 17, 17, 17])
    assert chemistry_vectors.group_contrast(cosine, group) == pytest.approx(2.0)
    assert chemistry_vectors.group_contrast(cosine, group[[0, 3, 1, 4, 2, 5]]) < 0.5


@given(st.integers(0, 1000))
def test_a_contrast_does_not_depend_on_the_order_of_elements(seed):
    rng = np.random.default_rng(seed)
    cosine = chemistry_vectors.cosines(rng.normal(size=(9, 4)))
    group, order = rng.integers(1, 4, 9), rng.permutation(9)
    group[:3] = (1, 1, 2)  # a pair of either kind
    moved = chemistry_vectors.group_contrast(cosine[np.ix_(order, order)], group[order])
    assert moved == pytest.approx(chemistry_vectors.group_contrast(cosine, group))
    assert chemistry_vectors.group_contrast(3 * cosine + 1, group) == pytest.approx(3 * moved)


def test_elements_stand_by_group_and_the_f_block_behind_the_third():
    elements = (1, 3, 8, 21, 22, 57, 58, 71, 72, 92)
    ordered = [elements[place] for place in chemistry_vectors.table_order(elements)]
    assert ordered[:3] == [1, 3, 21]
    assert ordered[-1] == 8
    assert ordered.index(58) < ordered.index(92) < ordered.index(22)


def test_mendeleev_numbers_hold_groups_together():
    numbers = chemistry_vectors.mendeleev_numbers(ALKALI_AND_HALOGENS)
    assert np.ptp(numbers[:3]) < 5 and np.ptp(numbers[3:]) < 10
    assert abs(numbers[:3].mean() - numbers[3:].mean()) > 50


def test_a_partial_correlation_takes_out_what_both_have_from_a_third():
    rng = np.random.default_rng(0)
    third, first, second = rng.normal(size=(3, 20_000))
    figures = np.corrcoef([first + third, second + third, third])
    assert figures[0, 1] > 0.4
    assert abs(chemistry_substitution.without(figures[0, 1], figures[0, 2], figures[1, 2])) < 0.03
    assert np.isnan(chemistry_substitution.without(0.5, 1.0, 0.5))


def test_a_table_agrees_with_itself_and_not_with_noise():
    rng = np.random.default_rng(1)
    table = rng.normal(size=(119, 119))
    common = np.arange(119) < 60
    held = rng.random(119)
    plain, given_frequency, top, chance = chemistry_substitution.agreement(table, table, held, common, rng).split(" | ")
    assert plain.startswith("+1.000") and given_frequency.startswith("+1.000") and top.startswith("100.0%")
    assert 5 < float(chance.rstrip("%")) < 12  # five of 59
    noise = chemistry_substitution.agreement(rng.normal(size=(119, 119)), table, held, common, rng)
    assert abs(float(noise.split(" ")[0])) < 0.06


def salts() -> CrystalTable:
    lattice = [5.6, 5.6, 5.6, 90, 90, 90]
    rows = [crystal(225, [11, 17], "ab", lattice), crystal(225, [12, 8], "ab", lattice)]
    return CrystalTable.concatenate([row.with_columns(id=[str(place)]) for place, row in enumerate(rows)])


def test_every_element_is_exchanged_for_every_other_that_is_not_there():
    seen: list[CrystalTable] = []

    def score(table: CrystalTable) -> np.ndarray:
        seen.append(table)
        return -table.genes().elements.sum(axis=1).astype(float)

    vocabulary = [8, 11, 12, 17, 19]
    known = chemistry_substitution._crystals(salts(), vocabulary)
    parents, old = chemistry_substitution._parents(known, 5, np.random.default_rng(0))
    changes = chemistry_substitution._changes(score, known, parents, old, vocabulary)
    assert sorted(zip(parents.tolist(), old.tolist(), strict=True)) == [(0, 11), (0, 17), (1, 8), (1, 12)]
    for gone in (8, 11, 12, 17):
        for new in vocabulary:
            allowed = new != gone and {gone, new} not in ({11, 17}, {8, 12})
            assert changes[gone, new] == (gone - new if allowed else pytest.approx(np.nan, nan_ok=True))
    (table,) = seen
    assert all(sum(counts.values()) == 2 for counts in compositions(table.genes()))
    potassium = [row for row, counts in enumerate(compositions(table.genes())) if counts == {19: 1, 17: 1}]
    assert len(potassium) == 1
    assert table.lattice[potassium[0], 0] > 5.8  # a larger atom needs a larger cell


def test_sites_are_counted_at_canonical_positions():
    """Rock salt with its two positions exchanged is the same crystal."""
    both = GeneBatch.from_lists([225, 225], [[11, 17], [17, 11]], [[0, 1], [0, 1]])
    counts = chemistry_positions.occupation(both)
    assert counts.sum() == 4
    assert np.count_nonzero(counts) == 2 and set(counts[counts > 0]) == {2}


def test_models_whose_vectors_are_not_known_are_skipped(tiny):
    with pytest.raises(Skipped, match="draws genes without geometry"):
        list(chemistry(dataclasses.replace(tiny, crystal_model="tiny")))


def test_the_parts_of_shipped_vectors_are_told_apart():
    found = list(chemistry_vectors.similarities(load(SHIPPED)))
    assert [one.part for one in found] == ["learnt part alone", "all", "all, before training"] * 2
    for one in found:
        assert one.cosine.shape == (len(one.elements),) * 2
        np.testing.assert_allclose(np.diag(one.cosine), 1)
