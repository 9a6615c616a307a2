"""Training batches: of each crystal one of its sequences, drawn anew each epoch; equal lengths together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import GeneBatch

Batch = TypeVar("Batch")


class Sequences(Protocol):
    """Sequences of crystals, several of each."""

    @property
    def genes(self) -> GeneBatch:
        """What is written, one row a sequence."""
        ...

    @property
    def owner(self) -> NDArray[np.int64]:
        """(m,) which crystal each is of."""
        ...


class CrystalSource(Generic[Batch]):
    """Batches of about `tokens` sites. A pure function of (seed, epoch, rank, world)."""

    def __init__(
        self,
        sequences: Sequences,
        make: Callable[[NDArray[np.int64], float], Batch],
        *,
        tokens: int,
        seed: int,
    ) -> None:
        """Prepares the lengths.

        Args:
            sequences: of crystals numbered from 0, each of which has at least one.
            make: a batch from rows of the sequences, all of one length, and the number of rows of an average batch.
            tokens: sites of a batch.
            seed: of the order.
        """
        self._make = make
        self._count = np.bincount(sequences.owner)
        self._first = np.cumsum(self._count) - self._count
        self._order = np.argsort(sequences.owner, kind="stable")
        self._sites = sequences.genes.num_sites[self._order[self._first]]
        self._tokens, self._seed = tokens, seed
        self._mean_rows = len(self._count) / max(1, sum(pieces for _, pieces in self._plan(1)))

    def steps_per_epoch(self, world: int) -> int:
        """Batches an epoch for each of `world` processes."""
        return sum(pieces for _, pieces in self._plan(world))

    def batches(self, epoch: int, rank: int, world: int) -> Iterator[Batch]:
        """One epoch for one process: every crystal once (up to world - 1 a batch are left out), in a random order."""
        rng = np.random.default_rng([self._seed, epoch])
        chosen = self._order[self._first + (rng.random(len(self._count)) * self._count).astype(np.int64)]
        pieces: list[NDArray[np.int64]] = []
        for length, count in self._plan(world):
            rows = rng.permutation(np.flatnonzero(self._sites == length))
            pieces.extend(np.array_split(rows, count))
        for index in rng.permutation(len(pieces)):
            rows = pieces[index]
            yield self._make(chosen[rows[rank : len(rows) - len(rows) % world : world]], self._mean_rows)

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
