"""Scores of tables and ranks among crystals of like size: what they do not depend on, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aristotype.crystal import CrystalTable, Failure, GeneBatch
from aristotype.discover import Scores, extremes, score, score_report, typicality
from aristotype.discover._score import LIKE
from aristotype.errors import InputError
from tests.discover.test_generate import random_genes
from tests.evaluate.crystals import random_crystals
from tests.models.crystalformer.networks import model as crystal_model
from tests.models.crystalformer.paper.small import paper_model


class ByElements:
    """Two parts: minus the sum of atomic numbers over a hundred, and minus the number of sites; knows 3 to 40."""

    vocabulary = frozenset(range(3, 41))

    def log_prob_parts(self, table: CrystalTable) -> dict[str, np.ndarray]:
        genes = table.genes()
        parts = {"elements": -genes.elements.sum(axis=1) / 100.0, "letters": -genes.num_sites.astype(float)}
        parts["letters"][genes.elements[:, 0] == 40] = -np.inf
        return {**parts, "total": sum(parts.values())}

    def log_prob(self, table: CrystalTable) -> np.ndarray:
        return self.log_prob_parts(table)["total"]


class Bounded(ByElements):
    """Totals that are bounds, but for genes with an even number of sites."""

    bounds = True

    def log_prob_parts(self, table: CrystalTable) -> dict[str, np.ndarray]:
        exact = (table.genes().num_sites % 2 == 0).astype(float)
        return {**super().log_prob_parts(table), "exact": exact, "error": 0.5 * (1.0 - exact)}


class Alone:
    """A model that tells no parts."""

    vocabulary = ByElements.vocabulary

    def log_prob(self, table: CrystalTable) -> np.ndarray:
        return ByElements().log_prob(table)


def genes(count: int, seed: int = 0) -> CrystalTable:
    ids = [f"{seed}-{row}" for row in range(count)]
    return CrystalTable.from_genes(random_genes(np.random.default_rng(seed), count), ids)


def scores_of(sites, free, total) -> Scores:
    values = np.asarray(total, float)
    return Scores(parts={"total": values}, sites=np.asarray(sites), atoms=np.asarray(sites), free=np.asarray(free))


def test_parts_add_up_and_are_divided_by_sites_and_atoms():
    found = score(genes(40), ByElements())
    total = found.column("log_prob").to_numpy()
    parts = [found.column(f"log_prob_{name}").to_numpy() for name in ("elements", "letters")]
    np.testing.assert_allclose(sum(parts), total)
    np.testing.assert_allclose(found.column("log_prob_per_site").to_numpy() * found.genes().num_sites, total)
    rock_salt = CrystalTable.from_genes(GeneBatch.from_lists([225], [[11, 17]], [[0, 1]]))
    (row,) = score(rock_salt, Alone()).arrow.to_pylist()
    assert row["log_prob_per_atom"] == row["log_prob"] / 2  # one formula unit in the primitive cell
    assert row["percentile"] is None and row["compared_with"] == 0
    assert "log_prob_elements" not in row


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(2, 90))
def test_scores_do_not_depend_on_the_order_of_rows(seed, count):
    table = genes(count, seed)
    order = np.random.default_rng(seed).permutation(count)
    there, back = score(table, ByElements()), score(table.take(order), ByElements())
    assert there.take(order) == back


@given(st.lists(st.integers(-5, 5), min_size=2, max_size=LIKE))
def test_ranks_among_the_others_have_the_mean_of_50(values):
    """As many crystals are below as above, ties counted half."""
    ranks = typicality(scores_of(np.ones(len(values)), np.ones(len(values)), values))
    assert np.mean(ranks["percentile"].to_numpy()) == pytest.approx(50)
    assert set(ranks["compared_with"].to_pylist()) == {len(values) - 1}


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 400))
def test_percentiles_are_those_of_the_nearest_sizes(seed, count):
    rng = np.random.default_rng(seed)
    known = scores_of(rng.integers(1, 9, count), rng.integers(1, 20, count), rng.integers(0, 30, count))
    asked = scores_of(rng.integers(1, 9, 5), rng.integers(1, 20, 5), rng.integers(0, 30, 5))
    found = typicality(asked, known)
    for row in range(5):
        distance = np.abs(known.sites - asked.sites[row]) + np.abs(known.free - asked.free[row])
        like = known.parts["total"][distance <= np.sort(distance)[: min(LIKE, count)][-1]]
        value = asked.parts["total"][row]
        rank = 100 * (np.mean(like < value) + np.mean(like == value) / 2)
        assert found["compared_with"][row].as_py() == len(like) >= min(LIKE, count)
        assert found["percentile"][row].as_py() == pytest.approx(rank)


def test_a_reference_row_that_cannot_be_scored_is_no_reference():
    table, known = genes(20), genes(30, seed=1)
    strange = CrystalTable.from_genes(GeneBatch.from_lists([225], [[92, 17]], [[0, 1]]), ids=["uranium"])
    alone = score(table, ByElements(), reference=known)
    assert score(table, ByElements(), reference=CrystalTable.concatenate([known, strange])) == alone
    assert set(alone.column("compared_with").to_pylist()) == {30}


def test_rows_that_cannot_be_scored_are_told_and_cost_nobody_else_his_score():
    strange = GeneBatch.from_lists([225, 225], [[92, 1], [40, 17]], [[0, 1], [0, 1]])
    table = CrystalTable.concatenate([genes(10), CrystalTable.from_genes(strange, ids=["u", "zero"]), genes(10, 3)])
    lost: list[Failure] = []
    found = score(table, ByElements(), failures=lost)
    assert [(row.index, row.id) for row in lost] == [(10, "u"), (11, "zero")]
    assert "it holds H, U, which is not among the 38 elements" in lost[0].reason
    assert "probability zero" in lost[1].reason
    rest = score(CrystalTable.concatenate([genes(10), genes(10, 3)]), ByElements())
    assert found.column("log_prob").to_pylist() == rest.column("log_prob").to_pylist()
    with pytest.raises(InputError, match="2 of 22 crystals cannot be scored, first 'u'"):
        score(table, ByElements())
    with pytest.raises(InputError, match="leave them out, or take another model"):
        score(table[10:12], ByElements(), failures=[])


@pytest.mark.parametrize("make", [crystal_model, paper_model])
def test_a_model_of_crystals_scores_crystals_and_refuses_genes(make):
    crystals, drawer = random_crystals(0, (225, 62, 2)), make()
    found = score(crystals, drawer, reference=random_crystals(1, (225, 62, 2, 166)))
    np.testing.assert_allclose(found.column("log_prob").to_numpy(), drawer.log_prob(crystals), rtol=1e-9)
    assert {"percentile_lattice", "percentile_coordinates"} <= set(found.columns)
    with pytest.raises(InputError, match="a gene without geometry"):
        score(CrystalTable.from_genes(crystals.genes()), drawer)


def test_the_extremes_are_ordered_and_apart():
    found = score(genes(30), ByElements())
    most, least = extremes(found, 10)
    rank = found.column("percentile").to_numpy()
    assert not set(most) & set(least)
    assert (np.diff(rank[most]) <= 0).all() and (np.diff(rank[least]) >= 0).all()
    assert rank[most].min() >= rank[least].max()
    most, least = extremes(found[:3], 10)
    assert (len(most), len(least)) == (1, 2)
    report = score_report(found, model="toy", reference="the others", number=4, failed=2)
    assert "30 crystals, 2 more could not be scored" in report
    for title in ("## Most likely", "## Least likely", "## Elements, most likely", "## Letters, least likely"):
        assert title in report
    assert report.count("\n| ") == 4 + 4 + 4 * 3 + 6  # rows and heads


def test_bounds_are_called_bounds_and_are_no_parts():
    table = score(genes(60), Bounded())
    even = table.genes().num_sites % 2 == 0
    assert 0 < even.sum() < len(table)
    assert table.column("log_prob_kind").to_pylist() == np.where(even, "exact", "bound").tolist()
    assert (table.column("log_prob_error").to_numpy() == np.where(even, 0.0, 0.5)).all()
    assert {name for name in table.columns if name.startswith("percentile_")} == {
        "percentile_elements",
        "percentile_letters",
    }
    text = score_report(table, model="m", reference="r")
    assert "lower bound" in text
    assert "log p bound" in text
    plain = score(genes(60), ByElements())
    assert "log_prob_kind" not in plain.columns
    assert "bound" not in score_report(plain, model="m", reference="r")
