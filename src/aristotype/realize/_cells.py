"""Cells of many crystals at once: from shapes and volumes to vectors, and the slopes of that."""

from __future__ import annotations

import torch
from torch import Tensor


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
