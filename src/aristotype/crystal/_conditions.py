"""What a user asks of a generator: one frozen object, checked on construction, the same for every model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import dataclass, field
from functools import reduce
from math import gcd, inf
from numbers import Real
from typing import TYPE_CHECKING, Any

from aristotype.crystal._genes import GeneBatch
from aristotype.errors import InputError
from aristotype.symmetry import check_group

if TYPE_CHECKING:
    from aristotype.crystal._partial_crystal import PartialCrystal

_SYMBOLS = (
    "X H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y "
    "Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re "
    "Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg "
    "Cn Nh Fl Mc Lv Ts Og"
).split()
_NUMBERS = {symbol: number for number, symbol in enumerate(_SYMBOLS) if number}


def atomic_number(element: str | int) -> int:
    """Atomic number of an element given by symbol or number; D and T are hydrogen.

    Raises:
        InputError: there is no such element.
    """
    if isinstance(element, str):
        number = 1 if element in ("D", "T") else _NUMBERS.get(element, 0)
    else:
        number = int(element) if _is_whole(element) else 0
    if not 1 <= number <= 118:
        raise InputError(f"{element!r} is not a chemical element; give a symbol (Fe) or an atomic number from 1 to 118")
    return number


def element_symbol(number: int) -> str:
    """Symbol of an atomic number."""
    return _SYMBOLS[number]


def parse_formula(text: str) -> dict[int, int]:
    """Reads a formula with integer counts and brackets, such as 'Ca(OH)2', into {atomic number: count}.

    Raises:
        InputError: naming the place that could not be read.
    """
    import re

    stack: list[dict[int, int]] = [{}]
    position = 0
    for match in re.finditer(r"([A-Z][a-z]?)(\d*)|([(\[])|([)\]])(\d*)|(\s+)", text):
        if match.start() != position:
            break
        position = match.end()
        if match[1]:
            number = atomic_number(match[1])
            stack[-1][number] = stack[-1].get(number, 0) + int(match[2] or 1)
        elif match[3]:
            stack.append({})
        elif match[4]:
            if len(stack) == 1:
                raise InputError(
                    f"the formula {text!r} closes a bracket that was never opened, at character {position}"
                )
            inner = stack.pop()
            if not inner:
                raise InputError(f"the formula {text!r} has an empty bracket that ends at character {position}")
            for number, count in inner.items():
                stack[-1][number] = stack[-1].get(number, 0) + count * int(match[5] or 1)
    if position != len(text) or len(stack) != 1 or not stack[0] or 0 in stack[0].values():
        raise InputError(
            f"the formula {text!r} cannot be read at character {position + 1}; "
            "write elements with whole counts: LiFePO4"
        )
    return stack[0]


@dataclass(frozen=True, kw_only=True)
class PropertyTarget:
    """The range in which a property is wanted, as a network predicts it from the gene; the ends may be infinite.

    Attributes:
        property: A property that a shipped model predicts, or the folder of a run of `aristotype train property`.
        low: Lower end, in the unit of the predictor.
        high: Upper end.
        strength: Power to which the probability of being in range is raised. At 1 draws are those of Bayes' rule; above
            it genes of which the predictor is sure are preferred, and fewer draws are kept.
    """

    property: str
    low: float = -inf
    high: float = inf
    strength: float = 1.0

    def __post_init__(self) -> None:
        low, high = float(self.low), float(self.high)
        if not low < high:  # nor where one is NaN
            raise InputError(
                f"{self.property} is asked for from {low:g} to {high:g}; the first number must be below the second"
            )
        if low == -inf and high == inf:
            raise InputError(f"{self.property} is asked for without a limit; give a lower or an upper one, or both")
        if not 0 < self.strength < inf:
            raise InputError(f"the strength of a target is {self.strength:g}; it must be a number above 0")


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What is asked of a generator; None or empty means free.

    All but `targets` are hard constraints: nothing outside them is ever emitted. Targets are met in probability: with
    them a model draws p(gene) times P(property in range | gene)^strength of each, normalised; P is the predictor's.

    Elements may be given as symbols or atomic numbers, a formula as text or as {element: count}.
    """

    space_groups: tuple[int, ...] | None = None  # p(G) restricted to these and renormalised
    allowed_elements: frozenset[int] | None = None  # only these
    required_elements: frozenset[int] = frozenset()  # each at least once
    excluded_elements: frozenset[int] = frozenset()  # none of these
    formula: tuple[tuple[int, int], ...] | None = None  # (Z, count) reduced; every multiple matches
    formula_units: int | None = None  # multiple of the reduced formula in the primitive cell (Z)
    num_sites: int | None = None  # symmetry-inequivalent sites
    max_atoms: int | None = None  # atoms of the primitive cell
    template: GeneBatch | None = field(default=None, compare=False)  # one gene; its elements are not looked at
    partial: GeneBatch | None = field(default=None, compare=False)  # one gene, sites that must be there
    partial_crystal: PartialCrystal | None = None  # sites that must be where they are; `partial` holds them as a gene
    targets: tuple[PropertyTarget, ...] = ()  # ranges of predicted properties

    def __init__(
        self,
        *,
        space_groups: Iterable[int] | int | None = None,
        allowed_elements: Iterable[str | int] | None = None,
        required_elements: Iterable[str | int] = (),
        excluded_elements: Iterable[str | int] = (),
        formula: str | Mapping[str | int, int] | None = None,
        formula_units: int | None = None,
        num_sites: int | None = None,
        max_atoms: int | None = None,
        template: GeneBatch | None = None,
        partial: GeneBatch | None = None,
        partial_crystal: PartialCrystal | None = None,
        targets: Iterable[PropertyTarget] | PropertyTarget = (),
    ) -> None:
        for name, given in (
            ("space_groups", space_groups),
            ("allowed_elements", allowed_elements),
            ("required_elements", required_elements),
            ("excluded_elements", excluded_elements),
        ):
            if isinstance(given, str):
                raise InputError(
                    f"{name} is the text {given!r}; give a list, of numbers for space groups, of symbols for elements"
                )
        if space_groups is not None and not isinstance(space_groups, Iterable):
            space_groups = (space_groups,)
        values = {
            "space_groups": None if space_groups is None else tuple(sorted({check_group(g) for g in space_groups})),
            "allowed_elements": None if allowed_elements is None else frozenset(map(atomic_number, allowed_elements)),
            "required_elements": frozenset(map(atomic_number, required_elements)),
            "excluded_elements": frozenset(map(atomic_number, excluded_elements)),
            "formula": _reduced(formula),
            "formula_units": _positive("formula units", formula_units),
            "num_sites": _positive("number of sites", num_sites),
            "max_atoms": _positive("number of atoms", max_atoms),
            "template": _single("template", template),
            "partial": _single("partial crystal", _known_sites(partial, partial_crystal)),
            "partial_crystal": partial_crystal,
            "targets": (targets,) if isinstance(targets, PropertyTarget) else tuple(targets),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)
        self._check()

    def _check(self) -> None:
        """Contradictions that need no model to be seen."""
        if self.space_groups is not None and not self.space_groups:
            raise InputError("the list of space groups is empty; leave it out or give numbers from 1 to 230")
        if self.formula_units is not None and self.formula is None:
            raise InputError(f"{self.formula_units} formula units need a formula; give one with formula=")

    @property
    def is_free(self) -> bool:
        """Whether nothing is constrained."""
        return self == Conditions() and self.template is None and self.partial is None

    def without_geometry(self) -> Conditions:
        """The same for a model of genes: of a partial crystal its sites as a partial gene."""
        return self._without(partial_crystal=None)

    def without_targets(self) -> Conditions:
        """The hard constraints alone."""
        return self._without(targets=())

    def _without(self, **values: Any) -> Conditions:
        bare = copy(self)
        for name, value in values.items():
            object.__setattr__(bare, name, value)
        return bare

    def elements(self, vocabulary: Iterable[int]) -> frozenset[int]:
        """Elements of a vocabulary that the conditions leave possible."""
        possible = set(vocabulary) - self.excluded_elements
        if self.allowed_elements is not None:
            possible &= self.allowed_elements
        if self.formula is not None:
            possible &= {number for number, _ in self.formula}
        return frozenset(possible)


def _reduced(formula: str | Mapping[str | int, int] | None) -> tuple[tuple[int, int], ...] | None:
    if formula is None:
        return None
    if isinstance(formula, str):
        counts = parse_formula(formula)
    else:
        if not formula or not all(_is_whole(count) and count >= 1 for count in formula.values()):
            raise InputError(f"the formula {dict(formula)} needs at least one element and whole counts of at least 1")
        counts = {}
        for element, count in formula.items():  # two names of one element, such as D and H, are added
            number = atomic_number(element)
            counts[number] = counts.get(number, 0) + int(count)
    divisor = reduce(gcd, counts.values())
    return tuple(sorted((number, count // divisor) for number, count in counts.items()))


def _is_whole(value: Any) -> bool:
    """Whether a number is an integer, as an int or as a float without a fraction; not for NaN and infinity."""
    return isinstance(value, Real) and float(value).is_integer()


def _positive(name: str, value: int | None) -> int | None:
    if value is not None and not (_is_whole(value) and value >= 1):
        raise InputError(f"the {name} is {value}; it must be a whole number of at least 1")
    return None if value is None else int(value)


def _known_sites(partial: GeneBatch | None, crystal: PartialCrystal | None) -> GeneBatch | None:
    """What is known of the gene."""
    if partial is not None and crystal is not None:
        raise InputError("a partial gene and a partial crystal are given; give one of them")
    return partial if crystal is None else crystal.genes


def _single(name: str, genes: GeneBatch | None) -> GeneBatch | None:
    if genes is not None and len(genes) != 1:
        raise InputError(f"the {name} must be one gene, {len(genes)} were given")
    return genes
