"""Which of several candidates is drawn, so that what conditions leave of a law keeps its proportions.

A candidate is drawn step by step, each step from what is left of its law; the product of what was left of every step
is the probability that the model itself would have kept to the conditions. Taken with that probability, a candidate
follows the law of the model given the conditions exactly (von Neumann's rejection). Where none of them is taken, one
is chosen by weight (sampling-importance-resampling, Rubin 1988), which comes near it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

CANDIDATES = 32
"""Of a row, at most."""
_ROUNDS = (1, 4, 12, CANDIDATES)
"""How many there are after each round, of the rows of which none was taken before."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Arrays = Sequence[NDArray[Any]]


def weighed(random: Floats, first: Arrays, more: Callable[[Ints, Ints], Arrays]) -> list[NDArray[Any]]:
    """One candidate of each of n rows.

    Args:
        random: (n, `CANDIDATES` + 1) uniform in [0, 1).
        first: arrays (n, ...) that describe the first candidates; the last are logs of the probabilities that the
            model keeps to the conditions.
        more: the same of further candidates (m * k, ...) of rows (m,), those of these numbers (k,).
    """
    out = [array.copy() for array in first]
    every = [array[:, None] for array in first]
    left = np.arange(len(random))
    for have, count in zip((1, *_ROUNDS), _ROUNDS, strict=False):
        if count > have:
            found = more(left, np.arange(have, count))
            drawn = [array.reshape(len(left), count - have, *array.shape[1:]) for array in found]
            every = [np.concatenate(pair, axis=1) for pair in zip(every, drawn, strict=True)]
        log_kept = every[-1]
        taken = random[left, :count] < np.exp(log_kept)
        place = taken.argmax(axis=1)
        if count == CANDIDATES:
            place = np.where(taken.any(axis=1), place, _by_weight(log_kept, random[left, -1]))
        done = taken.any(axis=1) | (count == CANDIDATES)
        for array, each in zip(out, every, strict=True):
            array[left[done]] = each[done, place[done]]
        left, every = left[~done], [array[~done] for array in every]
        if not len(left):
            break
    return out


def _by_weight(log_kept: Floats, random: Floats) -> Ints:
    share = np.exp(log_kept - log_kept.max(axis=1, keepdims=True)).cumsum(axis=1)
    place = (random[:, None] * share[:, -1:] >= share).sum(axis=1)
    return np.asarray(np.minimum(place, log_kept.shape[1] - 1))


def streams(rows: Ints, places: Ints, stride: int) -> Ints:
    """Numbers (m * k,) of the random streams of candidates of rows (m,), those of these numbers (k,)."""
    return np.asarray((rows[:, None] + places * stride).ravel())
