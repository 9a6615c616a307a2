"""Random legal genes; no data folder is needed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from aristotype.crystal import GeneBatch
from aristotype.symmetry import space_group


@pytest.fixture(scope="session")
def random_genes() -> Callable[..., GeneBatch]:
    """Genes of random groups with up to four sites each; positions without freedom are taken once."""

    def build(count: int, *, seed: int, groups: tuple[int, ...] | None = None) -> GeneBatch:
        rng = np.random.default_rng(seed)
        numbers, elements, wyckoffs = [], [], []
        for _ in range(count):
            number = int(rng.choice(groups)) if groups else int(rng.integers(1, 231))
            positions = space_group(number).positions
            letters = rng.integers(len(positions), size=rng.integers(1, 5)).tolist()
            letters = [w for i, w in enumerate(letters) if positions[w].freedom or w not in letters[:i]]
            numbers.append(number)
            elements.append(rng.choice([1, 3, 8, 11, 17, 22, 26, 38], size=len(letters)).tolist())
            wyckoffs.append(letters)
        return GeneBatch.from_lists(numbers, elements, wyckoffs)

    return build
