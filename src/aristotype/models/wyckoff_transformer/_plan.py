"""Conditions compiled for a model: what is possible at every decision, known before anything is drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import Conditions, element_symbol, reduced_formula, templates_of
from aristotype.errors import InfeasibleConditionsError, InputError
from aristotype.models.blocks import (
    Bools,
    ElementAssignment,
    FormulaTarget,
    fewest_atoms,
    primitive_multiplicities,
    without_freedom,
)
from aristotype.models.wyckoff_transformer._config import WyckoffTransformerConfig
from aristotype.models.wyckoff_transformer._memory import TemplateMemory
from aristotype.models.wyckoff_transformer._partial import Images, Known, grouped
from aristotype.models.wyckoff_transformer._rules import ElementRule, FormulaRule, OpenRule
from aristotype.models.wyckoff_transformer._writer import STOP

_MOST_BYTES = 4_000_000  # for a letter of a group: about 100 MB for all of them


class Plan:
    """What the conditions leave possible. Masks are exact: every choice that they allow can be completed."""

    def __init__(self, config: WyckoffTransformerConfig, memory: TemplateMemory, conditions: Conditions) -> None:
        self.config = config
        self.memory = memory
        self.conditions = conditions
        self._index = {number: index for index, number in enumerate(config.elements)}
        self._letters = [tuple(row[row >= 0].tolist()) for row in memory.templates.wyckoffs]
        self._masks: dict[tuple[int, tuple[int, ...], Known], Bools] = {}
        self._targets: dict[tuple[int, int, Known], FormulaTarget] = {}
        self._assignments: dict[tuple[int, tuple[int, ...], Known], ElementAssignment | None] = {}
        self._placements: dict[tuple[int, tuple[int, ...]], list[Known]] = {}
        self.vocabulary = self._allowed_elements()
        self.required = frozenset(self._known_elements(conditions.required_elements, "required"))
        self.formula = () if conditions.formula is None else tuple(count for _, count in conditions.formula)
        self.formula_elements = tuple(self._index[z] for z, _ in conditions.formula or ())
        self.partial = self._read_partial()
        self.images = Images(self.partial)
        self.template = None if conditions.template is None else templates_of(conditions.template)
        self.max_atoms = self._largest_cell()
        self._check_size()
        self.min_sites = max(1, len(self.required) if not self.partial else self._sites_with_partial())
        self.groups = self._possible_groups()
        self.remembered = self._possible_templates()
        self.group_probabilities = self._group_probabilities()

    # What is asked

    def _allowed_elements(self) -> Bools:
        asked = self.conditions
        if asked.formula is not None:
            self._known_elements((z for z, _ in asked.formula), "in the formula")
        possible = asked.elements(self.config.elements)
        for kind, wanted in (
            ("required", asked.required_elements),
            ("in the formula", {z for z, _ in asked.formula or ()}),
        ):
            self._known_elements(wanted, kind)
            if not wanted <= possible:
                lost = ", ".join(element_symbol(z) for z in sorted(wanted - possible))
                raise InfeasibleConditionsError(f"{lost} is {kind} but excluded or not among the allowed elements")
        if not possible:
            raise InfeasibleConditionsError(
                f"the conditions leave none of the model's {len(self.config.elements)} elements; "
                "allow at least one of them"
            )
        mask = np.zeros(len(self.config.elements), dtype=bool)
        mask[[self._index[z] for z in possible]] = True
        return mask

    def _known_elements(self, numbers: Iterable[int], kind: str) -> list[int]:
        unknown = [element_symbol(z) for z in numbers if z not in self._index]
        if unknown:
            raise InputError(
                f"{', '.join(unknown)} is {kind} but not among the {len(self._index)} elements this model was trained "
                "on; choose others or fine-tune on data that holds it"
            )
        return [self._index[z] for z in numbers]

    def _read_partial(self) -> Known:
        partial = self.conditions.partial
        if partial is None:
            return ()
        partial.check()
        number, letters = int(partial.space_group[0]), partial.wyckoffs[0][partial.wyckoffs[0] >= 0].tolist()
        twice = [w for w, count in Counter(letters).items() if count > 1 and without_freedom(number)[w]]
        if twice:
            raise InfeasibleConditionsError(
                f"the partial crystal has position {twice[0]} of space group {number} twice, which has no freedom"
            )
        indices = self._known_elements(partial.elements[0][partial.elements[0] > 0].tolist(), "in the partial crystal")
        if not self.vocabulary[indices].all():
            raise InfeasibleConditionsError("the partial crystal holds an element that the other conditions exclude")
        return grouped(letters, indices)

    def _sites_with_partial(self) -> int:
        known = {element for _, elements in self.partial for element in elements}
        return sum(len(elements) for _, elements in self.partial) + len(self.required - known)

    def _largest_cell(self) -> int | None:
        """Atoms of the primitive cell; for a formula the training data's largest cell, where nothing else is asked."""
        asked = self.conditions
        if asked.max_atoms is not None or asked.formula is None:
            return asked.max_atoms
        if asked.formula_units is not None:
            return asked.formula_units * sum(self.formula)
        sizes = [
            sum(primitive_multiplicities(int(group))[w] for w in letters)
            for group, letters in zip(self.memory.templates.space_group, self._letters, strict=True)
        ]
        return max([*sizes, sum(self.formula)])

    def _check_size(self) -> None:
        """Refuses what no template of the model can hold, and compositions whose tables would not fit in memory."""
        sites, most = self.conditions.num_sites, self.config.max_sites
        for asked, name in (
            (sites or 0, "sites"),
            (len(self.required), "required elements"),
            (sum(len(elements) for _, elements in self.partial), "known sites"),
        ):
            if asked > most:
                raise InfeasibleConditionsError(
                    f"{asked} {name} are asked for, and this model writes at most {most} sites; ask for fewer"
                )
        if self.formula and self.formula_units():
            units = self.formula_units()[-1]
            bounded = sites is not None or units * sum(self.formula) > most
            size = FormulaTarget.table_bytes([units * count for count in self.formula], most if bounded else None)
            if size > _MOST_BYTES:
                raise InputError(
                    f"a table of the formula with {units} formula units takes {size:,} bytes, over {_MOST_BYTES:,}; "
                    "ask for fewer formula units, fewer atoms or a simpler formula"
                )

    def formula_units(self) -> range:
        """Numbers of formula units a primitive cell may have."""
        asked, atoms = self.conditions, sum(self.formula)
        assert self.max_atoms is not None, "a formula bounds the number of atoms"
        if asked.formula_units is not None:
            fits = asked.formula_units * atoms <= self.max_atoms
            return range(asked.formula_units, asked.formula_units + fits)
        return range(1, self.max_atoms // atoms + 1)

    # What is possible

    def _possible_groups(self) -> list[int]:
        asked = set(self.conditions.space_groups or range(1, 231))
        for name, gene in (("template", self.template), ("partial crystal", self.conditions.partial)):
            if gene is not None:
                number = int(gene.space_group[0])
                if number not in asked:
                    raise InfeasibleConditionsError(
                        f"the {name} is of space group {number}, which is not among the space groups asked for"
                    )
                asked = {number}
        return sorted(asked)

    def _possible_templates(self) -> NDArray[np.bool_]:
        """(M,) which remembered templates satisfy the conditions."""
        allowed = np.isin(self.memory.templates.space_group, self.groups)
        if self.template is not None:
            return np.zeros(len(self.memory), dtype=bool)
        for row in np.flatnonzero(allowed):
            allowed[row] = self.template_fits(int(self.memory.templates.space_group[row]), self._letters[row])
        return allowed

    def template_fits(self, number: int, letters: tuple[int, ...]) -> bool:
        """Whether some assignment of elements to a canonical template satisfies the conditions."""
        atoms = sum(primitive_multiplicities(number)[w] for w in letters)
        sites = self.conditions.num_sites
        if (self.max_atoms is not None and atoms > self.max_atoms) or (sites is not None and len(letters) != sites):
            return False
        if len(letters) < self.min_sites or len(letters) > self.config.max_sites:
            return False
        if self.formula and (atoms % sum(self.formula) or atoms // sum(self.formula) not in self.formula_units()):
            return False
        return bool(self.placements(number, letters))

    def placements(self, number: int, letters: tuple[int, ...]) -> list[Known]:
        """Ways in which the known sites fit on a canonical template with the rest completable; [()] without any."""
        key = (number, letters)
        if key not in self._placements:
            found = self.images.within(number, letters)
            self._placements[key] = [known for known in found if self._completable(number, letters, known)]
        return self._placements[key]

    def _completable(self, number: int, letters: tuple[int, ...], known: Known) -> bool:
        if self.formula:
            assignment = self.assignment(number, letters, known)
            return assignment is not None and assignment.feasible
        return OpenRule.feasible(letters, self.required, dict(known))

    def assignment(self, number: int, letters: tuple[int, ...], known: Known) -> ElementAssignment | None:
        """The exact composition on a template, None where the number of atoms does not fit."""
        key = (number, letters, known)
        if key not in self._assignments:
            atoms = tuple(primitive_multiplicities(number)[w] for w in letters)
            units, rest = divmod(sum(atoms), sum(self.formula))
            counts = tuple(units * count for count in self.formula)
            places = {index: place for place, index in enumerate(self.formula_elements)}
            pending = {letter: tuple(places[e] for e in elements) for letter, elements in known}
            self._assignments[key] = None if rest else ElementAssignment(letters, atoms, counts, pending)
        return self._assignments[key]

    def _group_probabilities(self) -> NDArray[np.float64]:
        """(231,) p(space group) on the possible groups, renormalised."""
        prior = self.memory.group_probabilities(self.config.group_smoothing)
        out = np.zeros(231)
        remembered = set(self.memory.templates.space_group[self.remembered].tolist())
        for number in self.groups:
            if self.template is not None:
                letters = tuple(self.template.wyckoffs[0][self.template.wyckoffs[0] >= 0].tolist())
                possible = bool(self.template.legal()[0]) and self.template_fits(number, letters)
            else:
                possible = number in remembered or self.writable(number)
            out[number] = prior[number] * possible
        if out.sum() == 0:
            raise InfeasibleConditionsError(self._why_nothing())
        return out / out.sum()

    def _why_nothing(self) -> str:
        where = f"space group {self.groups[0]}" if len(self.groups) == 1 else f"any of {len(self.groups)} space groups"
        parts = []
        if self.formula:
            text = reduced_formula(dict(self.conditions.formula or ()))
            units = self.formula_units()
            how_many = f"with {_span(units)} formula units a primitive cell" if units else self._too_large()
            parts.append(f"composition {text} {how_many}")
        if self.conditions.num_sites is not None:
            parts.append(f"exactly {self.conditions.num_sites} sites")
        if self.conditions.max_atoms is not None:
            parts.append(f"at most {self.conditions.max_atoms} atoms a primitive cell")
        if self.required:
            parts.append(f"{len(self.required)} required elements")
        if self.template is not None:
            parts.append("the template asked for")
        if self.partial:
            parts.append("the partial crystal")
        asked = ", ".join(parts) or "these conditions"
        return (
            f"no set of Wyckoff positions of {where} holds {asked}; "
            "widen the space groups or the limits on sites and atoms"
        )

    def _too_large(self) -> str:
        atoms = sum(self.formula) * (self.conditions.formula_units or 1)
        return f"({atoms} atoms, where at most {self.max_atoms} are allowed)"

    # The writer's masks

    def writable(self, number: int) -> bool:
        """Whether the writer can write any template of a group that satisfies the conditions."""
        return bool(self.letter_mask(number, (), self.partial).any())

    def letter_mask(self, number: int, prefix: tuple[int, ...], image: Known) -> Bools:
        """(28,) letters, and stop, after which the conditions can still be satisfied.

        Args:
            number: the space group.
            prefix: letters so far.
            image: one of `images.of_group(number)`, which must be among the letters.
        """
        key = (number, prefix, image)
        if key not in self._masks:
            self._masks[key] = self._letter_mask(number, prefix, image)
        return self._masks[key]

    def _letter_mask(self, number: int, prefix: tuple[int, ...], image: Known) -> Bools:
        fixed = without_freedom(number)
        lowest = 0 if not prefix else prefix[-1] + fixed[prefix[-1]]
        out = np.zeros(STOP + 1, dtype=bool)
        out[STOP] = bool(prefix) and self._can_finish(number, prefix, STOP, image, stop=True)
        for letter in range(lowest, len(fixed)):
            out[letter] = self._can_finish(number, (*prefix, letter), letter + fixed[letter], image, stop=False)
        return out

    def _can_finish(self, number: int, prefix: tuple[int, ...], lowest: int, image: Known, *, stop: bool) -> bool:
        """Whether a prefix of letters can be completed by letters from `lowest` on (or is complete, with `stop`)."""
        wanted = Counter({letter: len(elements) for letter, elements in image})
        missing = tuple(sorted((wanted - Counter(prefix)).elements()))
        sites, most = len(prefix), self.conditions.num_sites or self.config.max_sites
        if sites > most or (stop and (missing or sites < max(self.min_sites, self.conditions.num_sites or 1))):
            return False
        atoms = sum(primitive_multiplicities(number)[w] for w in prefix)
        room = np.int64(1 << 39) if self.max_atoms is None else np.int64(self.max_atoms - atoms)
        if room < 0:
            return False
        if not stop:
            least = max(0, max(self.min_sites, self.conditions.num_sites or 1) - sites)
            if not (
                fewest_atoms(number, lowest, missing, self.config.max_sites)[least : most - sites + 1] <= room
            ).any():
                return False
        return not self.formula or any(
            self._formula_can_finish(prefix, lowest, self._target(number, units, image), image, stop=stop)
            for units in self.formula_units()
        )

    @staticmethod
    def _formula_can_finish(
        prefix: tuple[int, ...], lowest: int, target: FormulaTarget | None, image: Known, *, stop: bool
    ) -> bool:
        if target is None:
            return False
        known = Counter({letter: len(elements) for letter, elements in image})
        reached = target.start()
        for letter in prefix:
            if known[letter]:
                known[letter] -= 1
            else:
                reached = target.after(reached, letter)
        return target.can_stop(reached) if stop else target.can_go_on(reached, lowest)

    def _target(self, number: int, units: int, image: Known) -> FormulaTarget | None:
        """The composition less the known sites, in no more sites than can be written.

        Zero-freedom letters of known sites cannot be used again.
        """
        key = (number, units, image)
        if key not in self._targets:
            atoms = list(primitive_multiplicities(number))
            counts = [units * count for count in self.formula]
            exactly, most = self.conditions.num_sites, self.config.max_sites
            sites = exactly if exactly is not None or sum(counts) <= most else most
            for letter, elements in image:
                for element in elements:
                    counts[self.formula_elements.index(element)] -= atoms[letter]
                    sites = None if sites is None else sites - 1
            for letter, _ in image:
                if without_freedom(number)[letter]:
                    atoms[letter] = units * sum(self.formula) + 1
            if min(counts) < 0 or (sites is not None and sites < 0):
                return None
            self._targets[key] = FormulaTarget(
                tuple(counts),
                tuple(atoms),
                without_freedom(number),
                sites,
                at_most=exactly is None and sites is not None,
            )
        return self._targets[key]

    # The rules for elements

    @property
    def rules_needed(self) -> bool:
        """Whether elements need row-wise rules beyond the vocabulary mask."""
        return bool(self.formula or self.required or self.partial)

    @property
    def weighted(self) -> bool:
        """Whether masks shift probability between groups or templates, so that proposals must be weighed."""
        asked = self.conditions
        limited = asked.num_sites is not None or asked.max_atoms is not None
        return self.rules_needed or limited or not bool(self.vocabulary.all())

    def distinct_elements(self, sites: NDArray[np.int64]) -> tuple[int, NDArray[np.int64]]:
        """Fewest, and by number of sites (n,) most, different elements that a gene can have under the conditions."""
        if self.formula:
            return len(self.formula), np.full(len(sites), len(self.formula))
        known = [element for _, elements in self.partial for element in elements]
        most = np.minimum(len(set(known)) + sites - len(known), self.vocabulary.sum())
        return max(1, len(self.required.union(known))), most

    def rule(self, number: int, letters: tuple[int, ...], known: Known) -> ElementRule:
        """A fresh rule for one row."""
        if self.formula:
            assignment = self.assignment(number, letters, known)
            assert assignment is not None, "a template that does not fit the formula was drawn"
            return FormulaRule(assignment, self.formula_elements, len(self.vocabulary))
        return OpenRule(letters, self.vocabulary, self.required, dict(known))


def _span(numbers: range) -> str:
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
