"""Gauges: what symmetry leaves to taste in the description of a crystal, fixed before anything is scored.

Two things are chosen without end: the cell of triclinic and monoclinic groups, and the origin of the 68 polar groups.
The cell is reduced (see `_reduce`). The origin is put on the *anchor*: of the first kind of sites in canonical order
(smallest letter, then smallest atomic number) one site has the coordinate 0 along every polar axis. All positions of a
polar group have a free coordinate along each polar axis, so that any site can be the anchor; a scored crystal then has
as many continuous coordinates as the sum of its freedoms, minus the number of polar axes.

What is left is finite: which site of that kind, and which of its images, is the anchor; and the operations of the
normalizer. `crystal_equivalents` lists all of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aristotype.crystal._reduce import reductions
from aristotype.crystal._transform import Description, describe, site_images, to_crystal, transform
from aristotype.symmetry import space_group

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aristotype.crystal._rows import Crystal

SAME = 1e-5
"""Free parameters and relative cell lengths closer than this are the same number in two descriptions."""


def floating_dimension(number: int) -> int:
    """Axes of a group along which the origin floats: what a score subtracts from the sum of freedoms."""
    return sum(space_group(number).polar_axes)


def fix_gauge(crystal: Crystal) -> Crystal:
    """The same crystal with a reduced cell and, in a polar group, with its origin on the anchor.

    Of the several anchors and reduced bases that there may be, the one is taken that gives the smallest description.

    Args:
        crystal: a row with geometry.

    Returns:
        a crystal that decodes to the same atoms, up to a proper motion.
    """
    start = describe(crystal)
    found = [
        anchored
        for operation in reductions(crystal.space_group, start.basis)
        for anchored in anchorings(transform(start, operation.linear, operation.translation), crystal.id)
    ]
    return smallest(found)


def anchorings(description: Description, name: str) -> Iterator[Crystal]:
    """All ways to put the origin of a description on the anchor; the description itself where nothing floats."""
    axes = np.flatnonzero(space_group(description.number).polar_axes)
    if len(axes) == 0 or len(description.letters) == 0:
        yield to_crystal(description, name)
        return
    kind = np.column_stack([description.letters, description.elements])
    first = min(map(tuple, kind.tolist()))
    for site in np.flatnonzero((kind == first).all(axis=1)):
        for shift in _shifts(description, int(site), axes):
            moved = description.shifted(-shift)
            yield to_crystal(moved, name, pinned=(int(site), _pinned(moved, int(site), axes)))


def _shifts(description: Description, site: int, axes: np.ndarray) -> list[np.ndarray]:
    """Distinct polar coordinates (3,), zero along other axes, of the images of a site."""
    position = space_group(description.number).positions[description.letters[site]]
    images = site_images(description.number, position.index, description.points[site])
    shifts = np.zeros((len(images), 3))
    shifts[:, axes] = position.representative(images)[:, axes] % 1.0
    kept: list[np.ndarray] = []
    for shift in shifts:
        if all(np.abs((shift - other + 0.5) % 1.0 - 0.5).max() > SAME for other in kept):
            kept.append(shift)
    return kept


def _pinned(description: Description, site: int, axes: np.ndarray) -> np.ndarray:
    """Free parameters of the anchor: the smallest among those with polar coordinates of just zero."""
    position = space_group(description.number).positions[description.letters[site]]
    images = site_images(description.number, position.index, description.points[site])
    polar = position.representative(images)[:, axes]
    images = images[np.abs(polar - np.rint(polar)).max(axis=1) < SAME]
    best = images[np.lexsort(np.round(images, 6).T[::-1])[0]].copy()
    # Exactly zero, not zero up to rounding: no measure is left along these axes.
    best[(np.abs(position.linear[axes]) > 0).any(axis=0) & (np.abs(best - np.rint(best)) < SAME)] = 0.0
    return best


def smallest(crystals: list[Crystal]) -> Crystal:
    """The crystal with the smallest (letters, elements, cell, free parameters), blind to rounding."""
    keys = np.array([sort_key(crystal) for crystal in crystals])
    alive = np.arange(len(crystals))
    for column in keys.T:
        values = column[alive]
        alive = alive[values <= values.min() + SAME]
        if len(alive) == 1:
            break
    return crystals[alive[0]]


def sort_key(crystal: Crystal) -> list[float]:
    """Numbers that are equal, up to `SAME`, exactly for equal descriptions of two crystals of one group and size."""
    a, b, c, alpha, beta, gamma = crystal.lattice
    mean = (a * b * c) ** (1 / 3)
    cell = [a / mean, b / mean, c / mean, *(np.cos(np.radians(angle)) for angle in (alpha, beta, gamma))]
    free = [0.0 if value > 1.0 - SAME else value for value in crystal.free]
    return [*map(float, crystal.wyckoffs), *map(float, crystal.elements), *cell, *free]
