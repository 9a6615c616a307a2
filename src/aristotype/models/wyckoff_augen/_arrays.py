"""Sequences as the arrays that the network reads."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import covalent_radii
from aristotype.models.blocks import NUM_FEATURES, is_polar, primitive_multiplicities, site_features
from aristotype.models.wyckoff_augen._grids import Grid, divisions, grid, hats
from aristotype.models.wyckoff_augen._sequences import Descriptions, Orders
from aristotype.models.wyckoff_augen._surroundings import FAR, Surroundings
from aristotype.symmetry import MAX_POSITIONS, space_group

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
TOLD = 4
CELL_FEATURES = 12
MOST_NODES = 256
"""Nodes of a site that training looks at; of more, those around the point and random others."""
_UNKNOWN = 1.5  # Angstrom, for elements whose covalent radius is not known


class Sites(NamedTuple):
    """T sites with freedom, and the N nodes of all of them, one after another."""

    row: Ints  # (T,)
    place: Ints  # (T,)
    site: Ints  # (N,) which of the T sites a node is of
    features: NDArray[np.float32]  # (N, 136)
    distances: NDArray[np.float32]  # (N, S) to the sites placed before, FAR for others
    own: NDArray[np.float32]  # (N,) to themselves
    log_count: NDArray[np.float32]  # (N,) log of the nodes that each stands for
    coefficient: NDArray[np.float32]  # (N,) of its weight in the density


class Arrays(NamedTuple):
    """n sequences of S sites."""

    cell_features: NDArray[np.float32]  # (n, 12)
    factors: NDArray[np.float32]  # (n, S, 136)
    pairs: NDArray[np.float32]  # (n, S, S) nearest distance of two sites; of a site to itself on the diagonal
    told: NDArray[np.float32]  # (n, S + 1, TOLD) before each site and after the last
    fixed: NDArray[np.float32]  # (n, S + 1, 27) distance of a point without freedom to what is placed
    fixed_own: NDArray[np.float32]  # (n, 27) and to itself
    sites: Sites


class _Described(NamedTuple):
    """What the arrays of one description are made of, in any order of its sites."""

    factors: NDArray[np.float32]  # (S, 136)
    pairs: Floats  # (S, S)
    fixed: Floats  # (27, S)
    fixed_own: Floats  # (27,)
    nodes: dict[int, _Nodes]  # by site


class _Nodes(NamedTuple):
    """The nodes of one site that are looked at."""

    features: NDArray[np.float16]  # (K, 136)
    distances: Floats  # (K, S) to every site
    own: Floats  # (K,)
    log_count: Floats  # (K,)
    coefficient: Floats  # (K,)


def arrays_of(found: Descriptions, orders: Orders, rng: np.random.Generator | None = None) -> Arrays:
    """The arrays of q sequences of S sites each; with a generator, of a random part of the nodes of large grids."""
    count, length = orders.order.shape
    described = {row: _described(found, row, rng) for row in np.unique(orders.description).tolist()}
    factors = np.zeros((count, length, NUM_FEATURES), np.float32)
    pairs = np.zeros((count, length, length), np.float32)
    fixed = np.full((count, length + 1, MAX_POSITIONS), FAR, np.float32)
    fixed_own = np.zeros((count, MAX_POSITIONS), np.float32)
    parts: list[tuple[int, int, _Nodes]] = []
    for row, (description, order) in enumerate(zip(orders.description.tolist(), orders.order, strict=True)):
        own = described[description]
        factors[row], pairs[row], fixed_own[row] = own.factors[order], own.pairs[order][:, order], own.fixed_own
        fixed[row, 1:] = np.minimum.accumulate(own.fixed[:, order], axis=1).T
        for place, site in enumerate(order.tolist()):
            if site in own.nodes:
                nodes = own.nodes[site]
                there = nodes.distances[:, order]
                there[:, place:] = FAR  # not there yet
                parts.append((row, place, nodes._replace(distances=there)))
    return Arrays(
        cell_features=cell_features(found.cell, found.lattice)[orders.description],
        factors=factors,
        pairs=pairs,
        told=_told_of(found, orders),
        fixed=fixed,
        fixed_own=fixed_own,
        sites=_joined(parts, length),
    )


def _described(found: Descriptions, row: int, rng: np.random.Generator | None) -> _Described:
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
            nodes[site] = _nodes(grid(number, letter, sizes, held), letter, free, around, rng)
    factors = np.stack([site_features(number, letter, free[None])[0] for letter, free in sites])
    return _Described(factors.astype(np.float32), around.between(), fixed, fixed_own, nodes)


def _nodes(found: Grid, letter: int, free: Floats, around: Surroundings, rng: np.random.Generator | None) -> _Nodes:
    near = hats(found, free[None])
    coefficient = np.zeros(len(found.nodes))
    np.add.at(coefficient, near.node, near.coefficient)
    chosen, log_count = np.arange(len(found.nodes)), np.zeros(len(found.nodes))
    if rng is not None and len(chosen) > MOST_NODES:
        needed, others = np.flatnonzero(coefficient), np.flatnonzero(coefficient == 0)
        some = rng.choice(others, MOST_NODES - len(needed), replace=False)
        chosen = np.concatenate([needed, some])
        log_count = np.concatenate([np.zeros(len(needed)), np.full(len(some), np.log(len(others) / len(some)))])
    distances, own = around.distances(letter, found.free(len(free))[chosen])
    return _Nodes(found.features[chosen], distances, own, log_count, coefficient[chosen])


def _joined(parts: list[tuple[int, int, _Nodes]], length: int) -> Sites:
    sizes = [len(nodes.own) for _, _, nodes in parts]
    empty = _Nodes(np.zeros((0, NUM_FEATURES), np.float16), np.zeros((0, length)), *np.zeros((3, 0)))
    columns = zip(*[nodes for _, _, nodes in parts], strict=True) if parts else [[part] for part in empty]
    return Sites(
        np.array([row for row, _, _ in parts], np.int64),
        np.array([place for _, place, _ in parts], np.int64),
        np.repeat(np.arange(len(parts)), sizes),
        *[np.concatenate(column).astype(np.float32) for column in columns],
    )


def _told_of(found: Descriptions, orders: Orders) -> NDArray[np.float32]:
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


@cache
def ball_volumes() -> Floats:
    """Cubic Angstrom within the covalent radius, by atomic number."""
    out: Floats = 4.0 / 3.0 * np.pi * np.nan_to_num(covalent_radii(), nan=_UNKNOWN) ** 3
    return out


def primitive_atoms(groups: NDArray[np.int16], letters: NDArray[np.int8]) -> Ints:
    """(n, S) atoms of sites in the primitive cell."""
    out = np.zeros(letters.shape, np.int64)
    for number in np.unique(groups).tolist():
        rows = groups == number
        out[rows] = np.array(primitive_multiplicities(number))[letters[rows]]
    return out


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
