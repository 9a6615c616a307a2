"""What a network is told about where atoms are: structure factors of a site's orbit, the same for any member of it.

F(h) = mean over the atoms of the orbit of exp(2 pi i h x). They say the same in every space group, so that what is
learnt in one serves in all. For a site whose free parameters are not chosen they are averaged over all choices.
"""

from __future__ import annotations

from functools import cache, lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from aristotype.symmetry import GRID, MAX_POSITIONS, NUM_GROUPS, space_group

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@cache
def indices() -> NDArray[np.int64]:
    """(68, 3) indices h: one of each pair h, -h up to 2, and 3 and 4 along the axes."""
    small = [h for h in product(range(-2, 3), repeat=3) if h > (0, 0, 0)]
    far = [tuple(n if axis == k else 0 for axis in range(3)) for n in (3, 4) for k in range(3)]
    out = np.array(small + far, np.int64)
    out.setflags(write=False)
    return out


NUM_FEATURES = 2 * 68
"""Real and imaginary parts."""


@lru_cache(maxsize=4096)
def _terms(number: int, letter: int) -> tuple[NDArray[np.int64], NDArray[np.complex128]]:
    """For each index and atom of an orbit: how the phase turns with each parameter (h, m, f), and the fixed phase."""
    position = space_group(number).positions[letter]
    turns = np.einsum("hi,mif->hmf", indices(), position.orbit_linear)
    fixed = np.exp(2j * np.pi * (indices() @ position.orbit_origin.T % GRID) / GRID)
    return turns, fixed


def site_features(number: int, letter: int, free: Floats) -> Floats:
    """Structure factors (n, 136) of sites of one position for free parameters (n, freedom)."""
    turns, fixed = _terms(number, letter)
    out = np.empty((len(free), len(fixed)), np.complex128)
    step = max(1, 4_000_000 // fixed.size)
    for start in range(0, len(free), step):
        part = free[start : start + step]
        phases = np.einsum("hmf,nf->nhm", turns, part)
        out[start : start + step] = (np.exp(2j * np.pi * phases) * fixed).mean(axis=2)
    return np.concatenate([out.real, out.imag], axis=1)


def grid_features(number: int, letter: int, axes: tuple[int, ...], sizes: tuple[int, ...], nodes: Ints) -> Floats:
    """Structure factors (n, 136) of sites at nodes of a grid on some free parameters, the others being 0.

    The same as `site_features`, but faster: phases are products of those along each axis, of which there are few.

    Args:
        number: space group.
        letter: index of the position.
        axes: which parameters have a grid.
        sizes: divisions of each.
        nodes: (n, axes) in divisions.
    """
    turns, fixed = _terms(number, letter)
    along = [
        np.exp(2j * np.pi * turns[..., axis, None] * np.arange(size) / size).astype(np.complex64)
        for axis, size in zip(axes, sizes, strict=True)
    ]  # (h, m, size) each
    out = np.empty((len(nodes), len(fixed)), np.complex64)
    step = max(1, 2_000_000 // fixed.size)
    for start in range(0, len(nodes), step):
        part = nodes[start : start + step]
        phases = fixed[..., None].astype(np.complex64)
        for table, places in zip(along, part.T, strict=True):
            phases = phases * table[..., places]
        out[start : start + step] = phases.mean(axis=1).T
    return np.concatenate([out.real, out.imag], axis=1).astype(np.float64)


def block_features(
    number: int, letter: int, axes: tuple[int, ...], sizes: tuple[int, ...], nodes: Ints, offsets: Ints
) -> Floats:
    """Structure factors (n, F, 136) of sites at the same offsets from each node of a grid (see `grid_features`).

    Args:
        number: space group.
        letter: index of the position.
        axes: which parameters have a grid.
        sizes: divisions of each.
        nodes: (n, axes) in divisions.
        offsets: (F, axes) in divisions.
    """
    turns, fixed = _terms(number, letter)
    turns = turns[..., axes] / np.array(sizes)  # (h, m, axes) of one division
    there = (fixed * np.exp(2j * np.pi * (turns @ nodes.T.astype(float)).transpose(2, 0, 1))).astype(np.complex64)
    apart = np.ones((*fixed.shape, len(offsets)), np.complex64)
    for axis, steps in enumerate(offsets.T):
        few, which = np.unique(steps, return_inverse=True)
        apart *= np.exp(2j * np.pi * turns[..., axis, None] * few).astype(np.complex64)[..., which]
    out = (there.transpose(1, 0, 2) @ apart).transpose(1, 2, 0) / fixed.shape[1]  # (n, F, h)
    return np.concatenate([out.real, out.imag], axis=2).astype(np.float64)


def average_features(number: int, letter: int) -> Floats:
    """Structure factors (136,) of a position, averaged over its free parameters."""
    turns, fixed = _terms(number, letter)
    mean = np.where((turns == 0).all(axis=2), fixed, 0.0).mean(axis=1)
    return np.concatenate([mean.real, mean.imag])


@cache
def average_table() -> NDArray[np.float32]:
    """(231, 27, 136) `average_features` of all positions; 0 where there is none."""
    out = np.zeros((NUM_GROUPS + 1, MAX_POSITIONS, NUM_FEATURES), np.float32)
    for number in range(1, NUM_GROUPS + 1):
        for position in space_group(number).positions:
            out[number, position.index] = average_features(number, position.index)
    return out
