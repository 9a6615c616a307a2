"""Minkowski-reduced cells of many lattices at once: where the nearest image of an atom is among the 27 around it."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_SWEEPS = 100
_SHORTER = 1.0 - 1e-9
"""A vector is replaced only by one shorter by this factor, so that ties end."""


def reduce_cells(vectors: Floats) -> Floats:
    """Integer matrices (n, 3, 3) that turn lattice vectors (n, 3, 3) into Minkowski-reduced ones (`m @ vectors`).

    In a reduced cell the nearest image of an atom is among the 27 around it. The algorithm is the greedy one of Nguyen
    and Stehle (ACM Trans. Algorithms 5, 46, 2009), run over all cells until none changes.
    """
    reduced = vectors.copy()
    change = np.broadcast_to(np.eye(3), vectors.shape).copy()
    active = np.arange(len(vectors))
    for _ in range(_SWEEPS):
        if not len(active):
            break
        new, step, changed = _sweep(reduced[active])
        reduced[active] = new
        change[active] = _times(step, change[active])
        active = active[changed]
    return change


def _sweep(vectors: Floats) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Sorts vectors by length, reduces the second by the first and the third by both."""
    rows = np.arange(len(vectors))[:, None]
    order = np.argsort(_dot(vectors, vectors), axis=1, kind="stable")
    a, b, c = (vectors[rows, order][:, k] for k in range(3))
    ratio = np.rint(_dot(a, b) / _dot(a, a))
    shorter_b = b - ratio[:, None] * a
    second = _dot(shorter_b, shorter_b) < _dot(b, b) * _SHORTER
    ratio = np.where(second, ratio, 0.0)
    b = b - ratio[:, None] * a
    p, q = _closest(a, b, c)
    shorter_c = c - p[:, None] * a - q[:, None] * b
    third = _dot(shorter_c, shorter_c) < _dot(c, c) * _SHORTER
    p, q = np.where(third, p, 0.0), np.where(third, q, 0.0)
    c = c - p[:, None] * a - q[:, None] * b
    step = np.zeros((len(vectors), 3, 3))
    step[:, 0, 0] = step[:, 1, 1] = step[:, 2, 2] = 1.0
    step[:, 1, 0] = -ratio
    step[:, 2, 0], step[:, 2, 1] = q * ratio - p, -q
    step = _times(step, np.eye(3)[order])
    return np.stack([a, b, c], axis=1), step, second | third


def _closest(a: Floats, b: Floats, c: Floats) -> tuple[Floats, Floats]:
    """Integers p, q for which c - p a - q b is shortest; a and b are reduced, or will be in the next sweep."""
    aa, ab, bb, ac, bc = _dot(a, a), _dot(a, b), _dot(b, b), _dot(a, c), _dot(b, c)
    area = aa * bb - ab * ab
    p0, q0 = np.floor((ac * bb - bc * ab) / area), np.floor((bc * aa - ac * ab) / area)
    best = np.full(len(a), np.inf)
    p, q = p0.copy(), q0.copy()
    for dp, dq in product((0.0, 1.0), repeat=2):
        off = c - (p0 + dp)[:, None] * a - (q0 + dq)[:, None] * b
        length = _dot(off, off)
        closer = length < best
        best = np.where(closer, length, best)
        p, q = np.where(closer, p0 + dp, p), np.where(closer, q0 + dq, q)
    return p, q


def _dot(left: Floats, right: Floats) -> Floats:
    return left[..., 0] * right[..., 0] + left[..., 1] * right[..., 1] + left[..., 2] * right[..., 2]


def _times(left: Floats, right: Floats) -> Floats:
    """Products of 3 x 3 matrices, term by term: no lattice depends, to the last bit, on the others."""
    terms = [left[:, :, k, None] * right[:, k, None, :] for k in range(3)]
    return terms[0] + terms[1] + terms[2]
