"""Distances and diversity of embeddings: closed forms, direct formulas, and what must not change them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import sqrtm
from scipy.spatial.distance import pdist

from aristotype.errors import InputError
from aristotype.evaluate import _diversity as diversity
from aristotype.evaluate import (
    central_moment_discrepancy,
    frechet_distance,
    frechet_floor,
    mean_pairwise_distance,
    vendi_score,
)

seeds = st.integers(0, 2**32 - 1)


def frechet(rows, reference, **settings) -> float:
    return frechet_distance(rows, reference, embedding="test", **settings).value


def with_moments(mean: np.ndarray, covariance: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Rows whose sample mean and covariance are exactly the given ones."""
    rows = rng.normal(size=(count, len(mean)))
    rows -= rows.mean(axis=0)
    rows = rows @ np.linalg.inv(np.linalg.cholesky(np.cov(rows, rowvar=False))).T
    return rows @ np.linalg.cholesky(covariance).T + mean


def random_covariance(rng: np.random.Generator, size: int) -> np.ndarray:
    root = rng.normal(size=(size, size))
    return root @ root.T + 0.1 * np.eye(size)


@given(seed=seeds)
def test_frechet_distance_is_that_of_the_gaussians(seed):
    rng = np.random.default_rng(seed)
    means, covariances = rng.normal(size=(2, 4)), [random_covariance(rng, 4) for _ in range(2)]
    rows = [with_moments(m, c, count, rng) for m, c, count in zip(means, covariances, (30, 50))]
    root = sqrtm(covariances[0] @ covariances[1])
    expected = np.square(means[0] - means[1]).sum() + np.trace(covariances[0] + covariances[1] - 2 * root.real)
    assert frechet(*rows) == pytest.approx(expected, rel=1e-6, abs=1e-6)
    assert frechet(*rows) == pytest.approx(frechet(*rows[::-1]), rel=1e-6, abs=1e-6)


@given(seed=seeds)
def test_frechet_distance_of_commuting_covariances_is_that_of_standard_deviations(seed):
    rng = np.random.default_rng(seed)
    spreads, mean = rng.uniform(0.1, 3, (2, 5)), np.zeros(5)
    rows = [with_moments(mean, np.diag(s**2), 40, rng) for s in spreads]
    assert frechet(*rows) == pytest.approx(np.square(spreads[0] - spreads[1]).sum(), rel=1e-6, abs=1e-6)


@given(seed=seeds, ridge=st.sampled_from([0.0, 1e-3]))
def test_frechet_distance_sees_neither_order_nor_rotation(seed, ridge):
    rng = np.random.default_rng(seed)
    rows, reference = rng.normal(size=(20, 6)), rng.normal(1, 2, size=(30, 6))
    turn, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    value = frechet(rows, reference, ridge=ridge)
    assert frechet(rows[::-1], rng.permutation(reference), ridge=ridge) == pytest.approx(value, rel=1e-9)
    assert frechet(rows @ turn, reference @ turn, ridge=ridge) == pytest.approx(value, rel=1e-6)
    # A root of rounding errors is as large as 1e-8 of the covariance.
    assert frechet(rows, rng.permutation(rows), ridge=ridge) == pytest.approx(0.0, abs=1e-6)


def test_frechet_distance_of_fewer_rows_than_dimensions_is_finite_and_says_so():
    rng = np.random.default_rng(0)
    found = frechet_distance(rng.normal(size=(5, 9)), rng.normal(size=(40, 9)), embedding="name")
    assert np.isfinite(found.value) and found.value == pytest.approx(found.mean_part + found.covariance_part)
    assert "name, 9 dimensions, 5 rows" in found.note and "singular" in found.note
    assert "singular" not in frechet_distance(rng.normal(size=(50, 9)), rng.normal(size=(40, 9)), embedding="x").note


def test_floor_of_frechet_distances_falls_as_one_over_n():
    rows = np.random.default_rng(0).normal(size=(20_000, 8))
    means = [frechet_floor(rows, size=n, embedding="normal", draws=40, seed=1).mean() for n in (100, 1000)]
    # Leading order for n rows against many: d/n from the means, d (d + 1) / (4 n) from the covariances.
    for mean, n in zip(means, (100, 1000)):
        assert mean == pytest.approx((8 + 8 * 9 / 4) * (1 / n + 1 / (20_000 - n)), rel=0.15)


@given(seed=seeds, moments=st.integers(1, 50))
def test_moment_discrepancy_is_the_formula(seed, moments):
    rng = np.random.default_rng(seed)
    low, high = -1.0, 2.5
    rows, reference = rng.uniform(low, high, (12, 3)), rng.uniform(low, high, (9, 3)) ** 2 / high
    expected = np.linalg.norm(rows.mean(0) - reference.mean(0)) / (high - low)
    for k in range(2, moments + 1):
        central = [np.mean((x - x.mean(0)) ** k, axis=0) for x in (rows, reference)]
        expected += np.linalg.norm(central[0] - central[1]) / (high - low) ** k
    found = central_moment_discrepancy(rows, reference, moments=moments, bounds=(low, high))
    assert found == pytest.approx(expected, rel=1e-9)
    assert central_moment_discrepancy(reference, rows, moments=moments, bounds=(low, high)) == pytest.approx(found)


@given(seed=seeds, step=st.floats(0, 0.4))
def test_moment_discrepancy_of_a_shift_is_its_length(seed, step):
    rng = np.random.default_rng(seed)
    rows = rng.uniform(0, 0.6, (15, 4))
    assert central_moment_discrepancy(rows, rng.permutation(rows)) == pytest.approx(0.0, abs=1e-12)
    assert central_moment_discrepancy(rows + step, rows) == pytest.approx(2 * step, abs=1e-12)


@given(seed=seeds)
def test_mean_distance_is_that_of_all_pairs(seed):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(int(rng.integers(2, 30)), 5))
    assert mean_pairwise_distance(rows) == pytest.approx(pdist(rows).mean())
    assert mean_pairwise_distance(rng.permutation(3 * rows)) == pytest.approx(3 * pdist(rows).mean())


def test_mean_distance_does_not_depend_on_the_block(monkeypatch):
    rows = np.random.default_rng(0).normal(size=(29, 4))
    for size in (1, 7, 29):
        monkeypatch.setattr(diversity, "_ROWS", size)
        assert mean_pairwise_distance(rows) == pytest.approx(pdist(rows).mean(), rel=1e-12)


@given(seed=seeds, groups=st.integers(1, 8), copies=st.integers(1, 6))
def test_vendi_score_of_orthogonal_groups_is_their_number(seed, groups, copies):
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(rng.normal(size=(8, 8)))
    rows = np.repeat(turn[:groups], copies, axis=0) * rng.uniform(0.1, 9, (groups * copies, 1))
    assert vendi_score(rng.permutation(rows)) == pytest.approx(groups)


@given(seed=seeds, count=st.integers(1, 20))
def test_vendi_score_is_the_entropy_of_the_similarities(seed, count):
    """The (n, n) form of the definition; the (d, d) form is used where n is above d = 6."""
    rows = np.random.default_rng(seed).normal(size=(count, 6))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    weights = np.linalg.eigvalsh(unit @ unit.T / count)
    weights = weights[weights > 1e-12]
    assert vendi_score(rows) == pytest.approx(np.exp(-(weights * np.log(weights)).sum()))
    assert vendi_score(np.vstack([rows, rows])) == pytest.approx(vendi_score(rows))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: vendi_score([[1.0, 2.0], [0.0, 0.0]]), "1 of 2 fingerprints are zero, first row 1"),
        (lambda: vendi_score(np.zeros((0, 3))), "at least 1"),
        (lambda: mean_pairwise_distance([[1.0]]), "at least 2"),
        (lambda: mean_pairwise_distance([[1.0], [np.nan]]), "1 of 2 fingerprints are not finite, first row 1"),
        (lambda: frechet([[1.0]], [[1.0], [2.0]]), "at least 2"),
        (lambda: frechet([[1.0], [2.0]], [[1.0, 0.0], [2.0, 0.0]]), "2 numbers wide, the others 1"),
        (lambda: frechet([[1.0], [2.0]], [[1.0], [2.0]], ridge=-1.0), "ridge is -1"),
        (lambda: frechet_floor(np.ones((5, 2)), size=4, embedding="x", seed=0), "from 2 to 3"),
        (lambda: central_moment_discrepancy([[0.0], [1.5]], [[0.5]]), "varies by 1.5, more than the 1 between"),
        (lambda: central_moment_discrepancy([[0.5]], [[0.5]], bounds=(1.0, 0.0)), "lower bound below"),
        (lambda: central_moment_discrepancy([[0.5]], [[0.5]], moments=0), "0 moments"),
    ],
)
def test_what_has_no_figure_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
