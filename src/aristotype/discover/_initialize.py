"""Starting structures for a structure search: symmetric crystals of one composition, likely rather than random.

A drop-in for generators of random symmetric structures. Unlike `generate` it gives many geometries of one gene.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from math import gcd
from typing import TYPE_CHECKING

from aristotype.crystal import Conditions, CrystalTable, parse_formula
from aristotype.discover._generate import CLOSEST, draws_geometry
from aristotype.errors import InputError

if TYPE_CHECKING:
    from ase import Atoms

    from aristotype.discover._generate import Sampler

PATIENCE = 2000
"""Crystals in a row in which atoms overlap after which there is no use in going on."""


class StartGenerator:
    """Starting structures one after another; `get_new_candidate` is the method that ASE's searches call.

    Iterating gives ASE atoms; `tables` gives tables of crystals. Row after row of a seed the same crystals come.
    """

    def __init__(
        self,
        model: Sampler,
        formula: str | Mapping[int, int],
        *,
        space_groups: Iterable[int] | None = None,
        seed: int = 0,
        primitive: bool = True,
    ) -> None:
        """A generator.

        Args:
            model: a model of crystals, as `aristotype.load` gives it.
            formula: the content of the primitive cell, such as Ca2C2O6.
            space_groups: numbers of the groups to draw from; by default all that the model draws.
            seed: of the crystals.
            primitive: whether atoms come in their primitive cell, not in the conventional one.

        Raises:
            InputError: the model draws no geometry, or the formula cannot be read.
            InfeasibleConditionsError: no group can hold that content; when the first crystal is asked for.
        """
        if not draws_geometry(model):
            name = getattr(model, "name", type(model).__name__)
            raise InputError(
                f"{name} draws genes without geometry; take a model of crystals, such as crystalformer-mp20"
            )
        counts = parse_formula(formula) if isinstance(formula, str) else dict(formula)
        units = reduce(gcd, counts.values())
        self.conditions = Conditions(
            space_groups=None if space_groups is None else list(space_groups),
            formula={number: count // units for number, count in counts.items()},
            formula_units=units,
        )
        self._model, self._seed, self._primitive = model, seed, primitive
        self._atoms = self._endless()
        self.drawn = 0
        """Crystals drawn so far, those left out because atoms overlap included."""

    def tables(self) -> Iterator[CrystalTable]:
        """Endless tables of crystals without overlaps.

        Raises:
            InfeasibleConditionsError: nothing satisfies the conditions.
            InputError: atoms overlapped in `PATIENCE` crystals in a row.
        """
        in_vain = 0
        for block in self._model.stream(self.conditions, seed=self._seed, score=False):
            self.drawn += len(block)
            apart = block.filter(block.column("closest").to_numpy() >= CLOSEST)
            in_vain = 0 if len(apart) else in_vain + len(block)
            if len(apart):
                yield apart
            elif in_vain >= PATIENCE:
                raise InputError(
                    f"atoms overlap in each of {in_vain:,} crystals in a row; allow more space groups, or a formula "
                    "with fewer atoms"
                )

    def _endless(self) -> Iterator[Atoms]:
        for table in self.tables():
            yield from table.to_atoms(primitive=self._primitive)

    def get_new_candidate(self) -> Atoms:
        """The next structure; of ASE's `StartGenerator` (ase.ga.startgenerator) the method that searches call."""
        return next(self._atoms)

    def __iter__(self) -> Iterator[Atoms]:
        return self

    def __next__(self) -> Atoms:
        return self.get_new_candidate()


def initialize(
    model: Sampler,
    formula: str | Mapping[int, int],
    n: int,
    *,
    space_groups: Iterable[int] | None = None,
    seed: int = 0,
) -> CrystalTable:
    """Starting structures of one composition, without overlaps.

    Args:
        model: a model of crystals.
        formula: the content of the primitive cell, such as Ca2C2O6.
        n: how many.
        space_groups: numbers of the groups to draw from.
        seed: the same seed gives the same structures, and fewer of them are the first of more.

    Raises:
        InputError: n is less than 1, or see `StartGenerator`.
        InfeasibleConditionsError: no group can hold that content.
    """
    if n < 1:
        raise InputError(f"{n} structures are asked for; ask for at least 1")
    parts, have = [], 0
    for table in StartGenerator(model, formula, space_groups=space_groups, seed=seed).tables():
        parts.append(table)
        have += len(table)
        if have >= n:
            break
    return CrystalTable.concatenate(parts)[:n]
