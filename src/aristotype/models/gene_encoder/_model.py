"""The gene encoder: a property and a 128-number embedding from a gene alone, no geometry.

Notable:
- the answer is the same for every equivalent description: embeddings are averaged over the distinct descriptions of a
  gene, at most `descriptions` of them, spread evenly over the sorted list, which is the same whichever one is given;
- sites carry no order, and attention and the mean count atoms, not sites;
- with each value comes a standard deviation: a Laplace distribution, whose width is calibrated on validation rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from aristotype.crystal import CANONICAL_VERSION, GeneBatch, equivalents
from aristotype.datasets import LabelledBatch
from aristotype.errors import ConfigError, InputError
from aristotype.models._parts import checked_config, elements_of
from aristotype.models.gene_encoder._config import GeneEncoderConfig
from aristotype.models.gene_encoder._network import EncoderNetwork
from aristotype.symmetry import tables
from aristotype.training import fit_to_template, save_checkpoint, to_dict

FAMILY = "gene-encoder"
LAYER = "mean over atoms of the last layer's normalised output, averaged over equivalent descriptions"
"""Where the embedding is taken: part of what a distance of embeddings means."""
_TOKENS_A_PASS = 6000

Floats = NDArray[np.float64]


class GeneEncoder(nn.Module):
    """A network from genes to one property, and to embeddings."""

    def __init__(self, config: GeneEncoderConfig) -> None:
        """An encoder with fresh weights.

        Raises:
            ConfigError: the vocabulary is empty.
        """
        super().__init__()
        if not config.elements:
            raise ConfigError("the vocabulary of the encoder is empty; name the elements, or use `for_training`")
        self.config = config
        self.network = EncoderNetwork(config)
        self.name = FAMILY
        self.sha256 = ""  # of the file that the weights were read from

    @staticmethod
    def for_training(config: GeneEncoderConfig, genes: GeneBatch, values: Floats) -> GeneEncoder:
        """A fresh encoder whose vocabulary and unit of the target come from training rows.

        Args:
            config: sizes and settings; its vocabulary is replaced.
            genes: n genes.
            values: (n,) their finite values.

        Raises:
            InputError: fewer than two rows, or all values equal: nothing can be learnt.
        """
        model = GeneEncoder(replace(config, elements=elements_of(genes), spread=1.0))
        model._standardise(values)
        return model

    def adapted(self, genes: GeneBatch, values: Floats, *, target: str, unit: str) -> GeneEncoder:
        """A copy with the same network and a fresh head, to go on with another target or on other rows.

        Elements that it does not know yet begin at what their periodic-table features say of them.

        Args:
            genes: n genes.
            values: (n,) their finite values.
            target: the property.
            unit: of the property.

        Raises:
            InputError: fewer than two rows, or all values equal.
        """
        vocabulary = tuple(sorted({*self.config.elements, *elements_of(genes)}))
        model = GeneEncoder(replace(self.config, elements=vocabulary, target=target, unit=unit, spread=1.0))
        weights = model.state_dict()
        identity = "network.elements.identity.weight"
        for name, old in self.state_dict().items():
            if name == identity:
                places = torch.tensor([vocabulary.index(number) for number in self.config.elements])
                weights[name] = torch.zeros_like(weights[name]).index_copy(0, places, old)
            elif not name.startswith(("network.center", "network.width", "network.target")):
                weights[name] = old
        model.load_state_dict(weights)
        model._standardise(values)
        return model

    def _standardise(self, values: Floats) -> None:
        """Sets the zero and the unit in which the network speaks of the target."""
        spread = float(np.std(values)) if len(values) > 1 else 0.0
        if not spread > 0:
            raise InputError(
                f"{len(values)} training rows with {len(np.unique(values))} different values of {self.config.target}; "
                "at least two different ones are needed"
            )
        self.network.target_mean.fill_(float(np.mean(values)))
        self.network.target_scale.fill_(spread)

    @property
    def vocabulary(self) -> frozenset[int]:
        """Atomic numbers of the elements that it knows."""
        return frozenset(self.config.elements)

    # Checkpoints

    def settings(self) -> dict[str, Any]:
        """What `load_encoder` builds the model from, as JSON values."""
        return {
            "family": FAMILY,
            "variant": "default",
            "tables_sha256": tables().sha256,
            "canonical_version": CANONICAL_VERSION,
            "model": to_dict(self.config),
        }

    def save(self, directory: str | Path, *, card: str = "", half: bool = True) -> None:
        """Writes a checkpoint folder: weights, configuration, model card.

        Raises:
            OutputError: the folder cannot be written; an earlier checkpoint is unchanged.
        """
        save_checkpoint(directory, self.settings(), self.state_dict(), card, half=half)

    @staticmethod
    def from_checkpoint(settings: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> GeneEncoder:
        """The encoder of a checkpoint that was read with `load_checkpoint`.

        Raises:
            CheckpointError: it was made with other symmetry tables, or its tensors do not fit its configuration.
        """
        model = GeneEncoder(checked_config(GeneEncoderConfig, settings))
        model.load_state_dict(fit_to_template(tensors, model.state_dict()))
        return model.eval()

    def with_config(self, **changes: Any) -> GeneEncoder:
        """A copy with the same weights under another configuration of the same sizes.

        Raises:
            ConfigError: a setting that does not exist or is out of range.
        """
        settings = self.settings()
        settings["model"] = {**settings["model"], **to_dict(replace(self.config, **changes))}
        return GeneEncoder.from_checkpoint(settings, self.state_dict())

    # Training

    def loss(self, batch: LabelledBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean absolute error in units of the values' spread, and the Laplace likelihood of its width.

        The median learns from the absolute error alone and the width from the likelihood alone: trained together, rows
        that are hard to predict would be given up early.
        """
        network = self.network
        wanted = (batch.values - network.target_mean) / network.target_scale
        found = network.estimate(network.embed(batch.group, batch.wyckoffs, batch.elements))
        error = (wanted - found.mean).abs()
        width = (error.detach() * torch.exp(-found.log_width) + found.log_width).mean()
        return error.mean() + width, {"mae": error.mean().detach() * network.target_scale, "width": width.detach()}

    def train(self, mode: bool = True) -> GeneEncoder:
        """Switches dropout on or off; weights that are trained are no longer those of a file."""
        if mode:
            self.sha256 = ""
        super().train(mode)
        return self

    # Use

    def known(self, genes: GeneBatch) -> NDArray[np.bool_]:
        """(n,) whether a gene is legal and all its elements are in the vocabulary."""
        inside = np.zeros(128, bool)
        inside[[0, *self.config.elements]] = True
        known: NDArray[np.bool_] = genes.legal() & inside[genes.elements].all(axis=1)
        return known

    @torch.no_grad()
    def embed(self, genes: GeneBatch) -> Floats:
        """Embeddings (n, width), the same to rounding for every equivalent description and order of sites.

        NaN for genes that are not legal or hold an element outside the vocabulary.
        """
        self.eval()
        rows = np.flatnonzero(self.known(genes))
        described, owner = spread_descriptions(genes.take(rows), self.config.descriptions)
        vectors = np.empty((len(described), self.config.width))
        for index, group, wyckoffs, elements in self._passes(described):
            vectors[index] = self.network.embed(group, wyckoffs, elements).double().cpu().numpy()
        sums = np.zeros((len(rows), self.config.width))
        np.add.at(sums, owner, vectors)
        out = np.full((len(genes), self.config.width), np.nan)
        out[rows] = sums / np.maximum(np.bincount(owner, minlength=len(rows)), 1)[:, None]
        return out

    def predict(self, genes: GeneBatch) -> tuple[Floats, Floats]:
        """Value and standard deviation (n,) of the target in its unit; NaN where `embed` gives NaN."""
        return self.predict_embedded(self.embed(genes))

    @torch.no_grad()
    def predict_embedded(self, embedding: Floats) -> tuple[Floats, Floats]:
        """`predict` from what `embed` gave."""
        self.eval()
        network = self.network
        found = network.estimate(torch.from_numpy(embedding).to(network.target_scale))
        scale = float(network.target_scale)
        values = found.mean.double().cpu().numpy() * scale + float(network.target_mean)
        # The standard deviation of a Laplace distribution is sqrt(2) times its width.
        widths = np.exp(found.log_width.double().cpu().numpy()) * scale * self.config.spread * math.sqrt(2)
        return values, widths

    def _passes(self, genes: GeneBatch) -> Iterator[tuple[NDArray[np.int64], Tensor, Tensor, Tensor]]:
        """Genes of like length together, in pieces of bounded size: rows, groups, letters, atomic numbers."""
        device = self.network.target_scale.device
        sites = genes.num_sites
        order = np.argsort(sites, kind="stable")
        start = 0
        while start < len(order):
            # Sorted by length: what fits at the length of the last row of a piece fits.
            cost = (np.arange(len(order) - start) + 1) * sites[order[start:]]
            piece = order[start : start + max(1, int(np.searchsorted(cost, _TOKENS_A_PASS, side="right")))]
            start += len(piece)
            longest = int(sites[piece].max())
            yield (
                piece,
                torch.from_numpy(genes.space_group[piece].astype(np.int64)).to(device),
                torch.from_numpy(np.maximum(genes.wyckoffs[piece, :longest], 0).astype(np.int64)).to(device),
                torch.from_numpy(genes.elements[piece, :longest].astype(np.int64)).to(device),
            )


def spread_descriptions(genes: GeneBatch, most: int) -> tuple[GeneBatch, NDArray[np.int64]]:
    """Up to `most` distinct descriptions of each gene and the row (m,) that each describes.

    Taken evenly from the sorted list of all of them: the list, and so the choice, is the same whichever description
    is given. A gene of group 2 may have a thousand, and a mean over a few says nearly as much.
    """
    described, owner = equivalents(genes)
    count = np.bincount(owner, minlength=len(genes))
    first = np.concatenate([[0], np.cumsum(count)[:-1]]).astype(np.int64)
    place = np.arange(len(owner)) - first[owner]
    total, kept = count[owner], np.minimum(count[owner], most)
    # Place p is taken where floor(p k / n) steps up: exactly k of n places, spread evenly.
    chosen = np.flatnonzero((place * kept) // total != ((place - 1) * kept) // total)
    return described.take(chosen), owner[chosen]
