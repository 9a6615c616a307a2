"""WyckoffAUGen, configuration `grids`: group and space of elements in either order, a cell, then site after site.

    p(crystal) = 1/2 [p(G) p(C|G) + p(C) p(G|C)] sum over sequences of p(cell | G, C) prod p(letter) p(element) p(x)

Source: Chang et al., "Crystal generative modeling with explicit autoregressive conditional likelihoods and nontrivial
space group stabilizers" (WyckoffAUGen). Notable, against the paper:
- coordinates have a density that goes on continuously where faces of the asymmetric unit are glued by the group, and
  that knows the distance of every point of its grid to what is placed (see `_grids`);
- the space of elements is what the crystal is made of in the end: a sequence stops when all have come;
- cells are reduced ones, from a mixture over their box; a score sums over the descriptions of a crystal, and over
  orders of sites of one kind, so that it is the same for every description.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aristotype.models.wyckoff_augen._calibrate import CalibratedModel
from aristotype.models.wyckoff_augen._sequences import Descriptions, Orders
from aristotype.models.wyckoff_augen.grids._batches import batch_of, maker_of_batches
from aristotype.models.wyckoff_augen.grids._completing import Completing
from aristotype.models.wyckoff_augen.grids._config import CALIBRATED, GridsConfig
from aristotype.models.wyckoff_augen.grids._network import Batch, GridsNetwork
from aristotype.models.wyckoff_augen.grids._sampler import GridsDrawing
from aristotype.models.wyckoff_augen.grids._score import log_sequences

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class WyckoffAugenGrids(CalibratedModel):
    """The model of crystals of family WyckoffAUGen, configuration `grids`."""

    variant = "grids"
    config_type = GridsConfig
    config: GridsConfig
    drawing = GridsDrawing
    completing = Completing
    calibrated = CALIBRATED

    def __init__(self, config: GridsConfig, train_keys: NDArray[np.uint8] | None = None) -> None:
        """A model with fresh weights; `train_keys` (n, 16) are keys of the training genes, hands merged."""
        super().__init__(config, train_keys)
        self.network = GridsNetwork(config)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Negative log-likelihood in nats of one sequence a crystal; of spaces and groups the mean of both orders."""
        parts = {**self.network.log_prob(batch), "space": self.log_spaces(batch.group, batch.space)}
        losses = {name: -values.sum() / batch.mean_rows for name, values in parts.items()}
        return torch.stack(list(losses.values())).sum(), {name: value.detach() for name, value in losses.items()}

    def log_sequences(self, found: Descriptions, orders: Orders, *, double: bool = False) -> dict[str, Floats]:
        """Logs (q,) of cell, letters, elements and coordinates (see `AugenModel`)."""
        network = copy.deepcopy(self.network).double() if double else self.network
        return log_sequences(network, found, orders, self.vocabulary_index, self.config.max_sites)

    def known(self, found: Descriptions, orders: Orders) -> Batch:
        """Sequences of one length as a batch."""
        return batch_of(found, orders, self.vocabulary_index, self.config.max_sites)

    def log_known(self, batch: Batch) -> dict[str, Tensor]:
        """Logs (q,) of all parts."""
        return self.network.log_prob(batch)

    def batches(self, learnt: Descriptions, seed: int) -> Callable[[Ints, float], Batch]:
        """Batches with sites of one kind in a random order."""
        return maker_of_batches(learnt, self.vocabulary_index, self.config.max_sites, seed)
