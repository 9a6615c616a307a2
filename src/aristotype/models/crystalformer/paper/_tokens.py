"""Sequences of equal numbers of sites as the tensors that the published network reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray

from aristotype.crystal import GeneBatch
from aristotype.models._parts import vocabulary_index
from aristotype.models.crystalformer._arrays import allowed_bins
from aristotype.models.crystalformer._order import by_support, in_run, last_axes, written_axes
from aristotype.models.crystalformer._sequences import Sequences
from aristotype.models.crystalformer._support import BINS, bins_of
from aristotype.models.crystalformer.paper._network import Tokens
from aristotype.symmetry import MAX_POSITIONS, NUM_GROUPS, space_group

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
BEFORE = -0.5 / BINS
"""Where parameters begin: the first bin is centred on 0."""


@dataclass(frozen=True, kw_only=True)
class Arrays:
    """Arrays of m sequences of up to S sites; see `Tokens`."""

    points: Floats  # (m, S, 3)
    free: Floats  # (m, S, 3)
    written: NDArray[np.bool_]  # (m, S, 3)
    allowed: NDArray[np.bool_]  # (m, S, 3, BINS)
    least: Floats  # (m, S, 3)


def arrays_of(sequences: Sequences) -> Arrays:
    """The arrays of some sequences."""
    genes = sequences.genes
    written = written_axes(genes)
    bins = np.where(written, bins_of(sequences.free), 0)
    free = from_first_bin(sequences.free)
    return Arrays(
        points=points_of(genes, sequences.free),
        free=free,
        written=written,
        allowed=allowed_bins(genes, bins),
        least=least_parameters(genes, bins, free),
    )


def from_first_bin(free: Floats) -> Floats:
    """Parameters moved by whole numbers to where the first bin begins."""
    return (free - BEFORE) % 1.0 + BEFORE


def least_parameters(genes: GeneBatch, bins: Ints, free: Floats) -> Floats:
    """(n, S, 3) the smallest parameter that may be written at each axis, as far as bins do not say so already.

    It is the last parameter of the site before, of the same kind, where all bins of the earlier axes are the same.
    """
    out = np.full(bins.shape, BEFORE)
    rows, sites = np.nonzero(in_run(genes))
    axis = last_axes(genes)[rows, sites]
    earlier = np.arange(3) < axis[:, None]
    tied = ((bins[rows, sites] == bins[rows, sites - 1]) | ~earlier).all(axis=1)
    rows, sites, axis = rows[tied], sites[tied], axis[tied]
    out[rows, sites, axis] = free[rows, sites - 1, axis]
    return out


def points_of(genes: GeneBatch, free: Floats) -> Floats:
    """(n, S, 3) the point that stands for each site, in [0, 1)."""
    out = np.zeros(free.shape)
    for rows, sites, (number, letter, _) in by_support(genes):
        position = space_group(number).positions[letter]
        out[rows, sites] = position.representative(free[rows, sites, : position.freedom]) % 1.0
    return out


@cache
def first_axes() -> NDArray[np.int64]:
    """(231, 27, 3) the coordinate in which each free parameter of a position comes first."""
    out = np.zeros((NUM_GROUPS + 1, MAX_POSITIONS, 3), np.int64)
    for number in range(1, NUM_GROUPS + 1):
        for position in space_group(number).positions:
            out[number, position.index, : position.freedom] = (position.linear != 0).argmax(axis=0)
    return out


def maker_of_tokens(sequences: Sequences, vocabulary: tuple[int, ...]) -> Callable[[NDArray[np.int64], float], Tokens]:
    """What makes training batches of some sequences, from rows of one length (see `CrystalSource`)."""
    arrays, index = arrays_of(sequences), vocabulary_index(vocabulary)

    def make(rows: NDArray[np.int64], mean_rows: float) -> Tokens:
        return tokens_of(sequences, rows, index, torch.float32, arrays, mean_rows)

    return make


def tokens_of(
    sequences: Sequences, rows: Ints, index: Ints, dtype: torch.dtype, arrays: Arrays, mean_rows: float = 1.0
) -> Tokens:
    """Some sequences as tensors.

    Args:
        sequences: of which `rows` (n,) are taken, all of one length.
        rows: which.
        index: (128,) place of each element in the vocabulary.
        dtype: of numbers that are not integers.
        arrays: those of `sequences`.
        mean_rows: crystals of an average batch.
    """
    genes = sequences.genes
    length = int((genes.wyckoffs[rows[0]] >= 0).sum())
    group, letters = genes.space_group[rows].astype(np.int64), genes.wyckoffs[rows, :length].astype(np.int64)

    def numbers(array: Floats) -> torch.Tensor:
        return torch.from_numpy(array).to(dtype)

    return Tokens(
        group=torch.from_numpy(group),
        wyckoffs=torch.from_numpy(letters),
        elements=torch.from_numpy(index[genes.elements[rows, :length]]),
        points=numbers(arrays.points[rows, :length]),
        free=numbers(arrays.free[rows, :length]),
        written=torch.from_numpy(arrays.written[rows, :length]),
        axes=torch.from_numpy(first_axes()[group[:, None], letters]),
        allowed=torch.from_numpy(arrays.allowed[rows, :length]),
        least=numbers(arrays.least[rows, :length]),
        cell=numbers(sequences.cell[rows]),
        acute=torch.from_numpy(sequences.acute[rows]),
        rows=torch.from_numpy(sequences.owner[rows]),
        mean_rows=mean_rows,
    )
