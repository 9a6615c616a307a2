"""Fréchet distance of genes, on the embedding of a gene encoder: what they are made of, not how their atoms lie.

After the Fréchet Wrenformer distance of WyckoffDiff (Kelvinius et al., ICML 2025). Layer, regularisation and the
network's weights are not published there: this distance documents its own, and is never compared with published ones.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from aristotype.errors import InputError
from aristotype.evaluate._arrays import Floats, has_fingerprint
from aristotype.evaluate._frechet import FrechetDistance, frechet_distance, frechet_floor

if TYPE_CHECKING:
    from aristotype.crystal import GeneBatch
    from aristotype.models.gene_encoder import GeneEncoder

ENCODER = "gene-encoder-mp20"
"""The checkpoint whose embedding the evaluator takes: figures of another one are another metric."""
RIDGE = 1e-6
"""Of the mean variance of the reference, on both diagonals."""


@dataclass(frozen=True, kw_only=True)
class GeneDistance:
    """A Fréchet distance of genes, and all that decides what it means.

    Attributes:
        distance: The figure and its parts.
        checkpoint: Name of the encoder.
        sha256: Of its weights.
        layer: Where the embedding is taken.
        left_out: Genes without an embedding: not legal, or with an element that the encoder does not know.
        reference_left_out: The same of the reference.
    """

    distance: FrechetDistance
    checkpoint: str
    sha256: str
    layer: str
    left_out: int
    reference_left_out: int

    @property
    def note(self) -> str:
        """What to print beside the figure."""
        text = f"{self.distance.note}; layer: {self.layer}; weights {self.sha256[:16]}"
        if self.left_out or self.reference_left_out:
            text += f"; {self.left_out} genes and {self.reference_left_out} of the reference have no embedding"
        return text

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON values."""
        return asdict(self)


def gene_embedding(genes: GeneBatch, encoder: GeneEncoder | None = None) -> Floats:
    """Embeddings (n, 128), NaN for genes that are not legal or hold an element that the encoder does not know.

    Args:
        genes: n genes.
        encoder: by default the one that ships for this purpose (`ENCODER`).
    """
    return (encoder or _shipped()).embed(genes)


def frechet_gene(
    genes: GeneBatch | Floats,
    reference: GeneBatch | Floats,
    *,
    encoder: GeneEncoder | None = None,
    ridge: float = RIDGE,
) -> GeneDistance:
    """Fréchet distance of two sets of genes in the 128-number embedding of a gene encoder.

    The same to rounding for every equivalent description of a gene and order of its sites. It reads high by an amount
    that falls as 1/n: compare at equal n, and beside `frechet_gene_floor`.

    Args:
        genes: n genes, or what `gene_embedding` gave for them.
        reference: m genes, or their embeddings.
        encoder: by default the shipped one; give the one that made the embeddings.
        ridge: see `frechet_distance`.

    Raises:
        InputError: fewer than two genes of a side have an embedding.
    """
    model = encoder or _shipped()
    sides = [side if isinstance(side, np.ndarray) else model.embed(side) for side in (genes, reference)]
    sound = [side[has_fingerprint(side)] for side in sides]
    if min(map(len, sound)) < 2:
        raise InputError(
            f"{len(sound[0])} of {len(sides[0])} genes and {len(sound[1])} of {len(sides[1])} of the reference have an "
            "embedding, and a covariance needs two of each; give genes of elements that the encoder knows"
        )
    from aristotype.models.gene_encoder import LAYER

    return GeneDistance(
        distance=frechet_distance(*sound, embedding=model.name, ridge=ridge),
        checkpoint=model.name,
        sha256=_digest(model),
        layer=LAYER,
        left_out=len(sides[0]) - len(sound[0]),
        reference_left_out=len(sides[1]) - len(sound[1]),
    )


def frechet_gene_floor(
    reference: GeneBatch, *, size: int, draws: int = 10, seed: int, encoder: GeneEncoder | None = None
) -> Floats:
    """What `frechet_gene` reads for a generator as good as the data (draws,): genes of the reference against the rest.

    Args:
        reference: m genes.
        size: genes of each draw.
        draws: how many.
        seed: of the draws.
        encoder: by default the shipped one.

    Raises:
        InputError: the size does not leave two genes on either side.
    """
    model = encoder or _shipped()
    rows = model.embed(reference)
    return frechet_floor(
        rows[has_fingerprint(rows)], size=size, embedding=model.name, draws=draws, seed=seed, ridge=RIDGE
    )


def _shipped() -> GeneEncoder:
    from aristotype.models import load_encoder

    return load_encoder(ENCODER)


def _digest(model: GeneEncoder) -> str:
    """The sha256 of the file that the weights were read from, else of the weights as they are held."""
    if model.sha256:
        return model.sha256
    from hashlib import sha256

    digest = sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().numpy().tobytes())
    return digest.hexdigest()
