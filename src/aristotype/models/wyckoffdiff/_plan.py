"""What conditions leave possible for a model, and whether a gene is as asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import Conditions, GeneBatch, compositions, element_symbol, template_keys
from aristotype.errors import InfeasibleConditionsError, InputError
from aristotype.models.blocks import FormulaTarget, fewest_atoms, primitive_multiplicities, without_freedom

if TYPE_CHECKING:
    from aristotype.models.wyckoffdiff._model import WyckoffDiff

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]

_MOST_SITES = 64
_MOST_ATOMS = 40  # of a formula, where nothing else is asked


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What conditions leave possible for a model."""

    conditions: Conditions
    group_probabilities: Floats  # (231,)
    elements: Bools  # (N,) that may be drawn
    known: GeneBatch | None  # sites that must be there
    template: GeneBatch | None
    max_atoms: int | None  # of the primitive cell

    @property
    def free(self) -> bool:
        """Whether nothing but space groups is asked for."""
        return self.conditions == Conditions(space_groups=self.conditions.space_groups) and not (
            self.known or self.template
        )

    @property
    def exact(self) -> bool:
        """Whether genes follow the model's distribution given the conditions: nothing is masked along the chain."""
        only = Conditions(
            space_groups=self.conditions.space_groups, required_elements=self.conditions.required_elements
        )
        return self.conditions == only and not (self.known or self.template)

    @staticmethod
    def of(model: WyckoffDiff, conditions: Conditions) -> Plan:
        """Checks what is asked for.

        Raises:
            InfeasibleConditionsError: nothing satisfies it.
            InputError: an element outside the vocabulary.
        """
        vocabulary = model.config.elements
        formula = dict(conditions.formula or ())
        for gene, kind in ((conditions.partial, "in the partial crystal"), (None, "")):
            wanted = {*conditions.required_elements, *formula}
            wanted |= set() if gene is None else set(gene.elements[gene.elements > 0].tolist())
            unknown = sorted(wanted - set(vocabulary))
            if unknown:
                raise InputError(
                    f"{', '.join(map(element_symbol, unknown))} is asked for {kind} but not among the "
                    f"{len(vocabulary)} elements of this model; choose others or train on data that holds it"
                )
            lost = sorted(wanted - conditions.elements(vocabulary))
            if lost:
                raise InfeasibleConditionsError(
                    f"{', '.join(map(element_symbol, lost))} is asked for but excluded, outside the formula or not "
                    "among the allowed elements"
                )
        allowed = np.isin(vocabulary, list(conditions.elements(vocabulary)))
        if not allowed.any():
            raise InfeasibleConditionsError(
                f"the conditions leave none of the model's {len(vocabulary)} elements; allow at least one of them"
            )
        most = conditions.max_atoms
        if formula and conditions.formula_units is not None:
            atoms = conditions.formula_units * sum(formula.values())
            most = atoms if most is None else min(most, atoms)
        plan = Plan(
            conditions=conditions,
            group_probabilities=model.group_probabilities(),
            elements=allowed,
            known=conditions.partial,
            template=conditions.template,
            max_atoms=most,
        )
        return plan._within_groups(model)

    def _within_groups(self, model: WyckoffDiff) -> Plan:
        asked = np.array([number in (self.conditions.space_groups or range(1, 231)) for number in range(231)])
        for gene, name in ((self.template, "template"), (self.known, "partial crystal")):
            if gene is not None:
                number = int(gene.space_group[0])
                if not asked[number]:
                    raise InfeasibleConditionsError(
                        f"the {name} is of space group {number}, which is not among the space groups asked for"
                    )
                asked &= np.arange(231) == number
        if self.known is not None and not model.can_hold(self.known)[0]:
            raise InfeasibleConditionsError(
                "the partial crystal has a position without freedom twice, or is beyond what this model writes: "
                f"{model.limits}"
            )
        self._check_template()
        possible = np.array([bool(ok) and self._holds(number) for number, ok in enumerate(asked.tolist())])
        if not possible.any():
            where = "any of the space groups asked for" if self.conditions.space_groups else "any space group"
            raise InfeasibleConditionsError(
                f"no set of Wyckoff positions of {where} holds what is asked for (formula, sites, atoms, required "
                "elements); widen the space groups or the limits on sites and atoms"
            )
        probabilities = np.where(possible, self.group_probabilities, 0.0)
        return Plan(**{**vars(self), "group_probabilities": probabilities / probabilities.sum()})

    def _check_template(self) -> None:
        """Refuses a template whose numbers of sites or atoms are not those asked for."""
        if self.template is None:
            return
        letters = self.template.wyckoffs[0][self.template.wyckoffs[0] >= 0]
        atoms = sum(primitive_multiplicities(int(self.template.space_group[0]))[w] for w in letters)
        asked, whole = self.conditions, sum(count for _, count in self.conditions.formula or ())
        for wrong, what in (
            (not self.template.legal()[0], "is not legal: a position without freedom is there twice"),
            (asked.num_sites not in (None, len(letters)), f"has {len(letters)} sites, not {asked.num_sites}"),
            (self.max_atoms is not None and atoms > self.max_atoms, f"has {atoms} atoms, more than {self.max_atoms}"),
            (
                bool(whole) and atoms % max(whole, 1) > 0,
                f"has {atoms} atoms, which units of {whole} cannot make",
            ),
            (len(letters) < len(asked.required_elements), f"has {len(letters)} sites for more required elements"),
        ):
            if wrong:
                raise InfeasibleConditionsError(f"the template {what}; change it, or the other conditions")

    def _holds(self, number: int) -> bool:
        """Whether some set of positions of a group has the numbers of sites and atoms that are asked for."""
        asked = self.conditions
        atoms, fixed = primitive_multiplicities(number), without_freedom(number)
        sites = asked.num_sites
        least = max(1, len(asked.required_elements))
        if asked.formula is None:
            ways = fewest_atoms(number, 0, (), _MOST_SITES)[least if sites is None else sites :]
            ways = ways if sites is None else ways[:1]
            return sites is None or sites >= least if self.max_atoms is None else bool((ways <= self.max_atoms).any())
        counts = tuple(count for _, count in asked.formula)
        return any(
            FormulaTarget(tuple(unit * count for count in counts), atoms, fixed, sites).feasible
            for unit in self.units()
        )

    def units(self) -> range:
        """Numbers of formula units a primitive cell may have."""
        atoms = sum(count for _, count in self.conditions.formula or ())
        if self.conditions.formula_units is not None:
            return range(self.conditions.formula_units, self.conditions.formula_units + 1)
        return range(1, max(1, (self.max_atoms or _MOST_ATOMS) // atoms) + 1)

    def most_units(self) -> int:
        """Most formula units of a primitive cell."""
        return self.units()[-1]

    def size_weights(self, probabilities: Floats) -> Floats:
        """Of p(different elements, sites | group) (n, K, S) what the conditions leave; beyond K and S their largest.

        Required elements are not looked at: they are met by drawing again, so that draws follow the model.
        """
        asked = self.conditions
        kinds, sites = np.indices(probabilities.shape[1:])
        most_kinds, most_sites = kinds.max(), sites.max()
        least, most, wanted = 1, int(self.elements.sum()), asked.num_sites
        if asked.formula is not None:
            least = most = len(asked.formula)
        if self.template is not None:
            wanted = int(self.template.num_sites[0])
        least_sites = 1
        if self.known is not None:
            least = max(least, len(np.unique(self.known.elements[self.known.elements > 0])))
            least_sites = int(self.known.num_sites[0])
        good = (kinds >= min(least, most_kinds)) & (kinds <= most) & (kinds <= sites)
        good &= sites >= min(max(least_sites, least), most_sites)
        if wanted is not None:
            good &= sites == min(wanted, most_sites)
        return np.where(good, probabilities, 0.0)

    def satisfied(self, genes: GeneBatch) -> Bools:
        """(n,) which genes are as asked."""
        asked = self.conditions
        held = compositions(genes)
        atoms = np.array([sum(counts.values()) for counts in held])
        out = genes.num_sites > 0
        if asked.num_sites is not None:
            out &= genes.num_sites == asked.num_sites
        if self.max_atoms is not None:
            out &= atoms <= self.max_atoms
        possible = asked.elements(range(1, 119))
        out &= np.array([set(counts) <= possible for counts in held], bool)
        out &= np.array([asked.required_elements <= set(counts) for counts in held], bool)
        if asked.formula is not None:
            wanted = dict(asked.formula)
            whole = sum(wanted.values())
            units = atoms // whole
            out &= np.array(
                [counts == {z: unit * c for z, c in wanted.items()} for counts, unit in zip(held, units, strict=True)]
            )
            if asked.formula_units is not None:
                out &= units == asked.formula_units
        if self.template is not None:
            out &= template_keys(genes) == template_keys(self.template)
        if self.known is not None:
            out &= _holds_sites(genes, self.known)
        return out


def _holds_sites(genes: GeneBatch, known: GeneBatch) -> Bools:
    """(n,) which genes have all sites of `known`, letter by letter."""
    out = np.ones(len(genes), bool)
    pairs = list(zip(known.wyckoffs[0].tolist(), known.elements[0].tolist(), strict=True))
    for letter, element in set(pairs):
        if letter >= 0:
            there = ((genes.wyckoffs == letter) & (genes.elements == element)).sum(axis=1)
            out &= there >= pairs.count((letter, element))
    return out
