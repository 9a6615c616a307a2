"""From one description of a gene to a vector, and from the vector to a property.

After Wrenformer (Riebesell et al., Matbench Discovery; Goodall et al., Sci. Adv. 8, eabn4117, 2022): a token a site,
element and position as features that transfer between groups, attention among all sites, a mean over atoms. Other than
there, a site of multiplicity m counts m-fold in attention too: log m is added to its logits, so that attention is over
atoms, and a gene says the same where an orbit is written as two orbits of the same environment.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from aristotype.models._parts import vocabulary_index
from aristotype.models.blocks import ElementEmbedding, Layer, SiteEmbedding
from aristotype.models.gene_encoder._config import GeneEncoderConfig
from aristotype.symmetry import tables


class Estimate(NamedTuple):
    """What is said of n genes, in units of the training values' spread, from their mean."""

    mean: Tensor  # (n,) median of a Laplace distribution
    log_width: Tensor  # (n,) logarithm of its mean absolute deviation


class EncoderNetwork(nn.Module):
    """A transformer over the sites of a gene, in any order, and a head for one property."""

    multiplicity: Tensor
    index: Tensor
    target_mean: Tensor
    target_scale: Tensor

    def __init__(self, config: GeneEncoderConfig) -> None:
        super().__init__()
        width = config.width
        multiplicity = torch.from_numpy(tables().padded("multiplicity", fill=0).astype(np.float32))
        self.register_buffer("multiplicity", multiplicity, persistent=False)
        self.register_buffer("index", torch.from_numpy(vocabulary_index(config.elements)), persistent=False)
        self.register_buffer("target_mean", torch.zeros(()))
        self.register_buffer("target_scale", torch.ones(()))
        self.sites = SiteEmbedding(width)
        self.elements = ElementEmbedding(config.elements, width)
        self.amounts = nn.Linear(2, width)
        self.join = nn.Sequential(nn.GELU(), nn.Linear(width, width))
        made = nn.ModuleList(Layer(width, config.heads, config.dropout) for _ in range(config.layers))
        self.layers = cast("Sequence[Layer]", made)
        self.norm = nn.LayerNorm(width)
        self.center = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1))
        self.width = nn.Sequential(nn.Linear(width, width // 2), nn.GELU(), nn.Linear(width // 2, 1))

    def embed(self, group: Tensor, wyckoffs: Tensor, elements: Tensor) -> Tensor:
        """Embeddings (n, width) of descriptions: the mean over atoms of the last layer's normalised output.

        Args:
            group: (n,) space-group numbers.
            wyckoffs: (n, S) letter indices, any valid one where there is no site.
            elements: (n, S) atomic numbers of the vocabulary, 0 where there is no site.
        """
        present = elements > 0
        atoms = self.multiplicity[group[:, None], wyckoffs] * present
        shares = (atoms / atoms.sum(dim=1, keepdim=True))[..., None]
        amounts = torch.stack([shares[..., 0], torch.log(atoms.clamp(min=1)) / 4], dim=-1)
        kinds = self.elements()[self.index[elements].clamp(min=0)]
        x = self.sites(group, wyckoffs) + kinds + self.amounts(amounts)
        x = x + self.join(x)
        # Minus infinity where there is no site, so that nobody looks there.
        counted = torch.log(atoms)[:, None, None, :].to(x.dtype)
        for layer in self.layers:
            x = layer(x, causal=False, mask=counted)
        return (shares * self.norm(x)).sum(dim=1)

    def estimate(self, embedding: Tensor) -> Estimate:
        """What embeddings (n, width) say of the property; the width learns from the embedding and does not shape it."""
        widths = self.width(embedding.detach())[:, 0]
        return Estimate(mean=self.center(embedding)[:, 0], log_width=functional.softplus(widths + 5) - 5)
