"""Where the free parameters of a site may lie, so that every orbit is written down once.

An orbit has as many free parameters as images that fall on the representative subspace. Each axis is cut into
`BINS` bins, centred on multiples of 1/24; of all images the one with the smallest bins is written. A triple of bins
belongs to the *support* of a position if some point in it is the smallest of its images. A bin on the border of the
asymmetric unit can hold two images of one orbit; both are then in the support, and a score sums over them.

In a polar group the first site holds the origin: its parameters along the polar axes are 0 and not written.
"""

from __future__ import annotations

from functools import cache, lru_cache
from importlib.resources import files
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aristotype.models.blocks import ImageMaps, image_maps, pinned_axes
from aristotype.symmetry import GRID, space_group

BINS = 24
"""Bins an axis. Translations are multiples of 1/24 and carry bins into bins."""
_CELLS = 20_000_000  # of numbers held at once


class Support(NamedTuple):
    """Bins that may be written, axis by axis; axes that are not written have the bin 0 alone."""

    first: NDArray[np.bool_]  # (BINS,)
    second: NDArray[np.bool_]  # (BINS, BINS) given the first
    third: NDArray[np.bool_]  # (BINS, BINS, BINS) given both


def bins_of(free: NDArray[np.float64]) -> NDArray[np.int64]:
    """The bin of each free parameter."""
    return np.floor(free * BINS + 0.5).astype(np.int64) % BINS


def offsets_of(free: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where in its bin each free parameter lies, from -1/2 to 1/2."""
    scaled = free * BINS
    return scaled - np.floor(scaled + 0.5)


@lru_cache(maxsize=4096)
def support(number: int, letter: int, anchored: bool = False) -> Support:
    """The support of a position, or of the site that holds the origin, from the shipped table."""
    offsets, bits = _shipped()
    axes = written_axes_of(number, letter, anchored)
    size = BINS ** len(axes)
    start = int(offsets[number, letter, int(anchored)])
    found = np.unpackbits(bits[start : start + -(-size // 8)], count=size).astype(bool)
    return _spread(found.reshape([BINS if axis in axes else 1 for axis in range(3)]))


def build_support(number: int, letter: int, anchored: bool = False) -> Support:
    """The support of a position from the maps between images; what the shipped table holds."""
    axes = written_axes_of(number, letter, anchored)
    freedom = space_group(number).positions[letter].freedom
    return _spread(_smallest(image_maps(number, letter, anchored), freedom, list(axes)))


def written_axes_of(number: int, letter: int, anchored: bool) -> tuple[int, ...]:
    """Free parameters of a position that are written."""
    pinned = pinned_axes(number, letter)
    return tuple(axis for axis, fixed in enumerate(pinned) if not (anchored and fixed))


def _spread(found: NDArray[np.bool_]) -> Support:
    third = np.zeros((BINS, BINS, BINS), bool)
    third[tuple(slice(0, count) for count in found.shape)] = found
    second = np.asarray(third.any(axis=2))
    return Support(np.asarray(second.any(axis=1)), second, third)


@cache
def _shipped() -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Where each support starts (231, 27, 2) and their packed bits (made by `tools/build_supports.py`)."""
    with (
        (files("aristotype.models.crystalformer") / "supports.npz").open("rb") as file,
        np.load(file, allow_pickle=False) as data,
    ):
        return data["offsets"], data["bits"]


def _smallest(maps: ImageMaps, freedom: int, written: list[int]) -> NDArray[np.bool_]:
    """Whether some point of a triple of bins has no image in smaller ones; of length 1 along axes not written."""
    # Images of one point of a bin lie in one bin, unless two parameters are added: then it depends on where it lies.
    mixes = (np.abs(maps.linear).sum(axis=2) > 1).any()
    inside = (-0.41, 0.02, 0.41) if mixes else (0.2,)
    axes = [np.arange(BINS) if axis in written else np.zeros(1, np.int64) for axis in range(3)]
    bins = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    weight = np.array([BINS**2, BINS, 1])
    own = bins @ weight
    found = np.zeros(len(bins), bool)
    step = max(1, _CELLS // (9 * len(maps.linear)))
    for offset in product(*[inside if axis in written else (0.0,) for axis in range(3)]):
        for start in range(0, len(bins), step):
            part = slice(start, start + step)
            point = (bins[part] + np.array(offset))[:, :freedom]
            images = np.einsum("mij,nj->nmi", maps.linear, point) + maps.shift * (BINS / GRID)
            codes = np.floor(images + 0.5).astype(np.int64) % BINS @ weight[:freedom]
            found[part] |= own[part] <= codes.min(axis=1)
    return found.reshape([len(axis) for axis in axes])
