"""Relabellings of Wyckoff positions: the same discrete crystal written with other letters.

The *affine* relabellings (normalizer in the affine group) hold where no metric is known, that is for genes. The
*Euclidean* ones (normalizer among isometries of a generic metric of the crystal family) hold for a cell that is kept.
From tetragonal on they are the same; in orthorhombic groups the two differ by axis permutations, which a crystal can
undergo only together with a, b, c; in monoclinic and triclinic groups by changes of the cell (Koch, Fischer and
Mueller, ITA A, chapter 3.5).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Literal

import numpy as np

from aristotype.symmetry._tables import Ints, check_group, tables

if TYPE_CHECKING:
    from numpy.typing import NDArray

NormalizerKind = Literal["affine", "euclidean"]


@cache
def relabellings(number: int, kind: NormalizerKind = "affine") -> Ints:
    """Permutations (k, positions) of the letters of a group, identity first, closed under composition.

    Row p sends the position with index i to the one with index p[i].

    Raises:
        SymmetryError: the number is not one of 1 to 230.
    """
    data = tables()
    row = check_group(number) - 1
    flat = getattr(data, f"{kind}_relabelling")[
        getattr(data, f"{kind}_offset")[row] : getattr(data, f"{kind}_offset")[row + 1]
    ]
    return flat.reshape(getattr(data, f"{kind}_count")[row], -1)


@cache
def relabelling_table(kind: NormalizerKind = "affine") -> tuple[NDArray[np.int64], Ints]:
    """All relabellings stacked for batches: starts (231,) by group number (0 unused), rows (total, 27) padded by -1."""
    counts = np.concatenate([[0], getattr(tables(), f"{kind}_count")])
    rows = np.full((int(counts.sum()), 27), -1, dtype=np.int8)
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    for number in range(1, 231):
        own = relabellings(number, kind)
        rows[starts[number] : starts[number] + len(own), : own.shape[1]] = own
    return starts[:-1], rows


def mirror_image(number: int) -> tuple[int, Ints]:
    """The enantiomorphic partner of a group and the index of each position's image there.

    A group without a partner is its own, with identical letters.

    Raises:
        SymmetryError: the number is not one of 1 to 230.
    """
    data = tables()
    row = check_group(number) - 1
    letters = data.enantiomorph_letter[data.position_offset[row] : data.position_offset[row + 1]]
    return int(data.enantiomorph[row]), letters
