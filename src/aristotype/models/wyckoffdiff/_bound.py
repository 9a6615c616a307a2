"""The variational bound of genes: the sum over the steps of a chain, noise and description drawn for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aristotype.crystal import GeneBatch, canonical_genes, equivalents, gene_keys
from aristotype.models.blocks import uniforms
from aristotype.models.wyckoffdiff._noise import Step
from aristotype.models.wyckoffdiff._occupation import Layout
from aristotype.models.wyckoffdiff._sizes import sizes_of
from aristotype.symmetry import tables
from aristotype.training import to_device

if TYPE_CHECKING:
    from aristotype.models.wyckoffdiff._model import WyckoffDiff

    Floats = NDArray[np.float64]

_SEED = 0
_ROWS = 192  # genes of a pass
_CHOICES = 1 << 20  # purpose of random numbers for steps and descriptions; those below are for noise


def bounds(model: WyckoffDiff, genes: GeneBatch, evaluations: int) -> tuple[Floats, Floats]:
    """See `WyckoffDiff.bound`."""
    value, error = np.full(len(genes), -np.inf), np.zeros(len(genes))
    good = np.flatnonzero(model.can_hold(genes))
    genes = canonical_genes(genes.take(good))
    described, owner = equivalents(genes)
    first = np.searchsorted(owner, np.arange(len(genes)))
    count = np.bincount(owner, minlength=len(genes))
    keys = np.frombuffer(gene_keys(genes).tobytes(), "<u8").reshape(-1, 2)[:, 0] >> np.uint64(1)
    order = np.argsort(tables().num_positions[genes.space_group], kind="stable")
    steps = min(evaluations, model.config.steps)
    known = np.log(model.group_probabilities()[genes.space_group]) + np.log(count)
    sizes = sizes_of(genes)
    if model.config.told_sizes:
        told = model.size_probabilities(genes.space_group)
        known += np.log(told[np.arange(len(genes)), sizes[:, 0], sizes[:, 1]])
    for rows in np.array_split(order, max(1, len(order) // _ROWS)) if len(order) else []:
        chance = uniforms(_SEED, keys[rows], _CHOICES, 2 * steps)
        parts = np.empty((steps, len(rows)))
        for place in range(steps):
            which = first[rows] + (chance[:, place] * count[rows]).astype(np.int64)
            at = ((place + chance[:, steps + place]) * model.config.steps / steps).astype(np.int64) + 1
            parts[place] = _terms(model, described.take(which), sizes[rows], keys[rows], at, place)
        scale = model.config.steps / steps
        value[good[rows]] = known[rows] - scale * parts.sum(axis=0)
        if steps > 1:
            error[good[rows]] = scale * np.sqrt(steps) * parts.std(axis=0, ddof=1)
    return value, error


@torch.no_grad()
def _terms(
    model: WyckoffDiff,
    genes: GeneBatch,
    sizes: NDArray[np.int64],
    keys: NDArray[np.uint64],
    at: NDArray[np.int64],
    place: int,
) -> Floats:
    """(n,) nats that step `at` (n,) of the chain costs, for one draw of the noise."""
    layout, truth = to_device(model.occupation(genes), model.kept.device)
    visited = model.visited().to(model.kept.device)
    index = torch.from_numpy(at).to(model.kept.device)
    time, before = visited[index], visited[index - 1]
    draws = torch.from_numpy(uniforms(_SEED, keys, place, layout.length * len(model.config.elements)))
    noisy = model.noised(layout, truth, time, Draws(layout, draws))
    fixed, free = model.log_x0(layout, noisy, time, torch.from_numpy(sizes).to(model.kept.device))
    step = Step(kept=model.kept[time], kept_before=model.kept[before])
    on_fixed, on_free = model.divergences(layout, truth, noisy, fixed, free, step)
    cost = on_fixed.new_zeros(len(layout), dtype=torch.float64)
    cost = cost.index_add(0, layout.fixed_row, on_fixed.double())
    cost = cost.index_add(0, layout.free_row, on_free.double().sum(dim=1))
    last = before == 0
    if last.any():
        empty = nothing_at_all(layout, *model.reverse(layout, noisy, fixed, free, step))
        cost = cost + torch.where(last, torch.log(-torch.expm1(empty).clamp(max=-1e-30)), 0.0)
    return cost.cpu().numpy()


def nothing_at_all(layout: Layout, fixed: Tensor, free: Tensor) -> Tensor:
    """(n,) float64 logarithm of the probability that every variable is zero; its distributions (F, d) and (M, N, d)."""
    out = torch.zeros(len(layout), dtype=torch.float64, device=fixed.device)
    out = out.index_add(0, layout.fixed_row, torch.log(fixed[:, 0].double().clamp(min=1e-300)))
    return out.index_add(0, layout.free_row, torch.log(free[..., 0].double().clamp(min=1e-300)).sum(dim=1))


class Draws:
    """Uniform numbers (n, L N) of genes, dealt to the variables of a layout by position and element."""

    def __init__(self, layout: Layout, numbers: Tensor) -> None:
        self._numbers = numbers.to(layout.group.device)
        self._layout = layout
        self._elements = numbers.shape[1] // layout.length

    def __call__(self, like: Tensor) -> Tensor:
        """Numbers of the shape of the fixed variables (F,) or of the free ones (M, N)."""
        by_place = self._numbers.view(len(self._layout) * self._layout.length, self._elements).to(like.dtype)
        return by_place[self._layout.fixed, 0] if like.dim() == 1 else by_place[self._layout.free]
