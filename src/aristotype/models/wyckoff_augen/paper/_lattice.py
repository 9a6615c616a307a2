"""Cells, parameter by parameter and from coarse to fine: the telescoped discrete law of the paper (2.2).

The range of a parameter has 100 bins, each of them 100 more. A law chooses one and then the other, given the parameters
before; within the finest bin it is even, so that it is a density by the free parameters, in Angstrom and degrees. Those
that symmetry fixes, or makes equal to one before, are not in it. Angles stay where the cell has a volume.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from aristotype.errors import ConfigError
from aristotype.models.blocks import choose, widened
from aristotype.symmetry import NUM_GROUPS, lattice_constraints

BINS = 100
LENGTHS = (2.0, 133.0)
"""Angstrom; of the crystals of MP-20."""
ANGLES = (60.0, 135.0)
"""Degrees."""
UNIFORMS = 18
"""Uniform numbers a draw: three a parameter, for two bins and the place in the finer one."""
_SCALES = (20.0, 20.0, 20.0, 1.0, 1.0, 1.0)
"""Standard deviations of Fourier frequencies by parameter, per range of the parameter."""
_EDGE_SCALE = 10.0
_SEED = 20
_FLAT = 1e-3
"""Degrees that an angle stays away from where a cell has no volume."""
_BROKEN = 1e-3
"""Angstrom or degrees by which a cell that has a density may break the constraints of its group."""


class _Support(NamedTuple):
    """Where a parameter may be: (m,) ends, in its unit."""

    low: Tensor
    high: Tensor


class TelescopedLattice(nn.Module):
    """Densities of cells by two levels of bins.

    Args:
        width: of the context vector and of hidden layers.
        frequencies: random Fourier features of a number, half as many sines as numbers.
        lengths: range in Angstrom.
        angles: range in degrees.

    Raises:
        ConfigError: a range is none, or has angles of which no three make a cell.
    """

    free: Tensor
    source: Tensor
    fixed: Tensor
    is_fixed: Tensor
    range_low: Tensor
    range_size: Tensor
    frequency: Tensor
    edge_frequency: Tensor

    def __init__(
        self,
        width: int,
        frequencies: int = 32,
        lengths: tuple[float, float] = LENGTHS,
        angles: tuple[float, float] = ANGLES,
    ) -> None:
        super().__init__()
        _check_ranges(lengths, angles)
        for name, values in _constraints().items():
            self.register_buffer(name, values, persistent=False)
        ranges = torch.tensor([lengths] * 3 + [angles] * 3, dtype=torch.float64)
        self.register_buffer("range_low", ranges[:, 0].clone(), persistent=False)
        self.register_buffer("range_size", ranges[:, 1] - ranges[:, 0], persistent=False)
        generator = torch.Generator().manual_seed(_SEED)
        frequency = torch.randn(6, frequencies, generator=generator) * torch.tensor(_SCALES)[:, None]
        self.register_buffer("frequency", frequency)
        self.register_buffer("edge_frequency", torch.randn(2, frequencies, generator=generator) * _EDGE_SCALE)
        sizes = [width + 2 * frequencies * before for before in range(6)]
        self.coarse = nn.ModuleList(_mlp(size, width) for size in sizes)
        self.fine = nn.ModuleList(_mlp(size + 2 * frequencies, width) for size in sizes)

    def log_density(self, context: Tensor, group: Tensor, lattice: Tensor, given: Tensor | None = None) -> Tensor:
        """(m,) log-density of cells by their free parameters, in Angstrom and degrees.

        Args:
            context: (m, width) what the law depends on.
            group: (m,) space groups.
            lattice: (m, 6) cells in Angstrom and degrees; -inf outside the ranges, without volume, or where they break
                the constraints of the group by more than 0.001.
            given: (m, 6) cells whose parameters stand for the earlier ones, where these are told with noise.
        """
        lattice = lattice.double()
        given = lattice if given is None else given.double()
        total = widened(context.new_zeros(len(group)))
        for parameter in range(6):
            rows = self.free[group, parameter].nonzero()[:, 0]
            if len(rows):
                support = self._support(parameter, lattice[rows])
                state = self._state(context[rows], given[rows], parameter)
                each = self._log_parameter(parameter, state, lattice[rows, parameter], support)
                total = total.index_add(0, rows, each)
        allowed = torch.abs(self._completed(group, lattice) - lattice).amax(dim=1) <= _BROKEN
        return torch.where(allowed, total, -torch.inf)

    @torch.no_grad()
    def draw(self, context: Tensor, group: Tensor, uniform: Tensor) -> Tensor:
        """Draws cells (m, 6) in Angstrom and degrees, in double precision, from uniform numbers (m, 18)."""
        lattice = self._completed(group, self.fixed[group])
        for parameter in range(6):
            rows = self.free[group, parameter].nonzero()[:, 0]
            if len(rows):
                state = self._state(context[rows], lattice[rows], parameter)
                numbers = uniform[rows, 3 * parameter : 3 * parameter + 3].double()
                support = self._support(parameter, lattice[rows])
                lattice[rows, parameter] = self._draw_parameter(parameter, state, support, numbers)
            lattice = self._completed(group, lattice)
        return lattice

    def _log_parameter(self, parameter: int, state: Tensor, value: Tensor, support: _Support) -> Tensor:
        """(m,) log-density of one parameter."""
        low, size = self.range_low[parameter], self.range_size[parameter] / BINS**2
        inside = (value >= support.low) & (value <= support.high)
        number = torch.floor((value - low) / size)
        number = torch.where(inside, number, (support.low - low) / size).long().clamp(0, BINS**2 - 1)
        coarse, fine = number // BINS, number % BINS
        found = self._log_coarse(parameter, state, support).gather(1, coarse[:, None])[:, 0]
        found = found + self._log_fine(parameter, state, coarse, support).gather(1, fine[:, None])[:, 0]
        start, end = self._admitted(parameter, number, support)
        return torch.where(inside, found - torch.log(end - start).to(found.dtype), -torch.inf)

    def _draw_parameter(self, parameter: int, state: Tensor, support: _Support, uniform: Tensor) -> Tensor:
        """(m,) values of one parameter."""
        coarse = choose(self._log_coarse(parameter, state, support), uniform[:, 0])
        fine = choose(self._log_fine(parameter, state, coarse, support), uniform[:, 1])
        start, end = self._admitted(parameter, BINS * coarse + fine, support)
        return start + uniform[:, 2] * (end - start)

    def _log_coarse(self, parameter: int, state: Tensor, support: _Support) -> Tensor:
        """(m, BINS) log-probabilities of coarse bins."""
        logits = self.coarse[parameter](state)
        number = torch.arange(BINS, device=state.device).expand_as(logits)
        start, _ = self._admitted(parameter, BINS * number, support)
        _, end = self._admitted(parameter, BINS * number + BINS - 1, support)
        return _masked(logits, end > start)

    def _log_fine(self, parameter: int, state: Tensor, coarse: Tensor, support: _Support) -> Tensor:
        """(m, BINS) log-probabilities of the fine bins in a coarse one (m,), each of them weighted alike."""
        edges = torch.stack([coarse, coarse + 1], dim=1) / BINS
        features = _fourier(edges.to(self.edge_frequency) @ self.edge_frequency)
        logits = self.fine[parameter](torch.cat([state, features.to(state)], dim=1))
        number = BINS * coarse[:, None] + torch.arange(BINS, device=state.device)
        start, end = self._admitted(parameter, number, support)
        return _masked(logits, end > start)

    def _admitted(self, parameter: int, number: Tensor, support: _Support) -> tuple[Tensor, Tensor]:
        """Ends of what may be of fine bins (m,) or (m, n); where nothing may, the first is no less than the second."""
        low, size = self.range_low[parameter], self.range_size[parameter] / BINS**2
        least, most = (end if number.dim() == 1 else end[:, None] for end in support)
        return torch.maximum(low + number * size, least), torch.minimum(low + (number + 1) * size, most)

    def _support(self, parameter: int, lattice: Tensor) -> _Support:
        """Where a parameter may be, given those before it in cells (m, 6).

        Three angles make a cell if each is less than the sum of the others and all are less than 360 degrees. Earlier
        ones leave room for the least of later ones.
        """
        low = self.range_low[parameter].expand(len(lattice))
        high = low + self.range_size[parameter]
        least, (alpha, beta) = self.range_low[3], lattice[:, 3:5].unbind(dim=1)
        if parameter == 3:
            high = high.clamp(max=360.0 - 2.0 * float(least) - 3.0 * _FLAT)
        elif parameter == 4:
            high = torch.minimum(high, 360.0 - alpha - least - 2.0 * _FLAT)
        elif parameter == 5:
            low = torch.maximum(low, torch.abs(alpha - beta) + _FLAT)
            high = torch.minimum(torch.minimum(high, alpha + beta - _FLAT), 360.0 - alpha - beta - _FLAT)
        return _Support(low, high)

    def _state(self, context: Tensor, lattice: Tensor, parameter: int) -> Tensor:
        """(m, .) the context and features of the parameters before one."""
        share = (lattice[:, :parameter] - self.range_low[:parameter]) / self.range_size[:parameter]
        features = _fourier(share[..., None] * self.frequency[:parameter]).flatten(1)
        return torch.cat([context, features.to(context)], dim=1)

    def _completed(self, group: Tensor, lattice: Tensor) -> Tensor:
        """Cells (m, 6) with the parameters that symmetry fixes, or makes equal to one before."""
        return torch.where(self.is_fixed[group], self.fixed[group], lattice.gather(1, self.source[group]))


def _masked(logits: Tensor, allowed: Tensor) -> Tensor:
    """Log-probabilities (m, n) of what is allowed; where nothing is, which has no density anyway, of everything."""
    none = ~allowed.any(dim=1, keepdim=True)
    return torch.log_softmax(widened(logits).masked_fill(~(allowed | none), -torch.inf), dim=1)


def _fourier(turns: Tensor) -> Tensor:
    """(..., 2 f) cosines and sines of numbers of turns (..., f)."""
    angle = 2.0 * math.pi * turns
    return torch.cat([torch.cos(angle), torch.sin(angle)], dim=-1)


def _mlp(size: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(size, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, BINS))


def _check_ranges(lengths: tuple[float, float], angles: tuple[float, float]) -> None:
    if not 0.0 < lengths[0] < lengths[1] < math.inf:
        raise ConfigError(f"lengths from {lengths[0]} to {lengths[1]} Angstrom are no range; two positive numbers are")
    if not 0.0 < angles[0] <= 90.0 <= angles[1] < 180.0:
        raise ConfigError(
            f"angles from {angles[0]} to {angles[1]} degrees must have 90 degrees among them and stay between 0 and 180"
        )


def _constraints() -> dict[str, Tensor]:
    """By group, 0 being none, and parameter (231, 6): whether it is in the law, its source, and what fixes it."""
    free = np.zeros((NUM_GROUPS + 1, 6), bool)
    source = np.tile(np.arange(6), (NUM_GROUPS + 1, 1))
    fixed = np.zeros((NUM_GROUPS + 1, 6))
    for number in range(1, NUM_GROUPS + 1):
        rules = lattice_constraints(number)
        first = rules.basis.argmax(axis=0)  # the first parameter of those that are equal
        free[number, first] = True
        bound = rules.basis.any(axis=1)
        source[number, bound] = (rules.basis @ first)[bound]
        fixed[number] = rules.fixed
    is_fixed = fixed > 0.0
    values = {"free": free, "source": source, "fixed": fixed, "is_fixed": is_fixed}
    return {name: torch.from_numpy(array) for name, array in values.items()}
