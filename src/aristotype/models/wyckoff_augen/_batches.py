"""Sequences of equal numbers of sites as the tensors that the network reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from aristotype.crystal import GeneBatch
from aristotype.models.wyckoff_augen._arrays import arrays_of
from aristotype.models.wyckoff_augen._network import Batch
from aristotype.models.wyckoff_augen._rules import elements_allowed, letters_allowed, start
from aristotype.models.wyckoff_augen._sequences import Descriptions, Orders, some_order

Ints = NDArray[np.int64]


def of_length(found: Descriptions, rows: Ints) -> Descriptions:
    """Some descriptions, all of one number of sites, without padding."""
    some = found.take(rows)
    length = int(some.genes.num_sites[0]) if len(some) else 0
    genes = GeneBatch(
        space_group=some.genes.space_group,
        elements=some.genes.elements[:, :length],
        wyckoffs=some.genes.wyckoffs[:, :length],
    )
    return replace(some, genes=genes, free=some.free[:, :length])


def batch_of(
    found: Descriptions,
    orders: Orders,
    index: Ints,
    max_sites: int,
    rng: np.random.Generator | None = None,
    *,
    mean_rows: float = 1.0,
) -> Batch:
    """A batch of sequences of one number of sites.

    Args:
        found: descriptions without padding.
        orders: n sequences of them.
        index: (128,) place of each element in the vocabulary.
        max_sites: most sites of a crystal.
        rng: with it, a random part of the nodes of large grids (for training).
        mean_rows: sequences of an average batch.
    """
    arrays = arrays_of(found, orders, rng)
    some = found.take(orders.description)
    group = some.genes.space_group.astype(np.int64)
    letters = some.genes.wyckoffs.astype(np.int64)
    elements = index[some.genes.elements]
    n, length = letters.shape
    space = np.zeros((n, int(index.max()) + 1), bool)
    space[np.repeat(np.arange(n), length), elements.ravel()] = True
    allowed = np.zeros((n, length + 1, 28), bool)
    elements_ok = np.zeros((n, length, space.shape[1]), bool)
    at = start(group, space, max_sites)
    for site in range(length):
        allowed[:, site] = letters_allowed(at)
        elements_ok[:, site] = elements_allowed(at, letters[:, site])
        at = at.after(letters[:, site], elements[:, site])
    allowed[:, length] = letters_allowed(at)
    sites = arrays.sites
    tensors = {
        "group": group,
        "wyckoffs": letters,
        "elements": elements,
        "space": space,
        "cell": some.cell.astype(np.float32),
        "acute": some.acute,
        "letters_allowed": allowed,
        "elements_allowed": elements_ok,
        "cell_features": arrays.cell_features,
        "factors": arrays.factors,
        "pairs": arrays.pairs,
        "told": arrays.told,
        "fixed": arrays.fixed,
        "fixed_own": arrays.fixed_own,
        "row": sites.row,
        "place": sites.place,
        "site": sites.site,
        "features": sites.features,
        "distances": sites.distances,
        "own": sites.own,
        "log_count": sites.log_count,
        "coefficient": sites.coefficient,
        "rows": some.owner,
    }
    return Batch(**{name: torch.from_numpy(array) for name, array in tensors.items()}, mean_rows=mean_rows)


def maker_of_batches(found: Descriptions, index: Ints, max_sites: int, seed: int) -> Callable[[Ints, float], Batch]:
    """What makes training batches, from rows of one length (see `CrystalSource`).

    Sites of one kind come in a random order, and large grids are looked at in part, both by a generator of the rows.
    """

    def make(rows: Ints, mean_rows: float) -> Batch:
        rng = np.random.default_rng([seed, len(rows), *rows[:8].tolist()])
        some = of_length(found, rows)
        return batch_of(some, some_order(some, rng), index, max_sites, rng, mean_rows=mean_rows)

    return make
