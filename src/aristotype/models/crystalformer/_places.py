"""Sequences of equal numbers of sites as the tensors that the network reads."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from aristotype.models._parts import vocabulary_index
from aristotype.models.crystalformer._arrays import Arrays, arrays_of
from aristotype.models.crystalformer._geometry import Places
from aristotype.models.crystalformer._sequences import Sequences


def maker_of_places(sequences: Sequences, vocabulary: tuple[int, ...]) -> Callable[[NDArray[np.int64], float], Places]:
    """What makes training batches of some sequences, from rows of one length (see `CrystalSource`)."""
    arrays, index = arrays_of(sequences), vocabulary_index(vocabulary)

    def make(rows: NDArray[np.int64], mean_rows: float) -> Places:
        return places_of(sequences, rows, index, torch.float32, arrays, mean_rows)

    return make


def places_of(
    sequences: Sequences,
    rows: NDArray[np.int64],
    index: NDArray[np.int64],
    dtype: torch.dtype,
    arrays: Arrays | None = None,
    mean_rows: float = 1.0,
) -> Places:
    """Some sequences as tensors.

    Args:
        sequences: of which `rows` (n,) are taken, all of one length.
        rows: which.
        index: (128,) place of each element in the vocabulary.
        dtype: of numbers that are not integers.
        arrays: those of `sequences`, where they are known.
        mean_rows: sequences of an average batch.
    """
    if arrays is None:
        sequences, rows = sequences.take(rows), np.arange(len(rows))
        arrays = arrays_of(sequences)
    genes = sequences.genes
    length = int((genes.wyckoffs[rows[0]] >= 0).sum())

    def numbers(array: NDArray[np.floating]) -> torch.Tensor:
        return torch.from_numpy(array).to(dtype)

    return Places(
        group=torch.from_numpy(genes.space_group[rows].astype(np.int64)),
        wyckoffs=torch.from_numpy(genes.wyckoffs[rows, :length].astype(np.int64)),
        elements=torch.from_numpy(index[genes.elements[rows, :length]]),
        cell=numbers(sequences.cell[rows]),
        acute=torch.from_numpy(sequences.acute[rows]),
        cell_features=numbers(arrays.cell_features[rows]),
        bins=torch.from_numpy(arrays.bins[rows, :length].astype(np.int64)),
        offsets=numbers(arrays.offsets[rows, :length]),
        written=torch.from_numpy(arrays.written[rows, :length]),
        allowed=torch.from_numpy(arrays.allowed[rows, :length]),
        least=numbers(arrays.least[rows, :length]),
        placed=numbers(arrays.placed[rows, :length]),
        room=numbers(arrays.room[rows, :length]),
        rows=torch.from_numpy(sequences.owner[rows]),
        mean_rows=mean_rows,
    )
