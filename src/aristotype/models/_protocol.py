"""What every model can do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import Conditions, CrystalTable


@runtime_checkable
class GeneModel(Protocol):
    """Samples genes under conditions and scores them.

    A model of crystals answers to the same protocol: its tables have geometry, `log_prob` takes crystals, and the
    attribute `draws_geometry` is true.
    """

    name: str

    def stream(self, conditions: Conditions | None = None, *, seed: int, score: bool = False) -> Iterator[CrystalTable]:
        """Endless tables of genes in row order; row i depends on (seed, i) alone."""
        ...

    def sample(self, n: int, conditions: Conditions | None = None, *, seed: int, score: bool = True) -> CrystalTable:
        """The first n genes of `stream`."""
        ...

    def log_prob(self, genes: Any) -> NDArray[np.float64]:
        """Log-probability (n,) in nats; the model says of what measure, and whether exact, an estimate or a bound."""
        ...

    @property
    def vocabulary(self) -> frozenset[int]:
        """Atomic numbers of the elements that it knows; crystals with others are refused."""
        ...

    def train_keys(self) -> set[bytes]:
        """Keys of the training genes, enantiomorphic groups merged; empty where they are not known."""
        ...

    def save(self, directory: str | Path, *, card: str = "", half: bool = True) -> None:
        """Writes a checkpoint folder."""
        ...
