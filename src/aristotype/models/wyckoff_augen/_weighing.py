"""Which of several candidates is drawn, so that what conditions leave of a law keeps its proportions.

A candidate is drawn step by step, each step from what is left of its law; the product of what was left of every step
is the probability that the model itself would have kept to the conditions. Taken with that probability, a candidate
follows the law of the model given the conditions exactly (von Neumann's rejection). Where none of them is taken, one
is chosen by weight (sampling-importance-resampling, Rubin 1988), which comes near it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CANDIDATES = 32
"""At most, for a row."""
STRIDE = 1 << 38
"""Candidates of spaces of a row draw from streams this far apart."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def first_is_taken(log_kept: Floats, random: Floats) -> NDArray[np.bool_]:
    """Whether the first candidate (n,) of each row is taken.

    Args:
        log_kept: (n,) log of the probability that it kept to the conditions.
        random: (n, `CANDIDATES` + 1) uniform in [0, 1).
    """
    return np.asarray(random[:, 0] < np.exp(log_kept))


def choice(log_kept: Floats, random: Floats) -> Ints:
    """The place (n,) of the candidate of each row: the first that is taken, else one by weight.

    Args:
        log_kept: (n, `CANDIDATES`).
        random: (n, `CANDIDATES` + 1) uniform in [0, 1).
    """
    taken = random[:, :-1] < np.exp(log_kept)
    share = np.exp(log_kept - log_kept.max(axis=1, keepdims=True)).cumsum(axis=1)
    by_weight = (random[:, -1:] * share[:, -1:] >= share).sum(axis=1)
    return np.where(taken.any(axis=1), taken.argmax(axis=1), np.minimum(by_weight, log_kept.shape[1] - 1))


def more_streams(rows: Ints, stride: int) -> Ints:
    """Numbers (n * (`CANDIDATES` - 1),) of the random streams of the candidates after the first, by row."""
    return np.asarray((rows[:, None] + np.arange(1, CANDIDATES) * stride).ravel())
