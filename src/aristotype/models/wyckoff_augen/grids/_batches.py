"""Sequences of equal numbers of sites as the tensors that the network reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from aristotype.models.wyckoff_augen._rules import allowed_of
from aristotype.models.wyckoff_augen._sequences import Descriptions, Orders, of_length, some_order
from aristotype.models.wyckoff_augen.grids._arrays import Described, arrays_of, describe
from aristotype.models.wyckoff_augen.grids._network import Batch

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


def batch_of(
    found: Descriptions,
    orders: Orders,
    index: Ints,
    max_sites: int,
    described: Sequence[Described] | None = None,
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
        described: what is known of the descriptions; None where that is to be found out.
        rng: with it, a random part of the nodes of large grids (for training).
        mean_rows: sequences of an average batch.
    """
    arrays = arrays_of(found, orders, described, rng)
    some = found.take(orders.description)
    group = some.genes.space_group.astype(np.int64)
    letters = some.genes.wyckoffs.astype(np.int64)
    elements = index[some.genes.elements]
    allowed = allowed_of(group, letters, elements, int(index.max()) + 1, max_sites)
    sites = arrays.sites
    tensors = {
        "group": group,
        "wyckoffs": letters,
        "elements": elements,
        "space": allowed.space,
        "cell": some.cell.astype(np.float32),
        "acute": some.acute,
        "letters_allowed": allowed.letters,
        "elements_allowed": allowed.elements,
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
        "near": sites.near,
        "fine_site": sites.fine.site,
        "fine_owner": sites.fine.owner,
        "fine_features": sites.fine.features,
        "fine_distances": sites.fine.distances,
        "fine_own": sites.fine.own,
        "coefficient": sites.fine.coefficient,
        "rows": some.owner,
    }
    return Batch(**{name: torch.from_numpy(array) for name, array in tensors.items()}, mean_rows=mean_rows)


def maker_of_batches(found: Descriptions, index: Ints, max_sites: int, seed: int) -> Callable[[Ints, float], Batch]:
    """What makes training batches, from rows of one length (see `CrystalSource`).

    Sites of one kind come in a random order, and large grids are looked at in part, both by a generator of the rows.
    What is found out about a description is kept, some 30 kB each.
    """
    known: dict[int, Described] = {}

    def describe_once(row: int, place: int, some: Descriptions) -> Described:
        if row not in known:
            known[row] = describe(some, place, np.random.default_rng([seed, row]))
        return known[row]

    def make(rows: Ints, mean_rows: float) -> Batch:
        rng = np.random.default_rng([seed, len(rows), *rows[:8].tolist()])
        some = of_length(found, rows)
        described = [describe_once(row, place, some) for place, row in enumerate(rows.tolist())]
        return batch_of(some, some_order(some, rng), index, max_sites, described, rng, mean_rows=mean_rows)

    return make
