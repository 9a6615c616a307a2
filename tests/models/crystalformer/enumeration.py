"""The sequences of a crystal one by one, from its equivalent descriptions: slow, and written another way than ours."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from aristotype.crystal import Crystal, GeneBatch, crystal_equivalents, setting_of
from aristotype.models.blocks import image_maps, pinned_axes
from aristotype.models.crystalformer._support import BINS, bins_of, offsets_of, support
from aristotype.symmetry import GRID, space_group

ORIGIN = 1e-5
WEIGHTS = np.array([BINS**2, BINS, 1])


def enumerated(crystal: Crystal) -> list[tuple[Crystal, np.ndarray]]:
    """Each sequence of a crystal: the description it is of, and the free parameters (S, 3) as they are written."""
    described = crystal_equivalents(crystal)
    found = GeneBatch.from_lists(
        [c.space_group for c in described], [c.elements for c in described], [c.wyckoffs for c in described]
    )
    smallest = setting_of(found)
    kept = (smallest.wyckoffs == found.wyckoffs).all(axis=1) & (smallest.elements == found.elements).all(axis=1)
    return [(described[index], sites) for index in np.flatnonzero(kept) for sites in written(described[index])]


def written(crystal: Crystal) -> Iterator[np.ndarray]:
    """The free parameters (S, 3) of every sequence that writes this description of a crystal, sites sorted."""
    number = crystal.space_group
    kinds = list(zip(crystal.wyckoffs, crystal.elements, strict=True))
    site_free = [np.array(free) for free in crystal.site_free]
    if not any(space_group(number).polar_axes):
        images = [images_of(number, kind[0], free, False) for kind, free in zip(kinds, site_free, strict=True)]
        yield from ordered(number, kinds, images, 0)
        return
    seen: list[np.ndarray] = []
    for anchor in range(kinds.count(kinds[0])):
        letter = kinds[anchor][0]
        pinned = np.array(pinned_axes(number, letter), bool)
        for start in on_origin(number, letter, site_free[anchor], pinned):
            rest = [site for site in range(len(kinds)) if site != anchor]
            images = [images_of(number, letter, start, True)]
            images += [images_of(number, kinds[site][0], site_free[site], False) for site in rest]
            for sites in ordered(number, [kinds[site] for site in (anchor, *rest)], images, 1):
                if all(np.abs((sites - other + 0.5) % 1.0 - 0.5).max() > 1e-7 for other in seen):
                    seen.append(sites)
                    yield sites


def on_origin(number: int, letter: int, free: np.ndarray, pinned: np.ndarray) -> list[np.ndarray]:
    """An image of a site with its polar coordinates on the origin, if there is one."""
    maps = image_maps(number, letter)
    images = maps.linear @ free + maps.shift / GRID
    off = np.abs(images[:, pinned] - np.rint(images[:, pinned])).max(axis=1, initial=0.0)
    rows = np.flatnonzero(off < ORIGIN)[:1]
    return [np.where(pinned, 0.0, images[row] % 1.0) for row in rows]


def images_of(number: int, letter: int, free: np.ndarray, anchored: bool) -> np.ndarray:
    """The images (k, 3) of a site that lie in the support, padded by 0."""
    freedom = len(free)
    maps = image_maps(number, letter, anchored)
    images = np.zeros((len(maps.linear), 3))
    images[:, :freedom] = (maps.linear @ free + maps.shift / GRID) % 1.0
    bins = bins_of(images)
    inside = images[support(number, letter, anchored).third[tuple(bins.T)]]
    _, first = np.unique(np.round(inside, 8) % 1.0, axis=0, return_index=True)
    return inside[first]


def ordered(number: int, kinds: list[tuple[int, int]], images: list[np.ndarray], fixed: int) -> Iterator[np.ndarray]:
    """All choices of an image for each site, those of a kind in order.

    Args:
        number: space group.
        kinds: letter and element of each site, sorted.
        images: (k, 3) of each site.
        fixed: sites at the start that keep their place.
    """
    kind = np.unique(np.array(kinds), axis=0, return_inverse=True)[1].reshape(-1)
    positions = space_group(number).positions
    last_axis = np.array([max(0, positions[letter].freedom - 1) for letter, _ in kinds])
    for chosen in product(*[range(len(image)) for image in images]):
        sites = np.array([image[pick] for image, pick in zip(images, chosen, strict=True)])
        codes = bins_of(sites) @ WEIGHTS
        last = offsets_of(sites)[np.arange(len(sites)), last_axis]
        order = np.lexsort((last[fixed:], codes[fixed:], kind[fixed:])) + fixed
        yield sites[[*range(fixed), *order.tolist()]]
