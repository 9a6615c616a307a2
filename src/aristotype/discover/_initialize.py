"""Starting structures for a structure search: symmetric crystals of one composition, likely rather than random.

A drop-in for generators of random symmetric structures. Unlike `generate` it gives many geometries of one gene.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from math import gcd
from typing import TYPE_CHECKING

from aristotype.crystal import DEFAULT_TOLERANCE, Conditions, CrystalTable, parse_formula
from aristotype.discover._generate import CLOSEST, draws_geometry
from aristotype.errors import InputError

if TYPE_CHECKING:
    from ase import Atoms

    from aristotype.discover._generate import Sampler

PATIENCE = 2000
"""Crystals in a row that are left out after which there is no use in going on."""
OVERLAP = "atoms overlap"
RISEN = "of a higher symmetry than was asked for"


class StartGenerator:
    """Starting structures one after another; `get_new_candidate` is the method that ASE's searches call.

    Iterating gives ASE atoms; `tables` gives tables of crystals. Row after row of a seed the same crystals come.

    Crystals in which atoms overlap are left out. Where space groups are asked for, so are those that within
    `DEFAULT_TOLERANCE` have a higher symmetry than their own; where none is, they are as good as others, and are said
    to have the group that they were drawn in.
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
        """Crystals drawn so far, those left out included."""
        self.left_out: Counter[str] = Counter()
        """Crystals left out so far, by reason."""

    def tables(self) -> Iterator[CrystalTable]:
        """Endless tables of the crystals that are not left out.

        Raises:
            InfeasibleConditionsError: nothing satisfies the conditions.
            InputError: `PATIENCE` crystals in a row were left out.
        """
        in_vain = 0
        for block in self._model.stream(self.conditions, seed=self._seed, score=False):
            self.drawn += len(block)
            good = self._good(block)
            in_vain = 0 if len(good) else in_vain + len(block)
            if len(good):
                yield good
            elif in_vain >= PATIENCE:
                told = "; ".join(f"{reason} ({count:,})" for reason, count in self.left_out.most_common())
                raise InputError(
                    f"none of {in_vain:,} crystals in a row is of use: {told}; allow more space groups, or a formula "
                    "with fewer atoms"
                )

    def take(self, n: int) -> CrystalTable:
        """The first n crystals.

        Raises:
            InputError: n is less than 1, or see `tables`.
            InfeasibleConditionsError: nothing satisfies the conditions.
        """
        if n < 1:
            raise InputError(f"{n} structures are asked for; ask for at least 1")
        parts, have = [], 0
        for table in self.tables():
            parts.append(table)
            have += len(table)
            if have >= n:
                break
        return CrystalTable.concatenate(parts)[:n]

    def _good(self, block: CrystalTable) -> CrystalTable:
        from aristotype.realize import genes_kept  # which needs what drawing genes does not

        apart = block.filter(block.column("closest").to_numpy() >= CLOSEST)
        self.left_out[OVERLAP] += len(block) - len(apart)
        if self.conditions.space_groups is None:
            return apart
        good = apart.filter(genes_kept(apart, DEFAULT_TOLERANCE))
        self.left_out[RISEN] += len(apart) - len(good)
        return good

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
    """Starting structures of one composition, as `StartGenerator` draws them.

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
    return StartGenerator(model, formula, space_groups=space_groups, seed=seed).take(n)
