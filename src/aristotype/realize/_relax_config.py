"""What a user may choose about relaxation."""

from __future__ import annotations

from dataclasses import dataclass

from aristotype.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class RelaxConfig:
    """Settings of `relax`, checked on construction.

    Raises:
        ConfigError: a value is outside its range.
    """

    fmax: float = 0.05
    """Residual (eV/Angstrom) below which a structure is at rest: the largest force on an atom and the largest component
    of the virial over the number of atoms."""
    steps: int = 200
    """Most evaluations within the symmetry of the gene."""
    free_steps: int = 50
    """Most evaluations afterwards, with all atoms and the whole cell free; 0 leaves this stage out."""
    rattle: float = 0.02
    """Standard deviation (Angstrom) of the displacement of every atom before the second stage: at rest within its
    symmetry, a structure has no force that would break it."""
    least_gain: float = 1e-3
    """Energy (eV/atom) that the second stage must gain; else the structure of the first stands, with its symmetry."""
    tolerance: float = 0.1
    """Distance (Angstrom) up to which positions count as symmetric when the relaxed structure is encoded."""
    min_distance: float = 0.5
    """Distance of two atoms (Angstrom) below which a structure has collapsed."""
    max_volume_change: float = 4.0
    """Factor on the volume beyond which a structure has exploded, or below whose inverse it has collapsed."""
    seconds: float = 600.0
    """Most time that one structure may take."""
    repeats: int = 1
    """Most trials of a gene: the crystal itself, then new realisations of its gene, until the two lowest energies
    agree; the lowest is kept."""
    agree: float = 0.01
    """Difference (eV/atom) below which two energies agree."""
    seed: int = 0
    """Of the realisations of further trials."""

    def __post_init__(self) -> None:
        for name, lowest, highest in (
            ("fmax", 1e-4, 10.0),
            ("steps", 1, 100_000),
            ("free_steps", 0, 100_000),
            ("rattle", 0.0, 0.5),
            ("least_gain", 0.0, 1.0),
            ("tolerance", 1e-6, 1.0),
            ("min_distance", 0.0, 2.0),
            ("max_volume_change", 1.1, 1000.0),
            ("seconds", 0.1, 1e7),
            ("repeats", 1, 1000),
            ("agree", 0.0, 1.0),
            ("seed", 0, 2**63),
        ):
            value = getattr(self, name)
            if not lowest <= value <= highest:
                raise ConfigError(
                    f"{name} = {value} is outside {lowest:g} to {highest:g}; choose a value in that range"
                )
