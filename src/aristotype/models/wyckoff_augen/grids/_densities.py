"""Densities of coordinates that are known, and draws of those along polar axes where the others are known.

The density of a site is a sum over nodes, fine points around them and images (see `_grids`). Where its coordinates are
known all of it is added up; where those along polar axes are not, one term is drawn. Polar coordinates are the same in
all images of a point but for a shift, so that each term is a product of a part that is known and a hat.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from aristotype.models.blocks import pinned_axes
from aristotype.models.wyckoff_augen.grids._grids import FINER, Grid, hats, spread
from aristotype.models.wyckoff_augen.grids._points import choose_index, logits_of
from aristotype.symmetry import GRID

if TYPE_CHECKING:
    from aristotype.models.wyckoff_augen.grids._network import GridsNetwork
    from aristotype.models.wyckoff_augen.grids._points import Point

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Reals = NDArray[np.floating]


def log_densities(network: GridsNetwork, points: list[Point], state: Tensor, kind: Tensor, placed: Tensor) -> Floats:
    """(T,) log-densities of the parameters `free` of T sites, by those that are written (see `draw_points`)."""
    if not points:
        return np.zeros(0)
    coarse = log_nodes(network, points, state, kind, placed)
    found = [hats(point.grid, point.free[None]) for point in points]
    touched = [np.unique(part.node) for part in found]
    shares = log_shares(network, points, touched, state, kind, placed)
    out = np.zeros(len(points))
    for place, (part, nodes, law, share) in enumerate(zip(found, touched, coarse, shares, strict=True)):
        terms = law[part.node] + share[np.searchsorted(nodes, part.node), part.offset] + np.log(part.coefficient)
        out[place] = _log_sum(terms)
    return out


def log_nodes(network: GridsNetwork, points: list[Point], state: Tensor, kind: Tensor, placed: Tensor) -> list[Floats]:
    """Log-probabilities (M,) of all nodes of the grid of each of T sites."""
    frees = [point.grid.free(len(point.free)) for point in points]
    features: list[Reals] = [point.grid.features for point in points]
    found = logits_of(network.nodes, points, frees, features, state, kind, placed)
    return [part.logits - _log_sum(part.logits) for part in found]


def log_shares(
    network: GridsNetwork, points: list[Point], nodes: list[Ints], state: Tensor, kind: Tensor, placed: Tensor
) -> list[Floats]:
    """Log-probabilities (k, F) of the fine points around nodes (k,) of each of T sites, given the node."""
    frees: list[Floats] = []
    features: list[Reals] = []
    for point, some in zip(points, nodes, strict=True):
        frees.append(point.grid.around(some, len(point.free)).reshape(-1, len(point.free)))
        around = point.grid.around_features(some)
        features.append(around.reshape(-1, around.shape[2]))
    found = logits_of(network.fine, points, frees, features, state, kind, placed)
    logits = [part.logits.reshape(len(some), -1) for part, some in zip(found, nodes, strict=True)]
    return [part - np.array([[_log_sum(row)] for row in part]) for part in logits]


class Along(NamedTuple):
    """Parameters of one site of which those along polar axes were drawn k times.

    Their density along polar axes integrates to the mean of exp(`log_weight`) over draws, and draws that are chosen
    among the k by weight follow it as k grows.
    """

    free: Floats  # (k, freedom)
    log_weight: Floats  # (k,)


def draw_along(network: GridsNetwork, points: list[Point], state: Tensor, kind: Tensor, placed: Tensor) -> list[Along]:
    """Draws of the polar coordinates of T sites whose other parameters are those in `free`, one a row of `random`.

    A node is drawn by its weight and by how many of its terms the known parameters touch, then one of these terms.
    """
    if not points:
        return []
    coarse = log_nodes(network, points, state, kind, placed)
    lines = [_Line(point) for point in points]
    with np.errstate(divide="ignore"):
        laws = [law + np.log(line.touched) for law, line in zip(coarse, lines, strict=True)]
    totals = [_log_sum(law) for law in laws]
    nodes = [
        choose_index(np.exp(law - total), point.random[:, 0])
        for law, total, point in zip(laws, totals, points, strict=True)
    ]
    several = [np.unique(some, return_inverse=True) for some in nodes]
    shares = log_shares(network, points, [some for some, _ in several], state, kind, placed)
    return [
        line.drawn(node, share[place], total)
        for line, node, (_, place), share, total in zip(lines, nodes, several, shares, totals, strict=True)
    ]


class _Line:
    """What the known parameters of a site leave of its density: a line along each polar axis."""

    def __init__(self, point: Point) -> None:
        self.point, found = point, point.grid
        polar = np.array(pinned_axes(found.number, found.letter), bool)
        self.known, self.polar = np.flatnonzero(~polar), np.flatnonzero(polar)
        self.fine = FINER * np.array(found.sizes, np.int64)
        self._images(found)
        self.table = np.zeros(int(self.fine[self.known].prod()))  # sum of the hats at the images, by fine point
        np.add.at(self.table, self.flat, self.value)
        # The same for all nodes along an axis.
        across, place = np.unique(self._flat(found.nodes[:, self.known]), return_index=True, return_inverse=True)[1:]
        self.touched = self.table[self.terms(across)].mean(axis=1)[place]
        """(M,) mean of that over the fine points of each node."""

    def _images(self, found: Grid) -> None:
        """Fine points that the known parameters of each image fall between, by hats: `flat`, `value` and `image`."""
        turn = found.linear[:, self.known][:, :, self.known]
        fine = self.fine[self.known]
        images = (turn @ self.point.free[self.known] + found.shift[:, self.known] / GRID) % 1.0 * fine
        low = np.floor(images).astype(np.int64)
        corners = np.array(list(product((0, 1), repeat=len(fine))), np.int64).reshape(2 ** len(fine), len(fine))
        part = (images - low)[:, None]
        value = np.where(corners == 1, part, 1.0 - part).prod(axis=2)
        self.image, corner = np.nonzero(value > 0)
        self.value = value[self.image, corner] * float(fine.prod())
        self.flat = self._flat(low[self.image] + corners[corner])

    def terms(self, node: Ints) -> Ints:
        """(k, F) places in the table of the fine points of nodes (k,)."""
        found = self.point.grid
        return self._flat((FINER * found.nodes[node, None] + found.offsets)[..., self.known])

    def _flat(self, steps: Ints) -> Ints:
        """(...) places in the table of fine points with known coordinates (..., known axes)."""
        out = np.zeros(steps.shape[:-1], np.int64)
        for axis, size in enumerate(self.fine[self.known].tolist()):
            out = out * size + steps[..., axis] % size
        return out

    def drawn(self, node: Ints, log_share: Floats, log_total: float) -> Along:
        """One draw around each node (k,), with the log-probabilities (k, F) of its fine points.

        `log_total` is the log of what the weights of nodes, by what is touched of them, add up to.
        """
        found, random = self.point.grid, self.point.random
        free = np.tile(self.point.free, (len(node), 1))
        places = self.terms(node)
        with np.errstate(divide="ignore"):
            terms = log_share + np.log(self.table[places])
        largest = terms.max(axis=1, keepdims=True)
        weight = np.exp(terms - largest)
        for row, (place, law) in enumerate(zip(places, weight, strict=True)):
            offset = choose_index(law, random[row : row + 1, 1])
            here = np.flatnonzero(self.flat == place[offset[0]])
            image = self.image[here[choose_index(self.value[here], random[row : row + 1, 7])[0]]]
            uniform = np.full((1, len(self.fine), 2), 0.5)
            uniform[0, self.polar] = random[row, 2 : 2 + 2 * len(self.polar)].reshape(-1, 2)
            written = spread(found, node[row : row + 1], offset, uniform)[0]
            free[row, self.polar] = (written - found.shift[image] / GRID)[self.polar] % 1.0
        return Along(free, log_total + largest[:, 0] + np.log(weight.sum(axis=1) / self.touched[node]))


def _log_sum(values: Floats) -> float:
    largest = values.max()
    return float(largest + np.log(np.exp(values - largest).sum()))
