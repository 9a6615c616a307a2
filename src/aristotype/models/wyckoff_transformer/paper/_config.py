"""What defines the published network; saved with every checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aristotype.errors import ConfigError
from aristotype.models._settings import check_counted

SiteOrder = Literal["any", "electronegativity"]
KNOWN_SITES = (0, 1, 2, 3, 4, 6, 10)
"""Lower ends of the buckets of known sites that share a temperature: 0, 1, 2, 3, 4-5, 6-9, 10 and more."""


@dataclass(frozen=True, kw_only=True)
class PaperConfig:
    """Sizes of the network and how sites are ordered. Frozen, checked on construction."""

    element_width: int = 16
    symmetry_width: int = 16
    index_width: int = 8
    width: int = 64  # of the layers; 138 k parameters in all with the 89 elements of MP-20
    layers: int = 3
    heads: int = 4
    feed_forward: int = 128
    dropout: float = 0.2
    site_order: SiteOrder = "any"  # or "electronegativity": that of the element, then the letter
    prefix_share: float = 0.25  # of a gene's prefixes, how many are trained on each time it is seen (at least one)
    elements: tuple[int, ...] = ()  # vocabulary, atomic numbers in increasing order
    max_sites: int = 64  # longest gene that can be written
    group_smoothing: float = 0.001  # share of p(space group) spread evenly over all 230

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ConfigError(f"width is {self.width}, which {self.heads} heads do not divide; change one of them")
        sizes = (
            "element_width",
            "symmetry_width",
            "index_width",
            "width",
            "layers",
            "heads",
            "feed_forward",
            "max_sites",
        )
        for name in sizes:
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout is {self.dropout}; it must be at least 0 and below 1")
        if self.site_order not in ("any", "electronegativity"):
            raise ConfigError(f"site_order is {self.site_order!r}; it must be any or electronegativity")
        if not 0 < self.prefix_share <= 1:
            raise ConfigError(f"prefix_share is {self.prefix_share}; it must be above 0 and at most 1")
        check_counted(self.elements, self.group_smoothing)
