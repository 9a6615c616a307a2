"""p(template | space group) with a memory: a Pitman-Yor mixture of the templates seen in training and the writer.

With c(T) genes of template T among the N of its group, t templates seen in the group, discount d and concentration s,

    p(T | G) = [max(c(T) - d, 0) + (s + d t) q(T | G)] / (N + s),

q being the writer's probability of the template in any of its descriptions (Pitman and Yor, Ann. Probab. 25, 855
(1997); the one-table approximation of its predictive rule, which sums to one over all templates).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aristotype.crystal import GeneBatch, template_keys, templates_of
from aristotype.errors import CheckpointError
from aristotype.symmetry import NUM_GROUPS

_NAMES = ("memory.space_group", "memory.wyckoffs", "memory.counts", "memory.group_counts")

DISCOUNT = 0.5
CONCENTRATION = 2.0
"""Chosen on mp_20_val: NLL differs by less than 0.01 nats for discounts .3 to .7 and concentrations .5 to 8."""


@dataclass(frozen=True, kw_only=True)
class TemplateMemory:
    """Templates of the training genes with their counts, ordered by space group."""

    templates: GeneBatch  # (M,) canonical
    counts: NDArray[np.int64]  # (M,) training genes with the template
    group_counts: NDArray[np.int64]  # (231,) training genes of each group, index 0 unused

    @staticmethod
    def from_genes(genes: GeneBatch) -> TemplateMemory:
        """Counts the templates of training genes."""
        keys = template_keys(genes)
        _, first, inverse = np.unique(
            np.array([key.hex() for key in keys.tolist()]), return_index=True, return_inverse=True
        )
        templates = templates_of(genes.take(first))
        counts = np.bincount(inverse, minlength=len(first))
        letters = templates.wyckoffs.T[::-1]
        order = np.lexsort([*letters, templates.space_group])
        return TemplateMemory(
            templates=templates.take(order),
            counts=counts[order],
            group_counts=np.bincount(genes.space_group, minlength=NUM_GROUPS + 1),
        )

    def __len__(self) -> int:
        return len(self.counts)

    def tensors(self) -> dict[str, torch.Tensor]:
        """The memory as named tensors for a checkpoint."""
        arrays: tuple[NDArray[Any], ...] = (
            self.templates.space_group,
            self.templates.wyckoffs,
            self.counts,
            self.group_counts,
        )
        return {name: torch.from_numpy(array.copy()) for name, array in zip(_NAMES, arrays, strict=True)}

    @staticmethod
    def from_tensors(tensors: Mapping[str, torch.Tensor]) -> tuple[TemplateMemory, dict[str, torch.Tensor]]:
        """The memory of a checkpoint, and the tensors that are not part of it.

        Raises:
            CheckpointError: one of the memory's tensors is missing.
        """
        missing = [name for name in _NAMES if name not in tensors]
        if missing:
            raise CheckpointError(f"the checkpoint lacks {', '.join(missing)}; it is not a WyckoffTransformer's")
        group, wyckoffs, counts, group_counts = (tensors[name].numpy() for name in _NAMES)
        templates = GeneBatch(space_group=group, elements=(wyckoffs >= 0).astype(np.int8), wyckoffs=wyckoffs)
        rest = {name: tensor for name, tensor in tensors.items() if name not in _NAMES}
        return TemplateMemory(templates=templates, counts=counts, group_counts=group_counts), rest

    @property
    def weights(self) -> NDArray[np.float64]:
        """(M,) discounted counts."""
        return np.maximum(self.counts.astype(np.float64) - DISCOUNT, 0.0)

    @property
    def writer_weights(self) -> NDArray[np.float64]:
        """(231,) weight of the writer in each group, on the scale of the counts."""
        seen = np.bincount(self.templates.space_group, minlength=NUM_GROUPS + 1)
        return CONCENTRATION + DISCOUNT * seen.astype(np.float64)

    def group_probabilities(self, smoothing: float) -> NDArray[np.float64]:
        """(231,) p(space group): frequencies, with `smoothing` spread evenly over all 230."""
        smooth = np.append(0.0, np.full(NUM_GROUPS, 1 / NUM_GROUPS))
        total = int(self.group_counts.sum())
        if total == 0:
            return smooth
        share: NDArray[np.float64] = self.group_counts / total
        return (1 - smoothing) * share + smoothing * smooth

    def log_prob(self, templates: GeneBatch, log_writer: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log-probabilities (n,) in nats of templates given their group.

        Args:
            templates: n genes whose elements are not looked at.
            log_writer: (n,) the writer's log-probability of each template, summed over its descriptions.
        """
        found = self.find(templates)
        group = templates.space_group
        counted = np.where(found >= 0, np.append(self.weights, 0.0)[found], 0.0)
        return np.log(counted + self.writer_weights[group] * np.exp(log_writer)) - np.log(
            self.group_counts[group] + CONCENTRATION
        )

    def find(self, templates: GeneBatch) -> NDArray[np.int64]:
        """(n,) index of each template in the memory, -1 where it was never seen."""
        known = {key: row for row, key in enumerate(template_keys(self.templates).tolist())}
        return np.array([known.get(key, -1) for key in template_keys(templates).tolist()], dtype=np.int64)
