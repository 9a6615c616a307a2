"""Cells that crystals of one template have: a prior of shapes that knows more than the crystal system.

A template is here the space group and the letters of its positions as they are written, so that the axes mean the
same in all of its crystals. Fitted by `tools/fit_shapes.py`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aristotype.realize._priors import priors

if TYPE_CHECKING:
    from aristotype.crystal import GeneBatch
    from aristotype.realize._atoms import Floats, Ints

_KEY = 8  # bytes
_WIDER = 1.6
"""Factor on the limits of the first realisation: one val crystal in fifty is outside of those."""


@dataclass(frozen=True, kw_only=True)
class TemplateShapes:
    """For each known template some typical shapes, in the coordinates of `Priors`."""

    places: dict[bytes, tuple[int, int]]  # by key, where its shapes begin and end
    mean: Floats  # (k, 6)
    spread: Floats  # (k, 6) standard deviations
    count: Floats  # (k,) crystals behind each shape

    def of(self, key: bytes) -> tuple[int, int]:
        """Where the shapes of a template begin and end; twice the same where it is not known."""
        return self.places.get(key, (0, 0))


@cache
def template_shapes() -> TemplateShapes:
    """The shipped shapes, read at the first call."""
    import safetensors.numpy

    data = safetensors.numpy.load((files("aristotype.realize") / "shapes.safetensors").read_bytes())
    ends = np.cumsum(data["shapes"].astype(np.int64)).tolist()
    keys = [row.tobytes() for row in data["keys"]]
    return TemplateShapes(
        places={key: (end - number, end) for key, end, number in zip(keys, ends, data["shapes"].tolist(), strict=True)},
        mean=data["mean"].astype(np.float64),
        spread=data["spread"].astype(np.float64),
        count=data["count"].astype(np.float64),
    )


def letter_keys(genes: GeneBatch) -> list[bytes]:
    """Hashes of space group and letters, elements left out; of the description as it is, not of the canonical one."""
    letters = np.sort(genes.wyckoffs, axis=1)[:, ::-1]
    rows = np.column_stack([genes.space_group, letters]).astype("<i2")
    widths = (2 * (1 + genes.num_sites)).tolist()
    return [
        hashlib.blake2b(row.tobytes()[:width], digest_size=_KEY, person=b"letters").digest()
        for row, width in zip(rows, widths, strict=True)
    ]


def shape_limits(groups: Ints) -> tuple[Floats, Floats]:
    """Lowest and highest shapes (n, 6) that a descent may reach: lengths more freely than in a first realisation."""
    data = priors()
    low, high = data.shape_low[groups], data.shape_high[groups]
    lengths = data.basis[groups][:, :3].any(axis=1)
    middle, half = (low + high) / 2.0, (high - low) / 2.0 * np.where(lengths, _WIDER, 1.0)
    return middle - half, middle + half


def drawn_shapes(group: int, key: bytes, deviates: Floats, choice: NDArray[np.float64]) -> Floats:
    """Shapes (k, 6) for a gene from those of its template, or now and then from those of its crystal system.

    Args:
        group: number of the space group.
        key: of `letter_keys`.
        deviates: (k, 6) standard normal numbers.
        choice: (k,) uniform numbers in [0, 1).
    """
    data, known = priors(), template_shapes()
    wide = data.shape_mean[group] + sum(data.shape_root[group][:, j] * deviates[:, j, None] for j in range(6))
    begin, end = known.of(key)
    # The crystal system stands beside the shapes of the template as one more crystal of it.
    shares = np.append(known.count[begin:end], 1.0)
    place = np.searchsorted(np.cumsum(shares) / shares.sum(), choice, side="right")
    near = np.minimum(place, end - begin - 1) + begin
    if end == begin:
        return wide
    narrow = known.mean[near] + known.spread[near] * deviates
    return np.where((place < end - begin)[:, None], narrow, wide)
