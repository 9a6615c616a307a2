"""Cells of many crystals at once: from shapes and volumes to vectors, and their reduction."""

from __future__ import annotations

from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float64]
_SWEEPS = 100
_SHORTER = 1.0 - 1e-9
"""A vector is replaced only by one shorter by this factor, so that ties end."""


def cell_vectors(shape: Tensor, volume: Tensor, basis: Tensor, fixed: Tensor) -> Tensor:
    """Row vectors (n, 3, 3) of conventional cells, a along x and b in the xy plane.

    Args:
        shape: (n, 6) free cell parameters as in `Priors`.
        volume: (n,) volume of each cell in cubic Angstrom, which the vectors have exactly.
        basis: (n, 6, 6) of the group of each row, see `Priors`.
        fixed: (n, 6).
    """
    parameters = (combined(shape[:, :, None], basis.transpose(1, 2)) + fixed).contiguous()
    length, cos = torch.exp(parameters)[:, :3], torch.cos(parameters)
    sin = torch.sin(parameters[:, 5].contiguous())
    cx, cy, cz = _third(cos, sin)
    zero = torch.zeros_like(sin)
    rows = (torch.ones_like(sin), zero, zero, cos[:, 5], sin, zero, cx, cy, cz)
    unit = torch.stack(rows, dim=1).reshape(-1, 3, 3) * length[:, :, None]
    # Not `** (1 / 3)`: its last bit depends on the place in the array.
    scale = torch.exp(torch.log(volume / (unit[:, 0, 0] * unit[:, 1, 1] * unit[:, 2, 2])) / 3.0)
    return unit * scale[:, None, None]


def shape_slope(cells: Tensor, shape: Tensor, basis: Tensor, fixed: Tensor, by_cell: Tensor) -> Tensor:
    """Derivatives (n, 6) of an energy by the shape, the volume being kept, from those by the vectors (n, 3, 3).

    The product rule on `cell_vectors`, with log det = log of the lengths + log(sin gamma) + log(third component of the
    direction of c).
    """
    parameters = (combined(shape[:, :, None], basis.transpose(1, 2)) + fixed).contiguous()
    cos, sin = torch.cos(parameters), torch.sin(parameters)
    cx, cy, cz = _third(cos, sin[:, 5])
    along = [_dot3(by_cell[:, k], cells[:, k]) for k in range(3)]
    shrink = (along[0] + along[1] + along[2]) / 3.0
    b, c = cells[:, 1, 1] / sin[:, 5], cells[:, 2, 2] / cz  # lengths
    slopes = [along[k] - shrink for k in range(3)]
    cotangent = cos[:, 5] / sin[:, 5]
    zero = torch.zeros_like(cx)
    for dx, dy, turn in (
        (zero, -sin[:, 3] / sin[:, 5], zero),
        (-sin[:, 4], sin[:, 4] * cotangent, zero),
        (zero, cos[:, 4] - cy * cotangent, torch.ones_like(zero)),
    ):
        dz = -(cx * dx + cy * dy) / cz
        slope = c * (by_cell[:, 2, 0] * dx + by_cell[:, 2, 1] * dy + by_cell[:, 2, 2] * dz)
        slope = slope + turn * b * (by_cell[:, 1, 1] * cos[:, 5] - by_cell[:, 1, 0] * sin[:, 5])
        slopes.append(slope - shrink * (turn * cotangent + dz / cz))
    return combined(torch.stack(slopes, dim=1)[:, :, None], basis)


def _third(cos: Tensor, sin_gamma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Direction of c in Cartesian axes, from cosines of the angles in columns 3 to 5."""
    cx = cos[:, 4]
    cy = (cos[:, 3] - cx * cos[:, 5]) / sin_gamma
    return cx, cy, torch.sqrt(1.0 - cx * cx - cy * cy)


def _dot3(left: Tensor, right: Tensor) -> Tensor:
    return left[:, 0] * right[:, 0] + left[:, 1] * right[:, 1] + left[:, 2] * right[:, 2]


def combined(weights: Tensor, rows: Tensor) -> Tensor:
    """Sum over k of weights (n, k, 1) times rows (n, k, m), term by term.

    One operation a term instead of a reduction or a product of matrices: what a row gives does not depend, to the
    last bit, on how many rows there are.
    """
    total = weights[:, 0] * rows[:, 0]
    for k in range(1, rows.shape[1]):
        total = total + weights[:, k] * rows[:, k]
    return total


def product_of(left: Tensor, right: Tensor) -> Tensor:
    """Products (n, 3, 3) of matrices (n, 3, 3), with the same property as `combined`."""
    return torch.stack([combined(left[:, i, :, None], right) for i in range(3)], dim=1)


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
    """Products of 3 x 3 matrices, term by term (see `combined`)."""
    terms = [left[:, :, k, None] * right[:, k, None, :] for k in range(3)]
    return terms[0] + terms[1] + terms[2]
