"""Mixtures over the box of reduced cells: one law, for scores and for samples."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from aristotype.crystal import MAX_CELL, cell_box, to_box
from aristotype.models.blocks._laws import centres, choose, draw_inside, log_normal_inside, widths
from aristotype.symmetry import NUM_GROUPS

SMALLEST_CELL = (0.008, 0.003, 0.003, 0.004, 0.004, 0.004)
"""Smallest widths in the mixture over cells, by coordinate of the box."""
CELL_OUTPUTS = 2 + 2 * MAX_CELL
"""Network outputs a component: its weight, the logit of acute cells, centres and widths."""
_ORDINARY = 2.9
"""ln of an ordinary volume an atom."""


class CellLaw(NamedTuple):
    """A mixture over the box of cells: (n, K) weights, (n, K, 6) centres and widths, (n, K) logits of acute cells."""

    log_weight: Tensor
    centre: Tensor
    width: Tensor
    acute: Tensor


class CellBoxes(nn.Module):
    """The boxes of all groups, and mixtures over them."""

    low: Tensor
    high: Tensor
    size: Tensor
    two_kinds: Tensor

    def __init__(self) -> None:
        super().__init__()
        boxes = [cell_box(max(number, 1)) for number in range(NUM_GROUPS + 1)]
        low, high = (np.array([getattr(box, name) for box in boxes], np.float32) for name in ("low", "high"))
        absent = np.arange(MAX_CELL) >= np.array([box.size for box in boxes])[:, None]
        low[absent], high[absent] = -np.inf, np.inf  # not looked at, and without a border that would make a 0 of it
        for name, values in (
            ("low", low),
            ("high", high),
            ("size", np.array([box.size for box in boxes])),
            ("two_kinds", np.array([box.two_kinds for box in boxes])),
        ):
            self.register_buffer(name, torch.from_numpy(values), persistent=False)

    def law(self, raw: Tensor, group: Tensor, spread: float = 1.0) -> CellLaw:
        """Mixtures from raw network outputs (n, K * `CELL_OUTPUTS`); `spread` is a factor on their widths."""
        raw = raw.view(len(group), -1, CELL_OUTPUTS)
        low, high = self.low[group].to(raw), self.high[group].to(raw)
        smallest = torch.tensor(SMALLEST_CELL, device=raw.device, dtype=raw.dtype)
        shift = torch.zeros_like(smallest)
        shift[0] = _ORDINARY
        return CellLaw(
            log_weight=functional.log_softmax(raw[..., 0], dim=1),
            centre=centres(raw[..., 2 : 2 + MAX_CELL], low[:, None], high[:, None]) + shift,
            width=spread * smallest * widths(raw[..., 2 + MAX_CELL :], 1.0),
            acute=raw[..., 1],
        )

    def log_density(self, law: CellLaw, cell: Tensor, acute: Tensor, group: Tensor) -> Tensor:
        """(n,) log-density of points of the box (n, 6), and kinds of cells (n,)."""
        low, high = self.low[group].to(law.centre), self.high[group].to(law.centre)
        each = log_normal_inside(cell[:, None], law.centre, law.width, low[:, None], high[:, None])
        total = law.log_weight + torch.where(self._exists(group)[:, None], each, 0.0).sum(dim=2)
        sign = torch.where(acute, 1.0, -1.0)[:, None]
        total = total + functional.logsigmoid(sign * law.acute) * self.two_kinds[group][:, None]
        return torch.logsumexp(total, dim=1)

    def draw(
        self, law: CellLaw, group: Tensor, random: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Points (n, 6) of the box and kinds of cells (n,), from uniform numbers (n, 2 + 6)."""
        uniform = torch.from_numpy(random).to(group.device)
        chosen = choose(law.log_weight, uniform[:, 0])
        at = torch.arange(len(chosen), device=chosen.device)
        low, high = self.low[group].double(), self.high[group].double()
        cell = draw_inside(uniform[:, 2:], law.centre[at, chosen].double(), law.width[at, chosen].double(), low, high)
        acute = (uniform[:, 1] < torch.sigmoid(law.acute[at, chosen]).double()) & self.two_kinds[group]
        return torch.where(self._exists(group), cell, 0.0).cpu().numpy(), acute.cpu().numpy()

    def _exists(self, group: Tensor) -> Tensor:
        return torch.arange(MAX_CELL, device=group.device) < self.size[group][:, None]


def boxed(
    groups: NDArray[np.integer], lattice: NDArray[np.float64], atoms: NDArray[np.integer]
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]:
    """Reduced cells (m, 6) of groups (m,) as points of their boxes, by volume of one of so many (m,) atoms.

    Returns:
        points (m, 6), kinds (m,), and the log (m,) of what turns a density over the box into one over cell parameters.
    """
    cell, acute, measure = np.zeros((len(groups), MAX_CELL)), np.zeros(len(groups), bool), np.zeros(len(groups))
    for number in np.unique(groups).tolist():
        rows = np.flatnonzero(groups == number)
        cell[rows], acute[rows], measure[rows] = to_box(number, lattice[rows], atoms[rows])
    return cell, acute, measure
