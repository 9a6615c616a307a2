"""Where known sites stand in one sequence: which of them comes when, and the origin that they are seen from.

All choices are even ones, and the log of how many there were is added up: it is part of the weight of the candidate.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import log

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import read_free
from aristotype.models.blocks import apart_along_axes, pinned_axes
from aristotype.symmetry import space_group

Floats = NDArray[np.float64]


@dataclass
class Known:
    """The known sites of one candidate, in a frame. In polar groups they float until one of them has its place."""

    number: int  # space group
    letters: list[int]  # (m,) in the frame
    elements: list[int]  # (m,) indices in the vocabulary
    points: Floats  # (m, 3) an atom of each in the frame
    floats: bool = field(init=False)  # whether the origin is still open along polar axes
    shift: Floats = field(default_factory=lambda: np.zeros(3))  # what coordinates in the frame grow by
    site_of: dict[int, int] = field(default_factory=dict)  # which known site stands at a place of the sequence
    log_choices: float = 0.0

    def __post_init__(self) -> None:
        self.floats = any(space_group(self.number).polar_axes)

    def take(self, place: int, letter: int, element: int, uniform: float) -> int | None:
        """The known site that comes at a place, one of those of its kind that are left; None if none is."""
        put = set(self.site_of.values())
        left = [
            site
            for site, kind in enumerate(zip(self.letters, self.elements, strict=True))
            if kind == (letter, element) and site not in put
        ]
        if not left:
            return None
        self.site_of[place] = left[self._pick(len(left), uniform)]
        return self.site_of[place]

    def free(self, site: int) -> Floats:
        """(freedom,) parameters of a known site."""
        return np.asarray(read_free(self.number, self.letters[site], (self.points[site] + self.shift)[None])[0][0])

    def anchor(self, site: int, uniform: float) -> Floats:
        """Puts the origin on a known site, on one of its images; its parameters (freedom,) there."""
        own = self.free(site)
        padded = np.pad(own, (0, 3 - len(own)))[None]
        images = apart_along_axes(self.number, self.letters[site], padded)[1]
        image = images[self._pick(len(images), uniform)]
        pinned = self._pinned(site)
        self._move(-image[pinned])
        return np.where(pinned, 0.0, image)

    def moved(self, site: int, anchor: int, step: Floats) -> Floats:
        """(k, freedom) parameters of a known site where another one moves along polar axes by steps (k, freedom)."""
        out = np.tile(self.free(site), (len(step), 1))
        out[:, self._pinned(site)] += step[:, self._pinned(anchor)]
        return out % 1.0

    def settle(self, site: int, free: Floats) -> None:
        """A known site has drawn polar coordinates among its parameters (freedom,): the others follow."""
        self._move((free - self.free(site))[self._pinned(site)])

    def _pinned(self, site: int) -> NDArray[np.bool_]:
        return np.array(pinned_axes(self.number, self.letters[site]), bool)

    def _move(self, along: Floats) -> None:
        self.shift[np.flatnonzero(space_group(self.number).polar_axes)] = along
        self.floats = False

    def _pick(self, count: int, uniform: float) -> int:
        self.log_choices += log(count)
        return int(uniform * count)
