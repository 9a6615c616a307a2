"""The published WyckoffAUGen, configuration `paper`: mixtures on Wyckoff shapes, telescoped cells, a graph network.

    p(crystal) = 1/2 [p(G) p(C|G) + p(C) p(G|C)] sum over sequences of
                 p(cell | G, C) prod p(letter) p(element) p(shape) p(x | shape)

Source: Chang et al., "Crystal generative modeling with explicit autoregressive conditional likelihoods and nontrivial
space group stabilizers" (WyckoffAUGen). Notable, against the paper:
- a sequence stops only when all elements of its space have come, and then by a Bernoulli law as in the paper. Nothing
  is lost, the space being what a crystal is made of: a space with an element that never comes would be another name for
  the same crystal, and scores would have to be summed over all of these;
- p(G) is counted, and spaces are drawn by the network of our default configuration;
- in polar groups the first site holds the origin, so that nothing floats (see `_places`);
- a score sums over the descriptions of a crystal with its reduced cell and over orders of sites of one kind, so that it
  is the same for every description; a cell that is drawn is reduced before sites come. That the law of cells also gives
  probability to others that reduce to the same one is left out: scores of monoclinic and triclinic crystals are lower
  bounds, close ones once the model has seen reduced cells alone;
- sites that come too close are drawn again, if `tries` says so.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aristotype.crystal import CrystalTable
from aristotype.models.wyckoff_augen._base import AugenModel
from aristotype.models.wyckoff_augen._score import in_passes
from aristotype.models.wyckoff_augen._sequences import Descriptions, Orders
from aristotype.models.wyckoff_augen._space import SpaceNetwork
from aristotype.models.wyckoff_augen.paper._batches import batch_of, in_range, maker_of_batches
from aristotype.models.wyckoff_augen.paper._config import PaperConfig
from aristotype.models.wyckoff_augen.paper._lattice import ANGLES, LENGTHS
from aristotype.models.wyckoff_augen.paper._network import Batch, PaperNetwork
from aristotype.models.wyckoff_augen.paper._sampler import PaperDrawing
from aristotype.training import to_device

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
PARTS = ("cell", "letters", "elements", "shapes", "coordinates")
_SLOWED = ("cell", "letters", "elements")
"""Parts whose gradients are made smaller; the end is one of the letters."""
_LAST_MONOCLINIC = 15


class WyckoffAugenPaper(AugenModel):
    """The model of crystals of family WyckoffAUGen, configuration `paper`."""

    variant = "paper"
    config_type = PaperConfig
    config: PaperConfig
    drawing = PaperDrawing

    def __init__(self, config: PaperConfig, train_keys: NDArray[np.uint8] | None = None) -> None:
        """A model with fresh weights; `train_keys` (n, 16) are keys of the training genes, hands merged."""
        super().__init__(config, train_keys)
        self.network = PaperNetwork(config)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Negative log-likelihood in nats of one sequence a crystal, with the terms of A.4.1.

        Gradients of some parts are made smaller by a factor, their values are not. Added are the Dirichlet prior of the
        weights of mixtures, and squares of logarithms of normalisers of letters, elements and ends.
        """
        terms, config = self.network.log_prob(batch), self.config
        losses = {name: -values.sum() / batch.mean_rows for name, values in terms.parts.items()}
        losses["space"] = -self.log_spaces(batch.group, batch.space).sum() / batch.mean_rows
        added = config.z_loss * terms.normalisers.sum() - (config.concentration - 1.0) * terms.weights.sum()
        told = {name: value.detach() for name, value in losses.items()}
        for name in _SLOWED:
            slow = config.gradient_factor * losses[name]
            losses[name] = slow - slow.detach() + losses[name].detach()
        return torch.stack(list(losses.values())).sum() + added / batch.mean_rows, told

    def space_network(self, config: PaperConfig) -> SpaceNetwork:
        """A fresh network of spaces of elements, told them as numbers, as published."""
        return SpaceNetwork(config.elements, config.width, config.element_width, config.max_sites, one_hot=True)

    def log_sequences(self, found: Descriptions, orders: Orders, *, double: bool = False) -> dict[str, Floats]:
        """Logs (q,) of cell, letters, elements, shapes and coordinates (see `AugenModel`)."""
        network = copy.deepcopy(self.network).double() if double else self.network
        device = network.multiplicity.device

        def evaluate(some: Descriptions, rows: Orders) -> dict[str, Tensor]:
            batch = batch_of(some, rows, self.vocabulary_index, self.config.max_sites)
            return network.log_prob(to_device(batch, device)).parts

        return in_passes(evaluate, PARTS, found, orders)

    def log_prob_parts(self, table: CrystalTable) -> dict[str, NDArray[np.float64]]:
        """See `AugenModel`; monoclinic and triclinic crystals are never `exact`: their scores are lower bounds."""
        parts = super().log_prob_parts(table)
        return {**parts, "exact": np.where(table.space_group <= _LAST_MONOCLINIC, 0.0, parts["exact"])}

    def covers(self, found: Descriptions) -> NDArray[np.bool_]:
        """(m,) whether lengths and angles of cells are in the ranges of the law of cells."""
        cells = in_range(found.lattice)
        inside = [(LENGTHS[0] <= cells[:, :3]) & (cells[:, :3] <= LENGTHS[1])]
        inside.append((ANGLES[0] <= cells[:, 3:]) & (cells[:, 3:] <= ANGLES[1]))
        return np.asarray(np.concatenate(inside, axis=1).all(axis=1))

    def batches(self, learnt: Descriptions, seed: int) -> Callable[[Ints, float], Batch]:
        """Batches with sites of one kind in a random order, and noise on what is told."""
        return maker_of_batches(learnt, self.vocabulary_index, self.config, seed)
