"""Prototypes: which positions hold like atoms, whatever the elements are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal._genes import GeneBatch, equivalents, from_codes, hashed, merged_enantiomorphs, site_codes


def prototype_keys(genes: GeneBatch, *, merge_enantiomorphs: bool = False) -> NDArray[np.void]:
    """128-bit keys (n,) equal for genes that differ by a renaming of their elements: AFLOW prototypes.

    Unlike the label (see `prototype_labels`) they do not depend on the alphabetical order of the elements' symbols. A
    template (see `template_keys`) says less: not which sites hold the same element.
    """
    described, owner = equivalents(merged_enantiomorphs(genes) if merge_enantiomorphs else genes)
    renamed = _renamed(described)
    codes = np.sort(site_codes(renamed.wyckoffs, renamed.elements), axis=1)
    order = np.lexsort([*codes.T[::-1], owner])
    smallest = order[np.searchsorted(owner[order], np.arange(len(genes)))]
    return hashed(from_codes(renamed.space_group[smallest], codes[smallest]), b"prototype")


def _renamed(genes: GeneBatch) -> GeneBatch:
    """Elements numbered from 1 by the sorted lists of their letters, so that no name is left."""
    out = np.zeros_like(genes.elements)
    for row, (letters, elements) in enumerate(zip(genes.wyckoffs.tolist(), genes.elements.tolist(), strict=True)):
        places: dict[int, list[int]] = {}
        for letter, element in zip(letters, elements, strict=True):
            if element:
                places.setdefault(element, []).append(letter)
        ranked = sorted(places, key=lambda element: sorted(places[element]))
        number = {element: rank for rank, element in enumerate(ranked, 1)}
        out[row] = [number.get(element, 0) for element in elements]
    return GeneBatch(space_group=genes.space_group, elements=out, wyckoffs=genes.wyckoffs)
