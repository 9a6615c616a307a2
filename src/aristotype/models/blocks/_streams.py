"""Random numbers keyed by (seed, row): what row i draws never depends on how many rows there are.

Philox-4x32 with 10 rounds (Salmon, Moraes, Dror and Shaw, SC 2011), vectorised over rows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)


def philox(counter: NDArray[np.uint64], key: tuple[int, int]) -> NDArray[np.uint64]:
    """Ten rounds of Philox-4x32 over counters (..., 4), 32-bit words held in uint64; returns words of that shape."""
    a, b, c, d = (counter[..., i].astype(np.uint64) for i in range(4))
    key0, key1 = key
    for _ in range(10):
        first, second = a * _MULTIPLIERS[0], c * _MULTIPLIERS[1]
        a, b, c, d = (
            (second >> _SHIFT) ^ b ^ np.uint64(key0),
            second & _LOW,
            (first >> _SHIFT) ^ d ^ np.uint64(key1),
            first & _LOW,
        )
        key0, key1 = (key0 + _WEYL[0]) & 0xFFFFFFFF, (key1 + _WEYL[1]) & 0xFFFFFFFF
    return np.stack([a, b, c, d], axis=-1)


def uniforms(seed: int, rows: ArrayLike, purpose: int, draws: int) -> NDArray[np.float64]:
    """Uniform numbers (len(rows), draws) in [0, 1), a pure function of (seed, row, purpose, index).

    Args:
        seed: any non-negative integer below 2**64.
        rows: row indices, non-negative, below 2**63.
        purpose: which decision they are for, so that different decisions of one row are independent.
        draws: how many a row.
    """
    index = np.asarray(rows, dtype=np.uint64)
    blocks = -(-draws // 2)
    counter = np.empty((len(index), blocks, 4), dtype=np.uint64)
    counter[..., 0] = np.arange(blocks, dtype=np.uint64)
    counter[..., 1] = np.uint64(purpose)
    counter[..., 2] = (index & _LOW)[:, None]
    counter[..., 3] = (index >> _SHIFT)[:, None]
    words = philox(counter, (seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF))
    joined = (words[..., 0::2] << np.uint64(21)) ^ (words[..., 1::2] >> np.uint64(11))
    bits = (joined & np.uint64((1 << 53) - 1)).reshape(len(index), 2 * blocks)[:, :draws]
    return bits.astype(np.float64) * 2.0**-53
