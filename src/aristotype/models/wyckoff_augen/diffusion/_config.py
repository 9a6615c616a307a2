"""What defines a WyckoffAugen; saved with every checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

from aristotype.errors import ConfigError
from aristotype.models.wyckoff_augen._settings import check

CALIBRATED = ("group_temperature", "space_temperature", "cell_spread", "letter_temperature", "element_temperature")
"""Set on validation crystals after training (see `_calibrate`)."""

_NETWORKS = ("width", "layers", "heads", "element_width", "cell_components", "score_layers", "edge_width", "vectors")
_SIZES = (*_NETWORKS, "neighbours", "steps", "levels")


@dataclass(frozen=True, kw_only=True)
class WyckoffAugenConfig:
    """Sizes of the networks, and the noise. Frozen, checked on construction."""

    width: int = 128  # of a site's vector
    layers: int = 4  # that read letters and elements
    heads: int = 8
    element_width: int = 64  # vectors that tie element inputs and outputs
    cell_components: int = 32  # of the mixture over cells
    score_layers: int = 4  # rounds of messages between sites
    edge_width: int = 128  # of a message
    vectors: int = 24  # vectors that a site carries, each of three numbers
    cutoff: float = 6.0  # Angstrom, beyond which atoms do not see each other
    neighbours: int = 24  # nearest atoms that a site looks at
    smallest_noise: float = 0.005  # Angstrom
    steps: int = 40  # of the chain that draws coordinates
    levels: int = 16  # of noise at which a score looks at a crystal
    dropout: float = 0.3  # of letters and elements
    cell_dropout: float = 0.15
    space_dropout: float = 0.2  # of groups and spaces of elements
    score_dropout: float = 0.1
    first_only: bool = True  # learn the first description of each crystal, not one of all, drawn anew each epoch
    group_temperature: float = 1.0  # divides logits of groups given elements; this and the next four are calibrated
    space_temperature: float = 1.0  # those of elements of the space
    letter_temperature: float = 1.0
    element_temperature: float = 1.0
    cell_spread: float = 1.0  # factor on the widths of cells
    elements: tuple[int, ...] = ()  # vocabulary, atomic numbers in increasing order
    max_sites: int = 0  # most sites of a crystal; 0 stands for those of the data
    group_smoothing: float = 0.001  # share of p(space group) spread evenly over all 230

    def __post_init__(self) -> None:
        check(self, _SIZES, CALIBRATED, ("dropout", "cell_dropout", "space_dropout", "score_dropout"))
        if not 1.0 <= self.cutoff <= 12.0:
            raise ConfigError(f"cutoff is {self.cutoff} Angstrom; it must be from 1 to 12")
        if not 1e-4 <= self.smallest_noise <= 0.1:
            raise ConfigError(f"smallest_noise is {self.smallest_noise} Angstrom; it must be from 0.0001 to 0.1")
