"""Writes the supports of all Wyckoff positions: in which bins an orbit is written (see `crystalformer/_support.py`).

python tools/build_supports.py src/aristotype/models/crystalformer/supports.npz
"""

from __future__ import annotations

import sys

import numpy as np

from aristotype.models.crystalformer._support import BINS, build_support, written_axes_of
from aristotype.symmetry import MAX_POSITIONS, NUM_GROUPS, space_group


def main(path: str) -> None:
    """Packs the bits of one support after another, each from a whole byte on."""
    offsets = np.full((NUM_GROUPS + 1, MAX_POSITIONS, 2), -1, np.int64)
    parts, total = [], 0
    for number in range(1, NUM_GROUPS + 1):
        group = space_group(number)
        for position in group.positions:
            for anchored in (False, True) if any(group.polar_axes) else (False,):
                axes = written_axes_of(number, position.index, anchored)
                third = build_support(number, position.index, anchored).third
                packed = np.packbits(third[tuple(slice(0, BINS if axis in axes else 1) for axis in range(3))])
                offsets[number, position.index, int(anchored)] = total
                parts.append(packed)
                total += len(packed)
    np.savez_compressed(path, offsets=offsets, bits=np.concatenate(parts))


if __name__ == "__main__":
    main(sys.argv[1])
