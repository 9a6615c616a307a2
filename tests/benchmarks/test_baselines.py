"""The benchmarks of the baselines on a small table, and their questions against renamed genes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aristotype.crystal import GeneBatch, gene_keys
from benchmarks import data, suite
from benchmarks.core import Context
from benchmarks.exchanges import NUMBERS, Questions, questions, ranked
from tests.models.prototypes import known_crystals
from tests.models.test_exchanges import renamed

SPLITS = {"train": slice(0, 100), "val": slice(100, 125), "test": slice(125, None)}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Context:
    monkeypatch.setattr(data, "_split", lambda folder, dataset, name: known_crystals()[SPLITS[name]])
    return Context(data=tmp_path, genes=150)


def test_baselines_are_measured_and_judged(small):
    *speed, first, protocol = suite.BENCHMARKS["baselines"](small)
    assert [measured.count for measured in speed] == ["150 asked for, 150 returned"] * 3
    assert first.text.count("100.0 %") >= 3  # charge balanced
    assert "| metric | ion exchange |" in protocol.text


def test_exchanges_are_ranked_beside_pymatgen(small):
    (section,) = suite.BENCHMARKS["exchanges"](small)
    for title in ("ours", "frequency", "pymatgen, summed", "pymatgen, likeliest"):
        assert section.text.count(f"| {title}") == 2


def test_a_question_is_a_known_gene_that_one_exchange_makes_a_held_out_one():
    known, held_out = (known_crystals()[SPLITS[name]].genes() for name in ("train", "val"))
    asked = questions(known, held_out, np.random.default_rng(0))
    there, new = set(gene_keys(known).tolist()), set(gene_keys(held_out).tolist())
    assert len(asked.parent)
    for parent, old, element in zip(*(part.tolist() for part in asked)):
        key = renamed(known, parent, {old: element})
        assert key in new
        assert key not in there


def test_ranks_count_what_is_likelier_and_share_ties():
    known = GeneBatch.from_lists([225], [[11, 17]], [[0, 1]])
    table = np.zeros((NUMBERS, NUMBERS))
    table[11, [3, 17, 19, 37]] = [0.1, 0.9, 0.3, 0.1]  # chlorine is in the parent already
    candidates = np.zeros(NUMBERS, bool)
    candidates[[3, 17, 19, 37, 55]] = True
    asked = Questions(np.array([0, 0, 0]), np.array([11, 11, 11]), np.array([19, 37, 55]))
    assert ranked(table, known, asked, candidates).tolist() == [1.0, 2.5, 4.0]


def test_a_table_that_knows_the_answer_ranks_it_first():
    known, held_out = (known_crystals()[SPLITS[name]].genes() for name in ("train", "val"))
    asked = questions(known, held_out, np.random.default_rng(1))
    row = Questions(*(part[:1] for part in asked))
    table = np.zeros((NUMBERS, NUMBERS))
    table[row.old[0], row.new[0]] = 1.0
    assert ranked(table, known, row, np.ones(NUMBERS, bool)).tolist() == [1.0]
