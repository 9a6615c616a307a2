"""Draws genes in blocks of rows, every row from its own random numbers, and again until the conditions hold.

What chains leave open (see `_chain`) is drawn again, a bounded number of times, and the number is told.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import GeneBatch, canonical_genes
from aristotype.errors import InputError
from aristotype.models.blocks import uniforms
from aristotype.models.wyckoffdiff._chain import Chain
from aristotype.models.wyckoffdiff._plan import Plan
from aristotype.symmetry import tables

if TYPE_CHECKING:
    from aristotype.models.wyckoffdiff._model import WyckoffDiff

    Ints = NDArray[np.int64]

FIRST_BLOCK, BLOCK = 64, 512
"""Rows that are drawn together: each block is as long as all before it, up to the second number."""
_CHUNK = 128  # rows that go down a chain together, of groups with about as many positions
MOST_TRIES = 2000
"""Chains that a row takes before it is given up."""
_ATTEMPT = 1 << 20  # purposes of random numbers, 32 bits: an attempt each, and in it a step each
_GROUP = 0


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
    tries = np.zeros(len(rows), np.int64)
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
        genes = _attempt(model, plan, seed, rows[left], attempt)
        tries[left] += 1
        good = np.flatnonzero(plan.satisfied(genes))
        for place in good.tolist():
            found[left[place]] = genes.take([place])
        left = np.delete(left, good)
    return canonical_genes(GeneBatch.concatenate([gene for gene in found if gene is not None])), tries


def _attempt(model: WyckoffDiff, plan: Plan, seed: int, rows: Ints, attempt: int) -> GeneBatch:
    """One chain a row."""
    purpose = attempt * _ATTEMPT
    cumulative = np.cumsum(plan.group_probabilities)
    drawn = uniforms(seed, rows, purpose + _GROUP, 1)[:, 0] * cumulative[-1]
    group = np.minimum(np.searchsorted(cumulative, drawn, side="right"), np.flatnonzero(plan.group_probabilities)[-1])
    order = np.argsort(tables().num_positions[group], kind="stable")
    parts = [
        Chain(model, plan, group[some], seed, rows[some], purpose).run()
        for some in np.array_split(order, max(1, -(-len(order) // _CHUNK)))
    ]
    return GeneBatch.concatenate(parts).take(np.argsort(order))
