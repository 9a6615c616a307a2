"""Figures with 95 % intervals: Wilson's for shares, and the bootstrap's for figures of histograms over genes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_NORMAL = 1.959964  # 97.5th percentile of the normal distribution


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A figure and its 95 % interval; None where an interval would mean nothing."""

    value: float
    low: float | None = None
    high: float | None = None


def share(successes: int, trials: int) -> Interval:
    """A share with the score interval of Wilson (1927), which is sound at 0 and 1 too."""
    rate = successes / trials
    spread = _NORMAL**2 / trials
    middle = (rate + spread / 2) / (1 + spread)
    half = np.sqrt(rate * (1 - rate) * spread + spread**2 / 4) / (1 + spread)
    return Interval(value=rate, low=max(0.0, float(middle - half)), high=min(1.0, float(middle + half)))


@dataclass(frozen=True, kw_only=True)
class Tally:
    """What each gene adds to the bins of a histogram."""

    genes: Ints  # (m,) row of the gene of each entry
    bins: Ints  # (m,) bin of each entry
    weights: Floats  # (m,)

    @staticmethod
    def of_numbers(numbers: Ints) -> Tally:
        """One entry a gene, in the bin of its number (n,)."""
        rows = np.arange(len(numbers))
        return Tally(genes=rows, bins=np.asarray(numbers, np.int64), weights=np.ones(len(numbers)))

    @staticmethod
    def of_matrix(matrix: NDArray[np.generic]) -> Tally:
        """Gene i adds matrix[i, j] to bin j."""
        genes, bins = np.nonzero(matrix)
        return Tally(genes=genes, bins=bins, weights=matrix[genes, bins].astype(np.float64))

    def histogram(self, copies: NDArray[np.integer] | None = None) -> Floats:
        """(k,) sums over all genes, or over `copies` (n,) of each."""
        weights = self.weights if copies is None else self.weights * copies[self.genes]
        return np.bincount(self.bins, weights=weights).astype(np.float64, copy=False)


def resampled_copies(count: int, resamples: int, seed: int) -> NDArray[np.int16]:
    """(resamples, count) how often each row is drawn when `count` rows are drawn with replacement."""
    rng = np.random.default_rng(seed)
    out = np.empty((resamples, count), dtype=np.int16)
    for row in out:
        row[:] = np.bincount(rng.integers(count, size=count), minlength=count)
    return out


def with_interval(tally: Tally, figure: Callable[[Floats], Floats], copies: NDArray[np.int16]) -> Interval:
    """A figure of a histogram, never negative, with its bootstrap interval (see `bootstrapped`)."""
    return bootstrapped(lambda drawn: float(figure(tally.histogram(drawn))), copies)


def bootstrapped(figure: Callable[[NDArray[np.integer] | None], float], copies: NDArray[np.int16]) -> Interval:
    """A figure of rows, never negative, with its bootstrap interval.

    Drawing again adds noise to a histogram, and noise adds to a distance: the percentiles of the resampled figures are
    shifted by their mean bias (Efron & Tibshirani 1993, chapter 10) and cut at 0.

    Args:
        figure: of all rows (None), or of so many copies (n,) of each.
        copies: (resamples, n), from `resampled_copies`; none for no interval.
    """
    value = figure(None)
    if not len(copies):
        return Interval(value=value)
    again = np.array([figure(drawn) for drawn in copies])
    low, high = value + np.quantile(again, [0.025, 0.975]) - again.mean()
    return Interval(value=value, low=max(0.0, float(low)), high=float(high))
