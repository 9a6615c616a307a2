"""How likely one element takes the place of another, learnt from known crystals.

Two known crystals of one prototype that differ at exactly one of its places are a seen exchange. Crystals that agree at
all other places form a series; a series of m elements gives each pair of them the weight 1 / (m - 1), so that each
member counts once however long its series is.

The model is in the spirit of Hautier et al. (Inorg. Chem. 50, 656, 2011), who fit the joint probability of pairs of
*ions* over whole compounds by maximum likelihood with one feature a pair. Here the pairs are of *elements*, so that no
oxidation state has to be guessed, all other places agree, and the fit is a smoothed count.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from aristotype.errors import InputError
from aristotype.models.baselines._prototypes import Fillings

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
NUMBERS = 119
"""Rows of a table by atomic number; row 0 stays empty."""
MOST_EXCHANGED = 3
"""Elements of one crystal that are exchanged at once, at most."""
SMOOTHING = 0.05
"""Share of the probability given to pairs by chance; chosen on the validation part of MP-20, where it hardly counts."""
_CHUNK = 1 << 16


@dataclass(frozen=True, kw_only=True)
class ExchangeLikelihood:
    """Probabilities of exchanges, by atomic number.

    Attributes:
        joint: (119, 119) probability that an exchange is between two elements, in either order; symmetric, zero for an
            element with itself, sum 1.
        num_exchanged: (3,) probability that 1, 2, 3 elements of a crystal are exchanged at once: the share of known
            crystals whose nearest known relative of the same prototype differs at so many places.
    """

    joint: Floats
    num_exchanged: Floats

    @staticmethod
    def learnt(fillings: Fillings, smoothing: float = SMOOTHING) -> ExchangeLikelihood:
        """Counts the exchanges between known crystals.

        Args:
            fillings: of all known crystals.
            smoothing: share of the probability given to pairs as independent elements would form them.

        Raises:
            InputError: no two crystals are one exchange apart, or the share is outside (0, 1).
        """
        if not 0.0 < smoothing < 1.0:
            raise InputError(f"the smoothing is {smoothing}; it must be above 0 and below 1")
        counts = exchange_counts(fillings)
        seen = counts.sum(axis=1)
        if not seen.any():
            raise InputError(
                f"none of the {len(fillings.prototype)} known crystals differs from another one of its prototype by "
                "one element, so that no exchange can be learnt; give a larger table"
            )
        chance = np.outer(seen, seen)
        np.fill_diagonal(chance, 0.0)
        joint = (1.0 - smoothing) * counts / counts.sum() + smoothing * chance / chance.sum()
        return ExchangeLikelihood(joint=(joint + joint.T) / 2.0, num_exchanged=_num_exchanged(fillings))

    @cached_property
    def marginal(self) -> Floats:
        """(119,) probability that an element takes part in an exchange, as one given side of it."""
        return self.joint.sum(axis=1)

    @cached_property
    def conditional(self) -> Floats:
        """(119, 119) probability of the new element (column) given the old one (row); zeros where nothing was seen."""
        known = self.marginal[:, None]
        return np.divide(self.joint, known, out=np.zeros_like(self.joint), where=known > 0)

    @cached_property
    def log_odds(self) -> Floats:
        """(119, 119) log of joint over product of marginals, in nats; symmetric, -inf where nothing was seen."""
        chance = np.outer(self.marginal, self.marginal)
        odds = np.divide(self.joint, chance, out=np.zeros_like(chance), where=chance > 0)
        with np.errstate(divide="ignore"):
            return np.log(odds)


def exchange_counts(fillings: Fillings) -> Floats:
    """(119, 119) weights of the exchanges seen between known crystals; symmetric, zero diagonal."""
    counts = np.zeros((NUMBERS, NUMBERS))
    for place in range(fillings.elements.shape[1]):
        rows, series = series_of(fillings, (place,))
        element = fillings.elements[rows, place]
        # Each member once, though several crystals may be one gene.
        _, members = np.unique(series * NUMBERS + element, return_index=True)
        series, element = series[members], element[members]
        # A prototype that is carried into itself in several ways has as many copies of each series.
        copies = fillings.count[fillings.owner[rows[members]]]
        for start in range(0, int(series.max(initial=-1)) + 1, _CHUNK):
            own = (series >= start) & (series < start + _CHUNK)
            present = np.zeros((int(series[own].max()) + 1 - start, NUMBERS))
            weight = np.zeros(len(present))
            present[series[own] - start, element[own]] = 1.0
            weight[series[own] - start] = 1.0 / copies[own]
            weight /= np.maximum(present.sum(axis=1) - 1.0, 1.0)
            counts += (present * weight[:, None]).T @ present
    np.fill_diagonal(counts, 0.0)
    return counts


def series_of(fillings: Fillings, places: tuple[int, ...]) -> tuple[Ints, Ints]:
    """Fillings (m,) that have these places, and the series (m,) of each: equal where all other places agree."""
    rows = np.flatnonzero((fillings.elements[:, list(places)] > 0).all(axis=1))
    others = fillings.elements[rows].copy()
    others[:, list(places)] = 0
    table = np.column_stack([fillings.prototype[fillings.owner[rows]], others])
    _, series = np.unique(table, axis=0, return_inverse=True)
    return rows, series.reshape(-1)


def relatives(fillings: Fillings) -> Ints:
    """(n,) fewest exchanges from each crystal to another known gene of its prototype, 0 where more than three."""
    nearest = np.zeros(len(fillings.prototype), np.int64)
    for size in range(MOST_EXCHANGED, 0, -1):  # the smallest is written last
        for places in combinations(range(fillings.elements.shape[1]), size):
            rows, series = series_of(fillings, places)
            own = np.column_stack([series, fillings.gene[fillings.owner[rows]]])
            _, members = np.unique(own, axis=0, return_index=True)
            count = np.bincount(series[members], minlength=len(rows))
            nearest[fillings.owner[rows[count[series] > 1]]] = size
    return nearest


def _num_exchanged(fillings: Fillings) -> Floats:
    counts = np.bincount(relatives(fillings), minlength=MOST_EXCHANGED + 1)[1:]
    return counts / counts.sum()
