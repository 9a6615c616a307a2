"""Training batches: genes of groups with about as many positions together, each relabelled at random every epoch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aristotype.crystal import GeneBatch
from aristotype.datasets import random_descriptions
from aristotype.models.wyckoffdiff._occupation import Layout, Occupation, occupation_of
from aristotype.symmetry import tables


@dataclass(frozen=True, kw_only=True)
class OccupationBatch:
    """n genes as variables."""

    rows: Tensor  # (n,) rows of the training table
    layout: Layout
    occupation: Occupation
    mean_rows: float  # genes of an average batch: a sum over rows divided by it weighs every gene of the epoch alike

    def describe(self) -> str:
        """Rows of the training table, for error messages."""
        shown = ", ".join(str(row) for row in self.rows[:8].tolist())
        more = " ..." if len(self.rows) > 8 else ""
        return f"rows {shown}{more} ({len(self.rows)} genes)"


class OccupationSource:
    """Batches of about `positions` positions. A pure function of (seed, epoch, rank, world)."""

    def __init__(
        self, genes: GeneBatch, vocabulary_index: NDArray[np.int64], *, elements: int, positions: int, seed: int
    ) -> None:
        """Prepares the sizes; `elements` is that of the vocabulary."""
        self._genes, self._index, self._elements = genes, vocabulary_index, elements
        self._sizes = tables().num_positions[genes.space_group].astype(np.int64)
        self._positions, self._seed = positions, seed

    def steps_per_epoch(self, world: int) -> int:
        """Batches an epoch for each of `world` processes."""
        return max(1, min(round(int(self._sizes.sum()) / (self._positions * world)), len(self._genes) // world))

    def batches(self, epoch: int, rank: int, world: int) -> Iterator[OccupationBatch]:
        """One epoch for one process: every gene once (up to world - 1 a batch are left out), in a random order."""
        rng = np.random.default_rng([self._seed, epoch])
        genes = random_descriptions(self._genes, rng)
        order = np.lexsort((rng.random(len(genes)), self._sizes))
        count = self.steps_per_epoch(world)
        work = np.cumsum(self._sizes[order])
        cuts = np.searchsorted(work, np.arange(1, count) * work[-1] / count)
        pieces = np.split(order, np.maximum.accumulate(np.maximum(cuts, np.arange(1, count) * world)))
        for index in rng.permutation(count):
            rows = pieces[index]
            yield self._batch(genes, rows[rank : len(rows) - len(rows) % world : world], count * world)

    def _batch(self, genes: GeneBatch, rows: NDArray[np.int64], count: int) -> OccupationBatch:
        some = genes.take(rows)
        layout = Layout.of(some.space_group)
        return OccupationBatch(
            rows=torch.from_numpy(rows),
            layout=layout,
            occupation=occupation_of(some, layout, self._index, self._elements),
            mean_rows=len(genes) / count,
        )
