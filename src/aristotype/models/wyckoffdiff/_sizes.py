"""How many different elements and sites a gene has: drawn before its chain, which is told them.

What is on one position says little about how many others will be filled, and every step of a chain fills positions
independently. The two numbers, drawn first from what was counted in a space group, say it to all of them. It is the way
of point clouds, whose number of points is drawn first (Hoogeboom et al., arXiv:2203.17003). A chain that does not do as
it was told is drawn again.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aristotype.crystal import GeneBatch
from aristotype.models.wyckoffdiff._occupation import Layout, Occupation

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SMOOTHING = 10.0
"""Genes of the distribution of all groups that are added to the count of each; the best of 1 to 100 on mp_20_val."""
_EVEN = 0.01  # share of that distribution that is spread over all pairs of numbers


def sizes_of(genes: GeneBatch) -> Ints:
    """(n, 2) different elements and sites of genes."""
    return np.column_stack([genes.num_elements, genes.num_sites])


def sizes_on(layout: Layout, occupation: Occupation) -> tuple[Tensor, Tensor]:
    """(n, N) whether an element is anywhere, and (n,) the number of sites."""
    elements = occupation.free.shape[1]
    device = occupation.free.device
    held = torch.zeros(len(layout), elements + 1, dtype=torch.long, device=device)
    held.index_put_((layout.fixed_row, occupation.fixed), torch.ones_like(occupation.fixed), accumulate=True)
    counts = held[:, 1:].index_add(0, layout.free_row, occupation.free)
    return counts > 0, counts.sum(dim=1)


def counted(genes: GeneBatch, groups: int, kinds: int, sites: int) -> Tensor:
    """Genes of each group by different elements and sites, (groups + 1, kinds + 1, sites + 1) int32."""
    sizes = sizes_of(genes)
    out = np.zeros((groups + 1, kinds + 1, sites + 1), np.int32)
    np.add.at(out, (genes.space_group, sizes[:, 0], sizes[:, 1]), 1)
    return torch.from_numpy(out)


def size_probabilities(counts: NDArray[np.integer], group: NDArray[np.integer]) -> Floats:
    """p(different elements, sites | group), (n, kinds + 1, sites + 1), of counts as `counted` gives them."""
    total = counts.sum(axis=0).astype(np.float64)
    kinds, sites = np.indices(total.shape)
    possible = (kinds >= 1) & (kinds <= sites)
    even = possible / possible.sum()
    overall = (1 - _EVEN) * total / total.sum() + _EVEN * even if total.sum() else even
    own = counts[group].astype(np.float64)
    return (own + SMOOTHING * overall) / (own.sum(axis=(1, 2), keepdims=True) + SMOOTHING)


def drawn_sizes(weights: Floats, uniform: Floats) -> Ints:
    """(n, 2) numbers drawn with weights (n, kinds + 1, sites + 1), each row from a uniform number (n,)."""
    flat = np.cumsum(weights.reshape(len(weights), -1), axis=1)
    place = (flat <= uniform[:, None] * flat[:, -1:]).sum(axis=1)
    last = flat.shape[1] - 1 - (np.diff(flat, axis=1, prepend=0.0)[:, ::-1] > 0).argmax(axis=1)
    return np.column_stack(np.divmod(np.minimum(place, last), weights.shape[2]))
