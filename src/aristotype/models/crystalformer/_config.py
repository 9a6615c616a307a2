"""What defines a CrystalFormer; saved with every checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

from aristotype.errors import ConfigError
from aristotype.models._settings import check_vocabulary


@dataclass(frozen=True, kw_only=True)
class GeometryConfig:
    """Sizes of the network that writes a cell and free parameters for a gene. Frozen, checked on construction."""

    genes: str = "wyckoff-transformer-mp20"  # gene model, a shipped name or a folder; one of a folder is copied
    width: int = 192
    heads: int = 6
    encoder_layers: int = 3  # see the whole gene
    decoder_layers: int = 3  # see the sites already placed
    element_width: int = 64
    cell_components: int = 16  # of the mixture over cells
    offset_components: int = 6  # of the mixture inside a bin
    dropout: float = 0.1
    first_only: bool = True  # learn the first sequence of each crystal, not one of all, drawn anew each epoch
    bin_temperature: float = 1.0  # divides the logits of bins; this and the next two are calibrated after training
    offset_spread: float = 1.0  # factor on the widths of offsets
    cell_spread: float = 1.0  # factor on the widths of cells
    elements: tuple[int, ...] = ()  # vocabulary, atomic numbers in increasing order

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ConfigError(f"width is {self.width}, which {self.heads} heads do not divide; change one of them")
        for name in ("encoder_layers", "decoder_layers", "cell_components", "offset_components", "element_width"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 1")
        for name in ("bin_temperature", "offset_spread", "cell_spread"):
            if not 0.1 <= getattr(self, name) <= 10.0:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be from 0.1 to 10")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout is {self.dropout}; it must be at least 0 and below 1")
        check_vocabulary(self.elements)
