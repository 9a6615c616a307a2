"""Powder diffraction as a property: how alike the pattern of a crystal and an observed one are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aristotype.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from aristotype.crystal import CrystalTable

Floats = NDArray[np.float64]
_FEWEST = 20
"""Points of a pattern below which it is none."""
_STEPS_A_WIDTH = 4.0
_SHORT = 1.0
"""Angstrom: a primitive cell with a lattice vector below this has no pattern worth the time."""


class PatternLikeness:
    """A property: cosine (n,) between the patterns of crystals and an observed one, from 0 to 1.

    Patterns are those of pymatgen's `XRDCalculator` with every peak a Gaussian of one width, on one grid of angles;
    intensities enter by their roots, so that weak peaks count. Broad peaks let a cell that is nearly right be seen.

    Raises:
        InputError: the observed pattern has too few points, values that are no numbers, or no intensity in the range.
    """

    def __init__(
        self,
        two_theta: ArrayLike,
        intensity: ArrayLike,
        *,
        wavelength: float | str = "CuKa",
        width: float = 1.0,
        limits: tuple[float, float] = (10.0, 80.0),
    ) -> None:
        """From a profile.

        Args:
            two_theta: (m,) degrees, ascending.
            intensity: (m,) in any unit, background taken away.
            wavelength: in Angstrom, or a name that pymatgen knows, such as CuKa.
            width: full width of peaks at half their height, degrees.
            limits: of the angles that are compared, degrees.
        """
        from pymatgen.analysis.diffraction.xrd import XRDCalculator

        angle, value = np.asarray(two_theta, float).ravel(), np.asarray(intensity, float).ravel()
        if not (width > 0 and 0 < limits[0] < limits[1] < 180):
            raise InputError(f"width {width} and limits {limits}: a width above 0 and 0 < low < high < 180 are needed")
        if len(angle) != len(value) or len(angle) < _FEWEST:
            raise InputError(
                f"a pattern has {len(angle)} angles and {len(value)} intensities; give as many, at least {_FEWEST}"
            )
        if not (np.isfinite(angle).all() and np.isfinite(value).all() and (np.diff(angle) > 0).all()):
            raise InputError("a pattern has angles that do not ascend, or values that are no numbers; correct them")
        self._limits, self._width = limits, width
        self._grid = np.arange(limits[0], limits[1], width / _STEPS_A_WIDTH)
        self._calculator = XRDCalculator(wavelength=wavelength)
        profile = np.interp(self._grid, angle, np.maximum(value, 0.0), left=0.0, right=0.0)
        self._observed = _unit(np.sqrt(profile))
        if not self._observed.any():
            raise InputError(
                f"a pattern has no intensity between {limits[0]} and {limits[1]} degrees; give the angles as 2 theta"
            )

    @classmethod
    def of_crystal(cls, table: CrystalTable, *, width: float = 1.0, **options: object) -> PatternLikeness:
        """With the pattern that the first crystal of a table would have, for tests and examples.

        Raises:
            TableError: it is a gene.
        """
        limits = (10.0, 80.0)
        blank = np.linspace(*limits, _FEWEST)
        maker = cls(blank, np.ones(_FEWEST), width=width, limits=limits, **options)  # type: ignore[arg-type]
        return cls(maker._grid, maker.profiles(table[:1])[0], width=width, limits=limits, **options)  # type: ignore[arg-type]

    @property
    def angles(self) -> Floats:
        """(m,) the grid, degrees 2 theta."""
        return self._grid

    def profiles(self, table: CrystalTable) -> Floats:
        """Patterns (n, m) of crystals on the grid; zero where a cell is too small to have any peak.

        Raises:
            TableError: a row is a gene.
        """
        out = np.zeros((len(table), len(self._grid)))
        sigma = self._width / np.sqrt(8.0 * np.log(2.0))
        for row, structure in enumerate(table.to_structures(primitive=True)):
            if min(structure.lattice.abc) < _SHORT:
                continue
            peaks = self._calculator.get_pattern(structure, scaled=False, two_theta_range=self._limits)
            distance = (self._grid[:, None] - np.asarray(peaks.x)[None]) / sigma
            out[row] = np.exp(-0.5 * np.square(distance)) @ np.asarray(peaks.y)
        return out

    def __call__(self, table: CrystalTable) -> Floats:
        """The property; see `Score`."""
        return np.asarray(_unit(np.sqrt(self.profiles(table))) @ self._observed)


def _unit(vectors: Floats) -> Floats:
    """Vectors (..., m) of length 1; those of length 0 stay."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, 1.0))
