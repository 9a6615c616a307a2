"""Sequences as the arrays that the network reads."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import covalent_radii
from aristotype.models.blocks import NUM_FEATURES, is_polar, primitive_multiplicities, site_features
from aristotype.models.wyckoff_augen._grids import Grid, divisions, grid, hats
from aristotype.models.wyckoff_augen._sequences import Sequences
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
    """Nodes of T sites with freedom; K at most."""

    row: Ints  # (T,)
    place: Ints  # (T,)
    features: NDArray[np.float32]  # (T, K, 136)
    distances: NDArray[np.float32]  # (T, K, S) to the sites placed before, FAR for others
    own: NDArray[np.float32]  # (T, K) to themselves
    log_count: NDArray[np.float32]  # (T, K) log of the nodes that each stands for, -inf beyond the last
    coefficient: NDArray[np.float32]  # (T, K) of its weight in the density


class Arrays(NamedTuple):
    """n sequences of S sites."""

    cell_features: NDArray[np.float32]  # (n, 12)
    factors: NDArray[np.float32]  # (n, S, 136)
    pairs: NDArray[np.float32]  # (n, S, S) nearest distance of two sites; of a site to itself on the diagonal
    told: NDArray[np.float32]  # (n, S + 1, TOLD) before each site and after the last
    fixed: NDArray[np.float32]  # (n, S + 1, 27) distance of a point without freedom to what is placed
    fixed_own: NDArray[np.float32]  # (n, 27) and to itself
    sites: Sites


def arrays_of(sequences: Sequences, rng: np.random.Generator | None = None) -> Arrays:
    """The arrays of sequences of equal numbers of sites; with a generator, a random part of the nodes."""
    genes = sequences.genes
    n, length = genes.wyckoffs.shape
    polar = is_polar(genes.space_group)
    factors = np.zeros((n, length, NUM_FEATURES), np.float32)
    pairs = np.full((n, length, length), FAR, np.float32)
    fixed = np.full((n, length + 1, MAX_POSITIONS), FAR, np.float32)
    fixed_own = np.full((n, MAX_POSITIONS), FAR, np.float32)
    parts: list[tuple[int, int, Floats, Floats, Floats, Floats, Floats]] = []
    for row in range(n):
        number = int(genes.space_group[row])
        around = Surroundings(number, sequences.lattice[row])
        letters = genes.wyckoffs[row].tolist()
        frees = [sequences.free[row, s, : space_group(number).positions[w].freedom] for s, w in enumerate(letters)]
        for letter, free in zip(letters, frees, strict=True):
            around.put(letter, free)
        for site, (letter, free) in enumerate(zip(letters, frees, strict=True)):
            factors[row, site] = site_features(number, letter, free[None])[0]
        pairs[row] = around.between()
        where, places = fixed_points(number)
        if len(places):
            each = around.from_points(where)
            fixed[row, 1:, places] = np.minimum.accumulate(each, axis=1)
            fixed_own[row, places] = own_distances(around, places)
        for site, (letter, free) in enumerate(zip(letters, frees, strict=True)):
            held = bool(polar[row]) and site == 0
            sizes = divisions(number, letter, sequences.lattice[row], anchored=held)
            if sizes:
                found = grid(number, letter, sizes, held)
                parts.append((row, site, *_nodes(found, letter, free, around, site, rng)))
    return Arrays(
        cell_features=cell_features(sequences.cell, sequences.lattice),
        factors=factors,
        pairs=pairs,
        told=told_of(sequences),
        fixed=fixed,
        fixed_own=fixed_own,
        sites=_stacked(parts, length),
    )


def _nodes(
    found: Grid, letter: int, free: Floats, around: Surroundings, site: int, rng: np.random.Generator | None
) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Features, distances, own distances, log-counts and coefficients of the nodes of one site."""
    near = hats(found, free[None])
    coefficient = np.zeros(len(found.nodes))
    np.add.at(coefficient, near.node, near.coefficient)
    chosen, log_count = np.arange(len(found.nodes)), np.zeros(len(found.nodes))
    if rng is not None and len(chosen) > MOST_NODES:
        needed, others = np.flatnonzero(coefficient), np.flatnonzero(coefficient == 0)
        some = rng.choice(others, MOST_NODES - len(needed), replace=False)
        chosen = np.concatenate([needed, some])
        log_count = np.concatenate([np.zeros(len(needed)), np.full(len(some), np.log(len(others) / len(some)))])
    points = found.free(free.shape[0])[chosen]
    distances, own = around.distances(letter, points)
    distances[:, site:] = FAR  # not there yet
    return found.features[chosen].astype(float), distances, own, log_count, coefficient[chosen]


def _stacked(parts: list[tuple[int, int, Floats, Floats, Floats, Floats, Floats]], length: int) -> Sites:
    most = max((len(part[2]) for part in parts), default=1)
    count = len(parts)
    out = Sites(
        row=np.array([part[0] for part in parts], np.int64),
        place=np.array([part[1] for part in parts], np.int64),
        features=np.zeros((count, most, NUM_FEATURES), np.float32),
        distances=np.full((count, most, length), FAR, np.float32),
        own=np.full((count, most), FAR, np.float32),
        log_count=np.full((count, most), -np.inf, np.float32),
        coefficient=np.zeros((count, most), np.float32),
    )
    for row, part in enumerate(parts):
        size = len(part[2])
        for array, values in zip(out[2:], part[2:], strict=True):
            array[row, :size] = values
    return out


def told_of(sequences: Sequences) -> NDArray[np.float32]:
    """(n, S + 1, TOLD) what is told before each site and after the last."""
    genes = sequences.genes
    n, length = genes.wyckoffs.shape
    atoms = primitive_atoms(genes.space_group, genes.wyckoffs)
    sizes = atoms * ball_volumes()[genes.elements.astype(np.int64)]
    fresh = np.ones((n, length), bool)
    for site in range(1, length):
        fresh[:, site] = (genes.elements[:, :site] != genes.elements[:, site : site + 1]).all(axis=1)
    sums = [np.pad(np.cumsum(part, axis=1), ((0, 0), (1, 0))) for part in (atoms, sizes, fresh)]
    unused = fresh.sum(axis=1)[:, None] - sums[2]
    volume = np.exp(sequences.cell[:, :1])
    return told(np.broadcast_to(np.arange(length + 1), (n, length + 1)), sums[0] / volume, sums[1] / volume, unused)


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
