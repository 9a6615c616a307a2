"""Sequences as the arrays that the network reads."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aristotype.models.blocks import NUM_FEATURES, is_polar, site_features
from aristotype.models.wyckoff_augen._atoms import ball_volumes, primitive_atoms
from aristotype.models.wyckoff_augen._sequences import Descriptions, Orders
from aristotype.models.wyckoff_augen._surroundings import FAR, Surroundings
from aristotype.models.wyckoff_augen.grids._grids import divisions, grid, hats
from aristotype.symmetry import MAX_POSITIONS, space_group

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Reals = NDArray[np.floating]
TOLD = 4
CELL_FEATURES = 12
MOST_NODES = 256
"""Nodes of a site that a training step looks at; of more, those around the point and random others."""
KEPT_NODES = 768
"""Nodes of a site that are kept for training, of which each step looks at some."""


class Sites(NamedTuple):
    """T sites with freedom, and the N nodes of all of them, one after another."""

    row: Ints  # (T,)
    place: Ints  # (T,)
    site: Ints  # (N,) which of the T sites a node is of
    features: NDArray[np.float32]  # (N, 136)
    distances: NDArray[np.float32]  # (N, S) to the sites placed before, FAR for others
    own: NDArray[np.float32]  # (N,) to themselves
    log_count: NDArray[np.float32]  # (N,) log of the nodes that each stands for
    near: Ints  # (M,) those of the N nodes that have the point of their site around them
    fine: Fine

    @staticmethod
    def joined(parts: list[tuple[int, int, _Nodes]], length: int) -> Sites:
        """From rows, places and nodes of sites, of sequences of a length."""
        nodes = [part for _, _, part in parts]
        empty = [np.zeros((0, NUM_FEATURES), np.float32), np.zeros((0, length), np.float32), *np.zeros((2, 0))]
        sizes = np.array([len(part.node) for part in nodes], np.int64)
        touched = [len(part.fine_own) for part in nodes]
        before = np.cumsum(sizes) - sizes
        features, distances, own, log_count = _rows([part.columns() for part in nodes], empty)
        return Sites(
            row=np.array([row for row, _, _ in parts], np.int64),
            place=np.array([place for _, place, _ in parts], np.int64),
            site=np.repeat(np.arange(len(parts)), sizes),
            features=features,
            distances=distances,
            own=own,
            log_count=log_count,
            near=np.concatenate([np.arange(0), *[start + np.arange(n) for start, n in zip(before, touched)]]),
            fine=Fine.joined(nodes, np.repeat(np.arange(len(parts)), touched), empty),
        )


class Fine(NamedTuple):
    """The P fine points around M nodes, one node after another."""

    site: Ints  # (P,) which of the T sites a point is of
    owner: Ints  # (P,) which of the M nodes it is around
    features: NDArray[np.float32]  # (P, 136)
    distances: NDArray[np.float32]  # (P, S)
    own: NDArray[np.float32]  # (P,)
    coefficient: NDArray[np.float32]  # (P,) of its weight in the density

    @staticmethod
    def joined(nodes: list[_Nodes], site: Ints, empty: list[Reals]) -> Fine:
        """Of sites, from the site (M,) of each node."""
        counts = np.array([part.fine_own.shape[1] for part in nodes], np.int64)[site]
        columns = [[part.fine_features, part.fine_distances, part.fine_own, part.coefficient] for part in nodes]
        flat = [[part.reshape(-1, *part.shape[2:]) for part in some] for some in columns]
        owner = np.repeat(np.arange(len(site)), counts)
        return Fine(site[owner], owner, *_rows(flat, empty))


class Arrays(NamedTuple):
    """n sequences of S sites."""

    cell_features: NDArray[np.float32]  # (n, 12)
    factors: NDArray[np.float32]  # (n, S, 136)
    pairs: NDArray[np.float32]  # (n, S, S) nearest distance of two sites; of a site to itself on the diagonal
    told: NDArray[np.float32]  # (n, S + 1, TOLD) before each site and after the last
    fixed: NDArray[np.float32]  # (n, S + 1, 27) distance of a point without freedom to what is placed
    fixed_own: NDArray[np.float32]  # (n, 27) and to itself
    sites: Sites


class Described(NamedTuple):
    """What the arrays of one description are made of, in any order of its sites."""

    factors: NDArray[np.float32]  # (S, 136)
    pairs: Reals  # (S, S)
    fixed: Reals  # (27, S)
    fixed_own: Reals  # (27,)
    nodes: dict[int, _Nodes]  # by site


class _Nodes(NamedTuple):
    """Some or all nodes of one site, the k that have its point around them first."""

    grid: tuple[int, int, tuple[int, ...], bool]  # of which they are, by the arguments of `grid`
    node: NDArray[np.int32]  # (K,)
    distances: Reals  # (K, S) to every site
    own: Reals  # (K,)
    others: int  # nodes of the grid that do not have the point around them
    fine_features: Reals  # (k, F, 136) of fine points
    fine_distances: Reals  # (k, F, S)
    fine_own: Reals  # (k, F)
    coefficient: Reals  # (k, F)

    @property
    def first(self) -> int:
        """How many have the point around them."""
        return len(self.fine_own)

    def thinned(self, most: int, rng: np.random.Generator) -> _Nodes:
        """Those around the point, and so many of the others that there are `most`."""
        if len(self.node) <= most:
            return self
        some = self.first + rng.choice(len(self.node) - self.first, most - self.first, replace=False)
        chosen = np.append(np.arange(self.first), some)
        return self._replace(node=self.node[chosen], distances=self.distances[chosen], own=self.own[chosen])

    def before(self, order: Ints, place: int) -> _Nodes:
        """With distances to the sites in an order, those from a place on not there yet."""
        near, fine = self.distances[:, order], self.fine_distances[..., order]
        near[:, place:], fine[..., place:] = FAR, FAR
        return self._replace(distances=near, fine_distances=fine)

    def columns(self) -> list[Reals]:
        """Features (K, 136), distances, own and log of the nodes that each stands for."""
        log_count = np.zeros(len(self.node))
        if len(self.node) > self.first:
            log_count[self.first :] = np.log(self.others / (len(self.node) - self.first))
        return [grid(*self.grid).features[self.node], self.distances, self.own, log_count]


def _rows(parts: list[list[Reals]], empty: list[Reals]) -> list[NDArray[np.float32]]:
    """Columns one under another."""
    columns = zip(*parts, strict=True) if parts else [(column,) for column in empty]
    return [np.concatenate(column).astype(np.float32) for column in columns]


def arrays_of(
    found: Descriptions,
    orders: Orders,
    described: Sequence[Described] | None = None,
    rng: np.random.Generator | None = None,
) -> Arrays:
    """The arrays of q sequences of S sites each.

    Args:
        found: descriptions of S sites.
        orders: sequences of them.
        described: (m,) what is known of them (see `describe`); None where that is to be found out.
        rng: with it, a random part of the nodes of large grids.
    """
    count, length = orders.order.shape
    rows = np.unique(orders.description).tolist()
    known = {row: describe(found, row) if described is None else described[row] for row in rows}
    factors = np.zeros((count, length, NUM_FEATURES), np.float32)
    pairs = np.zeros((count, length, length), np.float32)
    fixed = np.full((count, length + 1, MAX_POSITIONS), FAR, np.float32)
    fixed_own = np.zeros((count, MAX_POSITIONS), np.float32)
    parts: list[tuple[int, int, _Nodes]] = []
    for row, (description, order) in enumerate(zip(orders.description.tolist(), orders.order, strict=True)):
        own = known[description]
        factors[row], pairs[row], fixed_own[row] = own.factors[order], own.pairs[order][:, order], own.fixed_own
        fixed[row, 1:] = np.minimum.accumulate(own.fixed[:, order], axis=1).T
        for place, site in enumerate(order.tolist()):
            if site in own.nodes:
                nodes = own.nodes[site] if rng is None else own.nodes[site].thinned(MOST_NODES, rng)
                parts.append((row, place, nodes.before(order, place)))
    return Arrays(
        cell_features=cell_features(found.cell, found.lattice)[orders.description],
        factors=factors,
        pairs=pairs,
        told=told_of(found, orders),
        fixed=fixed,
        fixed_own=fixed_own,
        sites=Sites.joined(parts, length),
    )


def describe(found: Descriptions, row: int, rng: np.random.Generator | None = None) -> Described:
    """What the arrays of a description are made of; with a generator in short, for training: see `KEPT_NODES`."""
    number, lattice = int(found.genes.space_group[row]), found.lattice[row]
    positions = space_group(number).positions
    around = Surroundings(number, lattice)
    letters = found.genes.wyckoffs[row].tolist()
    frees = [found.free[row, site, : positions[letter].freedom] for site, letter in enumerate(letters)]
    for letter, free in zip(letters, frees, strict=True):
        around.put(letter, free)
    sites = list(zip(letters, frees, strict=True))
    points, places = fixed_points(number)
    fixed: Floats = np.full((MAX_POSITIONS, len(sites)), FAR)
    fixed_own: Floats = np.full(MAX_POSITIONS, FAR)
    if len(places):
        fixed[places] = around.from_points(points)
        fixed_own[places] = own_distances(around, places)
    nodes = {}
    polar = bool(is_polar(found.genes.space_group[row : row + 1])[0])
    for site, (letter, free) in enumerate(sites):
        held = polar and site == 0  # of all orders: the site on the origin stays the first
        sizes = divisions(number, letter, lattice, anchored=held)
        if sizes:
            nodes[site] = _nodes((number, letter, sizes, held), free, around, rng)
    factors = np.stack([site_features(number, letter, free[None])[0] for letter, free in sites]).astype(np.float32)
    if rng is None:
        return Described(factors, around.between(), fixed, fixed_own, nodes)
    short = np.float16
    return Described(factors, around.between().astype(short), fixed.astype(short), fixed_own.astype(short), nodes)


def _nodes(
    which: tuple[int, int, tuple[int, ...], bool], free: Floats, around: Surroundings, rng: np.random.Generator | None
) -> _Nodes:
    found, letter = grid(*which), which[1]
    near = hats(found, free[None])
    first = np.unique(near.node)
    coefficient = np.zeros((len(first), len(found.offsets)))
    np.add.at(coefficient, (np.searchsorted(first, near.node), near.offset), near.coefficient)
    others = np.setdiff1d(np.arange(len(found.nodes)), first, assume_unique=True)
    some = others
    if rng is not None and len(found.nodes) > KEPT_NODES:
        some = rng.choice(others, KEPT_NODES - len(first), replace=False)
    chosen = np.append(first, some)
    fine = found.around(first, len(free))
    points = np.concatenate([found.free(len(free))[chosen], fine.reshape(-1, len(free))])
    distances, own = around.distances(letter, points)
    features = found.around_features(first)
    if rng is not None:
        distances, own, features = distances.astype(np.float16), own.astype(np.float16), features.astype(np.float16)
    shape = coefficient.shape
    return _Nodes(
        grid=which,
        node=chosen.astype(np.int32),
        distances=distances[: len(chosen)],
        own=own[: len(chosen)],
        others=len(others),
        fine_features=features,
        fine_distances=distances[len(chosen) :].reshape(*shape, distances.shape[1]),
        fine_own=own[len(chosen) :].reshape(shape),
        coefficient=coefficient,
    )


def told_of(found: Descriptions, orders: Orders) -> NDArray[np.float32]:
    """(q, S + 1, TOLD) what is told before each site and after the last."""
    genes = found.genes
    count, length = orders.order.shape
    # Sites that change places are of one kind, so that letters and elements are those of the description.
    atoms = primitive_atoms(genes.space_group, genes.wyckoffs)[orders.description]
    elements = genes.elements[orders.description]
    sizes = atoms * ball_volumes()[elements.astype(np.int64)]
    fresh = np.ones((count, length), bool)
    for site in range(1, length):
        fresh[:, site] = (elements[:, :site] != elements[:, site : site + 1]).all(axis=1)
    sums = [np.pad(np.cumsum(part, axis=1), ((0, 0), (1, 0))) for part in (atoms, sizes, fresh)]
    unused = fresh.sum(axis=1)[:, None] - sums[2]
    volume = np.exp(found.cell[orders.description, :1])
    places = np.broadcast_to(np.arange(length + 1), (count, length + 1))
    return told(places, sums[0] / volume, sums[1] / volume, unused)


def told(sites: Ints, atoms: Floats, filled: Floats, unused: Ints) -> NDArray[np.float32]:
    """(..., TOLD) what is told: sites so far, atoms by volume, share of it that balls fill, elements still to come."""
    return np.stack([sites / 10.0, 15.0 * atoms, filled, unused / 4.0], axis=-1).astype(np.float32)


def cell_features(cell: Floats, lattice: Floats) -> NDArray[np.float32]:
    """(n, 12) what is told about cells (n, 6), as points of the box and in Angstrom and degrees."""
    out = np.zeros((len(cell), CELL_FEATURES), np.float32)
    out[:, :6] = cell
    out[:, 0] -= 4.5
    out[:, 6:9] = np.log(lattice[:, :3]) - 1.8
    out[:, 9:] = np.cos(np.radians(lattice[:, 3:]))
    return out


@lru_cache(maxsize=256)
def fixed_points(number: int) -> tuple[Floats, Ints]:
    """Coordinates (k, 3) of the positions without freedom, and their letters (k,)."""
    found = [position for position in space_group(number).positions if position.freedom == 0]
    points = [position.representative(np.zeros(0)) for position in found]
    return np.array(points).reshape(-1, 3), np.array([position.index for position in found], np.int64)


def own_distances(around: Surroundings, letters: Ints) -> Floats:
    """(k,) distances of positions without freedom to themselves."""
    return np.array([around.distances(letter, np.zeros((1, 0)))[1][0] for letter in letters.tolist()])
