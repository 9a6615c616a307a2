"""Draws space groups and spaces of elements, in the order that the conditions ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from aristotype.errors import InfeasibleConditionsError, InputError
from aristotype.models.blocks import choose, uniforms
from aristotype.symmetry import NUM_GROUPS

if TYPE_CHECKING:
    from aristotype.crystal import Conditions
    from aristotype.models.wyckoff_augen._base import AugenModel

Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]
_OTHERS = ("formula", "num_sites", "max_atoms", "template", "partial", "partial_crystal")
_FIRST, _SPACE = 40, 128
"""Purposes of random numbers; that of an element is `_SPACE` and its place."""


class Spaces:
    """Groups and spaces of elements under conditions: p(group, space), one part of it first.

    Without conditions either comes first with probability 1/2. Where groups are asked for, the group comes first, from
    p(group) restricted to them; where elements are asked for and groups are not, the space comes first.
    """

    def __init__(self, model: AugenModel, conditions: Conditions | None) -> None:
        """Checks the conditions on groups and elements.

        Raises:
            InputError: an element that is asked for is not in the vocabulary; something else than groups, elements and
                properties is asked for.
            InfeasibleConditionsError: no element is allowed, or more are required than a crystal has sites.
        """
        self.model = model
        size = len(model.config.elements)
        self.groups: Ints | None = None
        self.allowed, self.required = np.ones(size, bool), np.zeros(size, bool)
        if conditions is None:
            self.elements_first: bool | None = None
            return
        for name in _OTHERS:
            if getattr(conditions, name) is not None:
                raise InputError(
                    f"{name} is asked for, and this model takes space groups and elements alone; take "
                    "crystalformer-mp20 for it"
                )
        if conditions.space_groups is not None:
            self.groups = np.array(conditions.space_groups, np.int64)
        if conditions.allowed_elements is not None:
            self.allowed = self._flags(conditions.allowed_elements & model.vocabulary)
        self.allowed &= ~self._flags(conditions.excluded_elements & model.vocabulary)
        missing = conditions.required_elements - model.vocabulary
        if missing:
            raise InputError(
                f"element {min(missing)} is required, and is not among the {size} elements of this model; train one on "
                "data that holds it"
            )
        self.required = self._flags(conditions.required_elements)
        if not self.allowed.any() or (self.required & ~self.allowed).any():
            raise InfeasibleConditionsError("no element that is required or left is one of those allowed; allow more")
        if self.required.sum() > model.config.max_sites:
            raise InfeasibleConditionsError(
                f"{int(self.required.sum())} elements are required, and this model writes crystals of at most "
                f"{model.config.max_sites} sites; require fewer"
            )
        limited = bool(self.required.any() or not self.allowed.all())
        self.elements_first = None if self.groups is None and not limited else self.groups is None

    def _flags(self, numbers: frozenset[int]) -> Flags:
        return np.isin(self.model.config.elements, sorted(numbers))

    @torch.no_grad()
    def draw(self, seed: int, rows: Ints) -> tuple[Ints, Flags]:
        """Groups (n,) and spaces (n, E) of the rows with these numbers."""
        random = uniforms(seed, rows, _FIRST, 2)
        first = random[:, 0] < 0.5 if self.elements_first is None else np.full(len(rows), self.elements_first)
        law = self.model.group_probabilities()
        if self.groups is not None:
            law = np.where(np.isin(np.arange(NUM_GROUPS + 1), self.groups), law, 0.0)
        with np.errstate(divide="ignore"):
            log_law = torch.from_numpy(np.log(law)).expand(len(rows), -1)
        uniform = torch.from_numpy(random[:, 1])
        group = np.where(first, 0, choose(log_law, uniform).numpy())
        space = self._sets(group, seed, rows)
        given = self.model.space.log_groups(torch.from_numpy(space)).double()
        return np.where(first, choose(given, uniform).numpy(), group), space

    def _sets(self, group: Ints, seed: int, rows: Ints) -> Flags:
        """Sets of elements (n, E), one after another in increasing order; for the group 0 those without a group."""
        n, size = len(rows), len(self.allowed)
        chosen = np.zeros((n, size), bool)
        going = np.arange(n)
        numbers = np.arange(size)
        for step in range(size):
            if not len(going):
                break
            log_steps = self.model.space.log_steps(
                torch.from_numpy(group[going]), torch.from_numpy(chosen[going].astype(np.float32))
            )
            waiting = self.required & ~chosen[going]
            least = np.where(waiting.any(axis=1), waiting.argmax(axis=1), size)
            possible = self.allowed & (numbers <= least[:, None])
            end = ~waiting.any(axis=1)
            # What is required is never passed by, and room for it is kept.
            room = self.model.config.max_sites - step
            possible &= waiting | (waiting.sum(axis=1) < room)[:, None]
            mask = torch.from_numpy(np.column_stack([possible, end]))
            law = torch.log_softmax(log_steps.double().masked_fill(~mask, -torch.inf), dim=1)
            uniform = torch.from_numpy(uniforms(seed, rows[going], _SPACE + step, 1)[:, 0])
            following = choose(law, uniform).numpy()
            more = following < size
            chosen[going[more], following[more]] = True
            going = going[more]
        return chosen
