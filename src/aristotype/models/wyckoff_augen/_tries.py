"""What comes too close to what is there is drawn again, a bounded number of times: the site, then the crystal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from aristotype.models.wyckoff_augen._surroundings import Surroundings

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Tries:
    """How often a site that comes too close to what is there is drawn, and a crystal with such a site."""

    closest: float = 0.72  # smallest distance of two atoms that fits, over the sum of their covalent radii
    sites: int = 16  # draws of a site, at most
    crystals: int = 12  # draws of a crystal of one group and space of elements, at most

    @staticmethod
    def none() -> Tries:
        """Everything stays as it is drawn first."""
        return Tries(closest=0.0, sites=1, crystals=1)

    def first_that_fits(
        self, around: Surroundings, letter: int, points: Floats, placed: Floats, radius: float
    ) -> tuple[int, int]:
        """Which of k draws of a site is kept, and how many were drawn again.

        Args:
            around: what is there.
            letter: index of the position.
            points: (k, freedom) parameters of the draws, in order.
            placed: (sites,) covalent radii of what is there, in Angstrom.
            radius: that of the site.

        Returns:
            the first that is far enough from everything, else the one that is furthest.
        """
        best, most, attempt = 0, -1.0, 0
        for attempt in range(len(points)):  # most are done at the first
            near, own = around.distances(letter, points[attempt : attempt + 1])
            ratio = closeness(near[0], float(own[0]), placed, radius)
            if ratio > most:
                best, most = attempt, ratio
            if ratio >= self.closest:
                break
        return best, attempt


def closeness(near: Floats, own: float, placed: Floats, radius: float) -> float:
    """Smallest distance of a site over the sum of two radii: to others (sites,) and to its own images, in Angstrom."""
    return float(min((near / (placed + radius)).min(initial=np.inf), own / (2 * radius)))
