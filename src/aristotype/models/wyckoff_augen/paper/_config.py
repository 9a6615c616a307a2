"""What defines the published WyckoffAUGen; saved with every checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

from aristotype.errors import ConfigError
from aristotype.models._settings import HEAVIEST, check_counted


@dataclass(frozen=True, kw_only=True)
class PaperConfig:
    """Sizes of the network and terms of the loss; the defaults are the published ones (A.4). Checked when made."""

    width: int = 256
    layers: int = 7  # of message passing
    filters: int = 480  # of a relative position
    distances: int = 300  # Gaussians in which a distance is told
    element_width: int = 64  # vectors of elements, and what draws spaces of them
    segment_components: int = 10  # Beta laws of a mixture
    polygon_components: int = 30  # Dirichlet laws
    interior_components: int = 50  # von Mises laws
    position_noise: float = 0.2  # Angstrom, standard deviation of what is told about positions in training
    length_noise: float = 0.01  # Angstrom, range of the even noise of lengths
    angle_noise: float = 1.0  # degrees, the same of angles
    gradient_factor: float = 0.3  # of gradients of cells, letters, elements and ends
    concentration: float = 1.0001  # of the Dirichlet prior of the weights of mixtures
    z_loss: float = 1e-4  # of squared logarithms of normalisers
    first_only: bool = True  # learn the first description of each crystal, not one of all, drawn anew each epoch
    elements: tuple[int, ...] = ()  # vocabulary, atomic numbers in increasing order
    max_sites: int = 0  # most sites of a crystal; 0 stands for those of the data
    group_smoothing: float = 0.001  # share of p(space group) spread evenly over all 230

    def __post_init__(self) -> None:
        sizes = (
            "width",
            "layers",
            "filters",
            "distances",
            "element_width",
            "segment_components",
            "polygon_components",
            "interior_components",
        )
        for name, least in (*((name, 1) for name in sizes), ("distances", 2), ("max_sites", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least {least}")
        for name in ("position_noise", "length_noise", "angle_noise", "z_loss"):
            if not 0 <= getattr(self, name) <= 10:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be from 0 to 10")
        if not 0 < self.gradient_factor <= 1:
            raise ConfigError(f"gradient_factor is {self.gradient_factor}; it must be above 0 and at most 1")
        if not 1 <= self.concentration < 2:
            raise ConfigError(f"concentration is {self.concentration}; it must be at least 1 and below 2")
        check_counted(self.elements, self.group_smoothing, heaviest=HEAVIEST)
