"""When two trials of one gene ended in the same minimum: partial radial distributions compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aristotype.realize._potential import REACH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aristotype.realize._atoms import Atoms, Floats, Ints
    from aristotype.realize._neighbours import Neighbours

_BIN = 0.3  # Angstrom between the bins of a distribution
_FIRST = 0.6  # Angstrom
_BINS = int(np.ceil((REACH - _FIRST) / _BIN)) + 2
_NUMBERS = 119


def fingerprints(atoms: Atoms, near: Neighbours, distance: Floats) -> list[Floats]:
    """Partial radial distributions of crystals: equal for equal crystals, close for close ones.

    Each is as long as the pairs of elements of its crystal need.

    Pairs of each two elements are counted by distance, an atom, divided by the square of the distance and faded out
    towards the reach; a distance is shared by the two nearest bins, so that nothing jumps.

    Args:
        atoms: of n crystals.
        near: neighbours of their sites.
        distance: (q,) Angstrom, of these neighbours.
    """
    kind, kinds = _pair_kinds(atoms)
    row, site = near.row.numpy(), near.site.numpy()
    other = atoms.atom_site[near.second.numpy()]
    most = int(kinds.max(initial=1))
    place = np.clip((distance - _FIRST) / _BIN, 0.0, _BINS - 2.0)
    low = np.minimum(place.astype(np.int64), _BINS - 2)
    share = place - low
    fade = np.square(np.clip(1.0 - np.square(distance / REACH), 0.0, None))
    per_cell = np.bincount(atoms.atom_row, minlength=len(atoms))
    weight = atoms.site_weight[site] * fade / np.square(np.maximum(distance, _FIRST)) / per_cell[row]
    cell = (row * most + kind[site, atoms.site_element[other]]) * _BINS + low
    size = len(atoms) * most * _BINS
    # Of no neighbours at all, bincount gives integers.
    out = np.bincount(cell, weights=weight * (1.0 - share), minlength=size).astype(np.float64)
    out += np.bincount(cell + 1, weights=weight * share, minlength=size)
    rows = zip(out.reshape(len(atoms), most * _BINS), (kinds * _BINS).tolist(), strict=True)
    return [values[:width] for values, width in rows]


def _pair_kinds(atoms: Atoms) -> tuple[Ints, Ints]:
    """Place of each pair of elements in its crystal, by site and the other's number (s, 119); how many pairs (n,)."""
    present = np.zeros((len(atoms), _NUMBERS), bool)
    present[atoms.site_row, atoms.site_element] = True
    rank = np.cumsum(present, axis=1) - 1
    own = rank[atoms.site_row, atoms.site_element][:, None]
    others = rank[atoms.site_row]
    low, high = np.minimum(own, others), np.maximum(own, others)
    count = present.sum(axis=1)
    return high * (high + 1) // 2 + low, count * (count + 1) // 2


def distinct(order: Ints, prints: Sequence[Floats], tolerance: float, most: int) -> list[int]:
    """The first of each set of alike trials of one gene.

    Args:
        order: trials, best first.
        prints: fingerprint of each trial.
        tolerance: difference of two distributions, as a share of their mean, up to which they are alike.
        most: trials wanted.
    """
    kept: list[int] = []
    for trial in order.tolist():
        if len(kept) == most:
            break
        own = prints[trial]
        if all(np.abs(own - prints[k]).sum() > tolerance * 0.5 * (own.sum() + prints[k].sum()) for k in kept):
            kept.append(trial)
    return kept
