"""Starting structures, and the intervals of their figures."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aristotype.crystal import CrystalTable, compositions, formulas
from benchmarks import intervals, quality_starts, suite
from benchmarks.core import Context, Skipped
from tests.benchmarks.conftest import GENES
from tests.evaluate.crystals import random_crystals


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=40), st.integers(0, 40))
def test_the_interval_of_a_median_holds_it_also_where_numbers_are_infinite(values, lost):
    text = intervals.median_text([*values, *[np.inf] * lost])
    middle, low, high = (
        np.inf if part == "none" else float(part) for part in text.replace("(", "to ")[:-1].split(" to ")
    )
    assert low <= middle <= high
    assert ("none" in text.split(" (")[0]) == (lost >= len(values))


def test_shares_have_the_digits_that_are_asked_for():
    assert intervals.share_text([True] * 50) == "100.0% (92.9% to 100.0%)"
    assert intervals.share_text([True, False], 0) == "50% (9% to 91%)"


@pytest.mark.parametrize(("formula", "group"), [("SrTiO3", 221), ("Ca2C2O6", None)])
def test_random_structures_hold_the_composition(monkeypatch, formula, group):
    pytest.importorskip("pyxtal")
    monkeypatch.setattr(quality_starts, "COUNT", 3)
    found = quality_starts._random(formula, group, 0)
    assert found.kept == len(found.table) == 3 <= found.tries
    reduced = {"SrTiO3": {38: 1, 22: 1, 8: 3}, "Ca2C2O6": {20: 1, 6: 1, 8: 3}}[formula]
    for counts in compositions(found.table.genes()):
        scale = counts[8] // 3
        assert counts == {number: scale * count for number, count in reduced.items()}
    if group is not None:
        assert set(found.table.space_group.tolist()) == {group}
    assert quality_starts._random(formula, group, 0).table == found.table


def test_compositions_that_are_drawn_are_not_in_the_train_part(monkeypatch):
    monkeypatch.setattr(quality_starts, "ATOMS", (1, 100))
    table = CrystalTable.from_genes(GENES)
    names = np.array(formulas(GENES), object)
    trained = set(names[:3].tolist())
    drawn = quality_starts._held_out(table, names, trained, seed=0)
    assert len(drawn) == quality_starts.HELD_OUT
    content = {quality_starts.reduced_formula(quality_starts.parse_formula(formula)) for formula, _ in drawn}
    assert content <= set(names.tolist()) - trained


def test_lines_tell_shares_and_lost_structures():
    task = quality_starts.Task(formula="NaCl", group=225, trained=1, best=-3.0)
    starts = quality_starts.Starts(table=random_crystals(0, (225,)), tries=60, kept=50, seconds=1.5)
    energy = np.array([0.0] * 30 + [0.2] * 15 + [np.inf] * 5)
    results = [
        quality_starts.Result(source=name, task=task, free=free, starts=starts, energy=energy, seconds=3.0)
        for free in (False, True)
        for name in ("model", "pyxtal")
    ]
    text = quality_starts._text(results, Context())
    assert "| NaCl | 225 | model | 17% | 0.000 | 0.000 (0.000 to 0.200) | 60% (46% to 72%) | 1.5 | 3 |" in text
    assert "| any | pyxtal | 60.0% (46.2% to 72.4%) | 1 of 1 | 4 |" in text


@pytest.mark.parametrize("name", ["starts", "scores"])
def test_a_model_of_genes_is_not_asked_for_crystals(tiny, name):
    with pytest.raises(Skipped, match="draws genes without geometry"):
        list(suite.BENCHMARKS[name](dataclasses.replace(tiny, crystal_model="tiny")))
