"""Densities of sequences, and of the crystals that they are of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aristotype.models._parts import log_sum_by_row, log_sum_of_rows
from aristotype.models.crystalformer._arrays import Arrays
from aristotype.models.crystalformer._geometry import GeometryNetwork, Places
from aristotype.models.crystalformer._places import places_of
from aristotype.models.crystalformer._sequences import Sequences, sequences_of
from aristotype.training import to_device

if TYPE_CHECKING:
    from aristotype.crystal import CrystalTable

Floats = NDArray[np.float64]
_TOKENS_A_PASS = 4000


@torch.no_grad()
def log_sequences(
    network: GeometryNetwork, sequences: Sequences, index: NDArray[np.int64], arrays: Arrays | None = None
) -> tuple[Floats, Floats]:
    """Log-density (m,) of the cell of each sequence in Angstrom and degrees, and of its free parameters.

    Args:
        network: in evaluation mode; it computes in its own precision.
        sequences: m of them.
        index: (128,) place of each element in the vocabulary.
        arrays: those of the sequences, where they are at hand.
    """
    parts = np.empty((2, len(sequences)))
    for rows, places in _passes(network, sequences, index, arrays):
        parts[:, rows] = torch.stack(network.log_prob(places)).double().cpu().numpy()
    return parts[0] + sequences.log_measure, parts[1]


def score_crystals(network: GeometryNetwork, table: CrystalTable, index: NDArray[np.int64]) -> Tensor:
    """Log-density (n,) of the geometry of crystals given their genes and settings; gradients flow to the network.

    Raises:
        TableError: a row is a gene.
    """
    sequences = sequences_of(table)
    passes = list(_passes(network, sequences, index))
    if not passes:
        return torch.zeros(0, dtype=torch.float64)
    scores = [torch.stack(network.log_prob(places)).sum(dim=0).double() for _, places in passes]
    order = np.argsort(np.concatenate([rows for rows, _ in passes]))
    measured = torch.cat(scores)[order] + torch.from_numpy(sequences.log_measure).to(scores[0].device)
    return log_sum_of_rows(measured, sequences.owner, len(table))


def _passes(
    network: GeometryNetwork, sequences: Sequences, index: NDArray[np.int64], arrays: Arrays | None = None
) -> Iterator[tuple[NDArray[np.int64], Places]]:
    """Sequences of equal numbers of sites together, in pieces of bounded size: which, and what the network reads."""
    weight = network.axis.weight
    lengths = sequences.genes.num_sites
    for length in np.unique(lengths).tolist():
        rows = np.flatnonzero(lengths == length)
        for piece in np.array_split(rows, max(1, len(rows) * length // _TOKENS_A_PASS)):
            yield piece, to_device(places_of(sequences, piece, index, weight.dtype, arrays), weight.device)


def by_crystal(cell: Floats, sites: Floats, owner: NDArray[np.int64], crystals: int) -> tuple[Floats, Floats]:
    """Sums over the sequences (m,) of each crystal: log-density (n,) of its cell, and of its free parameters.

    Their sum is exact; where sequences of one crystal have unlike cells, that of the cell is their mean, weighted by
    what each contributes.
    """
    total = log_sum_by_row(cell + sites, owner, crystals)
    mean: Floats = np.zeros(crystals)
    np.add.at(mean, owner, np.exp(cell + sites - total[owner]) * cell)
    return mean, total - mean
