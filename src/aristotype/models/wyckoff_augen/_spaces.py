"""Draws space groups and spaces of elements, in the order that the conditions ask for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from aristotype.crystal import element_symbol
from aristotype.errors import InfeasibleConditionsError, InputError
from aristotype.models.blocks import choose, uniforms
from aristotype.models.wyckoff_augen._atoms import primitive_atoms
from aristotype.models.wyckoff_augen._limits import FormulaLimit, Limit, SizeLimit, TemplateLimit, check_size, limit_of
from aristotype.models.wyckoff_augen._weighing import CANDIDATES, streams, weighed
from aristotype.symmetry import NUM_GROUPS

if TYPE_CHECKING:
    from aristotype.crystal import Conditions, GeneBatch
    from aristotype.models.wyckoff_augen._base import AugenModel

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_FIRST, _CHOSEN, _SPACE = 40, 44, 128
"""Purposes of random numbers; that of an element is `_SPACE` and its place."""
_STRIDE = 1 << 38  # candidates of a row draw from streams this far apart


class Spaces:
    """Groups and spaces of elements under conditions: p(group, space), one part of it first.

    Without conditions either comes first with probability 1/2. Where groups are asked for, the group comes first, from
    p(group) restricted to them; where elements are asked for and groups are not, the space comes first. Several
    candidates are drawn where conditions leave part of a law (see `_weighing`).
    """

    def __init__(self, model: AugenModel, conditions: Conditions | None) -> None:
        """Checks the conditions on groups and elements.

        Raises:
            InputError: an element that is asked for is not in the vocabulary, or a template is given and known sites.
            InfeasibleConditionsError: no element is allowed, or what is asked for has no room in any group.
        """
        self.model = model
        size = len(model.config.elements)
        self.groups: Ints | None = None
        self.limits: dict[int, Limit] = {}
        self.most = np.full(NUM_GROUPS + 1, model.config.max_sites)  # different elements, by group
        self.allowed, self.required = np.ones(size, bool), np.zeros(size, bool)
        if conditions is None:
            self.elements_first: bool | None = None
            return
        known = "partial gene" if conditions.partial_crystal is None else "partial crystal"
        if conditions.template is not None and conditions.partial is not None:
            raise InputError(f"a template and a {known} are given; give one of them")
        if conditions.space_groups is not None:
            self.groups = np.array(conditions.space_groups, np.int64)
        required = conditions.required_elements
        if conditions.formula is not None:
            required |= {number for number, _ in conditions.formula}
        if conditions.partial is not None:
            required |= frozenset(conditions.partial.elements[conditions.partial.elements > 0].tolist())
        self._fix_group(conditions, known)
        missing = required - model.vocabulary
        if missing:
            raise InputError(
                f"{_names(missing)} is required, and is not among the {size} elements of this model; train one on "
                "data that holds it"
            )
        self.allowed, self.required = self._flags(conditions.elements(model.vocabulary)), self._flags(required)
        self._check_allowed(conditions, required)
        limited = bool(self.required.any() or not self.allowed.all())
        self.elements_first = None if self.groups is None and not limited else self.groups is None
        if conditions.formula is not None:
            self.elements_first = True  # they are given: the group follows from p(group | elements)
        self._limit(conditions)

    def _check_allowed(self, conditions: Conditions, required: frozenset[int]) -> None:
        """What is allowed is known to the model, and holds what is required."""
        vocabulary, size = self.model.vocabulary, len(self.model.config.elements)
        unknown = frozenset(conditions.allowed_elements or ()) - vocabulary
        if unknown:
            raise InputError(
                f"{_names(unknown)} is allowed, and is not among the {size} elements of this model; leave it out, or "
                "train a model on data that holds it"
            )
        kept_out = required - conditions.elements(vocabulary)
        if kept_out:
            raise InfeasibleConditionsError(
                f"{_names(kept_out)} is required, and is not among the elements allowed; allow it"
            )
        if not self.allowed.any():
            raise InfeasibleConditionsError(f"all {size} elements of this model are excluded; exclude fewer")

    def _fix_group(self, conditions: Conditions, known: str) -> None:
        """A template, or sites that are known, are of one group."""
        for gene, name in ((conditions.template, "template"), (conditions.partial, known)):
            if gene is None:
                continue
            number = int(gene.space_group[0])
            if self.groups is not None and number not in self.groups:
                raise InfeasibleConditionsError(
                    f"the {name} is of space group {number}, which is not among those asked for; ask for it too"
                )
            if not gene.legal()[0]:
                raise InfeasibleConditionsError(f"the {name} is not legal: a position without freedom is there twice")
            self.groups = np.array([number])
        if conditions.template is not None:
            self._check_template(conditions.template, conditions)

    @staticmethod
    def _check_template(template: GeneBatch, conditions: Conditions) -> None:
        sites = int(template.num_sites[0])
        atoms = int(primitive_atoms(template.space_group, template.wyckoffs)[0, :sites].sum())
        units = conditions.formula_units
        per_unit = sum(count for _, count in conditions.formula or ())
        for wrong, what in (
            (conditions.num_sites not in (None, sites), f"{sites} sites"),
            (atoms > (conditions.max_atoms or atoms), f"{atoms} atoms"),
            (units is not None and units * per_unit != atoms, f"{atoms} atoms"),
        ):
            if wrong:
                raise InfeasibleConditionsError(f"the template has {what}; change it, or the other conditions")

    def _limit(self, conditions: Conditions) -> None:
        """Groups in which what is asked for fits, and how many elements at most."""
        model = self.model
        numbers = range(1, NUM_GROUPS + 1) if self.groups is None else self.groups.tolist()
        check_size(conditions, numbers, model.config.max_sites)
        found = {n: limit_of(conditions, n, model.config.elements, model.config.max_sites) for n in numbers}
        self.limits = {number: limit for number, limit in found.items() if limit is not None}
        for number, limit in found.items():
            if isinstance(limit, SizeLimit | TemplateLimit):
                self.most[number] = limit.most_elements
            elif isinstance(limit, FormulaLimit) and not limit.feasible:
                self.most[number] = 0
        fits = [number for number in numbers if self.most[number] >= max(1, self.required.sum())]
        if not fits:
            raise InfeasibleConditionsError(
                f"{_groups_text(list(found))} no set of at most {model.config.max_sites} sites for what is asked for; "
                "ask for other space groups, or loosen the formula, the sites, the atoms or the required elements"
            )
        self.most[[number for number in numbers if number not in fits]] = 0
        if self.groups is not None or len(fits) < NUM_GROUPS:
            self.groups = np.array(fits)

    @property
    def _device(self) -> torch.device:
        return self.model.group_counts.device

    def _flags(self, numbers: frozenset[int]) -> Flags:
        return np.isin(self.model.config.elements, sorted(numbers))

    def draw(self, seed: int, rows: Ints) -> tuple[Ints, Flags]:
        """Groups (n,) and spaces (n, E) of the rows with these numbers, in the proportions of the model."""
        group, space, log_kept = self._candidates(seed, rows)
        if self.elements_first and (self.required == self.allowed).all():
            return group, space  # one space; what is left of groups is the same for every candidate
        random = uniforms(seed, rows, _CHOSEN, CANDIDATES + 1)

        def more(left: Ints, places: Ints) -> tuple[Ints, Flags, Floats]:
            return self._candidates(seed, streams(rows[left], places, _STRIDE))

        group, space, _ = weighed(random, (group, space, log_kept), more)
        return group, space

    @torch.no_grad()
    def _candidates(self, seed: int, rows: Ints) -> tuple[Ints, Flags, Floats]:
        """Groups (n,), spaces (n, E), and logs (n,) of the probabilities that the model keeps to what is asked for."""
        random = uniforms(seed, rows, _FIRST, 2)
        first = random[:, 0] < 0.5 if self.elements_first is None else np.full(len(rows), self.elements_first)
        law = self.model.group_probabilities()
        if self.groups is not None:
            law = np.where(np.isin(np.arange(NUM_GROUPS + 1), self.groups), law, 0.0)
        with np.errstate(divide="ignore"):
            log_law = torch.from_numpy(np.log(law)).expand(len(rows), -1)
        uniform = torch.from_numpy(random[:, 1])
        group = np.where(first, 0, choose(log_law, uniform).numpy())
        space, _, log_kept = self._sets(group, seed, rows)
        given = self.model.space.log_groups(torch.from_numpy(space).to(self._device)).double().cpu()
        possible = self.most[None] >= space.sum(axis=1)[:, None]
        if self.groups is not None:
            possible &= np.isin(np.arange(NUM_GROUPS + 1), self.groups)
        given = given.masked_fill(~torch.from_numpy(possible), -torch.inf)
        log_kept += np.where(first, torch.logsumexp(given, dim=1).numpy(), 0.0)
        return np.where(first, choose(given, uniform).numpy(), group), space, log_kept

    @torch.no_grad()
    def of_group(self, seed: int, rows: Ints) -> tuple[Flags, Floats]:
        """Spaces (n, E) for the one group that is left, and logs (n,) of the probabilities that they were drawn by."""
        assert self.groups is not None and len(self.groups) == 1
        group = np.full(len(rows), 0 if self.elements_first else self.groups[0])
        return self._sets(group, seed, rows)[:2]

    def _sets(self, group: Ints, seed: int, rows: Ints) -> tuple[Flags, Floats, Floats]:
        """Sets of elements (n, E), one after another in increasing order; for the group 0 those without a group.

        Returns:
            the sets, logs (n,) of the probabilities that they were drawn by, and of those that the model keeps to what
            is asked for.
        """
        n, size = len(rows), len(self.allowed)
        log_law, log_kept = np.zeros(n), np.zeros(n)
        chosen = np.zeros((n, size), bool)
        going = np.arange(n)
        numbers = np.arange(size)
        for step in range(size):
            if not len(going):
                break
            log_steps = self.model.space.log_steps(
                torch.from_numpy(group[going]).to(self._device),
                torch.from_numpy(chosen[going].astype(np.float32)).to(self._device),
            ).cpu()
            waiting = self.required & ~chosen[going]
            least = np.where(waiting.any(axis=1), waiting.argmax(axis=1), size)
            possible = self.allowed & (numbers <= least[:, None])
            end = ~waiting.any(axis=1)
            # What is required is never passed by, and room for it is kept.
            room = np.where(group[going] > 0, self.most[group[going]], self.most[1:].max()) - step
            possible &= (waiting | (waiting.sum(axis=1) < room)[:, None]) & (room > 0)[:, None]
            mask = torch.from_numpy(np.column_stack([possible, end]))
            left = log_steps.double().masked_fill(~mask, -torch.inf)
            log_kept[going] += torch.logsumexp(left, dim=1).numpy()
            law = torch.log_softmax(left, dim=1)
            uniform = torch.from_numpy(uniforms(seed, rows[going], _SPACE + step, 1)[:, 0])
            following = choose(law, uniform).numpy()
            log_law[going] += law.numpy()[np.arange(len(going)), following]
            more = following < size
            chosen[going[more], following[more]] = True
            going = going[more]
        return chosen, log_law, log_kept


def _names(elements: Iterable[int]) -> str:
    return ", ".join(element_symbol(number) for number in sorted(elements))


def _groups_text(numbers: list[int]) -> str:
    return f"space group {numbers[0]} has" if len(numbers) == 1 else f"{len(numbers)} space groups have"
