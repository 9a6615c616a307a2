"""WyckoffDiff: discrete diffusion of what is on the positions of a space group.

    p(gene) = p(G) sum over numbers of elements and sites of p(numbers | G)
              sum over equivalent descriptions of p(occupation | G, numbers)

Source: Kelvinius et al., arXiv:2502.06485. Notable, against the published implementation:
- the last step is taken, and its draw cannot be empty: every gene is legal, and the bound accounts for that;
- counts go as far as those of the training genes, and elements are theirs;
- p(G) is smoothed, so that all 230 groups can be asked for, and positions are known by features that groups share;
- numbers of elements and sites are drawn first, and told to the chain;
- a sample may take fewer steps than the noise has; the bound is that of the chain that is sampled.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from aristotype.crystal import Conditions, CrystalTable, GeneBatch
from aristotype.errors import InputError
from aristotype.models._counted import CountedModel
from aristotype.models._parts import elements_of, first_rows, refuse_known_geometry
from aristotype.models._targets import meets_targets
from aristotype.models.wyckoffdiff._config import WyckoffDiffConfig
from aristotype.models.wyckoffdiff._gnn import WyckoffGNN
from aristotype.models.wyckoffdiff._network import OccupationTransformer
from aristotype.models.wyckoffdiff._noise import (
    Step,
    divergence,
    divergence_from_zero,
    drawn_before,
    drawn_from_zero,
    noised,
    posterior,
    schedule,
    spaced,
)
from aristotype.models.wyckoffdiff._occupation import (
    Layout,
    Occupation,
    largest_count,
    occupation_of,
)
from aristotype.models.wyckoffdiff._sizes import counted, size_probabilities, sizes_of, sizes_on
from aristotype.models.wyckoffdiff._source import OccupationBatch
from aristotype.symmetry import NUM_GROUPS

if TYPE_CHECKING:
    from aristotype.models.wyckoffdiff._plan import Plan


class WyckoffDiff(CountedModel):
    """The gene model of family WyckoffDiff."""

    family = "wyckoffdiff"
    variant = "default"
    bounds = True
    """Scores are lower bounds."""
    config_type = WyckoffDiffConfig
    config: WyckoffDiffConfig
    fixed_prior: Tensor
    free_prior: Tensor
    kept: Tensor
    size_counts: Tensor  # genes of each group by different elements and sites; empty where they are not told

    def __init__(self, config: WyckoffDiffConfig, train_keys: NDArray[np.uint8] | None = None) -> None:
        """A model with fresh weights; `train_keys` (n, 16) are keys of the training genes, hands merged."""
        super().__init__(config, train_keys)
        self.network = OccupationTransformer(config) if config.network == "transformer" else WyckoffGNN(config)
        elements, count = len(config.elements), config.max_count + 1
        fixed, free = torch.zeros(elements + 1), torch.zeros(elements, count)
        if config.prior == "uniform":
            fixed.fill_(1 / (elements + 1))
            free.fill_(1 / count)
        else:  # of a marginal prior until it is counted
            fixed[0], free[:, 0] = 1.0, 1.0
        self.register_buffer("fixed_prior", fixed)
        self.register_buffer("free_prior", free)
        shape = (NUM_GROUPS + 1, config.max_kinds + 1, config.max_sites + 1) if config.told_sizes else (0, 0, 0)
        self.register_buffer("size_counts", torch.zeros(shape, dtype=torch.int32))
        self.register_buffer("kept", schedule(config.timesteps), persistent=False)

    @classmethod
    def for_training(cls, config: WyckoffDiffConfig, genes: GeneBatch) -> Self:
        """A fresh model; vocabulary, largest count, group frequencies and marginals come from the training genes."""
        most = config.max_count or max(1, int(largest_count(genes).max(initial=1)))
        largest = sizes_of(genes).max(axis=0, initial=1).tolist()
        model = cls(
            replace(
                config,
                elements=elements_of(genes),
                max_count=most,
                max_kinds=config.max_kinds or largest[0],
                max_sites=config.max_sites or largest[1],
            )
        )
        model._learn_counts(genes)
        fixed, free = marginals(model, genes)
        if config.prior == "marginal":
            model.fixed_prior.copy_(fixed)
            model.free_prior.copy_(free)
        if isinstance(model.network, OccupationTransformer):
            model.network.fixed_bias.data.copy_(fixed.clamp(min=1e-6).log())
            model.network.free_bias.data.copy_(free.clamp(min=1e-6).log())
        return model

    def _learn_counts(self, genes: GeneBatch) -> None:
        super()._learn_counts(genes)
        if self.config.told_sizes:
            some = genes.take(np.flatnonzero(self.can_hold(genes)))
            self.size_counts.copy_(counted(some, NUM_GROUPS, self.config.max_kinds, self.config.max_sites))

    def can_hold(self, genes: GeneBatch) -> NDArray[np.bool_]:
        """(n,) whether genes are legal and no number of theirs is above the largest one of the model."""
        fits = genes.legal() & (largest_count(genes) <= self.config.max_count)
        if self.config.told_sizes:
            fits &= (sizes_of(genes) <= (self.config.max_kinds, self.config.max_sites)).all(axis=1)
        return fits

    @property
    def limits(self) -> str:
        """What a gene may have at most, in words."""
        text = f"{self.config.max_count} sites of one element on one position"
        if self.config.told_sizes:
            text += f", {self.config.max_kinds} different elements, {self.config.max_sites} sites"
        return text

    def size_probabilities(self, group: NDArray[np.integer]) -> NDArray[np.float64]:
        """p(different elements, sites | group), (n, max_kinds + 1, max_sites + 1), where they are told."""
        return size_probabilities(self.size_counts.cpu().numpy(), group)

    def occupation(self, genes: GeneBatch) -> tuple[Layout, Occupation]:
        """Genes that the model can hold, as variables on its device."""
        layout = Layout.of(genes.space_group)
        return layout, occupation_of(genes, layout, self.vocabulary_index, len(self.config.elements))

    # Training

    def loss(self, batch: OccupationBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """What is minimised, in nats a gene given its group, and the parts of positions without and with freedom."""
        n, steps = len(batch.layout), self.config.timesteps
        device = self.kept.device
        spread = (torch.randperm(n, device=device) + torch.rand(1, device=device)) / n
        time = (spread * steps).long().clamp(max=steps - 1) + 1
        layout, truth = batch.layout, batch.occupation
        noisy = self.noised(layout, truth, time, torch.rand_like)
        present, sites = sizes_on(layout, truth)
        fixed, free = self.log_x0(layout, noisy, time, torch.stack([present.sum(dim=1), sites], dim=1))
        if self.config.loss == "bound":
            step = Step(kept=self.kept[time], kept_before=self.kept[time - 1])
            parts = [steps * part.sum() for part in self.divergences(layout, truth, noisy, fixed, free, step)]
        else:
            parts = self._cross_entropies(layout, truth, fixed, free)
        on_fixed, on_free = (part / batch.mean_rows for part in parts)
        return on_fixed + on_free, {"fixed": on_fixed.detach(), "free": on_free.detach()}

    def _cross_entropies(self, layout: Layout, truth: Occupation, fixed: Tensor, free: Tensor) -> list[Tensor]:
        """Sums over the genes of weighted cross-entropies of x_0.

        `published`: the mean over a gene's variables, of which a position with freedom has N. `balanced`: the mean over
        its positions.
        """
        elements = len(self.config.elements)
        weight = fixed.new_zeros(len(layout)).index_add(0, layout.fixed_row, fixed.new_ones(len(layout.fixed_row)))
        each = float(elements) if self.config.loss == "published" else 1.0
        weight = weight.index_add(0, layout.free_row, fixed.new_full((len(layout.free_row),), each))
        on_fixed = -fixed.gather(-1, truth.fixed[:, None])[:, 0] / weight[layout.fixed_row]
        on_free = -free.gather(-1, truth.free[..., None])[..., 0].sum(dim=1) / weight[layout.free_row]
        return [on_fixed.sum(), on_free.sum()]

    # Steps of the chain

    def log_x0(self, layout: Layout, noisy: Occupation, time: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities (F, N + 1) and (M, N, P + 1) in nats of x_0, given x_t, t (n,) and what is told (n, 2)."""
        fixed, free = self.network(layout, noisy, time, sizes)
        return functional.log_softmax(fixed.float(), dim=-1), functional.log_softmax(free.float(), dim=-1)

    def noised(self, layout: Layout, truth: Occupation, time: Tensor, uniform: Any) -> Occupation:
        """x_t of x_0; `uniform` makes numbers in [0, 1) of the shape of a tensor, for the fixed and for the free."""
        kept = self.kept[time].float()
        fixed = uniform(truth.fixed.float())
        free = uniform(truth.free.float())
        return Occupation(
            fixed=noised(truth.fixed, kept[layout.fixed_row], self.fixed_prior, fixed),
            free=noised(truth.free, kept[layout.free_row, None], self.free_prior, free),
        )

    def divergences(
        self, layout: Layout, truth: Occupation, noisy: Occupation, fixed: Tensor, free: Tensor, step: Step
    ) -> tuple[Tensor, Tensor]:
        """KL (F,) and (M, N) in nats of the true reverse step from the model's; see `divergence`."""
        on_fixed, on_free = step.of(layout.fixed_row, 1), step.of(layout.free_row, 1, 1)
        if self.config.prior == "zeros":
            return (
                divergence_from_zero(fixed, truth.fixed, noisy.fixed, on_fixed),
                divergence_from_zero(free, truth.free, noisy.free, on_free),
            )
        return (
            divergence(fixed, truth.fixed, noisy.fixed, on_fixed, self.fixed_prior),
            divergence(free, truth.free, noisy.free, on_free, self.free_prior),
        )

    def reverse(
        self, layout: Layout, noisy: Occupation, fixed: Tensor, free: Tensor, step: Step
    ) -> tuple[Tensor, Tensor]:
        """Probabilities (F, N + 1) and (M, N, P + 1) of x_before, given those of x_0 as logarithms."""
        return (
            posterior(fixed.exp(), noisy.fixed, step.of(layout.fixed_row, 1), self.fixed_prior),
            posterior(free.exp(), noisy.free, step.of(layout.free_row, 1, 1), self.free_prior),
        )

    def drawn(
        self, layout: Layout, noisy: Occupation, fixed: Tensor, free: Tensor, step: Step, uniform: Any
    ) -> Occupation:
        """x_before drawn from `reverse`, with the numbers of `uniform` (see `noised`)."""
        on_fixed, on_free = step.of(layout.fixed_row, 1), step.of(layout.free_row, 1, 1)
        numbers = uniform(fixed[:, 0]), uniform(free[..., 0])
        if self.config.prior == "zeros":
            return Occupation(
                fixed=drawn_from_zero(fixed, noisy.fixed, on_fixed, numbers[0]),
                free=drawn_from_zero(free, noisy.free, on_free, numbers[1]),
            )
        return Occupation(
            fixed=drawn_before(fixed, noisy.fixed, on_fixed, self.fixed_prior, numbers[0]),
            free=drawn_before(free, noisy.free, on_free, self.free_prior, numbers[1]),
        )

    def visited(self) -> Tensor:
        """(steps + 1,) the steps of the noise that a sample visits, from 0 to T."""
        return spaced(self.config.timesteps, self.config.steps)

    # Scoring

    def log_prob(self, genes: Any) -> NDArray[np.float64]:
        """A lower bound (n,) in nats of the log-probability of genes, estimated; see `bound`.

        Raises:
            InputError: an element outside the vocabulary.
        """
        return self.bound(genes)[0]

    def bound(self, genes: Any, evaluations: int | None = None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The variational bound (n,) in nats, and the standard error (n,) of its estimate.

        The measure is counting over genes, equivalence under the affine normalizer divided out: the mean over the
        descriptions of a gene, plus the logarithm of their number, is below the logarithm of their sum (Jensen). The
        noise is a function of the gene, so that the estimate is the same for every description of it. Genes that the
        model cannot write have -inf.

        Args:
            genes: a GeneBatch, or a table with `.genes()`.
            evaluations: steps that are looked at, spread over the chain; all by default.

        Raises:
            InputError: an element outside the vocabulary.
        """
        from aristotype.models.wyckoffdiff._bound import bounds

        batch = genes if isinstance(genes, GeneBatch) else genes.genes()
        self.check_vocabulary(batch)
        return bounds(self.eval(), batch, evaluations or self.config.steps)

    # Sampling

    @meets_targets
    def stream(self, conditions: Conditions | None = None, *, seed: int, score: bool = False) -> Iterator[CrystalTable]:
        """Endless tables of genes in row order; row i depends on (seed, i) alone.

        The column `tries` says how many chains a row took: what cannot be masked is drawn again. `conditioning` says
        whether genes follow the model's distribution given the conditions (`exact`: space groups and required elements
        alone), or a chain that is steered by masks and does not look ahead (`approximate`).

        Args:
            conditions: hard constraints; impossible ones are refused before anything is drawn.
            seed: from 0 to 2^63 - 1.
            score: also compute the bound, as the column `log_prob`, with `log_prob_error` and `log_prob_kind`.

        Raises:
            InfeasibleConditionsError: nothing satisfies the conditions; the message says why.
            InputError: an element outside the vocabulary, coordinates that are known, a seed outside its range, or no
                chain that satisfied the conditions among very many.
        """
        from aristotype.models.wyckoffdiff._plan import Plan

        if not 0 <= seed < 1 << 63:
            raise InputError(f"the seed is {seed}; it must be from 0 to 2^63 - 1")
        refuse_known_geometry(conditions, self.name)
        plan = Plan.of(self, conditions or Conditions())
        return self._tables(plan, seed, score)

    def _tables(self, plan: Plan, seed: int, score: bool) -> Iterator[CrystalTable]:
        from aristotype.models.wyckoffdiff._sampler import draw_blocks

        start = 0
        for genes, tries in draw_blocks(self.eval(), plan, seed):
            n = len(genes)
            ids = [f"{seed}-{row}" for row in range(start, start + n)]
            table = CrystalTable.from_genes(genes, ids=ids).with_columns(
                {
                    "model": pa.array([self.name] * n),
                    "seed": pa.array([seed] * n, pa.int64()),
                    "tries": pa.array(tries, pa.int64()),
                    "conditioning": pa.array(["exact" if plan.exact else "approximate"] * n),
                    "log_prob": pa.nulls(n, pa.float64()),
                    "log_prob_error": pa.nulls(n, pa.float64()),
                    "log_prob_kind": pa.nulls(n, pa.string()),
                }
            )
            yield self.scored(table) if score else table
            start += n

    def scored(self, table: CrystalTable) -> CrystalTable:
        """The table with the bound filled in, its error, and that it is a bound."""
        values, errors = self.bound(table)
        return table.with_columns(
            {
                "log_prob": pa.array(values, pa.float64()),
                "log_prob_error": pa.array(errors, pa.float64()),
                "log_prob_kind": pa.array(["bound"] * len(table), pa.string()),
            }
        )

    def sample(self, n: int, conditions: Conditions | None = None, *, seed: int, score: bool = True) -> CrystalTable:
        """The first n genes of `stream`: independent draws, so that a gene can come twice.

        Raises:
            InputError: n is negative, or see `stream`.
        """
        return first_rows(self.stream(conditions, seed=seed, score=score), n, "genes")


def marginals(model: WyckoffDiff, genes: GeneBatch) -> tuple[Tensor, Tensor]:
    """Frequencies (N + 1,) and (N, P + 1) of what is on the positions without and with freedom."""
    elements, most = len(model.config.elements), model.config.max_count
    fixed, free = torch.zeros(elements + 1, dtype=torch.float64), torch.zeros(elements, most + 1, dtype=torch.float64)
    for rows in np.array_split(np.flatnonzero(largest_count(genes) <= most), max(1, len(genes) // 2000)):
        _, occupation = model.occupation(genes.take(rows))
        fixed += torch.bincount(occupation.fixed, minlength=elements + 1)
        free += functional.one_hot(occupation.free, most + 1).sum(dim=0)
    share = [(each / each.sum(-1, keepdim=True).clamp(min=1)).float() for each in (fixed, free)]
    return cast("tuple[Tensor, Tensor]", tuple(share))
