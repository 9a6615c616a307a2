"""What a user may choose about the search for minima."""

from __future__ import annotations

from dataclasses import dataclass

from aristotype.realize._config import RealizeConfig, _inside


@dataclass(frozen=True, kw_only=True)
class MinimaConfig:
    """Settings of `minima`, checked on construction.

    Raises:
        ConfigError: a value is outside its range.
    """

    trials: int = 16
    """Starts a gene that are followed to a minimum."""
    screened: int = 16
    """Starts of each trial that are looked at: random ones, unless a source proposes some of them."""
    proposed: float = 0.5
    """Share of these that a source proposes, where one is given; rounded up."""
    raced: int = 4
    """Of those, the ones that are followed for a few steps, before the best of them is followed to its minimum."""
    heat: int = 20
    """Steps of that short descent."""
    steps: int = 80
    """Steps of descent a trial."""
    reused: int = 2
    """Trials that start from the nearest known crystals of the same template, where known crystals are given."""
    judged: int = 6
    """Distinct minima of lowest cheap energy that are ranked by the energy, where one is given."""
    distinct: float = 0.1
    """Difference of two partial radial distributions, as a share of them, beyond which two minima are distinct."""
    min_ratio: float = 0.65
    """Smallest distance of two atoms that is accepted, as a fraction of the sum of their covalent radii."""
    volume_spread: float = 0.05
    """Standard deviation of the logarithm of the volume at the start."""
    verify: bool = True
    """Whether each crystal is encoded again to see that it has its gene and no more symmetry."""
    tolerance: float = 1e-4
    """Distance (Angstrom) up to which positions count as symmetric when a crystal is encoded again."""
    max_atoms: int = 500
    """Atoms in the primitive cell up to which a geometry is solved."""

    def __post_init__(self) -> None:
        _inside("distinct", self.distinct, 0.0, 1.0)
        _inside("volume_spread", self.volume_spread, 0.0, 0.5)
        _inside("proposed", self.proposed, 0.0, 1.0)
        for name, highest in (("trials", 10_000), ("heat", 10_000), ("steps", 10_000), ("judged", 1000)):
            _inside(name, getattr(self, name), 1, highest)
        _inside("reused", self.reused, 0, 1000)
        _inside("screened", self.screened, 1, 1000)
        _inside("raced", self.raced, 1, self.screened)
        _ = self.repulsion

    @property
    def repulsion(self) -> RealizeConfig:
        """Settings of the first realisation, for genes without an accepted minimum and for what both share."""
        return RealizeConfig(
            min_ratio=self.min_ratio, tolerance=self.tolerance, max_atoms=self.max_atoms, verify=self.verify
        )
