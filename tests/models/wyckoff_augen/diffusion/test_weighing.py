"""Conditions keep the proportions of the model: against draws without them, of which what is asked for is kept."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from aristotype.crystal import Conditions, GeneBatch, formulas
from aristotype.models.blocks import primitive_multiplicities
from aristotype.models.wyckoff_augen import _spaces, _weighing
from aristotype.models.wyckoff_augen._drawing import Asked
from aristotype.models.wyckoff_augen._spaces import Spaces
from aristotype.models.wyckoff_augen.diffusion import _sampler
from aristotype.models.wyckoff_augen.diffusion._sampler import DiffusionDrawing
from tests.models.wyckoff_augen.diffusion.small import tiny_model

BOTH = {"allowed_elements": ["Li", "O"], "required_elements": ["Li", "O"]}
FREE, WEIGHED = 6_000, 500


@pytest.fixture(scope="module")
def model():
    return tiny_model(elements=(3, 8, 26), max_sites=4, seed=0)


@torch.no_grad()
def drawn(model, asked: dict, rows: int) -> GeneBatch:
    """Genes alone; the space of elements comes first unless groups are asked for."""
    spaces, numbers = Spaces(model, Conditions(**asked) if asked else None), np.arange(rows)
    if spaces.elements_first is None:
        spaces.elements_first = True
    group, space = spaces.draw(7, numbers)
    drawing = DiffusionDrawing(
        model, Asked(group, space, 7, numbers, spaces.limits, others=lambda more: spaces.draw(7, more))
    )
    drawing.write()
    return drawing.written()


def keys(genes: GeneBatch, coarse: bool) -> list[tuple]:
    """What is counted: sites, or with `coarse` the elements and the class of the group."""
    if coarse:
        return [
            (int(number) > 74, *sorted(set(row) - {0}))
            for number, row in zip(genes.space_group, genes.elements.tolist(), strict=True)
        ]
    rows = zip(genes.space_group.tolist(), genes.wyckoffs.tolist(), genes.elements.tolist(), strict=True)
    return [(number, *letters, *elements) for number, letters, elements in rows]


def atoms(genes: GeneBatch) -> np.ndarray:
    rows = zip(genes.space_group.tolist(), genes.wyckoffs.tolist(), strict=True)
    return np.array([sum(primitive_multiplicities(number)[w] for w in row if w >= 0) for number, row in rows])


def apart(one: list, other: list) -> float:
    """Chi-squared of two samples over its degrees of freedom; what is rare is counted together."""
    counts = [Counter(one), Counter(other)]
    common = [key for key in counts[0] | counts[1] if counts[0][key] + counts[1][key] >= 20]
    table = np.array(
        [
            [count[key] for key in common] + [len(all_) - sum(count[key] for key in common)]
            for count, all_ in zip(counts, (one, other), strict=True)
        ],
        float,
    )
    table = table[:, table.sum(axis=0) > 0]
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    assert table.shape[1] > 3
    return float(((table - expected) ** 2 / expected).sum() / (table.shape[1] - 1))


CASES = {
    "formula": ({"space_groups": [18], **BOTH}, {"formula": "Li2O"}, lambda g: np.array(formulas(g)) == "Li2O"),
    "sites and atoms": (
        {"space_groups": [18, 26]},
        {"num_sites": 2, "max_atoms": 6},
        lambda g: (g.num_sites == 2) & (atoms(g) <= 6),
    ),
    "known sites": (
        {"space_groups": [18]},
        {"partial": GeneBatch.from_lists([18], [[8]], [[0]])},
        lambda g: ((g.wyckoffs == 0) & (g.elements == 8)).any(axis=1),
    ),
    "elements": (
        {},
        {"allowed_elements": ["Li", "O"], "required_elements": ["O"]},
        lambda g: (g.elements == 8).any(axis=1) & (g.elements != 26).all(axis=1),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_conditions_keep_the_proportions_of_the_model(model, name, monkeypatch):
    base, more, holds = CASES[name]
    free = drawn(model, base, FREE)
    wanted = free.take(np.flatnonzero(holds(free)))
    assert len(wanted) > 150
    coarse = name == "elements"
    weighed = drawn(model, {**base, **more}, WEIGHED)
    assert holds(weighed).all()
    assert apart(keys(wanted, coarse), keys(weighed, coarse)) < 1.6
    # The test would tell: what the masks alone draw is far from it.
    for module in (_spaces, _sampler):
        monkeypatch.setattr(module, "weighed", lambda random, first, more: list(first))
    assert apart(keys(wanted, coarse), keys(drawn(model, {**base, **more}, WEIGHED), coarse)) > 2.0


def test_the_first_that_is_taken_is_chosen_and_else_one_by_weight():
    n, count = 20_000, _weighing.CANDIDATES
    random = np.random.default_rng(0).random((n, count + 1))
    kept = np.full(count, 1e-9)
    kept[3], kept[5] = 3e-9, 0.5
    asked = []

    def chosen() -> np.ndarray:
        asked.clear()

        def more(rows, places):
            asked.append((len(rows), len(places)))
            return [np.tile(places, len(rows)), np.log(np.tile(kept[places], len(rows)))]

        return _weighing.weighed(random, [np.zeros(n, int), np.full(n, np.log(kept[0]))], more)[0]

    assert (chosen() == 5).all()  # taken, or by far the heaviest
    assert asked[0] == (n, 3) and 0 < asked[-1][0] < 0.6 * n  # those that are taken draw no more
    kept[5] = 1e-9
    share = np.bincount(chosen(), minlength=count) / n
    expected = kept / kept.sum()
    assert np.abs(share - expected).max() < 5 * np.sqrt(expected.max() / n)
    kept[0] = 1.0
    assert (chosen() == 0).all() and not asked
