"""What defines a gene encoder; saved with every checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

from aristotype.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class GeneEncoderConfig:
    """Sizes of the network and what was learnt by counting. Frozen, checked on construction."""

    width: int = 128  # of a site's vector, and of the embedding
    heads: int = 4
    layers: int = 4
    dropout: float = 0.1
    descriptions: int = 8  # most equivalent descriptions of a gene that are averaged over
    target: str = ""  # the property it was trained on, as `predict` names its column
    unit: str = ""  # of the property
    spread: float = 1.0  # factor on the predicted width, calibrated on validation rows after training
    elements: tuple[int, ...] = ()  # vocabulary, atomic numbers in increasing order

    def __post_init__(self) -> None:
        for name in ("width", "heads", "layers", "descriptions"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.width % self.heads:
            raise ConfigError(f"width is {self.width}, which {self.heads} heads do not divide; change one of them")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout is {self.dropout}; it must be at least 0 and below 1")
        if not self.spread > 0:
            raise ConfigError(f"spread is {self.spread}; it must be above 0")
        if list(self.elements) != sorted(set(self.elements)) or any(not 1 <= z <= 103 for z in self.elements):
            raise ConfigError(
                f"elements are {self.elements}; they must be different atomic numbers from 1 to 103 in increasing order"
            )
