"""Draws where sites are: a node of the grid, a fine point around it, a point next to that; many crystals at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aristotype.models.wyckoff_augen._tries import Tries, closeness
from aristotype.models.wyckoff_augen.grids._grids import FINER, Grid, grid, spread
from aristotype.symmetry import space_group

if TYPE_CHECKING:
    from aristotype.models.wyckoff_augen._surroundings import Surroundings
    from aristotype.models.wyckoff_augen.grids._network import GridsNetwork, Wanted

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Reals = NDArray[np.floating]
A_TRY = 8
"""Random numbers of a draw: a node, a fine point, and two for each parameter."""


@dataclass
class Point:
    """One site to draw; `free`, `again` and `ratio` are what was drawn best."""

    number: int
    letter: int
    held: bool  # whether it holds the origin of a polar group
    sizes: tuple[int, ...]  # of its grid
    around: Surroundings
    placed: Floats  # (sites,) covalent radii of what is there
    radius: float  # and its own
    random: Floats  # (tries, A_TRY)
    free: Floats  # (freedom,)
    again: int = 0
    ratio: float = -1.0
    hopeless: bool = False  # whether all that was looked at last is too close to something
    boxed_in: bool = False  # whether there is no place for it at all
    later: Surroundings | None = None  # known sites that the network is not told yet, which are kept away from too
    later_radii: Floats = field(default_factory=lambda: np.zeros(0))  # (sites to come,)

    @property
    def grid(self) -> Grid:
        """What its density lives on."""
        return grid(self.number, self.letter, self.sizes, self.held)

    @property
    def radii(self) -> Floats:
        """Covalent radii of all that it keeps away from."""
        return np.append(self.placed, self.later_radii)

    def away(self, near: Floats, free: Floats) -> Floats:
        """Distances (k, sites) of parameters (k, freedom) to what is there, with those to what is to come."""
        if self.later is None:
            return near
        return np.concatenate([near, self.later.distances(self.letter, free)[0]], axis=1)

    def possible(self, near: Floats, own: Floats, reach: int, closest: float) -> Flags:
        """(k,) which points something far enough from everything may be drawn around; all if none.

        Args:
            near: (k, sites) Angstrom to what is there, and to what is to come.
            own: (k,) and to their own images.
            reach: how far from a point what is drawn around it is along each parameter, in fine divisions.
            closest: smallest distance that fits, over the sum of the radii.
        """
        found = self.grid
        position = space_group(self.number).positions[self.letter]
        steps = position.linear.T[list(found.axes)] @ self.around.conventional
        away = reach * float((np.linalg.norm(steps, axis=1) / (FINER * np.array(self.sizes))).sum())
        fits = (near + away >= closest * (self.radii + self.radius)).all(axis=1)
        fits &= own + 2.0 * away >= closest * 2.0 * self.radius
        self.hopeless = not fits.any()
        return np.asarray(~fits if self.hopeless else fits)

    def take(self, written: Floats, attempt: int, tries: Tries) -> bool:
        """Keeps written parameters if they fit better than those before; whether another try is due."""
        free = np.zeros_like(self.free)
        free[list(self.grid.axes)] = written
        near, own = self.around.distances(self.letter, free[None])
        ratio = closeness(self.away(near, free[None])[0], float(own[0]), self.radii, self.radius)
        self.again = attempt
        if ratio > self.ratio:
            self.free, self.ratio = free, ratio
        return ratio < tries.closest and attempt + 1 < tries.sites and not self.boxed_in


def draw_points(
    network: GridsNetwork, points: list[Point], state: Tensor, kind: Tensor, placed: Tensor, tries: Tries
) -> None:
    """Draws sites in place, again while they are too close to something.

    Args:
        network: whose densities they follow.
        points: T sites of as many crystals.
        state: (T, width) before each site.
        kind: (T, width) its letter and element.
        placed: (T, S, width) letter and element of what is there.
        tries: how often, and what is too close.
    """
    if not points:
        return
    grids = [point.grid for point in points]
    frees = [found.free(len(point.free)) for found, point in zip(grids, points, strict=True)]
    features: list[Reals] = [found.features for found in grids]
    reach = [int(np.abs(found.offsets).max()) + 1 for found in grids]
    everyone = np.arange(len(points))
    laws = _laws(network.nodes, points, frees, features, reach, tries, everyone, state, kind, placed)
    for point in points:
        point.boxed_in = point.hopeless
    nodes = [choose_index(law, point.random[:, 0]) for law, point in zip(laws, points, strict=True)]
    waiting = everyone
    for attempt in range(tries.sites):
        some = [points[index] for index in waiting.tolist()]
        chosen = [nodes[index][attempt : attempt + 1] for index in waiting.tolist()]
        frees = [point.grid.around(node, len(point.free))[0] for point, node in zip(some, chosen, strict=True)]
        features = [point.grid.around_features(node)[0] for point, node in zip(some, chosen, strict=True)]
        laws = _laws(network.fine, some, frees, features, [1] * len(some), tries, waiting, state, kind, placed)
        more = []
        for point, node, law in zip(some, chosen, laws, strict=True):
            random = point.random[attempt : attempt + 1]
            offset = choose_index(law, random[:, 1])
            uniform = random[:, 2 : 2 + 2 * len(point.sizes)].reshape(1, -1, 2)
            more.append(point.take(spread(point.grid, node, offset, uniform)[0], attempt, tries))
        waiting = waiting[more]
        if not len(waiting):
            return


def _laws(
    wanted: Wanted,
    points: list[Point],
    frees: list[Floats],
    features: list[Reals],
    reach: list[int],
    tries: Tries,
    rows: Ints,
    state: Tensor,
    kind: Tensor,
    placed: Tensor,
) -> list[Floats]:
    """Probabilities of the parameters (k, freedom) that each site may take; `rows` of state, kind and placed.

    What would be drawn again whatever comes after is left out: the same draws with fewer tries.
    """
    which = torch.from_numpy(rows).to(state.device)
    found = logits_of(wanted, points, frees, features, state[which], kind[which], placed[which])
    out = []
    for part, point, free, away in zip(found, points, frees, reach, strict=True):
        near = point.away(part.near, free)
        weight = np.where(point.possible(near, part.own, away, tries.closest), part.logits, -np.inf)
        weight = np.exp(weight - weight.max())
        out.append(weight / weight.sum())
    return out


class Logits(NamedTuple):
    """How much k parameters of one site are wanted, and what the network was told of them."""

    logits: Floats  # (k,)
    near: Floats  # (k, sites) Angstrom to what is there
    own: Floats  # (k,) and to their own images


def logits_of(
    wanted: Wanted,
    points: list[Point],
    frees: list[Floats],
    features: list[Reals],
    state: Tensor,
    kind: Tensor,
    placed: Tensor,
) -> list[Logits]:
    """How much parameters (k, freedom) with features (k, 136) of each of T sites are wanted (see `draw_points`)."""
    found = [point.around.distances(point.letter, free) for point, free in zip(points, frees, strict=True)]
    sizes = [len(free) for free in frees]
    arrays = [np.concatenate(part).astype(np.float32) for part in (features, *zip(*found, strict=True))]
    logits = wanted(
        state,
        kind,
        placed,
        torch.from_numpy(np.repeat(np.arange(len(points)), sizes)).to(state.device),
        *[torch.from_numpy(array).to(state.device) for array in arrays],
    )
    parts = np.split(logits.double().cpu().numpy(), np.cumsum(sizes)[:-1])
    return [Logits(part, near, own) for part, (near, own) in zip(parts, found, strict=True)]


def choose_index(law: Floats, uniform: Floats) -> Ints:
    """(n,) indices drawn from probabilities (k,); one of probability zero never comes."""
    total = np.cumsum(law)
    last = int(np.flatnonzero(law)[-1])
    return np.minimum(np.searchsorted(total, uniform * total[-1], side="right"), last)
