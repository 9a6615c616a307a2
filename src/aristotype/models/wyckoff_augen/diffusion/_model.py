"""WyckoffAUGen, our default: group and space of elements in either order, letters and elements, the cell, coordinates.

    p(crystal) = 1/2 [p(G) p(C|G) + p(C) p(G|C)] sum over descriptions of
                 prod p(letter) p(element) p(cell | letters, elements) p(coordinates | cell, letters, elements)

Source: Chang et al., "Crystal generative modeling with explicit autoregressive conditional likelihoods and nontrivial
space group stabilizers" (WyckoffAUGen). Notable, against the paper:
- letters and elements come first, and the cell knows all of them, so that what is in it fits;
- all this is exact; coordinates of all sites come together, by the reverse of a diffusion on the parameters, each
  site's modulo its periods and images (see `_kernel`), and their densities are bounded from below (see `_bound`);
- the score is that of the crystal, whichever description it is given in (see `_score_network`): every order of sites,
  image, origin and setting has one density, so that a score sums over settings of what is written alone.
SGEquiDiff, the published successor of WyckoffAUGen, likewise draws coordinates by a diffusion whose noise respects the
space group.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from aristotype.crystal import CrystalTable, Failure, GeneBatch, settings_of
from aristotype.errors import InputError
from aristotype.models._crystals import streams_of, with_crystals
from aristotype.models.wyckoff_augen._calibrate import CalibratedModel
from aristotype.models.wyckoff_augen._drawing import Asked
from aristotype.models.wyckoff_augen._score import by_crystal
from aristotype.models.wyckoff_augen._sequences import Descriptions, Orders, descriptions_of, first_of_each
from aristotype.models.wyckoff_augen._tries import Tries
from aristotype.models.wyckoff_augen.diffusion._batches import Batch, maker_of_batches, sequences_of
from aristotype.models.wyckoff_augen.diffusion._completing import Completing
from aristotype.models.wyckoff_augen.diffusion._config import CALIBRATED, WyckoffAugenConfig
from aristotype.models.wyckoff_augen.diffusion._network import DiffusionNetwork
from aristotype.models.wyckoff_augen.diffusion._sampler import DiffusionDrawing
from aristotype.models.wyckoff_augen.diffusion._score import log_coordinates, log_even, log_written, one_order
from aristotype.models.wyckoff_augen.diffusion._sequence_network import Sequences

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_ROWS = 64
DRAWS = 2
"""Draws of the coordinates of a crystal, at most, unless `tries` says otherwise; then the crystal is drawn again."""


class WyckoffAugen(CalibratedModel):
    """The model of crystals of family WyckoffAUGen."""

    variant = "default"
    bounds = True
    """Scores are lower bounds where there are coordinates."""
    config_type = WyckoffAugenConfig
    config: WyckoffAugenConfig
    drawing = DiffusionDrawing
    completing = Completing
    calibrated = CALIBRATED

    def __init__(self, config: WyckoffAugenConfig, train_keys: NDArray[np.uint8] | None = None) -> None:
        """A model with fresh weights; `train_keys` (n, 16) are keys of the training genes, hands merged."""
        super().__init__(config, train_keys)
        self.network = DiffusionNetwork(config)
        self.tries = Tries(sites=DRAWS)

    def realize(self, table: CrystalTable, *, seed: int, failures: list[Failure] | None = None) -> CrystalTable:
        """Gives genes of any model a cell and coordinates; every gene gets them.

        A gene is read in the setting with the lowest letters. Columns as those of `stream`; other columns stay.

        Args:
            table: n genes; a row's geometry depends on its id, its gene and the seed.
            seed: from 0 to 2^63 - 1.
            failures: nothing is added to it.

        Raises:
            InputError: an element outside the vocabulary, more sites than the model writes, or a seed outside its
                range.
        """
        self.eval()
        genes = table.genes()
        self.check_vocabulary(genes)
        most = self.config.max_sites
        if genes.num_sites.max(initial=0) > most:
            row = int(genes.num_sites.argmax())
            raise InputError(
                f"gene {row} has {genes.num_sites[row]} sites, and this model writes at most {most}; leave it out, or "
                "take a model of longer crystals"
            )
        parts = [self._realized(table[first : first + _ROWS], seed) for first in range(0, max(1, len(table)), _ROWS)]
        return CrystalTable.concatenate(parts)

    def _realized(self, table: CrystalTable, seed: int) -> CrystalTable:
        written = _lowest_settings(table.genes())
        group, space = written.space_group.astype(np.int64), self.members(written)
        asked = Asked(group, space, seed, streams_of(table), {}, genes=written)
        made = self.without_overlaps(asked).with_columns(id=table.ids)
        columns = {name: made.column(name) for name in ("closest", "site_draws", "crystal_draws")}
        return with_crystals(table, made, columns)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """A bound on the negative log-likelihood in nats of one description a crystal, at one noise each."""
        parts = {
            **self.network.log_prob(batch),
            "coordinates": self.group_counts.new_zeros(1, dtype=torch.float32),
            "space": self.log_spaces(batch.group, batch.space),
        }
        if batch.noised is not None:
            parts["coordinates"] = self.network.bound(batch.noised)
        losses = {name: -values.sum() / batch.mean_rows for name, values in parts.items()}
        return torch.stack(list(losses.values())).sum(), {name: value.detach() for name, value in losses.items()}

    def log_sequences(self, found: Descriptions, orders: Orders, *, double: bool = False) -> dict[str, Floats]:
        """Logs (q,) of cell, letters and elements, and the bound on coordinates (see `AugenModel`)."""
        config = self.config
        written = self.log_written(found, orders, double=double)
        gain, _ = log_coordinates(self.network, found, self.vocabulary_index, config)
        return {**written, "coordinates": (log_even(found) + gain)[orders.description]}

    def log_written(self, found: Descriptions, orders: Orders, *, double: bool = False) -> dict[str, Floats]:
        """Logs (q,) of cell, letters and elements alone."""
        network = copy.deepcopy(self.network).double() if double else self.network
        return log_written(network, found, orders, self.vocabulary_index, self.config)

    @torch.no_grad()
    def log_prob_parts(self, table: CrystalTable) -> dict[str, NDArray[np.float64]]:
        """`log_prob` as `total` with its parts, and its standard error as `error`: a lower bound.

        `exact` is 1 where a crystal has no coordinates, so that nothing is bounded, and 0 elsewhere. What is
        learnt of coordinates is the same for all descriptions of a crystal, so that these are summed over exactly, with
        the bound of one of them for all. It is an estimate, always the same one for a crystal.
        """
        table.check_geometry()
        self.eval()
        genes = table.genes()
        self.check_vocabulary(genes)
        found = descriptions_of(table)
        orders = one_order(found)
        written = self.log_written(found, orders, double=True)
        even = {**written, "coordinates": log_even(found)}
        parts = by_crystal(even, found.owner, orders.log_weight, len(table))
        first = first_of_each(found)
        gain, error = log_coordinates(self.network, first, self.vocabulary_index, self.config)
        space = self.log_space(genes)
        parts["coordinates"] = parts["coordinates"] + gain
        parts["total"] = parts["total"] + gain + space
        exact = (genes.freedoms.sum(axis=1) == 0).astype(float)
        return {**parts, "space": space, "exact": exact, "error": error}

    def scored(self, table: CrystalTable) -> CrystalTable:
        """A table of crystals with their `log_prob`, its standard error, and whether it is a bound."""
        parts = self.log_prob_parts(table)
        kinds = np.where(parts["exact"] == 1, "exact", "bound").tolist()
        return table.with_columns(
            {
                "log_prob": pa.array(parts["total"], pa.float64()),
                "log_prob_error": pa.array(parts["error"], pa.float64()),
                "log_prob_kind": pa.array(kinds, pa.string()),
            }
        )

    def known(self, found: Descriptions, orders: Orders) -> Sequences:
        """Sequences of one length as a batch."""
        some = found.take(orders.description)
        config = self.config
        return Sequences(**sequences_of(some, self.vocabulary_index, config.elements, config.max_sites))

    def log_known(self, batch: Sequences) -> dict[str, Tensor]:
        """Logs (q,) of all parts but coordinates."""
        return self.network.log_prob(batch)

    def batches(self, learnt: Descriptions, seed: int) -> Callable[[Ints, float], Batch]:
        """Batches with noise on coordinates."""
        return maker_of_batches(learnt, self.vocabulary_index, self.config, seed)


def _lowest_settings(genes: GeneBatch) -> GeneBatch:
    """The setting of each gene with the lowest letters, and of these the one with the lowest elements."""
    settings, owner = settings_of(genes)
    order = np.lexsort((*settings.elements.T[::-1], *settings.wyckoffs.T[::-1], owner))
    _, first = np.unique(owner[order], return_index=True)
    return settings.take(order[first])
