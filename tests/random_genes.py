"""Random legal genes of any group, for laws that hold for all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aristotype.crystal import GeneBatch
from aristotype.symmetry import space_group

GROUPS = range(1, 231)


def random_genes(
    rng: np.random.Generator, groups: Sequence[int], *, elements: Sequence[int], max_sites: int
) -> GeneBatch:
    """One legal gene for each entry of `groups`; few elements, so that genes often have symmetry of their own."""
    species, letters = [], []
    for number in groups:
        positions = space_group(number).positions
        chosen: list[int] = []
        for _ in range(int(rng.integers(1, max_sites + 1))):
            letter = int(rng.integers(len(positions)))
            if positions[letter].freedom or letter not in chosen:
                chosen.append(letter)
        letters.append(chosen)
        species.append(rng.choice(elements, len(chosen)).tolist())
    return GeneBatch.from_lists(list(groups), species, letters)


def shuffled(genes: GeneBatch, rng: np.random.Generator) -> GeneBatch:
    """The same genes with sites in random order, sites that are not there among them."""
    order = rng.random(genes.wyckoffs.shape).argsort(axis=1)
    return GeneBatch(
        space_group=genes.space_group,
        elements=np.take_along_axis(genes.elements, order, axis=1),
        wyckoffs=np.take_along_axis(genes.wyckoffs, order, axis=1),
    )
