"""What defines a WyckoffDiff; saved with every checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

from aristotype.errors import ConfigError
from aristotype.models._settings import HEAVIEST, check_counted

PRIORS = ("zeros", "marginal", "uniform")
LOSSES = ("bound", "balanced", "published")
NETWORKS = ("transformer", "gnn")


@dataclass(frozen=True, kw_only=True)
class WyckoffDiffConfig:
    """Sizes of the network, the noise, and what was learnt by counting. Frozen, checked on construction."""

    network: str = "transformer"  # over positions; `gnn` is the published one
    width: int = 128  # of a position's vector
    layers: int = 4
    heads: int = 8  # of the transformer
    element_width: int = 64  # vectors that tie element inputs and outputs, of the transformer
    dropout: float = 0.1  # of the transformer
    prior: str = "zeros"  # what the noise ends in
    timesteps: int = 1000  # of the noise
    steps: int = 50  # that a sample takes, and that the bound counts; evenly spread over those of the noise
    loss: str = "bound"  # what is minimised
    told_sizes: bool = True  # whether the transformer is told how many elements and sites there will be
    max_kinds: int = 0  # most different elements of a gene that are told; 0 stands for those of the data
    max_sites: int = 0  # the same of sites
    elements: tuple[int, ...] = ()  # vocabulary, atomic numbers in increasing order
    max_count: int = 0  # most sites of one element on one position with free parameters
    group_smoothing: float = 0.001  # share of p(space group) spread evenly over all 230

    def __post_init__(self) -> None:
        for name, known in (("network", NETWORKS), ("prior", PRIORS), ("loss", LOSSES)):
            if getattr(self, name) not in known:
                raise ConfigError(f"{name} is {getattr(self, name)!r}; choose one of {', '.join(known)}")
        if self.width % self.heads:
            raise ConfigError(f"width is {self.width}, which {self.heads} heads do not divide; change one of them")
        for name in ("width", "layers", "heads", "element_width", "steps"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.timesteps < self.steps:
            raise ConfigError(
                f"steps is {self.steps} and timesteps {self.timesteps}; a sample takes some of the steps of the noise, "
                "so lower steps or raise timesteps"
            )
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout is {self.dropout}; it must be at least 0 and below 1")
        for name in ("max_count", "max_kinds", "max_sites"):
            if getattr(self, name) < 0:
                raise ConfigError(
                    f"{name} is {getattr(self, name)}; it must be at least 0, which stands for that of the data"
                )
        if self.told_sizes and self.network == "gnn":
            raise ConfigError("the published network is told no sizes; set told_sizes to false with network gnn")
        check_counted(self.elements, self.group_smoothing, heaviest=HEAVIEST)
