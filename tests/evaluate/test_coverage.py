"""COV, AMSD and AMCD: brute force over pairs, and laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aristotype.errors import InputError
from aristotype.evaluate import Scaler, coverage
from aristotype.evaluate import _arrays as arrays

seeds = st.integers(0, 2**32 - 1)


def sets(seed: int):
    rng = np.random.default_rng(seed)
    n, m = rng.integers(1, 15, 2)
    return [rng.normal(size=shape) for shape in ((n, 3), (n, 5), (m, 3), (m, 5))]


@given(seed=seeds, cutoffs=st.tuples(st.floats(0.1, 3), st.floats(0.1, 5)))
def test_metrics_are_those_of_all_pairs(seed, cutoffs):
    structures, compositions, their_structures, their_compositions = sets(seed)
    metrics = coverage(structures, compositions, their_structures, their_compositions).metrics(
        structure_cutoff=cutoffs[0], composition_cutoff=cutoffs[1]
    )
    first = [[np.linalg.norm(a - b) for b in their_structures] for a in structures]
    second = [[np.linalg.norm(a - b) for b in their_compositions] for a in compositions]
    rows = [min(a) <= cutoffs[0] and min(b) <= cutoffs[1] for a, b in zip(first, second)]
    columns = [min(a) <= cutoffs[0] and min(b) <= cutoffs[1] for a, b in zip(zip(*first), zip(*second))]
    assert metrics["cov_precision"].value == pytest.approx(np.mean(rows))
    assert metrics["cov_recall"].value == pytest.approx(np.mean(columns))
    assert metrics["amsd_precision"].value == pytest.approx(np.mean([min(a) for a in first]))
    assert metrics["amsd_recall"].value == pytest.approx(np.mean([min(a) for a in zip(*first)]))
    assert metrics["amcd_precision"].value == pytest.approx(np.mean([min(a) for a in second]))
    assert metrics["amcd_recall"].value == pytest.approx(np.mean([min(a) for a in zip(*second)]))


@given(seed=seeds)
def test_a_set_covers_itself_in_any_order(seed):
    structures, compositions, _, _ = sets(seed)
    order = np.random.default_rng(seed).permutation(len(structures))
    metrics = coverage(structures, compositions, structures[order], compositions[order]).metrics()
    assert metrics["cov_recall"].value == metrics["cov_precision"].value == 1.0
    assert all(metrics[f"{kind}_{side}"].value == 0.0 for kind in ("amsd", "amcd") for side in ("recall", "precision"))


@given(seed=seeds)
def test_precision_is_recall_the_other_way_round(seed):
    structures, compositions, theirs, others = sets(seed)
    there = coverage(structures, compositions, theirs, others).metrics()
    back = coverage(theirs, others, structures, compositions).metrics()
    for name in ("cov", "amsd", "amcd"):
        assert there[f"{name}_recall"].value == pytest.approx(back[f"{name}_precision"].value)


def test_blocks_do_not_change_the_distances(monkeypatch):
    whole = coverage(*sets(3))
    monkeypatch.setattr(arrays, "_BLOCK", 1)
    parts = coverage(*sets(3))
    for name in ("structure_precision", "composition_precision", "structure_recall", "composition_recall"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))


def test_rows_without_a_fingerprint_are_near_nothing():
    structures, compositions, theirs, others = sets(11)
    base = coverage(structures, compositions, theirs, others).metrics(structure_cutoff=9, composition_cutoff=9)
    assert base["cov_precision"].value == base["cov_recall"].value == 1.0
    holed = np.vstack([structures, np.full((1, 3), np.nan)])
    metrics = coverage(holed, np.vstack([compositions, compositions[:1]]), theirs, others).metrics(
        structure_cutoff=9, composition_cutoff=9, submitted=2 * len(structures)
    )
    assert metrics["cov_precision"].value == 0.5
    for name in ("cov_recall", "amsd_precision", "amsd_recall", "amcd_precision", "amcd_recall"):
        assert metrics[name].value == base[name].value


def test_the_two_nearest_need_not_be_one_structure():
    metrics = coverage([[0.0]], [[0.0]], [[0.0], [9.0]], [[90.0], [0.0]]).metrics()
    assert metrics["cov_precision"].value == 1.0
    assert metrics["cov_recall"].value == 0.0


@given(seed=seeds)
def test_scaled_fingerprints_have_mean_0_and_spread_1(seed):
    rng = np.random.default_rng(seed)
    rows = rng.normal(rng.normal(0, 9, 4), rng.uniform(0.1, 5, 4), (20, 4))
    rows[:, 2] = 0.1  # never varies
    scaler = Scaler.fit(np.vstack([rows, np.full(4, np.nan)]))
    scaled = scaler.transform(rows)
    np.testing.assert_allclose(scaled.mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(scaled.std(axis=0), [1, 1, 0, 1], atol=1e-12)


def test_arrays_that_do_not_fit_are_refused():
    structures, compositions, theirs, others = sets(1)
    with pytest.raises(InputError, match="numbers wide"):
        coverage(structures, compositions, theirs[:, :2], others)
    with pytest.raises(InputError, match="same n structures"):
        coverage(structures, compositions[:0], theirs, others)
    with pytest.raises(InputError, match="at least 1"):
        coverage(np.full_like(structures, np.nan), compositions, theirs, others)
    with pytest.raises(InputError, match="submitted"):
        coverage(structures, compositions, theirs, others).metrics(submitted=0)
    with pytest.raises(InputError, match="to scale by"):
        Scaler.fit(np.full((3, 2), np.nan))
