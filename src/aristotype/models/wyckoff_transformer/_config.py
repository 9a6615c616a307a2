"""What defines a WyckoffTransformer; saved with every checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

from aristotype.errors import ConfigError
from aristotype.models._settings import HEAVIEST, check_counted


@dataclass(frozen=True, kw_only=True)
class WyckoffTransformerConfig:
    """Sizes of the networks and what was learnt by counting. Frozen, checked on construction."""

    width: int = 128  # of the element network
    heads: int = 8
    encoder_layers: int = 2  # see the whole template
    decoder_layers: int = 4  # see the elements already placed
    element_width: int = 64  # vectors that tie element inputs and outputs
    template_width: int = 96  # of the network that writes templates never seen
    template_heads: int = 6
    template_layers: int = 3
    members: int = 1  # element networks, mixed with equal weight
    dropout: float = 0.12
    substitution: float = 0.0  # share of training genes in which one element is exchanged for a likely partner
    temperature: float = 1.0  # divides the element logits; calibrated on validation genes after training
    diversity: float = 1.0  # factor on the calibrated temperature: above 1, fewer repeated genes at some likelihood
    known_rejection: float = 0.0  # share of training genes that is drawn again, so that they recur as in held-out data
    elements: tuple[int, ...] = ()  # vocabulary, atomic numbers in increasing order
    remembered: int = 0  # templates in the memory
    max_sites: int = 64  # longest gene that can be written
    group_smoothing: float = 0.001  # share of p(space group) spread evenly over all 230

    def __post_init__(self) -> None:
        for name, heads in (("width", "heads"), ("template_width", "template_heads")):
            if getattr(self, name) % getattr(self, heads):
                raise ConfigError(
                    f"{name} is {getattr(self, name)}, which {getattr(self, heads)} heads do not divide; "
                    "change one of them"
                )
        for name in ("encoder_layers", "decoder_layers", "template_layers", "members", "max_sites"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout is {self.dropout}; it must be at least 0 and below 1")
        if not self.temperature > 0:
            raise ConfigError(f"temperature is {self.temperature}; it must be above 0")
        if not self.diversity > 0:
            raise ConfigError(f"diversity is {self.diversity}; it must be above 0")
        if not 0 <= self.known_rejection < 1:
            raise ConfigError(f"known_rejection is {self.known_rejection}; it must be at least 0 and below 1")
        if not 0 <= self.substitution < 1:
            raise ConfigError(f"substitution is {self.substitution}; it must be at least 0 and below 1")
        check_counted(self.elements, self.group_smoothing, heaviest=HEAVIEST)
