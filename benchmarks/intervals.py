"""Shares and medians as text, with their 95 % intervals."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from aristotype.evaluate._bootstrap import share

RESAMPLES = 1000


def share_text(flags: ArrayLike, decimals: int = 1) -> str:
    """How many of some flags (n,) are true, with Wilson's interval."""
    true = np.asarray(flags, bool)
    found = share(int(true.sum()), len(true))
    return f"{found.value:.{decimals}%} ({found.low:.{decimals}%} to {found.high:.{decimals}%})"


def median_text(values: ArrayLike, decimals: int = 3) -> str:
    """The median of numbers (n,), infinite ones included, with the percentiles of the medians of resamples."""
    numbers = np.asarray(values, float)
    rows = np.random.default_rng(0).integers(len(numbers), size=(RESAMPLES, len(numbers)))
    # Nearest: between an infinite number and another there is none.
    ends = np.quantile(np.median(numbers[rows], axis=1), [0.025, 0.975], method="nearest")
    shown = [number_text(value, decimals) for value in (np.median(numbers), *ends)]
    return f"{shown[0]} ({shown[1]} to {shown[2]})"


def number_text(value: float, decimals: int = 3) -> str:
    """A number; `none` for an infinite one."""
    return f"{value:.{decimals}f}" if np.isfinite(value) else "none"
