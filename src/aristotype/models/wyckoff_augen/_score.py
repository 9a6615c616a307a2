"""Densities of sequences, and of the crystals that they are of."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aristotype.crystal import gene_keys
from aristotype.models._parts import log_sum_by_row
from aristotype.models.wyckoff_augen._batches import batch_of, of_length
from aristotype.models.wyckoff_augen._network import Batch
from aristotype.models.wyckoff_augen._sequences import Sequences, all_orders, descriptions_of
from aristotype.training import to_device

if TYPE_CHECKING:
    from aristotype.crystal import CrystalTable
    from aristotype.models.wyckoff_augen._network import AugenNetwork

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
MOST = 96
"""Sequences of a crystal that are summed over, at least one a description; of more, so many random ones."""
_SITES_A_PASS = 400


def sequences_of(table: CrystalTable, most: int = MOST) -> tuple[Sequences, NDArray[np.bool_]]:
    """Sequences of the crystals of a table, and which crystals (n,) have all of theirs there."""
    keys = gene_keys(table.genes()).tolist()
    rngs = [np.random.default_rng(int.from_bytes(key[:8], "little")) for key in keys]
    found = all_orders(descriptions_of(table), most, rngs)
    whole = np.ones(len(table), bool)
    whole[found.owner[found.log_weight > 0]] = False
    return found, whole


@torch.no_grad()
def log_sequences(network: AugenNetwork, found: Sequences, index: Ints, max_sites: int) -> dict[str, Floats]:
    """Logs (m,) of the parts of the density of sequences given group and space: cell, letters, elements, coordinates.

    That of the cell is by cell parameters in Angstrom and degrees.
    """
    out: dict[str, Floats] = {name: np.empty(len(found)) for name in ("cell", "letters", "elements", "coordinates")}
    weight = network.element_bias
    lengths = found.genes.num_sites
    for length in np.unique(lengths).tolist():
        rows = np.flatnonzero(lengths == length)
        for piece in np.array_split(rows, max(1, len(rows) * length // _SITES_A_PASS)):
            batch = in_precision(batch_of(of_length(found, piece), index, max_sites), weight.dtype)
            batch = to_device(batch, weight.device)
            for name, values in network.log_prob(batch).items():
                out[name][piece] = values.double().cpu().numpy()
    out["cell"] += found.log_measure
    return out


def in_precision(batch: Batch, dtype: torch.dtype) -> Batch:
    """The batch with its real numbers in a precision."""
    real = {
        field.name: value.to(dtype)
        for field in fields(batch)
        if isinstance(value := getattr(batch, field.name), Tensor) and value.is_floating_point()
    }
    return replace(batch, **real)  # type: ignore[arg-type]


def by_crystal(parts: dict[str, Floats], found: Sequences, crystals: int) -> dict[str, Floats]:
    """Sums over the sequences of each crystal (n,): `total`, and its parts, means weighted by what each contributes."""
    sequence = np.sum(list(parts.values()), axis=0) + found.log_weight
    total = log_sum_by_row(sequence, found.owner, crystals)
    share = np.exp(sequence - total[found.owner])
    out = {}
    for name, values in parts.items():
        out[name] = np.zeros(crystals)
        np.add.at(out[name], found.owner, share * values)
    # What the sum over sequences adds is written to the coordinates, which most of it is of.
    out["coordinates"] = total - sum(out[name] for name in parts if name != "coordinates")
    return {"total": total, **out}
