"""Training batches: of each crystal its first sequence, or one drawn anew each epoch; equal lengths together."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from aristotype.models._parts import vocabulary_index
from aristotype.models.crystalformer._arrays import arrays_of
from aristotype.models.crystalformer._geometry import Places
from aristotype.models.crystalformer._places import places_of
from aristotype.models.crystalformer._sequences import Sequences


class CrystalSource:
    """Batches of about `tokens` sites. A pure function of (seed, epoch, rank, world)."""

    def __init__(
        self,
        sequences: Sequences,
        vocabulary: tuple[int, ...],
        *,
        tokens: int,
        seed: int,
        first_only: bool = False,
    ) -> None:
        """`sequences` of crystals numbered from 0, each of which has at least one."""
        if first_only:
            sequences = sequences.take(np.unique(sequences.owner, return_index=True)[1])
        self._sequences = sequences
        self._arrays = arrays_of(sequences)
        self._index = vocabulary_index(vocabulary)
        self._count = np.bincount(sequences.owner)
        self._first = np.cumsum(self._count) - self._count
        self._order = np.argsort(sequences.owner, kind="stable")
        self._sites = sequences.genes.num_sites[self._order[self._first]]
        self._tokens, self._seed = tokens, seed
        self._mean_rows = len(self._count) / max(1, sum(pieces for _, pieces in self._plan(1)))

    def steps_per_epoch(self, world: int) -> int:
        """Batches an epoch for each of `world` processes."""
        return sum(pieces for _, pieces in self._plan(world))

    def batches(self, epoch: int, rank: int, world: int) -> Iterator[Places]:
        """One epoch for one process: every crystal once (up to world - 1 a batch are left out), in a random order."""
        rng = np.random.default_rng([self._seed, epoch])
        chosen = self._order[self._first + (rng.random(len(self._count)) * self._count).astype(np.int64)]
        pieces: list[NDArray[np.int64]] = []
        for length, count in self._plan(world):
            rows = rng.permutation(np.flatnonzero(self._sites == length))
            pieces.extend(np.array_split(rows, count))
        for index in rng.permutation(len(pieces)):
            rows = pieces[index]
            yield self.places(chosen[rows[rank : len(rows) - len(rows) % world : world]], self._mean_rows)

    def places(self, rows: NDArray[np.int64], mean_rows: float = 1.0) -> Places:
        """Some sequences of equal numbers of sites as tensors."""
        return places_of(self._sequences, rows, self._index, torch.float32, self._arrays, mean_rows)

    def _plan(self, world: int) -> list[tuple[int, int]]:
        """(length, number of batches) for each length that has at least one crystal a process."""
        lengths, counts = np.unique(self._sites, return_counts=True)
        plan = []
        for length, count in zip(lengths.tolist(), counts.tolist(), strict=True):
            rows = max(8, self._tokens // length) * world
            pieces = max(1, round(count / rows))
            if count // pieces >= world:
                plan.append((length, pieces))
        return plan
