"""Points to free parameters: which position's numbers describe a point, canonically and for many points at once."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aristotype.symmetry import GRID, space_group

if TYPE_CHECKING:
    from collections.abc import Iterator

Floats = NDArray[np.float64]
SNAP = 1e-9
"""A free parameter closer than this below 1 is 0."""
_ORDER_STEP = 1e-6
"""Free parameters closer than this count as equal when the smallest description is looked for."""


@lru_cache(maxsize=2048)
def readers(number: int, index: int) -> tuple[Floats, Floats]:
    """Affine maps that carry a point of an orbit to the representative subspace of a position and read it there.

    There is one for each image of the position: of all operations that do the same on it, one is enough.

    Args:
        number: space group.
        index: position, 0 for letter a.

    Returns:
        rotations (m, 3, 3) and translations (m, 3): of `rotation @ point + translation` the first `freedom` numbers are
        free parameters, and the others are integers exactly if the point was carried to the subspace.
    """
    group = space_group(number)
    position = group.positions[index]
    # x = g(representative) for each g; operations with the same image form a coset of the pointwise stabiliser.
    linear = group.rotations @ position.linear
    origin = (group.rotations @ position.origin + group.translations) % GRID
    images = np.concatenate([linear.reshape(len(linear), -1), origin], axis=1)
    _, first = np.unique(images, axis=0, return_index=True)
    first.sort()
    inverse = np.rint(np.linalg.inv(group.rotations[first])).astype(np.int64)
    shift = -np.einsum("mij,mj->mi", inverse, group.translations[first])
    return (position.inverse @ inverse).astype(float), (shift - position.origin) @ position.inverse.T / GRID


def read_free(number: int, index: int, points: Floats) -> tuple[Floats, Floats]:
    """Free parameters of points of a position, canonical: the smallest of all that denote the same orbit.

    Args:
        number: space group.
        index: position, 0 for letter a.
        points: (n, 3) fractional coordinates, each any member of an orbit of the position.

    Returns:
        free parameters (n, freedom) in [0, 1), and the distance (n,) from the position in fractional units of its own
        description (0 for points that lie on it exactly).
    """
    rotations, translations = readers(number, index)
    freedom = space_group(number).positions[index].freedom
    read = np.einsum("mij,nj->nmi", rotations, points) + translations
    off = read[..., freedom:]
    residual = np.abs(off - np.rint(off)).max(axis=-1, initial=0.0)
    best = residual.min(axis=1, keepdims=True)
    free = wrap(read[..., :freedom])
    # A point on the position lies there up to rounding; what is far off never ties with it.
    key = np.where(residual <= best + SNAP, order_key(free), np.iinfo(np.int64).max)
    return free[np.arange(len(points)), key.argmin(axis=1)], best[:, 0]


def by_position(group: NDArray[np.int64], letters: NDArray[np.int64]) -> Iterator[tuple[int, int, NDArray[np.int64]]]:
    """Sites by position, one at a time: (space group, letter index, places of the sites)."""
    kind = group * 32 + letters
    order = np.argsort(kind, kind="stable")
    kinds, counts = np.unique(kind[order], return_counts=True)
    stops = np.cumsum(counts)
    for which, start, stop in zip(kinds.tolist(), stops - counts, stops, strict=True):
        yield which // 32, which % 32, order[start:stop]


def wrap(free: Floats) -> Floats:
    """Coordinates in [0, 1), those within `SNAP` below 1 at 0."""
    inside = free % 1.0
    return np.where(inside >= 1.0 - SNAP, 0.0, inside)


def order_key(free: Floats) -> NDArray[np.int64]:
    """An integer that sorts free parameters (..., up to 3) lexicographically, blind to differences below 1e-6."""
    scale = round(1.0 / _ORDER_STEP)
    steps = np.rint(free * scale).astype(np.int64) % scale
    key = np.zeros(free.shape[:-1], np.int64)
    for axis in range(free.shape[-1]):
        key = key * scale + steps[..., axis]
    return key
