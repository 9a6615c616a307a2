"""The descriptions of a gene in which geometry is written: one of those that carry a crystal into itself.

A gene is known up to the affine normalizer of its group. A crystal with its reduced cell cannot follow all of that: in
triclinic and monoclinic groups most changes of letters belong to another cell, and a change of hand to another crystal.
Descriptions that proper operations connect, acting on sites and cell together, are one *setting*; the smallest of them
stands for it, and settings are equally likely. From orthorhombic groups on a gene has one, or one for each hand.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal._equivalence import proper_normalizer
from aristotype.crystal._genes import (
    GeneBatch,
    canonical_genes,
    equivalents,
    from_codes,
    lexicographic_minimum,
    site_codes,
)
from aristotype.crystal._transform import letter_map


@cache
def relabellings_of(number: int) -> NDArray[np.int8]:
    """(k, positions + 1) what each of `proper_normalizer` does to letters; the last column keeps -1."""
    maps = [
        letter_map(number, linear.tobytes(), translation.tobytes()) for linear, translation in proper_normalizer(number)
    ]
    return np.concatenate([np.array(maps), np.full((len(maps), 1), -1)], axis=1).astype(np.int8)


def setting_of(genes: GeneBatch) -> GeneBatch:
    """The description that stands for the setting of each description."""
    out = np.empty(genes.wyckoffs.shape, np.int16)
    for number in np.unique(genes.space_group).tolist():
        rows = np.flatnonzero(genes.space_group == number)
        table = relabellings_of(number)
        codes = np.sort(site_codes(table[:, genes.wyckoffs[rows]], genes.elements[rows]), axis=2)
        out[rows] = codes[lexicographic_minimum(codes), np.arange(len(rows))]
    return from_codes(genes.space_group, out)


def settings_of(genes: GeneBatch) -> tuple[GeneBatch, NDArray[np.int64]]:
    """The settings of each gene, whatever it is described by, and for each the row (m,) of the gene."""
    described, owner = equivalents(canonical_genes(genes))
    smallest = setting_of(described)
    codes = site_codes(smallest.wyckoffs, smallest.elements)
    _, first = np.unique(np.column_stack([owner, codes]), axis=0, return_index=True)
    return smallest.take(first), owner[first]
