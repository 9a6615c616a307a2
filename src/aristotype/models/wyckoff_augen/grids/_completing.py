"""Candidates of crystals of which a part is known: known sites are weighed where a draw would stand.

What is known is weighed by its density, given all that is before it. With ever more candidates the chosen one tends to
p(crystal | what is known), but for this: sites of a kind that is known in part are written after the known ones (their
orders are taken to be equally likely, as they are in training).
"""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from aristotype.models.blocks import uniforms
from aristotype.models.wyckoff_augen._candidates import KnownSites
from aristotype.models.wyckoff_augen._sequences import in_shapes
from aristotype.models.wyckoff_augen._surroundings import Surroundings
from aristotype.models.wyckoff_augen._tries import closeness
from aristotype.models.wyckoff_augen.grids._densities import Along, draw_along, log_densities
from aristotype.models.wyckoff_augen.grids._sampler import GridsDrawing

if TYPE_CHECKING:
    from aristotype.models.wyckoff_augen._complete import Completion
    from aristotype.models.wyckoff_augen.grids._points import Point

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_KNOWN = 1 << 20
"""Purpose of the random numbers of a known site, added to its place."""


class Completing(KnownSites, GridsDrawing):
    """A draw of candidates."""

    def __init__(
        self, completion: Completion, group: Ints, space: NDArray[np.bool_], seed: int, rows: Ints, which: Ints
    ) -> None:
        """See `KnownSites`."""
        super().__init__(completion, group, space, seed, rows, which)
        self.known_radii = self.radius[completion.model.vocabulary_index[list(self.partial.elements)]]
        self.later: dict[int, Surroundings] = {}
        self.apart = np.full(len(rows), np.inf)  # the closest of what is not known already

    def draw(self) -> None:
        """Draws candidates; the closest of known sites in a known cell is not looked at."""
        super().draw()
        self.closest = np.where(np.isfinite(self.apart), self.apart, self.closest)

    # Sites

    def coordinates(self, site: int, rows: Ints, state: Tensor, random: Floats) -> None:
        """Weighs where the site of some rows is, if it is a known one, and draws it if it is not."""
        picks = uniforms(self.seed, self.rows[rows], _KNOWN + site, 3)
        drawn: list[int] = []
        given: dict[int, Point] = {}
        floating: dict[int, Point] = {}
        for place, row in enumerate(rows.tolist()):
            known, kind = self.known[row], (int(self.letters[row, site]), int(self.elements[row, site]))
            which = known.take(site, *kind, picks[place, 0])
            if which is None:
                drawn.append(place)
                continue
            floats = known.floats and site > 0
            free = known.anchor(which, picks[place, 1]) if known.floats and not floats else known.free(which)
            point = self.point(row, site, random[place])
            if point is None:
                self.put(row, site, kind[0], free)
                continue
            point.free = free
            (floating if floats else given)[place] = point
        if drawn:
            super().coordinates(site, rows[drawn], state[drawn], random[drawn])
        told = self.told_of(site, rows, state, list(given))
        self.log_weight[rows[list(given)]] += log_densities(self.network, list(given.values()), *told)
        told = self.told_of(site, rows, state, list(floating))
        moved = draw_along(self.network, list(floating.values()), *told)
        for place, point in given.items():
            self._put_known(int(rows[place]), site, point)
        for (place, point), along in zip(floating.items(), moved, strict=True):
            self._settle(int(rows[place]), site, point, along, picks[place, 2])
            self._put_known(int(rows[place]), site, point)

    def point(self, row: int, site: int, random: Floats) -> Point | None:
        """A site to draw or to weigh; it keeps away from known ones that are to come, where these have a place."""
        point = super().point(row, site, random)
        if point is not None and not self.known[row].floats:
            point.later, point.later_radii = self._all_known(row), self.known_radii
        return point

    def compare(self, row: int, site: int, near: Floats, own: float) -> None:
        """Known sites in a known cell are not compared with each other, which are as they were given."""
        super().compare(row, site, near, own)
        known = self.known[row].site_of
        if self.partial.lattice is not None and site in known:
            near, own = np.delete(near, [place for place in known if place < site]), np.inf
            radii = np.delete(self.radius[self.elements[row, :site]], [place for place in known if place < site])
        else:
            radii = self.radius[self.elements[row, :site]]
        radius = self.radius[self.elements[row, site]]
        self.apart[row] = min(self.apart[row], closeness(near, own, radii, radius))

    def _put_known(self, row: int, site: int, point: Point) -> None:
        free = point.free if point.held else in_shapes(point.number, point.letter, point.free[None])[1][0]
        self.put(row, site, point.letter, free)

    def _settle(self, row: int, site: int, point: Point, along: Along, uniform: float) -> None:
        """The first known site of a polar group takes one of the places that were drawn for it, and all follow.

        By weight among those where no known site comes too close to anything, else the one furthest from everything.
        """
        known, which = self.known[row], self.known[row].site_of[site]
        radii = self.radius[self.elements[row, :site]]
        step = along.free - point.free
        near = np.full(len(step), np.inf)
        for other, letter in enumerate(known.letters):
            free = known.moved(other, which, step)
            ratio = self.around[row].distances(letter, free)[0] / (radii + self.known_radii[other])
            near = np.minimum(near, ratio.min(axis=1))
        fits = near >= self.tries.closest
        weight = np.exp(along.log_weight - along.log_weight.max())
        self.log_weight[row] += along.log_weight.max() + log(weight.mean())
        total = np.cumsum(np.where(fits, weight, 0.0))
        chosen = int((uniform * total[-1] >= total).sum()) if total[-1] > 0 else int(near.argmax())
        self.again[row] += len(step) - int(fits.sum())
        point.free = along.free[chosen]
        known.settle(which, point.free)

    def _all_known(self, row: int) -> Surroundings:
        if row not in self.later:
            known = self.known[row]
            around = Surroundings(known.number, self.lattice[row])
            for site, letter in enumerate(known.letters):
                around.put(letter, known.free(site))
            self.later[row] = around
        return self.later[row]
