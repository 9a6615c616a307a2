"""What crystals in a chain are worth: a model's log-probability and properties, and what is ruled out before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from aristotype.discover._metropolis import Judgement
from aristotype.discover._row_values import row_values
from aristotype.symmetry import forced

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aristotype.crystal import CrystalTable
    from aristotype.discover._chain_crystals import ChainCrystals
    from aristotype.discover._properties import Guide

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
OVERLAP = "atoms overlap"
FORCED = "a higher symmetry at every geometry"


class CrystalModel(Protocol):
    """The part of a model of crystals that chains need."""

    @property
    def vocabulary(self) -> frozenset[int]:
        """Atomic numbers of the elements that it knows."""
        ...

    def log_prob(self, table: CrystalTable) -> Floats:
        """Log-probability density (n,) in nats."""
        ...


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What crystals of a chain must keep: `holds(crystals, rows of the chains)` is true (n,), or else `reason`."""

    reason: str
    holds: Callable[[ChainCrystals, Ints], NDArray[np.bool_]]


@dataclass(frozen=True, kw_only=True)
class CrystalJudge:
    """Terms: the log-probability, then each property's value as `Guide.term` has it.

    Cheap questions come first; only what is not ruled out is scored. Genes whose crystals have more symmetry than their
    group are ruled out: they are not of their template. All others of a template have equally many descriptions in it.

    Attributes:
        model: scores crystals.
        guides: properties.
        closest: least distance of two atoms, over the sum of their covalent radii.
        rules: what else must hold.
    """

    model: CrystalModel
    guides: Sequence[Guide]
    closest: float
    rules: Sequence[Rule] = ()

    def __call__(self, batch: ChainCrystals, rows: Ints) -> Judgement:
        """Judge; see `Judge`."""
        reasons = np.full(len(batch), "", object)
        terms = np.full((len(batch), 1 + len(self.guides)), -np.inf)
        for rule in self.rules:
            reasons[(reasons == "") & ~rule.holds(batch, rows)] = rule.reason
        reasons[(reasons == "") & forced(batch.group, batch.elements, batch.letters)] = FORCED
        left = np.flatnonzero(reasons == "")
        table = batch.take(left).to_table()
        apart = closeness(table) >= self.closest
        reasons[left[~apart]] = OVERLAP
        left, table = left[apart], table.filter(apart)
        for place, guide in enumerate(self.guides, start=1):
            values, why = row_values(guide.property, table, guide.name) if len(left) else (np.zeros(0), [])
            known = np.array([not text for text in why], bool)
            reasons[left] = why
            left, table = left[known], table.filter(known)
            terms[left, place] = guide.term(values[known])
        if len(left):
            terms[left, 0] = self.model.log_prob(table)
        return Judgement(terms, reasons)


def closeness(table: CrystalTable) -> Floats:
    """(n,) smallest distance of two atoms over the sum of their covalent radii."""
    from aristotype.evaluate import geometry

    return geometry(table).closeness if len(table) else np.zeros(0)
