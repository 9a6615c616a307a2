"""Grids on the shapes of a position, and densities that are linear between their nodes.

A grid divides the circle of each free parameter evenly, so finely that no two nodes are further apart than a spacing in
Angstrom, and so that every image of a node is a node. One node of each orbit is kept. Around each node that is kept
there are points of a grid `FINER` times as fine, at offsets that images map to each other. The density of a site is

    p(u) = sum over kept nodes n of weight(n) sum over offsets k of weight(k | n) sum over images h of hat(h u - n - k)

with a hat that falls linearly to zero at the neighbouring fine points and integrates to one over the circle. It
integrates to one over the position's shapes in the asymmetric unit whatever the weights are, gives every image of a
point the same value, and so goes on continuously where faces of the unit are glued to each other by the group.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from math import gcd
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aristotype.models.blocks import block_features, grid_features, image_maps, pinned_axes
from aristotype.symmetry import GRID, cell_matrix, space_group

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
SPACING = (0.0, 0.2, 0.3, 0.45)
"""Angstrom between nodes, at most, by the number of parameters that are written."""
FINER = 3
"""Fine points from node to node; odd, so that each is next to one node."""

_STEPS = np.array([1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 4096])


class Grid(NamedTuple):
    """One node of each orbit, on the parameters of a position that are written."""

    number: int  # space group
    letter: int
    sizes: tuple[int, ...]  # divisions of each written parameter
    axes: tuple[int, ...]  # which parameters are written
    nodes: Ints  # (M, axes) in divisions
    place: Ints  # (prod sizes,) index of a node that is kept, -1 for another image of it
    offsets: Ints  # (F, axes) of fine points around each node, in fine divisions
    features: NDArray[np.float16]  # (M, 136) structure factors of the orbit
    linear: Ints  # (h, axes, axes) images of the parameters
    shift: Ints  # (h, axes) in 24ths

    def free(self, freedom: int) -> Floats:
        """(M, freedom) parameters of the nodes; 0 where they are not written."""
        out = np.zeros((len(self.nodes), freedom))
        out[:, self.axes] = self.nodes / np.array(self.sizes)
        return out

    def around(self, node: Ints, freedom: int) -> Floats:
        """(k, F, freedom) parameters of the fine points of nodes (k,)."""
        out = np.zeros((len(node), len(self.offsets), freedom))
        out[..., self.axes] = (FINER * self.nodes[node, None] + self.offsets) / (FINER * np.array(self.sizes)) % 1.0
        return out

    def around_features(self, node: Ints) -> Floats:
        """(k, F, 136) structure factors of the fine points of nodes (k,)."""
        fine = tuple(FINER * size for size in self.sizes)
        return block_features(self.number, self.letter, self.axes, fine, FINER * self.nodes[node], self.offsets)


class Hats(NamedTuple):
    """What the density at some points is made of: sum of coefficient times weight(node) times weight(offset | node)."""

    point: Ints  # (k,)
    node: Ints  # (k,)
    offset: Ints  # (k,)
    coefficient: Floats  # (k,)


def divisions(number: int, letter: int, lattice: Floats, *, anchored: bool = False) -> tuple[int, ...]:
    """How finely each written parameter is divided, in a cell (6,) in Angstrom and degrees.

    Args:
        number: space group.
        letter: index of the position.
        lattice: the cell.
        anchored: whether the site holds the origin of a polar group.
    """
    position = space_group(number).positions[letter]
    axes = _written(number, letter, anchored)
    if not axes:
        return ()
    maps = image_maps(number, letter, anchored)
    base = GRID // gcd(GRID, *maps.shift.ravel().tolist())
    lengths = np.linalg.norm(position.linear.T[list(axes)] @ cell_matrix(lattice), axis=1)
    # Few sizes, so that grids of one position are shared by many cells.
    steps = _STEPS[np.searchsorted(_STEPS, np.maximum(lengths / (base * SPACING[len(axes)]), 2 / base))]
    counts = steps * base
    for group in _mixed(maps.linear[:, axes][:, :, axes]):
        counts[group] = counts[group].max()
    return tuple(int(count) for count in counts)


@lru_cache(maxsize=4096)
def grid(number: int, letter: int, sizes: tuple[int, ...], anchored: bool = False) -> Grid:
    """The grid of a position with given divisions (see `divisions`)."""
    axes = _written(number, letter, anchored)
    maps = image_maps(number, letter, anchored)
    linear, shift = maps.linear[:, axes][:, :, axes], maps.shift[:, axes]
    linear, shift = _distinct(linear, shift)
    size = np.array(sizes, np.int64)
    every = np.stack(np.meshgrid(*[np.arange(n) for n in sizes], indexing="ij"), axis=-1).reshape(-1, len(sizes))
    weights = np.append(np.cumprod(size[::-1])[::-1][1:], 1) if len(sizes) else np.zeros(0, np.int64)
    own = every @ weights
    least = own.copy()
    for turn, step in zip(linear, shift, strict=True):
        # Divisions of axes that mix are equal, so that an image of a node is a node.
        images = (every @ turn.T + step * size // GRID) % size
        np.minimum(least, images @ weights, out=least)
    kept = np.flatnonzero(least == own)
    place = np.full(len(every), -1, np.int64)
    place[kept] = np.arange(len(kept))
    nodes = every[kept]
    features = grid_features(number, letter, axes, sizes, nodes).astype(np.float16)
    return Grid(number, letter, sizes, axes, nodes, place, _offsets(linear), features, linear, shift)


def hats(found: Grid, free: Floats) -> Hats:
    """What the density is made of at points with parameters (n, freedom); densities are by written parameters."""
    size = np.array(found.sizes, np.int64)
    fine = FINER * size
    images = (np.einsum("hij,nj->nhi", found.linear, free[:, found.axes]) + found.shift / GRID) % 1.0 * fine
    low = np.floor(images).astype(np.int64)
    part = (images - low)[:, :, None]
    corners = np.array(list(product((0, 1), repeat=len(size))), np.int64).reshape(-1, len(size))
    values = np.where(corners == 1, part, 1.0 - part).prod(axis=3)  # (n, h, corners)
    point, image, corner = np.nonzero(values > 0)
    base = low[point, image] + corners[corner]
    steps = base[:, None] - found.offsets  # (k, F, axes)
    which, offset = np.nonzero((steps % FINER == 0).all(axis=2))
    flat = np.zeros(len(which), np.int64)
    for axis, count in enumerate(found.sizes):
        flat = flat * count + steps[which, offset, axis] // FINER % count
    node = found.place[flat]
    here = node >= 0
    which = which[here]
    coefficient = values[point[which], image[which], corner[which]] * float(fine.prod())
    return Hats(point[which], node[here], offset[here], coefficient)


def spread(found: Grid, node: Ints, offset: Ints, uniform: Floats) -> Floats:
    """(n, axes) written parameters drawn around fine points of nodes (n,), from uniform numbers (n, axes, 2)."""
    apart = uniform.sum(axis=2) - 1.0  # the sum of two uniform numbers has the density of a hat
    fine = FINER * found.nodes[node] + found.offsets[offset]
    out: Floats = (fine + apart) / (FINER * np.array(found.sizes)) % 1.0
    return out


def _offsets(linear: Ints) -> Ints:
    """(F, axes) the block of fine points next to a node, and its images."""
    half = FINER // 2
    block = np.array(list(product(range(-half, half + 1), repeat=linear.shape[1])), np.int64)
    out: Ints = np.unique(np.einsum("hij,kj->hki", linear, block).reshape(-1, linear.shape[1]), axis=0)
    return out


@lru_cache(maxsize=4096)
def _written(number: int, letter: int, anchored: bool) -> tuple[int, ...]:
    pinned = pinned_axes(number, letter)
    return tuple(axis for axis, fixed in enumerate(pinned) if not (anchored and fixed))


def _distinct(linear: Ints, shift: Ints) -> tuple[Ints, Ints]:
    """Maps that differ on the written parameters."""
    flat = np.concatenate([linear.reshape(len(linear), -1), shift], axis=1)
    first = np.sort(np.unique(flat, axis=0, return_index=True)[1])
    return linear[first], shift[first]


def _mixed(linear: Ints) -> list[list[int]]:
    """Sets of axes that images mix."""
    joined = [{axis} for axis in range(linear.shape[1])]
    for row, column in np.argwhere((linear != 0).any(axis=0)).tolist():
        if row != column:
            one, other = (next(part for part in joined if axis in part) for axis in (row, column))
            if one is not other:
                joined.remove(other)
                one |= other
    return [sorted(part) for part in joined]
