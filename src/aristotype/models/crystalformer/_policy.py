"""A CrystalFormer as a policy: what it draws is rewarded, and the probabilities of what it drew are moved.

What is differentiated is the log-probability of the crystal itself, every way of writing it summed, not that of the
one way in which it was drawn: both give the same gradient in expectation, the sum with less noise. That needs draws
that follow the score exactly. So a policy never draws anything again: not training genes (the gene model's
`known_rejection` is 0), and, where the geometry learns, not sites that overlap; the reward has to tell those.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Literal

from torch import Tensor, nn

from aristotype.errors import InputError
from aristotype.models.crystalformer._model import CrystalFormer
from aristotype.models.crystalformer._sampler import Tries
from aristotype.models.wyckoff_transformer import WyckoffTransformer

if TYPE_CHECKING:
    from aristotype.crystal import CrystalTable

Moved = Literal["genes", "geometry", "both"]
MOVED: tuple[Moved, ...] = ("genes", "geometry", "both")
"""Which weights may learn: of the elements on given positions, of cells and coordinates, or of both."""


class CrystalPolicy(nn.Module):
    """A copy of a CrystalFormer whose chosen weights can learn; the model that it was made of stays as it is.

    Of the gene model the element networks learn. Space groups, templates and numbers of elements are counted, not
    learnt: they keep their shares, and so a policy cannot forget a space group.

    Attributes:
        model: the copy.
        moved: what learns.
    """

    def __init__(self, model: CrystalFormer, moved: Moved = "genes") -> None:
        """A policy that draws what the model draws, but for what the model draws again.

        Raises:
            InputError: genes are to learn, and the gene model is no WyckoffTransformer of the default configuration.
        """
        super().__init__()
        genes = model.genes
        if moved != "geometry":
            if not isinstance(genes, WyckoffTransformer):
                raise InputError(
                    f"the gene model {genes.name} is a {type(genes).__name__}, whose probabilities cannot be moved; "
                    "let the geometry learn alone, or take a model with genes of a WyckoffTransformer"
                )
            genes = genes.with_config(known_rejection=0.0)
            genes.name = f"{model.genes.name}-finetuned"  # not the shipped one: its weights go into the checkpoint
        tries = model.tries if moved == "genes" else Tries.none()
        self.moved: Moved = moved
        self.model = CrystalFormer(genes, copy.deepcopy(model.geometry), tries).eval()
        self.model.requires_grad_(False)
        self.learning().requires_grad_(True)

    def learning(self) -> nn.ModuleList:
        """The networks that learn."""
        parts: list[nn.Module] = [] if self.moved == "genes" else [self.model.geometry]
        if self.moved != "geometry":
            assert isinstance(self.model.genes, WyckoffTransformer)
            parts += self.model.genes.members
        return nn.ModuleList(parts)

    def draw(self, n: int, *, seed: int) -> CrystalTable:
        """Independent crystals (n,) of the policy.

        Raises:
            InputError: the seed is outside its range.
        """
        return self.model.sample(n, seed=seed, score=False)

    def log_prob(self, table: CrystalTable) -> Tensor:
        """(n,) log-probabilities in nats, but for the factors that do not learn; gradients flow to those that do.

        The differences between two policies of one model are those of their whole log-probabilities.

        Raises:
            TableError: a row is a gene.
        """
        parts = []
        if self.moved != "geometry":
            assert isinstance(self.model.genes, WyckoffTransformer)
            parts.append(self.model.genes.score_elements(table.genes()))
        if self.moved != "genes":
            parts.append(self.model.score_geometry(table))
        return sum(parts[1:], start=parts[0])

    def trained(self) -> CrystalFormer:
        """The model as it is now, to be saved or drawn from, with second tries for what overlaps."""
        return CrystalFormer(self.model.genes, self.model.geometry).eval()
