"""Likely partners of an element, counted in the training genes, and genes with one element exchanged for a partner.

Two elements are partners where exchanging one for the other turns a training gene into another training gene. Known
crystals come in such series, and most new ones extend a series: training on exchanged genes says so to a model.
"""

from __future__ import annotations

from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import GeneBatch, gene_keys

_BLANK = np.int8(127)  # stands for the element that was taken out; no element has this number


class Substitution:
    """Exchanges elements as often as the training genes do."""

    def __init__(self, genes: GeneBatch) -> None:
        self._genes = genes

    @cached_property
    def partners(self) -> NDArray[np.float64]:
        """(128, 128) probability of each partner of an element; a row of zeros where none was seen."""
        owner, element = _different_elements(self._genes)
        rows = self._genes.take(owner)
        blanked = np.where(rows.elements == element[:, None], _BLANK, rows.elements)
        keys = gene_keys(
            GeneBatch(space_group=rows.space_group, elements=blanked.astype(np.int8), wyckoffs=rows.wyckoffs)
        )
        _, series = np.unique(np.array([key.hex() for key in keys.tolist()]), return_inverse=True)
        order = np.lexsort([element, series])
        series, element = series[order], element[order]
        counts = np.zeros((128, 128))
        bounds = np.flatnonzero(np.r_[True, series[1:] != series[:-1], True])
        for start, stop in pairwise(bounds.tolist()):
            members = np.unique(element[start:stop])
            if len(members) > 1:
                counts[np.ix_(members, members)] += 1 / (len(members) - 1)
        np.fill_diagonal(counts, 0)
        total = counts.sum(axis=1, keepdims=True)
        return np.divide(counts, total, out=np.zeros_like(counts), where=total > 0)

    def exchanged(self, genes: GeneBatch, share: float, rng: np.random.Generator) -> NDArray[np.int8]:
        """Elements (n, S) of genes, in about `share` of which one element became a partner that was not there yet.

        Sites keep their places, so that rows have to be sorted again.
        """
        elements = genes.elements
        owner, element = _different_elements(genes)
        count = np.bincount(owner, minlength=len(elements))
        first = np.concatenate([[0], np.cumsum(count)[:-1]])
        picked = element[first + (rng.random(len(elements)) * count).astype(np.int64)]
        cumulative = np.cumsum(self.partners, axis=1)[picked]
        partner = (cumulative <= rng.random(len(elements))[:, None] * cumulative[:, -1:]).sum(axis=1)
        happens = (rng.random(len(elements)) < share) & (cumulative[:, -1] > 0)
        happens &= ~(elements == partner[:, None]).any(axis=1)
        moved = happens[:, None] & (elements == picked[:, None])
        return np.where(moved, partner[:, None], elements).astype(np.int8)


def _different_elements(genes: GeneBatch) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(gene, element) pairs, each different element of a gene once, genes in order."""
    ordered = np.sort(genes.elements, axis=1)
    first = np.column_stack([ordered[:, :1] > 0, (ordered[:, 1:] != ordered[:, :-1]) & (ordered[:, 1:] > 0)])
    owner, column = np.nonzero(first)
    return owner, ordered[owner, column].astype(np.int64)
