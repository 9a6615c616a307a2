"""Draws genes in blocks of rows, every row from its own random numbers, and again until the conditions hold.

What chains leave open (see `_chain`) is drawn again, a bounded number of times, and the number is told. A chain whose
gene has not the sizes that it was told is drawn again too: the bound stays one, because p(gene | told) is divided by
the probability of doing as told, which is at most one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import GeneBatch, canonical_genes
from aristotype.errors import InputError
from aristotype.models.blocks import uniforms
from aristotype.models.wyckoffdiff._chain import Chain
from aristotype.models.wyckoffdiff._plan import Plan
from aristotype.models.wyckoffdiff._sizes import drawn_sizes, sizes_of
from aristotype.symmetry import tables

if TYPE_CHECKING:
    from aristotype.models.wyckoffdiff._model import WyckoffDiff

    Ints = NDArray[np.int64]

FIRST_BLOCK, BLOCK = 64, 512
"""Rows that are drawn together: each block is as long as all before it, up to the second number."""
_CHUNK = 128  # rows that go down a chain together, of groups with about as many positions
MOST_TRIES = 2000
"""Chains that a row takes before it is given up."""
PATIENCE = 16
"""Chains that miss the numbers of elements and sites that they were told, before a row draws others, and a group."""
_ATTEMPT = 1 << 20  # purposes of random numbers, 32 bits: an attempt each, and in it a step each
_GROUP, _SIZES = 0, 2  # the rest: see `_chain`


def draw_blocks(model: WyckoffDiff, plan: Plan, seed: int) -> Iterator[tuple[GeneBatch, Ints]]:
    """Endless blocks of canonical genes in row order, and the chains (n,) that each took.

    Raises:
        InputError: a row took `MOST_TRIES` chains in vain.
    """
    first = 0
    while True:
        size = min(max(first, FIRST_BLOCK), BLOCK)
        yield _block(model, plan, seed, np.arange(first, first + size))
        first += size


def _block(model: WyckoffDiff, plan: Plan, seed: int, rows: Ints) -> tuple[GeneBatch, Ints]:
    found: list[GeneBatch | None] = [None] * len(rows)
    tries, since = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64)
    start = _Start.empty(len(rows))
    left = np.arange(len(rows))
    while len(left):
        attempt = int(tries[left[0]])
        if attempt >= MOST_TRIES:
            done = len(rows) - len(left)
            raise InputError(
                f"row {int(rows[left[0]])}: none of {attempt:,} chains satisfied the conditions ({done} of {len(rows)} "
                "rows of its block were found); loosen them, or take a model that draws them exactly, such as "
                "wyckoff-transformer-mp20"
            )
        purpose = attempt * _ATTEMPT
        start.draw(model, plan, seed, rows, left[since[left] == 0], purpose)
        genes = _chains(model, plan, seed, rows[left], start.group[left], start.sizes[left], purpose)
        tries[left] += 1
        as_told, satisfied = start.kept(model, genes, left), plan.satisfied(genes)
        # What misses its sizes goes on with the same; what misses the conditions begins anew, so that draws follow
        # the model given the conditions.
        since[left] = np.where(as_told, 0, (since[left] + 1) % PATIENCE)
        good = np.flatnonzero(as_told & satisfied)
        for place in good.tolist():
            found[left[place]] = genes.take([place])
        left = np.delete(left, good)
    return canonical_genes(GeneBatch.concatenate([gene for gene in found if gene is not None])), tries


@dataclass
class _Start:
    """What is drawn before the chain of a row."""

    group: Ints  # (n,)
    sizes: Ints  # (n, 2) different elements and sites that the chain is told

    @staticmethod
    def empty(n: int) -> _Start:
        return _Start(np.zeros(n, np.int64), np.zeros((n, 2), np.int64))

    def draw(self, model: WyckoffDiff, plan: Plan, seed: int, rows: Ints, some: Ints, purpose: int) -> None:
        """Draws anew for some places of the block."""
        cumulative = np.cumsum(plan.group_probabilities)
        drawn = uniforms(seed, rows[some], purpose + _GROUP, 1)[:, 0] * cumulative[-1]
        last = np.flatnonzero(plan.group_probabilities)[-1]
        group = np.minimum(np.searchsorted(cumulative, drawn, side="right"), last)
        self.group[some] = group
        if model.config.told_sizes and len(some):
            weights = plan.size_weights(model.size_probabilities(group))
            self.sizes[some] = drawn_sizes(weights, uniforms(seed, rows[some], purpose + _SIZES, 1)[:, 0])

    def kept(self, model: WyckoffDiff, genes: GeneBatch, some: Ints) -> NDArray[np.bool_]:
        """(k,) whether genes have the sizes that they were told; the largest that are told stand for larger ones."""
        if not model.config.told_sizes:
            return np.ones(len(genes), bool)
        found = np.minimum(sizes_of(genes), (model.config.max_kinds, model.config.max_sites))
        same: NDArray[np.bool_] = (found == self.sizes[some]).all(axis=1)
        return same


def _chains(model: WyckoffDiff, plan: Plan, seed: int, rows: Ints, group: Ints, sizes: Ints, purpose: int) -> GeneBatch:
    """One chain a row."""
    order = np.argsort(tables().num_positions[group], kind="stable")
    parts = [
        Chain(model, plan, group[some], sizes[some], seed, rows[some], purpose).run()
        for some in np.array_split(order, max(1, -(-len(order) // _CHUNK)))
    ]
    return GeneBatch.concatenate(parts).take(np.argsort(order))
