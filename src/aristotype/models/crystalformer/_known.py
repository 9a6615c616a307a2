"""Where known sites stand in a sequence: their places, their images, and the origin that they are seen from.

All choices are even ones, and the log of how many there were is added up: it is the weight of the candidate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import comb, log

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import read_free
from aristotype.models.blocks import image_maps, pinned_axes
from aristotype.models.crystalformer._sequences import images_in_support
from aristotype.models.crystalformer._support import BINS, bins_of, offsets_of, support
from aristotype.symmetry import GRID, space_group

Floats = NDArray[np.float64]
_WEIGHTS = np.array([BINS**2, BINS, 1])
_SAME = 1e-6
Slots = list[tuple[list[int], list[int]]]
"""For each kind of known sites: places in the sequence, increasing, and the known sites that stand there."""


@dataclass
class Way:
    """One way in which known sites stand in a sequence of S sites."""

    number: int  # space group
    letters: list[int]  # of the known sites, in the frame
    points: Floats  # (m, 3) an atom of each, in the frame
    slots: Slots  # what is left to put
    random: Iterator[float]
    length: int
    log_choices: float = 0.0
    shift: Floats = field(default_factory=lambda: np.zeros(3))  # what coordinates in the frame grow by
    site_of: dict[int, int] = field(default_factory=dict)  # which known site stands at a place
    given: Floats = field(init=False)  # (S, 3) its parameters there, NaN where they are not known
    floats: int | None = None  # the place that will decide the origin, once it is drawn
    _image: Floats = field(default_factory=lambda: np.zeros(0))  # of the site there, from the origin of the frame

    def __post_init__(self) -> None:
        self.given = np.full((self.length, 3), np.nan)

    def begin(self) -> None:
        """Puts the known sites in their places, as many as can be before anything is drawn."""
        group = space_group(self.number)
        if not any(group.polar_axes):
            self.put_rest()
        elif any(places[0] == 0 for places, _ in self.slots):
            self._anchor()
            self.put_rest()
        else:
            self._float()

    def drawn(self, free: Floats) -> None:
        """The place that decides the origin has its parameters (3,): the rest of the known sites has its place."""
        assert self.floats is not None
        letter = self.letters[self.site_of[self.floats]]
        pinned = np.array(pinned_axes(self.number, letter), bool)
        self._move((free[: len(pinned)] - self._image)[pinned])
        self.given[self.floats] = free
        self.floats = None
        self.put_rest()

    def put_rest(self) -> None:
        """Images for all sites without a place, in their support; of one kind in the order of the sequence."""
        for places, sites in self.slots:
            images = np.array([self._supported(site, anchored=False) for site in sites]).reshape(-1, 3)
            last = max(0, space_group(self.number).positions[self.letters[sites[0]]].freedom - 1) if sites else 0
            order = np.lexsort((offsets_of(images)[:, last], bins_of(images) @ _WEIGHTS))
            for place, index in zip(places, order.tolist(), strict=True):
                self._put(place, sites[index], images[index])
            places.clear()
            sites.clear()

    def _anchor(self) -> None:
        """One of the known sites, in one of its images, holds the origin."""
        places, sites = next(pair for pair in self.slots if pair[0][0] == 0)
        site = sites.pop(self._pick(len(sites)))
        letter = self.letters[site]
        pinned = np.array(pinned_axes(self.number, letter), bool)
        images = self._images(site)
        images = images[_distinct(images[:, pinned])]
        image = images[self._pick(len(images))]
        self._move(-image[pinned])
        start = np.zeros(3)
        start[: len(image)] = np.where(pinned, 0.0, image)
        self._put(places.pop(0), site, self._supported(site, anchored=True, free=start))

    def _float(self) -> None:
        """No known site holds the origin: it comes with the polar coordinates of the first of them, which are drawn."""
        places, sites = min(self.slots, key=lambda pair: pair[0][0])
        site = sites.pop(self._pick(len(sites)))
        letter = self.letters[site]
        pinned = np.array(pinned_axes(self.number, letter), bool)
        images = self._images(site)
        padded = np.zeros((len(images), 3))
        padded[:, : images.shape[1]] = images
        bins = bins_of(padded)
        free = [slice(None) if axis < len(pinned) and pinned[axis] else None for axis in range(3)]
        third = support(self.number, letter).third
        fits = [
            bool(third[tuple(b if cut is None else cut for b, cut in zip(row.tolist(), free, strict=True))].any())
            for row in bins
        ]
        images = images[fits] if any(fits) else images
        self._image = images[self._pick(len(images))]
        self.floats = places.pop(0)
        self._put(self.floats, site, np.pad(np.where(pinned, np.nan, self._image), (0, 3 - len(pinned))))

    def _images(self, site: int) -> Floats:
        """Distinct parameters (k, freedom) of a site, those of all its images."""
        letter = self.letters[site]
        free = read_free(self.number, letter, self.points[site][None])[0][0]
        maps = image_maps(self.number, letter)
        images = (maps.linear @ free + maps.shift / GRID) % 1.0
        return images[_distinct(images)]

    def _supported(self, site: int, *, anchored: bool, free: Floats | None = None) -> Floats:
        """Parameters (3,) of an image in the support; of several one, evenly."""
        letter = self.letters[site]
        if free is None:
            free = np.zeros(3)
            own = read_free(self.number, letter, (self.points[site] + self.shift)[None])[0][0]
            free[: len(own)] = own
        images, inside = images_in_support(self.number, letter, anchored, free[None])
        found = images[0, inside[0]]
        found = found[_distinct(found)]
        return np.asarray(found[self._pick(len(found))])

    def _move(self, along: Floats) -> None:
        self.shift[np.flatnonzero(space_group(self.number).polar_axes)] = along

    def _put(self, place: int, site: int, free: Floats) -> None:
        self.site_of[place] = site
        self.given[place] = free

    def _pick(self, count: int) -> int:
        self.log_choices += log(count)
        return int(next(self.random) * count)


def slots_for(codes: list[int], kinds: list[int], random: Iterator[float]) -> tuple[Slots, float]:
    """Even places for known sites among those of their kind.

    Args:
        codes: kind of each site of a sequence.
        kinds: kind of each known site.
        random: uniform numbers.

    Returns:
        the places, and the log of how many choices there were.
    """
    out, choices = [], 0.0
    for kind in sorted(set(kinds)):
        sites = [site for site, own in enumerate(kinds) if own == kind]
        places = [place for place, own in enumerate(codes) if own == kind]
        order = sorted((next(random), place) for place in places)
        out.append((sorted(place for _, place in order[: len(sites)]), sites))
        choices += log(comb(len(places), len(sites)))
    return out, choices


def _distinct(values: Floats) -> NDArray[np.int64]:
    """Places of distinct rows, those that agree modulo 1 once."""
    steps = np.rint(values / _SAME).astype(np.int64) % round(1.0 / _SAME)
    return np.sort(np.unique(steps, axis=0, return_index=True)[1])
