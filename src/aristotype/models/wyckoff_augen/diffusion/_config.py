"""What defines a WyckoffAugenDiffusion; saved with every checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

from aristotype.errors import ConfigError
from aristotype.models.wyckoff_augen._config import WyckoffAugenConfig


@dataclass(frozen=True, kw_only=True)
class DiffusionConfig(WyckoffAugenConfig):
    """Sizes of the networks, and the noise. Frozen, checked on construction."""

    score_layers: int = 4  # rounds of messages between sites
    edge_width: int = 128  # of a message
    vectors: int = 24  # vectors that a site carries, each of three numbers
    cutoff: float = 6.0  # Angstrom, beyond which atoms do not see each other
    neighbours: int = 24  # nearest atoms that a site looks at
    smallest_noise: float = 0.005  # Angstrom
    steps: int = 100  # of the chain that draws coordinates
    levels: int = 16  # of noise at which a score looks at a crystal

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("score_layers", "edge_width", "vectors", "neighbours", "steps", "levels"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if not 1.0 <= self.cutoff <= 12.0:
            raise ConfigError(f"cutoff is {self.cutoff} Angstrom; it must be from 1 to 12")
        if not 1e-4 <= self.smallest_noise <= 0.1:
            raise ConfigError(f"smallest_noise is {self.smallest_noise} Angstrom; it must be from 0.0001 to 0.1")
