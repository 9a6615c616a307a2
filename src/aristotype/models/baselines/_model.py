"""The two baselines of Szymanski and Bartel (2025): ion exchange on known crystals, and decoration of known prototypes.

Both take a table of known crystals and nothing else: the likelihood of exchanges, the prototypes and their frequencies
and all geometries come from it. What comes from higher floors is passed in: volumes of elements and the rule of charge
balance.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import count
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from aristotype.crystal import Conditions, CrystalTable, GeneBatch, element_symbol, gene_keys, reduced_formula
from aristotype.errors import InfeasibleConditionsError, InputError
from aristotype.models._targets import meets_targets
from aristotype.models.baselines._draw import Balance, Products, draw_products
from aristotype.models.baselines._geometry import exchanged_crystals, exchanged_elements
from aristotype.models.baselines._known import Floats, Ints, KnownCrystals
from aristotype.models.baselines._likelihood import NUMBERS, ExchangeLikelihood
from aristotype.models.baselines._options import possible_options

BLOCK = 256
"""Rows of the stream that are drawn together."""
PATIENCE = 50
"""Blocks without a new gene after which `sample` ends: nothing new is to be expected."""
ElementChoice = Literal["uniform", "frequency"]
_UNLIKELY = -20.0  # nats; stands for -inf where exchanges are compared


class Baseline(ABC):
    """What both share: a stream of distinct, charge-balanced crystals with the geometry of a known one.

    Args:
        known: crystals with geometry, the training part only.
        volumes: (119,) volume of an atom by atomic number in cubic Angstrom, NaN where there is none.
        balanced: the rule of charge balance that every product passes.

    Raises:
        TableError: a row of the table has no geometry.
        InputError: the table is empty or too small to learn an exchange from, a row is not legal, or an element has no
            volume.
    """

    draws_geometry = True

    name: str
    _fresh: bool

    def __init__(self, known: CrystalTable, *, volumes: Floats, balanced: Balance) -> None:
        self.known = KnownCrystals(known, volumes)
        self.likelihood = ExchangeLikelihood.learnt(self.known.fillings)
        self._balanced = balanced

    def train_keys(self) -> set[bytes]:
        """Keys of the known genes, enantiomorphic groups merged."""
        return set(self.known.keys)

    @meets_targets
    def stream(self, conditions: Conditions | None = None, *, seed: int, score: bool = False) -> Iterator[CrystalTable]:
        """Endless tables of crystals in row order; row i depends on (seed, i) alone, and no gene comes twice.

        A row whose draws were all rejected, or whose gene came before, is left out, so that a table can be empty. The
        columns after those of the format: `model`, `seed`, `log_prob` (null: no baseline knows the probability of a
        gene), `parent` (id of the known crystal whose geometry it is), `exchange` ("Na->K, Cl->Br"), `log_likelihood`
        (nats, of these exchanges given the old elements; null where none was ever seen of an element), and `tries`
        (draws until one was accepted).

        Args:
            conditions: hard constraints; impossible ones are refused before anything is drawn.
            seed: from 0 to 2^63 - 1.
            score: taken and not used, as other models have it.

        Raises:
            InfeasibleConditionsError: nothing satisfies the conditions; the message says why.
            InputError: an element that no known crystal holds is asked for, the conditions have a partial crystal, or
                the seed is outside its range.
        """
        if not 0 <= seed < 1 << 63:
            raise InputError(f"the seed is {seed}; it must be from 0 to 2^63 - 1")
        asked = conditions or Conditions()
        self._check_formula(asked)
        options = possible_options(self.known, asked, *self._probabilities())
        drawn = (
            draw_products(
                self.known,
                options,
                self._balanced,
                seed=seed,
                rows=np.arange(start, start + BLOCK),
                fresh=self._fresh,
            )
            for start in count(0, BLOCK)
        )
        return self._tables(drawn, seed)

    def scored(self, table: CrystalTable) -> CrystalTable:
        """The table as it is: no baseline knows the probability of a gene."""
        return table

    def sample(self, n: int, conditions: Conditions | None = None, *, seed: int, score: bool = False) -> CrystalTable:
        """The first n crystals of `stream`; fewer, with a warning, where `PATIENCE` blocks in a row give nothing new.

        Raises:
            InfeasibleConditionsError: these blocks gave nothing at all.
            InputError: n is negative, or see `stream`.
        """
        if n < 0:
            raise InputError(f"{n} crystals were asked for; ask for a number of at least 0")
        parts: list[CrystalTable] = []
        have = idle = 0
        for table in self.stream(conditions, seed=seed, score=score):
            parts.append(table)
            have += len(table)
            idle = 0 if len(table) else idle + 1
            if have >= n or idle == PATIENCE:
                break
        if not have and n:
            raise InfeasibleConditionsError(
                f"all of {PATIENCE * BLOCK:,} draws repeat an element or are not charge balanced; loosen the conditions"
            )
        if have < n:
            warnings.warn(f"only {have} of {n} crystals: nothing new comes any more; ask for fewer", stacklevel=2)
        return CrystalTable.concatenate(parts)[:n]

    @abstractmethod
    def _probabilities(self) -> tuple[Floats, Floats | None]:
        """Probability (119, 119) of new elements by old ones, and of numbers of exchanges (see `possible_options`)."""

    @abstractmethod
    def _with_parents(self, products: Products) -> Products:
        """The products as exchanges on the crystals whose geometry they get; without those that have none."""

    def _check_formula(self, conditions: Conditions) -> None:
        """Refuses a formula that no product can have."""
        if conditions.formula is None:
            return
        elements = [number for number, atoms in conditions.formula for _ in range(atoms)]
        if not self._balanced(GeneBatch.from_lists([1], [elements], [[0] * len(elements)]))[0]:
            raise InfeasibleConditionsError(
                f"{reduced_formula(dict(conditions.formula))} is not charge balanced, and all that baselines make is; "
                "ask for another formula, or use `aristotype generate`"
            )

    def _tables(self, drawn: Iterator[Products], seed: int) -> Iterator[CrystalTable]:
        seen: set[bytes] = set()
        for block in drawn:
            products = block.take(self._unseen(block, seen))
            yield self._table(self._with_parents(products), seed)

    def _unseen(self, products: Products, seen: set[bytes]) -> NDArray[np.bool_]:
        """(r,) whether a gene, or its mirror image, comes for the first time; remembers them."""
        genes = self.known.genes.take(products.parent)
        elements = exchanged_elements(self.known, products.parent, products.kinds)
        new = GeneBatch(space_group=genes.space_group, elements=elements, wyckoffs=genes.wyckoffs)
        out = np.zeros(len(products.row), bool)
        for row, key in enumerate(gene_keys(new, merge_enantiomorphs=True).tolist()):
            out[row] = key not in seen
            seen.add(key)
        return out

    def _table(self, products: Products, seed: int) -> CrystalTable:
        """The products with their geometry and where they come from."""
        rows = len(products.row)
        ids = [f"{seed}-{row}" for row in products.row.tolist()]
        table = exchanged_crystals(self.known, products.parent, products.kinds, ids)
        old, new = self.known.kinds[products.parent], products.kinds
        with np.errstate(divide="ignore"):
            nats = np.where(old != new, np.log(self.likelihood.conditional)[old, new], 0.0).sum(axis=1)
        return table.with_columns(
            {
                "model": pa.array([self.name] * rows, pa.string()),
                "seed": pa.array([seed] * rows, pa.int64()),
                "log_prob": pa.nulls(rows, pa.float64()),
                "parent": self.known.table.column("id").take(pa.array(products.parent)),
                "exchange": pa.array(_spelled(old, new), pa.string()),
                "log_likelihood": pa.array(nats, pa.float64(), mask=~np.isfinite(nats)),
                "tries": pa.array(products.tries, pa.int32()),
            }
        )


class IonExchange(Baseline):
    """Known crystals with one to three elements exchanged for likely others.

    A known crystal, each as likely, how many of its elements, which of them, and for each a new one that is not in the
    crystal yet, all from the learnt likelihood. What is not charge balanced is drawn again, crystal and all.
    """

    name = "ion-exchange"
    _fresh = True

    def _probabilities(self) -> tuple[Floats, Floats | None]:
        return self.likelihood.conditional, self.likelihood.num_exchanged

    def _with_parents(self, products: Products) -> Products:
        return products


class Decoration(Baseline):
    """Known prototypes with random elements.

    A prototype as often as it is known, and elements at random, drawn again until they are charge balanced. The
    geometry is that of the nearest known crystal of the prototype: the one with the fewest other elements, and of those
    the one from which the exchange is likeliest.

    Args:
        elements: `uniform`, or by `frequency`, each as often as known crystals hold it.
    """

    name = "decoration"
    _fresh = False

    def __init__(
        self, known: CrystalTable, *, volumes: Floats, balanced: Balance, elements: ElementChoice = "uniform"
    ) -> None:
        super().__init__(known, volumes=volumes, balanced=balanced)
        if elements not in ("uniform", "frequency"):
            raise InputError(f"elements are {elements!r}; they must be 'uniform' or 'frequency'")
        held = np.bincount(self.known.kinds.ravel(), minlength=NUMBERS).astype(np.float64)
        held[0] = 0.0
        self.shares = (held > 0) / (held > 0).sum() if elements == "uniform" else held / held.sum()

    def _probabilities(self) -> tuple[Floats, Floats | None]:
        return np.broadcast_to(self.shares, (NUMBERS, NUMBERS)), None

    def _with_parents(self, products: Products) -> Products:
        """The products on their nearest known crystals; a gene alone in its prototype has none but itself."""
        fillings = self.known.fillings
        first = fillings.elements[fillings.first[products.parent]]
        # From the parent's elements to the places of its prototype.
        new = np.zeros((len(first), NUMBERS), np.int64)
        np.put_along_axis(new, self.known.kinds[products.parent], products.kinds, axis=1)
        new[:, 0] = 0
        wanted = np.take_along_axis(new, first, axis=1)
        nearest = np.array([self._nearest(*pair) for pair in zip(products.parent.tolist(), wanted)], np.int64)
        kept = np.flatnonzero(nearest >= 0)
        chosen = nearest[kept]
        parent = fillings.owner[chosen]
        back = np.zeros((len(kept), NUMBERS), np.int64)
        np.put_along_axis(back, fillings.elements[chosen], wanted[kept], axis=1)
        back[:, 0] = 0
        return Products(
            row=products.row[kept],
            parent=parent,
            kinds=np.take_along_axis(back, self.known.kinds[parent], axis=1),
            tries=products.tries[kept],
        )

    def _nearest(self, row: int, wanted: Ints) -> int:
        """The filling nearest to wanted elements (k,) in the prototype of a known crystal; -1 if only they fill it."""
        order, starts = self.known.fillings_by_prototype
        prototype = int(self.known.fillings.prototype[row])
        candidates = order[starts[prototype] : starts[prototype + 1]]
        filled = self.known.fillings.elements[candidates]
        other = filled != wanted
        score = np.where(other, np.maximum(self.likelihood.log_odds[filled, wanted], _UNLIKELY), -_UNLIKELY).sum(axis=1)
        own = np.isin(self.known.fillings.gene[self.known.fillings.owner[candidates]], self._same(candidates, other))
        score[own] = -np.inf
        best = int(score.argmax())
        return int(candidates[best]) if np.isfinite(score[best]) else -1

    def _same(self, candidates: Ints, other: NDArray[np.bool_]) -> Ints:
        """The gene that the wanted elements are, if it is known: all its fillings are no exchange."""
        equal = candidates[~other.any(axis=1)]
        return self.known.fillings.gene[self.known.fillings.owner[equal]]


def _spelled(old: Ints, new: Ints) -> list[str]:
    """The exchanges of each row as text."""
    return [
        ", ".join(f"{element_symbol(a)}->{element_symbol(b)}" for a, b in zip(*pair, strict=True) if a != b)
        for pair in zip(old.tolist(), new.tolist(), strict=True)
    ]
