"""All descriptions of one crystal: what a score that knows descriptions has to be summed over."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from aristotype.crystal._gauge import SAME, anchorings, smallest, sort_key
from aristotype.crystal._reduce import Operation, reductions
from aristotype.crystal._transform import describe, site_images, transform
from aristotype.symmetry import space_group

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aristotype.crystal._rows import Crystal


def crystal_equivalents(crystal: Crystal) -> list[Crystal]:
    """All descriptions of a crystal in the standard setting with fixed gauges, up to the choice of image for each site.

    They differ by proper operations of the normalizer that act on sites and cell together (axis permutations carry
    a, b, c along), by reduced bases of equal metric, and in polar groups by the site and image that the origin is put
    on. Each site is given by the smallest of its free parameters (the anchor by the smallest that is on the origin);
    the others are `site_descriptions`, and a score over raw parameters sums over their product.

    Args:
        crystal: a row with geometry; its own gauge does not matter.

    Returns:
        distinct crystals that decode to the same atoms up to a proper motion, in a fixed order: the same list, up to
        rounding, for every description of the crystal.
    """
    start = describe(crystal)
    found: list[Crystal] = []
    for operation in reductions(crystal.space_group, start.basis):
        reduced = transform(start, operation.linear, operation.translation)
        for linear, translation in proper_normalizer(crystal.space_group):
            found.extend(anchorings(transform(reduced, linear, translation), crystal.id))
    return _sorted_distinct(found)


@cache
def proper_normalizer(number: int) -> tuple[Operation, ...]:
    """One proper operation of each coset of the normalizer that has any.

    An improper representative becomes proper with an improper operation of the group itself, where there is one; in the
    65 groups without, improper operations exchange hands, and what they give is another crystal.
    """
    group = space_group(number)
    mirrors = np.flatnonzero(np.linalg.det(group.rotations) < 0)
    out = []
    rows = zip(group.normalizer.linear, group.normalizer.translation, group.normalizer.proper, strict=True)
    for linear, translation, proper in rows:
        if proper:
            out.append(Operation(linear, translation))
        elif len(mirrors):
            mirror = group.rotations[mirrors[0]]
            out.append(Operation(mirror @ linear, mirror @ translation + group.translations[mirrors[0]]))
    return tuple(out)


def canonical_crystal(crystal: Crystal) -> Crystal:
    """The first of `crystal_equivalents`: one description of a crystal, the same whatever it was described by."""
    return smallest(crystal_equivalents(crystal))


def site_descriptions(crystal: Crystal) -> list[NDArray[np.float64]]:
    """For each site all free parameters (k, freedom) that denote its orbit; their product are the raw descriptions."""
    start = describe(crystal)
    pairs = zip(start.letters.tolist(), start.points, strict=True)
    return [site_images(crystal.space_group, letter, point) for letter, point in pairs]


def _sorted_distinct(crystals: list[Crystal]) -> list[Crystal]:
    """Distinct descriptions, smallest first."""
    keys = np.array([sort_key(crystal) for crystal in crystals])
    left = np.arange(len(crystals))
    out = []
    while len(left):
        best = smallest([crystals[row] for row in left])
        place = next(row for row in left if crystals[row] is best)
        out.append(best)
        left = left[np.abs(keys[left] - keys[place]).max(axis=1) > SAME]
    return out
