"""Distances between histograms: laws first, then scipy as an independent implementation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance

from aristotype.errors import InputError
from aristotype.evaluate import chi_square, divergences_of_draws, jensen_shannon, root_jensen_shannon, wasserstein

histograms = st.lists(st.integers(0, 1000), min_size=1, max_size=12).filter(lambda h: sum(h) > 0)
numbers = st.lists(st.integers(0, 60), min_size=1, max_size=40)


@given(p=histograms, q=histograms)
def test_jensen_shannon_is_symmetric_and_at_most_one_bit(p, q):
    assert jensen_shannon(p, q) == pytest.approx(float(jensen_shannon(q, p)), abs=1e-12)
    assert 0.0 <= jensen_shannon(p, q) <= 1.0


@given(p=histograms, factor=st.integers(1, 50))
def test_every_distance_is_zero_between_equal_shares(p, factor):
    scaled = [factor * count for count in p]
    for distance in (jensen_shannon, chi_square, wasserstein):
        assert distance(p, scaled) == pytest.approx(0.0, abs=1e-12)


@given(p=histograms, q=histograms)
def test_jensen_shannon_is_scipys_distance_squared(p, q):
    width = max(len(p), len(q))
    padded = [np.pad(h, (0, width - len(h))) for h in (p, q)]
    # scipy takes the root, which loses half of the digits near zero.
    assert jensen_shannon(p, q) == pytest.approx(jensenshannon(*padded, base=2) ** 2, abs=1e-7)


def test_root_jensen_shannon_is_scipys_in_nats():
    rng = np.random.default_rng(0)
    p, q = rng.integers(1, 100, (2, 20))
    assert root_jensen_shannon(p, q) == pytest.approx(jensenshannon(p, q), abs=1e-12)
    assert root_jensen_shannon([1, 0], [0, 1]) == pytest.approx(np.sqrt(np.log(2)))


@given(a=numbers, b=numbers)
def test_wasserstein_is_scipys(a, b):
    assert wasserstein(np.bincount(a), np.bincount(b)) == pytest.approx(wasserstein_distance(a, b), abs=1e-10)


@given(a=numbers, step=st.integers(0, 20))
def test_wasserstein_of_a_shift_is_the_shift(a, step):
    assert wasserstein(np.bincount(np.add(a, step)), np.bincount(a)) == pytest.approx(step, abs=1e-10)


def test_disjoint_histograms_are_one_bit_apart():
    assert jensen_shannon([1, 0], [0, 5]) == 1.0
    assert jensen_shannon([3], [0, 0, 2]) == 1.0


def test_chi_square_counts_bins_of_the_reference_only():
    assert chi_square([1, 1], [1, 1, 2]) == pytest.approx(2 * 0.25**2 / 0.25 + 0.5)
    assert chi_square([1, 1, 2], [1, 1]) == pytest.approx(2 * 0.25**2 / 0.5)


@pytest.mark.parametrize("distance", [jensen_shannon, chi_square, wasserstein])
def test_a_batch_gives_each_rows_distance(distance):
    batch = np.random.default_rng(0).integers(1, 9, size=(5, 7))
    reference = np.arange(1, 6)
    expected = [float(distance(row, reference)) for row in batch]
    np.testing.assert_allclose(distance(batch, reference), expected, atol=1e-14)


@pytest.mark.parametrize("bad", [[], [0, 0], [-1, 3], [float("nan"), 1.0]])
@pytest.mark.parametrize("distance", [jensen_shannon, chi_square, wasserstein])
def test_histograms_that_are_none_are_refused(distance, bad):
    with pytest.raises(InputError, match="histogram"):
        distance(bad, [1, 2])


def test_divergence_of_draws_shrinks_like_one_over_their_size():
    shares = np.arange(1, 41)
    for size in (10_000, 100_000):
        mean = divergences_of_draws(shares, shares, size=size, draws=400, seed=1).mean()
        # Leading order: (bins - 1) / (8 ln 2 size). 400 draws know the mean to about 1 %.
        assert mean == pytest.approx(39 / (8 * np.log(2) * size), rel=0.05)


def test_divergence_of_draws_repeats_with_its_seed():
    first, again, other = (divergences_of_draws([1, 2, 3], [3, 2, 1], size=50, draws=5, seed=s) for s in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()
