"""Best of n: each row is the best of n rows of the stream, whatever judges."""

from __future__ import annotations

import numpy as np
import pytest

from aristotype.crystal import Conditions, CrystalTable, PropertyTarget
from aristotype.discover import BestOf, density, generate, sized, typicality
from aristotype.errors import InputError
from tests.discover.small_crystals import small_crystalformer


def first(model, n: int, seed: int = 0, score: bool = False) -> CrystalTable:
    parts, have = [], 0
    for block in model.stream(seed=seed, score=score):
        parts.append(block)
        have += len(block)
        if have >= n:
            return CrystalTable.concatenate(parts)[:n]
    raise AssertionError


def test_each_row_is_the_densest_of_its_candidates():
    model = small_crystalformer()
    best = first(BestOf(model, 4, density), 40)
    all_of_them = first(model, 160)
    apart = all_of_them.column("closest").to_numpy() >= 0.7
    judged = np.where(apart, density(all_of_them), -np.inf).reshape(40, 4)
    assert best.ids == [all_of_them.ids[4 * row + place] for row, place in enumerate(judged.argmax(axis=1).tolist())]
    fits = np.isfinite(judged).any(axis=1)
    np.testing.assert_allclose(best.column("reward").to_numpy()[fits], judged.max(axis=1)[fits])
    assert fits.sum() > 20 and set(best.column("best_of").to_pylist()) == {4}


def test_the_likeliest_have_the_highest_percentiles_of_their_pool():
    model = small_crystalformer().genes
    best = first(BestOf(model, 8), 32)
    pool = first(model, 256, score=True)
    scores = sized({"total": pool.column("log_prob").to_numpy()}, pool.genes(), model)
    ranks = typicality(scores)["percentile"].to_numpy(zero_copy_only=False).reshape(32, 8)
    np.testing.assert_allclose(best.column("percentile").to_numpy(), ranks.max(axis=1))
    assert best.ids == [pool.ids[8 * row + place] for row, place in enumerate(ranks.argmax(axis=1).tolist())]
    more, one = (np.mean(first(BestOf(model, n), 32).column("percentile").to_numpy()) for n in (16, 1))
    assert more > 80 > 65 > one


def test_one_candidate_changes_nothing_and_fewer_are_the_first_of_more():
    model = small_crystalformer()
    assert first(BestOf(model, 1, density), 50).ids == first(model, 50).ids
    made = generate(BestOf(model, 3, density), 5, seed=3)
    assert made.table.ids == generate(BestOf(model, 3, density), 9, seed=3).table.ids[:5]
    assert made.summary.novel is not None and made.summary.model == model.name


def test_draws_for_targets_are_counted_for_all_candidates():
    model = small_crystalformer().genes
    target = Conditions(targets=[PropertyTarget(property="formation_energy", high=0.0)])
    best = next(BestOf(model, 4).stream(target, seed=0))
    pool, have = [], 0
    for block in model.stream(target, seed=0):
        pool.append(block)
        have += len(block)
        if have >= 256:
            break
    draws = CrystalTable.concatenate(pool).column("draws").to_numpy()[:256].reshape(-1, 4).sum(axis=1)
    np.testing.assert_array_equal(best.column("draws").to_numpy(), draws)


def test_what_cannot_be_judged_is_told():
    model = small_crystalformer()
    with pytest.raises(InputError, match="best of 0"):
        BestOf(model, 0)
    with pytest.raises(InputError, match="'taste'"):
        BestOf(model, 2, "taste")
    with pytest.raises(InputError, match="draws genes, and a reward judges crystals"):
        BestOf(model.genes, 2, density)
