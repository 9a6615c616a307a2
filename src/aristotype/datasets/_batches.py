"""Training batches of genes: equal lengths together, a random equivalent description of each gene every epoch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aristotype.crystal import GeneBatch, element_symbol, sorted_genes, template_descriptions
from aristotype.datasets._substitution import Substitution
from aristotype.errors import InputError
from aristotype.symmetry import relabelling_table


@dataclass(frozen=True, kw_only=True)
class TrainingBatch:
    """n genes of S sites each, as tensors; sites sorted by letter, then element."""

    rows: Tensor  # (n,) rows of the training table
    group: Tensor  # (n,) space-group numbers
    wyckoffs: Tensor  # (n, S) letters of the canonical template
    elements: Tensor  # (n, S) indices in the vocabulary, in one description that keeps the template
    any_wyckoffs: Tensor  # (n, S) letters of a random equivalent description
    any_elements: Tensor  # (n, S) indices in the vocabulary in that description
    mean_rows: float  # genes of an average batch: a sum over rows divided by it weighs every gene of the epoch alike

    def describe(self) -> str:
        """Rows of the training table, for error messages."""
        shown = ", ".join(str(row) for row in self.rows[:8].tolist())
        more = " ..." if len(self.rows) > 8 else ""
        return f"rows {shown}{more} ({len(self.rows)} genes of {self.wyckoffs.shape[1]} sites)"


class GeneSource:
    """Batches of about `tokens` tokens (a site each, and one for the end).

    A pure function of (seed, epoch, rank, world).
    """

    def __init__(
        self,
        genes: GeneBatch,
        vocabulary: tuple[int, ...],
        *,
        tokens: int,
        seed: int,
        substitution: float = 0.0,
    ) -> None:
        """`substitution`: share of genes in which one element is exchanged for a likely partner, anew each epoch."""
        index = np.full(128, -1, dtype=np.int64)
        index[list(vocabulary)] = np.arange(len(vocabulary))
        if ((genes.elements > 0) & (index[genes.elements] < 0)).any():
            unknown = sorted(set(genes.elements[genes.elements > 0].tolist()) - set(vocabulary))
            raise InputError(
                f"the training table holds {', '.join(map(element_symbol, unknown))}, which are not among the "
                f"{len(vocabulary)} elements of the model; "
                "drop those rows or start a new model"
            )
        self._index = index
        self._seed = seed
        self._genes = genes
        self._sites = genes.num_sites
        self._described, owner = template_descriptions(genes)
        self._first = np.searchsorted(owner, np.arange(len(genes)))
        self._count = np.bincount(owner, minlength=len(genes))
        self._share = substitution
        self._substitution = Substitution(genes)
        self._tokens = tokens
        self._mean_rows = len(genes) / max(1, sum(pieces for _, pieces in self._plan(1)))

    def steps_per_epoch(self, world: int) -> int:
        """Batches an epoch for each of `world` processes."""
        return sum(pieces for _, pieces in self._plan(world))

    def batches(self, epoch: int, rank: int, world: int) -> Iterator[TrainingBatch]:
        """One epoch for one process: every gene once (up to world - 1 a batch are left out), in a random order."""
        rng = np.random.default_rng([self._seed, epoch])
        rows_drawn = self._first + (rng.random(len(self._genes)) * self._count).astype(np.int64)
        chosen = self._described.take(rows_drawn)
        if self._share:
            chosen = self._substituted(chosen, rng)
        anyhow = random_descriptions(self._genes, rng)
        pieces: list[tuple[int, NDArray[np.int64]]] = []
        for length, count in self._plan(world):
            rows = rng.permutation(np.flatnonzero(self._sites == length))
            pieces.extend((length, piece) for piece in np.array_split(rows, count))
        for index in rng.permutation(len(pieces)):
            length, rows = pieces[index]
            yield self._batch(rows[rank : len(rows) - len(rows) % world : world], length, chosen, anyhow)

    def _plan(self, world: int) -> list[tuple[int, int]]:
        """(length, number of batches) for each length that has at least one gene a process."""
        lengths, counts = np.unique(self._sites, return_counts=True)
        plan = []
        for length, count in zip(lengths.tolist(), counts.tolist(), strict=True):
            rows = max(8, self._tokens // (length + 1)) * world
            pieces = max(1, round(count / rows))
            if count // pieces >= world:
                plan.append((length, pieces))
        return plan

    def _substituted(self, chosen: GeneBatch, rng: np.random.Generator) -> GeneBatch:
        """The genes with some elements exchanged, sorted again."""
        elements = self._substitution.exchanged(chosen, self._share, rng)
        return sorted_genes(GeneBatch(space_group=chosen.space_group, elements=elements, wyckoffs=chosen.wyckoffs))

    def _batch(self, rows: NDArray[np.int64], length: int, chosen: GeneBatch, anyhow: GeneBatch) -> TrainingBatch:
        def letters(genes: GeneBatch) -> Tensor:
            return torch.from_numpy(genes.wyckoffs[rows, :length].astype(np.int64))

        def elements(genes: GeneBatch) -> Tensor:
            return torch.from_numpy(self._index[genes.elements[rows, :length]])

        return TrainingBatch(
            rows=torch.from_numpy(rows),
            group=torch.from_numpy(self._genes.space_group[rows].astype(np.int64)),
            wyckoffs=letters(chosen),
            elements=elements(chosen),
            any_wyckoffs=letters(anyhow),
            any_elements=elements(anyhow),
            mean_rows=self._mean_rows,
        )


def random_descriptions(genes: GeneBatch, rng: np.random.Generator) -> GeneBatch:
    """Each gene under a uniformly drawn relabelling of the affine normalizer, sites sorted by letter, then element."""
    starts, table = relabelling_table()
    relabellings = np.concatenate([table, np.full((len(table), 1), -1, np.int8)], axis=1)  # so that -1 stays -1
    counts = np.diff(np.append(starts, len(table)))
    group = genes.space_group
    draw = (rng.random(len(group)) * counts[group]).astype(np.int64)
    wyckoffs = relabellings[(starts[group] + draw)[:, None], genes.wyckoffs]
    return sorted_genes(GeneBatch(space_group=group, elements=genes.elements, wyckoffs=wyckoffs))
