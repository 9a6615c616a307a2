"""Callables that cross between packages of one floor are passed in, typed by these protocols."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from aristotype.crystal._table import CrystalTable


class Proposal(Protocol):
    """Makes crystals for genes: a table of genes in, a table with `free` and `lattice` (or fewer rows) out."""

    def __call__(self, genes: CrystalTable, *, seed: int) -> CrystalTable: ...


class Score(Protocol):
    """One number a row of a table."""

    def __call__(self, table: CrystalTable, /) -> NDArray[np.float64]: ...


class Energy(Protocol):
    """Energy in eV/atom of each crystal of a table, NaN where it could not be computed."""

    def __call__(self, table: CrystalTable) -> NDArray[np.float64]: ...
