"""A model of crystals whose distribution is written down: rock salt and caesium chloride with Gaussian cells."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from aristotype.crystal import CrystalTable

ELEMENTS = (3, 8, 11, 17, 19)
MIDDLE, WIDTH = 5.6, 0.3
"""Angstrom, of the cell length of every crystal."""


def rock_salt(n: int, lengths, elements, group: int = 225, ids=None) -> CrystalTable:
    lengths = np.broadcast_to(np.asarray(lengths, float), n)
    return CrystalTable.from_arrays(
        space_group=np.full(n, group),
        num_sites=np.full(n, 2),
        elements=np.broadcast_to(np.asarray(elements), (n, 2)).ravel(),
        wyckoffs=np.tile([0, 1], n),
        free=[],
        lattice=np.column_stack([*[lengths] * 3, *[np.full(n, 90.0)] * 3]),
        ids=ids,
    )


class ToyModel:
    """Elements are drawn alike, two different ones; log_prob is exact on crystals, of which each has two settings."""

    name = "toy"
    draws_geometry = True
    vocabulary = frozenset(ELEMENTS)

    def __init__(self, blocks: int | None = None) -> None:
        self.blocks = blocks
        self.scored = 0

    def log_prob(self, table: CrystalTable) -> np.ndarray:
        self.scored += len(table)
        pairs = len(ELEMENTS) * (len(ELEMENTS) - 1) / 2
        standard = (table.lattice[:, 0] - MIDDLE) / WIDTH
        return -0.5 * np.square(standard) - np.log(WIDTH * np.sqrt(2 * np.pi)) - np.log(pairs)

    def stream(self, conditions=None, *, seed: int, score: bool = False) -> Iterator[CrystalTable]:
        rng = np.random.default_rng(seed)
        block = 0
        while self.blocks is None or block < self.blocks:
            elements = [rng.choice(ELEMENTS, 2, replace=False) for _ in range(20)]
            ids = [f"{block}-{row}" for row in range(20)]
            yield rock_salt(20, rng.normal(MIDDLE, WIDTH, 20), elements, ids=ids)
            block += 1


def length(table: CrystalTable) -> np.ndarray:
    """A property: the cell length."""
    return table.lattice[:, 0]
