"""What defines the published network; saved with every checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

from aristotype.errors import ConfigError
from aristotype.models._settings import check_counted


@dataclass(frozen=True, kw_only=True)
class PaperConfig:
    """Sizes of the network; the defaults are the published ones, 4.8 M parameters. Frozen, checked on construction."""

    width: int = 64
    layers: int = 16
    heads: int = 16
    head_width: int = 64
    expansion: int = 4  # of the feed-forward part
    waves: int = 5  # of the Fourier features of a coordinate
    coordinate_components: int = 16  # von Mises densities an axis
    cell_components: int = 4  # of the mixture over cells
    dropout: float = 0.1
    elements: tuple[int, ...] = ()  # vocabulary, atomic numbers in increasing order
    max_sites: int = 64  # longest crystal that can be written
    group_smoothing: float = 0.001  # share of p(space group) spread evenly over all 230

    def __post_init__(self) -> None:
        sizes = (
            "width",
            "layers",
            "heads",
            "head_width",
            "expansion",
            "waves",
            "coordinate_components",
            "cell_components",
            "max_sites",
        )
        for name in sizes:
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout is {self.dropout}; it must be at least 0 and below 1")
        check_counted(self.elements, self.group_smoothing)
