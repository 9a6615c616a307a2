"""Images of sites: the free parameters that denote one orbit, and those that a floating origin sets to 0."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aristotype.symmetry import GRID, space_group, tables


class ImageMaps(NamedTuple):
    """The maps u' = linear @ u + shift / 24 of free parameters that denote the same orbit, identity among them."""

    linear: NDArray[np.int64]  # (m, f, f)
    shift: NDArray[np.int64]  # (m, f)


def is_polar(space_group_numbers: NDArray[np.int16]) -> NDArray[np.bool_]:
    """(n,) whether the origin of each group floats, so that the first site holds it."""
    return np.asarray(tables().polar_axes[space_group_numbers.astype(np.int64) - 1].any(axis=1))


@lru_cache(maxsize=4096)
def pinned_axes(number: int, letter: int) -> tuple[bool, ...]:
    """Free parameters of a position that are coordinates along polar axes: 0 for the site that holds the origin."""
    position = space_group(number).positions[letter]
    polar = np.flatnonzero(space_group(number).polar_axes)
    return tuple(bool((position.linear[polar, axis] != 0).any()) for axis in range(position.freedom))


@lru_cache(maxsize=4096)
def image_maps(number: int, letter: int, anchored: bool = False) -> ImageMaps:
    """All maps between the free parameters of one orbit.

    Args:
        number: space group.
        letter: index of the position.
        anchored: only those that leave the pinned parameters 0.
    """
    group = space_group(number)
    position = group.positions[letter]
    f = position.freedom
    if f == 0:
        return ImageMaps(np.zeros((1, 0, 0), np.int64), np.zeros((1, 0), np.int64))
    # Operation g, then the parameters of the point that it gives: inverse @ (g(x) - origin), the last ones being 0.
    linear = position.inverse @ (group.rotations @ position.linear)  # (g, 3, f)
    start = group.rotations @ position.origin + group.translations - position.origin
    shift = start @ position.inverse.T % GRID
    kept = (linear[:, f:] == 0).all(axis=(1, 2)) & (shift[:, f:] == 0).all(axis=1)
    linear, shift = linear[kept, :f], shift[kept, :f]
    if anchored:
        fixed = np.array(pinned_axes(number, letter), bool)
        still = (linear[:, fixed][:, :, ~fixed] == 0).all(axis=(1, 2)) & (shift[:, fixed] == 0).all(axis=1)
        linear, shift = linear[still], shift[still]
    both = np.unique(np.concatenate([linear.reshape(len(linear), -1), shift], axis=1), axis=0)
    return ImageMaps(both[:, : f * f].reshape(-1, f, f), both[:, f * f :])
