"""Training batches of genes with a number each: a random equivalent description of every gene, anew each epoch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aristotype.crystal import GeneBatch
from aristotype.datasets._batches import random_descriptions
from aristotype.errors import InputError

_POOL = 16
"""Batches whose rows are sorted by length together, so that little of a batch is padding and much of it is chance."""


@dataclass(frozen=True, kw_only=True)
class LabelledBatch:
    """n genes of up to S sites with their values, as tensors."""

    rows: Tensor  # (n,) rows of the training table
    group: Tensor  # (n,) space-group numbers
    wyckoffs: Tensor  # (n, S) letters of a random equivalent description, 0 where there is no site
    elements: Tensor  # (n, S) atomic numbers, 0 where there is no site
    values: Tensor  # (n,) float32, in the unit of the column

    def describe(self) -> str:
        """Rows of the training table, for error messages."""
        shown = ", ".join(str(row) for row in self.rows[:8].tolist())
        return f"rows {shown}{' ...' if len(self.rows) > 8 else ''} ({len(self.rows)} genes)"


class LabelledSource:
    """Batches of genes with values, all of one size; a pure function of (seed, epoch, rank, world).

    An epoch leaves out the rows that do not fill a batch, other ones each time.
    """

    def __init__(self, genes: GeneBatch, values: NDArray[np.float64], *, batch_size: int, seed: int) -> None:
        """Batches of `batch_size` rows (of all rows, where there are fewer) for each process.

        Args:
            genes: n genes.
            values: (n,) finite numbers.
            batch_size: rows of a batch of one process.
            seed: of the order of rows and of their descriptions.

        Raises:
            InputError: there is no row, unlike many values, or a value that is not finite.
        """
        if not len(genes) or len(values) != len(genes) or not np.isfinite(values).all():
            raise InputError(
                f"{len(genes)} genes with {len(values)} values, {int((~np.isfinite(values)).sum())} not finite; "
                "give every gene a number and leave out rows without"
            )
        self._genes = genes
        self._values = torch.from_numpy(values.astype(np.float32))
        self._batch_size = batch_size
        self._seed = seed
        self._sites = genes.num_sites

    def steps_per_epoch(self, world: int) -> int:
        """Batches an epoch for each of `world` processes."""
        return len(self._genes) // self._rows(world)

    def batches(self, epoch: int, rank: int, world: int) -> Iterator[LabelledBatch]:
        """One epoch for one process, in a random order."""
        rng = np.random.default_rng([self._seed, epoch])
        described = random_descriptions(self._genes, rng)
        size = self._rows(world)
        order = rng.permutation(len(self._genes))[: self.steps_per_epoch(world) * size]
        pools = [order[start : start + _POOL * size] for start in range(0, len(order), _POOL * size)]
        ordered = np.concatenate([pool[np.argsort(self._sites[pool], kind="stable")] for pool in pools])
        for place in rng.permutation(len(ordered) // size):
            yield self._batch(ordered[place * size : (place + 1) * size][rank::world], described)

    def _rows(self, world: int) -> int:
        """Rows of one step over all processes: a multiple of their number, at most what there is."""
        most = max(1, len(self._genes) // world)
        return min(self._batch_size, most) * world

    def _batch(self, rows: NDArray[np.int64], described: GeneBatch) -> LabelledBatch:
        longest = int(self._sites[rows].max())
        return LabelledBatch(
            rows=torch.from_numpy(rows),
            group=torch.from_numpy(described.space_group[rows].astype(np.int64)),
            wyckoffs=torch.from_numpy(np.maximum(described.wyckoffs[rows, :longest], 0).astype(np.int64)),
            elements=torch.from_numpy(described.elements[rows, :longest].astype(np.int64)),
            values=self._values[torch.from_numpy(rows)],
        )
