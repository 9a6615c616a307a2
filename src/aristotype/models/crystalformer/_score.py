"""Densities of sequences, and of the crystals that they are of."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from aristotype.models._parts import log_sum_by_row
from aristotype.models.crystalformer._arrays import Arrays
from aristotype.models.crystalformer._geometry import GeometryNetwork
from aristotype.models.crystalformer._places import places_of
from aristotype.models.crystalformer._sequences import Sequences
from aristotype.training import to_device

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
    weight = network.axis.weight
    parts = np.empty((2, len(sequences)))
    lengths = sequences.genes.num_sites
    for length in np.unique(lengths).tolist():
        rows = np.flatnonzero(lengths == length)
        for piece in np.array_split(rows, max(1, len(rows) * length // _TOKENS_A_PASS)):
            places = to_device(places_of(sequences, piece, index, weight.dtype, arrays), weight.device)
            parts[:, piece] = torch.stack(network.log_prob(places)).double().cpu().numpy()
    return parts[0] + sequences.log_measure, parts[1]


def by_crystal(cell: Floats, sites: Floats, owner: NDArray[np.int64], crystals: int) -> tuple[Floats, Floats]:
    """Sums over the sequences (m,) of each crystal: log-density (n,) of its cell, and of its free parameters.

    Their sum is exact; where sequences of one crystal have unlike cells, that of the cell is their mean, weighted by
    what each contributes.
    """
    total = log_sum_by_row(cell + sites, owner, crystals)
    mean: Floats = np.zeros(crystals)
    np.add.at(mean, owner, np.exp(cell + sites - total[owner]) * cell)
    return mean, total - mean
