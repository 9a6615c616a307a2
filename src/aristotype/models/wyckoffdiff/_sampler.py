"""Draws genes by the reverse chain, every row from its own random numbers, and again until the conditions hold.

What a condition says of single variables is a mask on x_0 at every step of the chain: elements, known sites, positions
of a template, and what would be too much of anything. That steers the chain and is not exact conditioning: the network
does not look ahead. A formula is more than masks: each step draws an x_0 that has it, by dynamic programming, and shows
some of that. What is still open is drawn again, a bounded number of times, and the number is told.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aristotype.crystal import (
    Conditions,
    GeneBatch,
    canonical_genes,
    compositions,
    element_symbol,
    template_keys,
)
from aristotype.errors import InfeasibleConditionsError, InputError
from aristotype.models.blocks import (
    FormulaTarget,
    fewest_atoms,
    primitive_multiplicities,
    uniforms,
    without_freedom,
)
from aristotype.models.wyckoffdiff._bound import Draws
from aristotype.models.wyckoffdiff._composition import Amount, Variable, draw_amounts
from aristotype.models.wyckoffdiff._noise import Step, pick
from aristotype.models.wyckoffdiff._occupation import Layout, Occupation, genes_of
from aristotype.symmetry import tables
from aristotype.training import to_device

if TYPE_CHECKING:
    from aristotype.models.wyckoffdiff._model import WyckoffDiff

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

FIRST_BLOCK, BLOCK = 64, 512
"""Rows that are drawn together: each block is as long as all before it, up to the second number."""
_CHUNK = 128  # rows that go down a chain together, of groups with about as many positions
MOST_TRIES = 2000
"""Chains that a row takes before it is given up."""
_MOST_SITES = 64
_MOST_ATOMS = 40  # of a formula, where nothing else is asked
_ATTEMPT = 1 << 24  # purposes of random numbers: an attempt each, and in it a step each
_GROUP = 0
_FILL = 1


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
            template=None if conditions.template is None else conditions.template,
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
                one = gene if name == "template" else GeneBatch.concatenate([gene])
                if not model.can_hold(one)[0] and name == "partial crystal":
                    raise InfeasibleConditionsError(
                        f"the {name} has a position without freedom twice, or more than {model.config.max_count} sites "
                        "of one element on one position, which this model does not write"
                    )
        possible = np.array([bool(ok) and self._holds(number) for number, ok in enumerate(asked.tolist())])
        if not possible.any():
            where = "any of the space groups asked for" if self.conditions.space_groups else "any space group"
            raise InfeasibleConditionsError(
                f"no set of Wyckoff positions of {where} holds what is asked for (formula, sites, atoms, required "
                "elements); widen the space groups or the limits on sites and atoms"
            )
        probabilities = np.where(possible, self.group_probabilities, 0.0)
        return Plan(**{**vars(self), "group_probabilities": probabilities / probabilities.sum()})

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


def draw_blocks(model: WyckoffDiff, plan: Plan, seed: int) -> Iterator[tuple[GeneBatch, Ints]]:
    """Endless blocks of canonical genes in row order, and the chains (n,) that each took.

    Raises:
        InputError: a row took `MOST_TRIES` chains in vain.
    """
    first = 0
    while True:
        size = min(max(first, FIRST_BLOCK), BLOCK)
        yield _block(model, plan, seed, np.arange(first, first + size))
        first += size


def _block(model: WyckoffDiff, plan: Plan, seed: int, rows: Ints) -> tuple[GeneBatch, Ints]:
    found: list[GeneBatch | None] = [None] * len(rows)
    tries = np.zeros(len(rows), np.int64)
    left = np.arange(len(rows))
    while len(left):
        attempt = int(tries[left[0]])
        if attempt >= MOST_TRIES:
            done = len(rows) - len(left)
            raise InputError(
                f"row {int(rows[left[0]])}: none of {attempt:,} chains satisfied the conditions ({done} of {len(rows)} "
                "rows of its block were found); loosen them, or take a model that draws them exactly, such as "
                "wyckoff-transformer-mp20"
            )
        genes = _attempt(model, plan, seed, rows[left], attempt)
        tries[left] += 1
        good = np.flatnonzero(plan.satisfied(genes))
        for place in good.tolist():
            found[left[place]] = genes.take([place])
        left = np.delete(left, good)
    return canonical_genes(GeneBatch.concatenate([gene for gene in found if gene is not None])), tries


def _attempt(model: WyckoffDiff, plan: Plan, seed: int, rows: Ints, attempt: int) -> GeneBatch:
    """One chain a row."""
    purpose = attempt * _ATTEMPT
    cumulative = np.cumsum(plan.group_probabilities)
    drawn = uniforms(seed, rows, purpose + _GROUP, 1)[:, 0] * cumulative[-1]
    group = np.minimum(np.searchsorted(cumulative, drawn, side="right"), np.flatnonzero(plan.group_probabilities)[-1])
    order = np.argsort(tables().num_positions[group], kind="stable")
    parts = [
        _Chain(model, plan, group[some], seed, rows[some], purpose).run()
        for some in np.array_split(order, max(1, -(-len(order) // _CHUNK)))
    ]
    return GeneBatch.concatenate(parts).take(np.argsort(order))


class _Chain:
    """Some rows on their way from noise to genes."""

    def __init__(self, model: WyckoffDiff, plan: Plan, group: Ints, seed: int, rows: Ints, purpose: int) -> None:
        self.model, self.plan, self.seed, self.rows, self.purpose = model, plan, seed, rows, purpose
        device = model.kept.device
        self.layout: Layout = to_device(Layout.of(group), device)
        n = len(group)
        atoms = np.zeros((n, 27), np.int64)
        for number in np.unique(group).tolist():
            own = primitive_multiplicities(number)
            atoms[group == number, : len(own)] = own
        by_place = torch.from_numpy(atoms[:, : self.layout.length]).to(device).flatten()
        self.fixed_atoms, self.free_atoms = by_place[self.layout.fixed], by_place[self.layout.free]
        self.grows = model.config.prior == "zeros"  # what is there stays, so that room can be counted
        self.elements = torch.from_numpy(plan.elements).to(device)
        self.totals = self._template_totals(device)
        self.fixed_known, self.free_known = self._known_sites(device)

    def run(self) -> GeneBatch:
        """The genes."""
        model = self.model
        visited = model.visited().to(self.layout.group.device)
        state = self._noise()
        with torch.no_grad():
            for index in range(len(visited) - 1, 0, -1):
                time = visited[index].expand(len(self.layout))
                before = visited[index - 1].expand(len(self.layout))
                fixed, free = model.log_x0(self.layout, state, time)
                if not self.plan.free:
                    fixed, free = self._masked(state, fixed, free)
                step = Step(kept=model.kept[time], kept_before=model.kept[before])
                draws = self._draws(index + 2)
                if self.grows and self.plan.conditions.formula is not None:
                    state = self._with_formula(state, fixed, free, step, index)
                elif index > 1:
                    state = model.drawn(self.layout, state, fixed, free, step, draws)
                else:
                    state = self._last(*model.reverse(self.layout, state, fixed, free, step), draws)
        return genes_of(state, self.layout, model.config.elements)

    def _draws(self, index: int) -> Draws:
        number = self.layout.length * len(self.model.config.elements)
        return Draws(self.layout, torch.from_numpy(uniforms(self.seed, self.rows, self.purpose + index, number)))

    def _noise(self) -> Occupation:
        """x_T, drawn from the prior."""
        model, device = self.model, self.layout.group.device
        shape = (len(self.layout.free), len(model.config.elements))
        if model.config.prior == "zeros":
            empty = torch.zeros(len(self.layout.fixed), dtype=torch.long, device=device)
            return Occupation(fixed=empty, free=torch.zeros(shape, dtype=torch.long, device=device))
        draws = self._draws(len(model.visited()) + 2)
        fixed = model.fixed_prior.expand(len(self.layout.fixed), -1)
        free = model.free_prior.expand(shape[0], -1, -1)
        return Occupation(fixed=pick(fixed, draws(fixed[:, 0])), free=pick(free, draws(free[..., 0])))

    # Conditions as masks

    def _masked(self, state: Occupation, fixed: Tensor, free: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities of x_0 (F, N + 1), (M, N, P + 1) without what the conditions exclude, normalised again."""
        layout = self.layout
        values = torch.arange(free.shape[-1], device=free.device)
        room = self._room(state)  # (n, N) atoms of each element that there is room for
        sites = self._sites_left(state)  # (n,)
        can_fixed = self.elements & (self.fixed_atoms[:, None] <= room[layout.fixed_row])
        can_fixed = can_fixed & (sites[layout.fixed_row] >= 1)[:, None]
        can_fixed = torch.cat([torch.ones_like(can_fixed[:, :1]), can_fixed], dim=1)
        more = values - state.free[..., None]
        can_free = self.elements[:, None] & (more * self.free_atoms[:, None, None] <= room[layout.free_row][..., None])
        can_free = (can_free & (more <= sites[layout.free_row, None, None])) | (more <= 0)
        if self.totals is not None:
            in_template = self.totals[layout.fixed] > 0
            can_fixed = torch.where(
                in_template[:, None],
                can_fixed,
                can_fixed & (torch.arange(can_fixed.shape[1], device=fixed.device) == 0),
            )
            can_fixed[in_template, 0] = False
            total = self.totals[layout.free][:, None, None]
            left = total - state.free.sum(dim=1)[:, None, None]
            can_free = can_free & ((more <= left) | (more <= 0) if self.grows else values <= total)
        if self.plan.known is not None:
            only = torch.arange(can_fixed.shape[1], device=fixed.device) == self.fixed_known[:, None]
            can_fixed = torch.where(self.fixed_known[:, None] > 0, only, can_fixed)
            can_free = can_free & (values >= self.free_known[..., None])
        return _among(fixed, can_fixed), _among(free, can_free)

    def _room(self, state: Occupation) -> Tensor:
        """(n, N) atoms of each element that may still come to a primitive cell."""
        plan, layout = self.plan, self.layout
        held = torch.zeros(len(layout), len(self.elements) + 1, dtype=torch.long, device=self.elements.device)
        held.index_put_((layout.fixed_row, state.fixed), self.fixed_atoms, accumulate=True)
        held = held[:, 1:].index_add(0, layout.free_row, state.free * self.free_atoms[:, None])
        most = 1 << 40 if plan.max_atoms is None or not self.grows else plan.max_atoms
        room = (most - held.sum(dim=1, keepdim=True)).expand_as(held)
        if plan.conditions.formula is None or not self.grows:
            return room
        formula, units = dict(plan.conditions.formula), plan.most_units()
        wanted = torch.tensor([formula.get(z, 0) * units for z in self.model.config.elements], device=held.device)
        return torch.minimum(room, wanted - held)

    def _sites_left(self, state: Occupation) -> Tensor:
        """(n,) sites that may still come."""
        asked = self.plan.conditions.num_sites
        held = torch.zeros(len(self.layout), dtype=torch.long, device=self.elements.device)
        if asked is None or not self.grows:
            return held + (1 << 40)
        held = held.index_add(0, self.layout.fixed_row, (state.fixed > 0).long())
        return asked - held.index_add(0, self.layout.free_row, state.free.sum(dim=1))

    def _template_totals(self, device: torch.device) -> Tensor | None:
        """(n L,) sites on each position of the template."""
        if self.plan.template is None:
            return None
        letters = self.plan.template.wyckoffs[0]
        counts = np.bincount(letters[letters >= 0], minlength=self.layout.length)[: self.layout.length]
        return torch.from_numpy(np.tile(counts, len(self.layout))).to(device)

    def _known_sites(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """(F,) what is known on positions without freedom, 0 where nothing is; (M, N) least counts on the others."""
        from aristotype.models.wyckoffdiff._occupation import occupation_of

        if self.plan.known is None:
            return torch.zeros(0, dtype=torch.long), torch.zeros(0, 0, dtype=torch.long)
        genes = self.plan.known.take(np.zeros(len(self.layout), np.int64))
        model = self.model
        cpu = to_device(self.layout, torch.device("cpu"))
        known = occupation_of(genes, cpu, model.vocabulary_index, len(model.config.elements))
        return known.fixed.to(device), known.free.to(device)

    def _with_formula(self, state: Occupation, fixed: Tensor, free: Tensor, step: Step, index: int) -> Occupation:
        """x_before of one x_0 a row that has the formula; of its values that are not there yet some are shown.

        A row that can have none stays as it is, and is drawn again from the start.
        """
        kept, before = step.kept.cpu().numpy(), step.kept_before.cpu().numpy()
        shown = ((before - kept) / (1 - kept)).clip(0, 1)
        places = {z: place for place, z in enumerate(self.model.config.elements)}
        columns = [places[z] for z, _ in self.plan.conditions.formula or ()]
        out_fixed, out_free = state.fixed.clone(), state.free.clone()
        room = self._room(state)[:, columns].cpu().numpy()
        sites = self._sites_left(state).cpu().numpy()
        p_fixed = fixed[:, [0, *(column + 1 for column in columns)]].double().exp().cpu().numpy()
        p_free = free[:, columns].double().exp().cpu().numpy()
        row_of_fixed, row_of_free = self.layout.fixed_row.cpu().numpy(), self.layout.free_row.cpu().numpy()
        empty_fixed, empty_free = (state.fixed == 0).cpu().numpy(), (state.free[:, columns] == 0).cpu().numpy()
        for row in range(len(self.layout)):
            on_fixed = np.flatnonzero((row_of_fixed == row) & empty_fixed).tolist()
            on_free = [
                (m, e)
                for m in np.flatnonzero(row_of_free == row).tolist()
                for e in np.flatnonzero(empty_free[m]).tolist()
            ]
            variables = [self._fixed_variable(p_fixed[f], int(self.fixed_atoms[f])) for f in on_fixed]
            variables += [self._free_variable(p_free[m, e], e, int(self.free_atoms[m])) for m, e in on_free]
            count = len(variables)
            chance = uniforms(self.seed, self.rows[row : row + 1], self.purpose + index + 2, 2 * count + 1)[0]
            values = draw_amounts(variables, self._targets(room[row], int(sites[row])), chance[: count + 1])
            if values is None:
                continue
            shows = chance[count + 1 :] < shown[row]
            seen = [value if show else 0 for value, show in zip(values, shows.tolist(), strict=True)]
            for f, value in zip(on_fixed, seen, strict=False):
                out_fixed[f] = columns[value - 1] + 1 if value else 0
            for (m, e), value in zip(on_free, seen[len(on_fixed) :], strict=True):
                out_free[m, columns[e]] = value
        return Occupation(fixed=out_fixed, free=out_free)

    def _targets(self, room: Ints, sites: int) -> list[Amount]:
        """What may still come of each element, for each number of formula units; and how many sites, if that is asked.

        `room` (E,) is what may come at the largest number of units.
        """
        formula = np.array([count for _, count in self.plan.conditions.formula or ()])
        most = self.plan.most_units()
        left = [room - (most - unit) * formula for unit in self.plan.units()]
        counted = () if self.plan.conditions.num_sites is None else (sites,)
        return [(*amount.tolist(), *counted) for amount in left if min(*amount.tolist(), *counted, 0) >= 0]

    def _fixed_variable(self, probabilities: Floats, atoms: int) -> Variable:
        """Nothing, or one of the elements of the formula."""
        counted = [] if self.plan.conditions.num_sites is None else [1]
        adds = [(*row, *counted) for row in (np.eye(len(probabilities) - 1, dtype=int) * atoms).tolist()]
        return Variable(probabilities=tuple(probabilities.tolist()), adds=((0,) * len(adds[0]), *adds))

    def _free_variable(self, probabilities: Floats, element: int, atoms: int) -> Variable:
        """Counts of one element of the formula."""
        adds = np.zeros((len(probabilities), len(self.plan.conditions.formula or ()) + 1), int)
        adds[:, element] = np.arange(len(adds)) * atoms
        adds[:, -1] = np.arange(len(adds))
        if self.plan.conditions.num_sites is None:
            adds = adds[:, :-1]
        return Variable(probabilities=tuple(probabilities.tolist()), adds=tuple(map(tuple, adds.tolist())))

    # The last step

    def _last(self, fixed: Tensor, free: Tensor, draws: Draws) -> Occupation:
        """x_0 (F,), (M, N) of distributions (F, d), (M, N, d), given that a gene is not empty.

        Of a template, given the number of sites on each position too.
        """
        drawn_fixed, drawn_free = pick(fixed, draws(fixed[:, 0])), pick(free, draws(free[..., 0]))
        if self.totals is not None:
            drawn_free = draw_with_totals(free, self.totals[self.layout.free], draws(free[..., 0]))
        out = Occupation(fixed=drawn_fixed, free=drawn_free)
        empty = out.empty(self.layout)
        if empty.any():
            out = self._filled(out, empty, fixed, free)
        return out

    def _filled(self, drawn: Occupation, empty: Tensor, fixed: Tensor, free: Tensor) -> Occupation:
        """Draws again, given that they are not empty, the rows that came out empty."""
        layout = self.layout
        out_fixed, out_free = drawn.fixed.clone(), drawn.free.clone()
        for row in empty.nonzero()[:, 0].tolist():
            on_fixed, on_free = layout.fixed_row == row, layout.free_row == row
            some = [*fixed[on_fixed].double(), *free[on_free].double().flatten(0, 1)]
            chance = uniforms(self.seed, self.rows[row : row + 1], self.purpose + _FILL, len(some) + 1)[0]
            values = _not_empty(some, chance)
            number = int(on_fixed.sum())
            out_fixed[on_fixed] = torch.tensor(values[:number], dtype=torch.long, device=fixed.device)
            rest = torch.tensor(values[number:], dtype=torch.long, device=fixed.device)
            out_free[on_free] = rest.view(-1, free.shape[1])
        return Occupation(fixed=out_fixed, free=out_free)


def _not_empty(distributions: list[Tensor], chance: Floats) -> list[int]:
    """Values of independent variables, given that not all are zero: the first that is not, then the others."""
    zero = np.array([float(p[0]) for p in distributions])
    first = np.cumprod(np.concatenate([[1.0], zero[:-1]])) * (1 - zero)
    total = np.cumsum(first)
    values = [0] * len(distributions)
    if total[-1] == 0:  # the masks leave nothing: drawn again
        return values
    place = min(int((total <= chance[-1] * total[-1]).sum()), int(np.flatnonzero(first)[-1]))
    for index in range(place, len(distributions)):
        p = distributions[index].clone()
        if index == place:
            p[0] = 0.0
        values[index] = int(pick(p, torch.tensor(chance[index], dtype=torch.float64)))
    return values


def draw_with_totals(probabilities: Tensor, totals: Tensor, uniform: Tensor) -> Tensor:
    """Counts (M, N) of independent distributions (M, N, d), given their sums (M,); zero where none have that sum."""
    m, n, d = probabilities.shape
    p = probabilities.double()
    most = int(totals.max()) if m else 0
    rest = p.new_zeros(n + 1, m, most + 1)  # probability that the variables from e on have a sum
    rest[n, :, 0] = 1.0
    for e in range(n - 1, -1, -1):
        for c in range(min(d - 1, most) + 1):
            rest[e, :, c:] += p[:, e, c, None] * rest[e + 1, :, : most + 1 - c]
    out = torch.zeros(m, n, dtype=torch.long, device=p.device)
    left = totals.clone()
    for e in range(n):
        wanted = left[:, None] - torch.arange(d, device=p.device)
        after = rest[e + 1].gather(1, wanted.clamp(min=0)) * (wanted >= 0)
        chance = p[:, e] * after
        out[:, e] = torch.where(chance.sum(dim=1) > 0, pick(chance, uniform[:, e]), 0)
        left = left - out[:, e]
    return out


def _among(log_probs: Tensor, allowed: Tensor) -> Tensor:
    """Log-probabilities (..., d) of the allowed values, normalised again; as they are where none is allowed."""
    none = ~allowed.any(dim=-1, keepdim=True)
    return torch.log_softmax(log_probs.masked_fill(~(allowed | none), -torch.inf), dim=-1)
