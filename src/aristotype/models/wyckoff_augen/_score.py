"""Densities of sequences, and of the crystals that they are of."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aristotype.crystal import gene_keys
from aristotype.models._parts import log_sum_by_row
from aristotype.models.wyckoff_augen._sequences import Descriptions, Orders, all_orders, descriptions_of, of_length

if TYPE_CHECKING:
    from aristotype.crystal import CrystalTable

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
PARTS = ("cell", "letters", "elements", "coordinates")
MOST = 64
"""Sequences that are summed over of a crystal with four sites or fewer that can move, at least one a description; of
more, so many random ones. Of larger crystals fewer: a sequence costs as much as the square of the sites."""
_FEW = 4
_SITES_A_PASS = 400


@torch.no_grad()
def in_passes(
    evaluate: Callable[[Descriptions, Orders], dict[str, Tensor]],
    names: tuple[str, ...],
    found: Descriptions,
    orders: Orders,
) -> dict[str, Floats]:
    """The parts with these names that `evaluate` gives of sequences (q,): a few of one length at a time, not padded."""
    out: dict[str, Floats] = {name: np.empty(len(orders.description)) for name in names}
    lengths = found.genes.num_sites[orders.description]
    for length in np.unique(lengths).tolist():
        rows = np.flatnonzero(lengths == length)
        for piece in np.array_split(rows, max(1, len(rows) * length // _SITES_A_PASS)):
            kept, which = np.unique(orders.description[piece], return_inverse=True)
            some = Orders(which, orders.order[piece, :length], orders.log_weight[piece])
            for name, values in evaluate(of_length(found, kept), some).items():
                out[name][piece] = values.double().cpu().numpy()
    return out


def sequences_of(table: CrystalTable, most: int = MOST) -> tuple[Descriptions, Orders]:
    """Descriptions of the crystals of a table, and their sequences, all or, of small crystals, `most`."""
    genes = table.genes()
    rngs = [np.random.default_rng(int.from_bytes(key[:8], "little")) for key in gene_keys(genes).tolist()]
    moving = (genes.freedoms > 0).sum(axis=1)
    room = np.maximum(1, most * np.minimum(1.0, (_FEW / np.maximum(moving, 1)) ** 2)).astype(np.int64)
    found = descriptions_of(table)
    return found, all_orders(found, room, rngs)


def by_crystal(parts: dict[str, Floats], owner: Ints, log_weight: Floats, crystals: int) -> dict[str, Floats]:
    """Sums over the sequences (q,) of each crystal (n,): `total`, and parts, means weighted by what each contributes.

    What the sum over sequences adds is counted with the coordinates, whose orders most sequences are.
    """
    sequence = np.sum(list(parts.values()), axis=0) + log_weight
    total = log_sum_by_row(sequence, owner, crystals)
    share = np.exp(sequence - np.where(np.isfinite(total), total, 0.0)[owner])
    out = {}
    for name, values in parts.items():
        out[name] = np.zeros(crystals)
        np.add.at(out[name], owner, share * np.where(share > 0, values, 0.0))
    out["coordinates"] += total - np.sum(list(out.values()), axis=0)
    return {"total": total, **out}
