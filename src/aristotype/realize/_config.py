"""What a user may choose about the first realisation."""

from __future__ import annotations

from dataclasses import dataclass

from aristotype.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class RealizeConfig:
    """Settings of `realize`, checked on construction.

    Raises:
        ConfigError: a value is outside its range.
    """

    min_ratio: float = 0.75
    """Smallest distance of two atoms that is accepted, as a fraction of the sum of their covalent radii."""
    target_ratio: float = 1.1
    """Distance below which two atoms repel each other while the geometry is solved, as a fraction of that sum."""
    trials: int = 4
    """Starts a gene and round that are solved; the best accepted one is kept."""
    screened: int = 4
    """Random starts looked at for each one that is solved."""
    steps: int = 60
    """Steps of descent a trial."""
    rounds: int = 8
    """How often a gene without an accepted trial is tried again, each time at a larger volume."""
    expansion: float = 1.1
    """Factor on the volume from one round to the next."""
    volume_spread: float = 0.05
    """Standard deviation of the logarithm of the volume around the sum of the volumes of the elements."""
    verify: bool = True
    """Whether each crystal is encoded again to see that it has its gene and no more symmetry."""
    tolerance: float = 1e-4
    """Distance (Angstrom) up to which positions count as symmetric when a crystal is encoded again."""
    max_atoms: int = 500
    """Atoms in the primitive cell up to which a geometry is solved."""

    def __post_init__(self) -> None:
        _inside("min_ratio", self.min_ratio, 0.1, 1.5)
        _inside("target_ratio", self.target_ratio, self.min_ratio, 3.0)
        _inside("expansion", self.expansion, 1.0, 2.0)
        _inside("volume_spread", self.volume_spread, 0.0, 0.5)
        _inside("tolerance", self.tolerance, 1e-6, 0.05)
        for name, highest in (("trials", 1000), ("screened", 100), ("steps", 10_000), ("rounds", 50)):
            _inside(name, getattr(self, name), 1, highest)
        _inside("max_atoms", self.max_atoms, 1, 2000)


def _inside(name: str, value: float, lowest: float, highest: float) -> None:
    if not lowest <= value <= highest:
        raise ConfigError(f"{name} = {value} is outside {lowest:g} to {highest:g}; choose a value in that range")
