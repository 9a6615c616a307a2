"""Rows of unequal lengths, one after another in flat arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def starts(counts: Ints) -> Ints:
    """(n,) where each of n rows of `counts` entries begins."""
    out: Ints = np.cumsum(counts) - counts
    return out


def spread(counts: Ints) -> tuple[Ints, Ints]:
    """Of each entry of n rows of `counts` entries: which row it is in, and its place in the row."""
    owner = np.repeat(np.arange(len(counts)), counts)
    return owner, np.arange(len(owner)) - starts(counts)[owner]
