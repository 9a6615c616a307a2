"""One chain a row from noise to a gene, steered by conditions.

What a condition says of single variables is a mask on x_0 at every step of the chain: elements, known sites, positions
of a template, and what would be too much of anything. That steers the chain and is not exact conditioning: the network
does not look ahead. A formula is more than masks: each step draws an x_0 that has it, by dynamic programming, and shows
some of that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aristotype.crystal import GeneBatch
from aristotype.models.blocks import primitive_multiplicities, uniforms
from aristotype.models.wyckoffdiff._bound import Draws
from aristotype.models.wyckoffdiff._composition import Amount, Variable, draw_amounts
from aristotype.models.wyckoffdiff._noise import Step, pick
from aristotype.models.wyckoffdiff._occupation import Layout, Occupation, genes_of, occupation_of
from aristotype.models.wyckoffdiff._plan import Plan
from aristotype.training import to_device

if TYPE_CHECKING:
    from aristotype.models.wyckoffdiff._model import WyckoffDiff

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_FILL = 1  # of the random numbers of an attempt: 0 is the group, 2 the sizes, from 3 on come the steps


class Chain:
    """Some rows on their way from noise to genes."""

    def __init__(
        self, model: WyckoffDiff, plan: Plan, group: Ints, sizes: Ints, seed: int, rows: Ints, purpose: int
    ) -> None:
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
        self.sizes = torch.from_numpy(sizes).to(device)

    def run(self) -> GeneBatch:
        """The genes."""
        model = self.model
        visited = model.visited().to(self.layout.group.device)
        state = self._noise()
        with torch.no_grad():
            for index in range(len(visited) - 1, 0, -1):
                time = visited[index].expand(len(self.layout))
                before = visited[index - 1].expand(len(self.layout))
                fixed, free = model.log_x0(self.layout, state, time, self.sizes)
                if not self.plan.free:
                    fixed, free = self._masked(state, fixed, free)
                step = Step(kept=model.kept[time], kept_before=model.kept[before])
                if self.grows and self.plan.conditions.formula is not None:
                    state = self._with_formula(state, fixed, free, step, index)
                elif index > 1:
                    state = model.drawn(self.layout, state, fixed, free, step, self._draws(index + 2))
                else:
                    reverse = model.reverse(self.layout, state, fixed, free, step)
                    state = self._last(*reverse, self._draws(index + 2))
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
