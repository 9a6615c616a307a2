"""One space group and its Wyckoff positions, as objects to read and to compute with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aristotype.errors import SymmetryError
from aristotype.symmetry._tables import (
    CENTRINGS,
    CRYSTAL_SYSTEMS,
    GRID,
    LETTERS,
    Ints,
    check_group,
    tables,
)

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class WyckoffPosition:
    """A Wyckoff position of a space group in the standard setting (ITA A, chapter 2.3)."""

    space_group: int
    index: int
    letter: str
    multiplicity: int
    freedom: int
    site_symmetry: str
    site_symmetry_index: int
    linear: Ints  # (3, freedom) from free parameters to coordinates
    origin: Ints  # (3,) in 24ths
    inverse: Ints  # (3, 3) unimodular, see `Tables.representative_inverse`
    orbit_linear: Ints  # (multiplicity, 3, freedom)
    orbit_origin: Ints  # (multiplicity, 3) in 24ths

    def representative(self, free: ArrayLike) -> Floats:
        """Coordinates (..., 3) of the representative point for free parameters (..., freedom)."""
        return np.asarray(free, float) @ self.linear.T + self.origin / GRID

    def orbit(self, free: ArrayLike) -> Floats:
        """All images (..., multiplicity, 3) in the conventional cell, in [0, 1), for free parameters (..., freedom)."""
        points = np.einsum("mif,...f->...mi", self.orbit_linear, np.asarray(free, float)) + self.orbit_origin / GRID
        return points % 1.0

    def __str__(self) -> str:
        return f"{self.multiplicity}{self.letter}"


@dataclass(frozen=True, kw_only=True)
class NormalizerOperations:
    """Coset representatives of the normalizer over the group and its floating origin, identity first.

    For triclinic and monoclinic groups these are the operations that also keep a generic reduced cell; from
    orthorhombic on all operations that keep the standard setting (axis permutations carry a, b, c along).
    """

    linear: Ints  # (n, 3, 3) x' = linear @ x + translation / 24; the cell changes by the inverse
    translation: Ints  # (n, 3) in 24ths
    proper: NDArray[np.bool_]  # (n,) determinant +1


@dataclass(frozen=True, kw_only=True)
class SpaceGroup:
    """A space group in its standard setting."""

    number: int

    @property
    def symbol(self) -> str:
        """Short Hermann-Mauguin symbol."""
        return tables().symbols[self.number - 1]

    @property
    def crystal_system(self) -> str:
        """One of `CRYSTAL_SYSTEMS`."""
        return CRYSTAL_SYSTEMS[tables().crystal_system[self.number - 1]]

    @property
    def centring(self) -> str:
        """P, A, C, F, I or R (obverse, hexagonal axes)."""
        return CENTRINGS[tables().centring[self.number - 1]]

    @property
    def centring_order(self) -> int:
        """Lattice points in the conventional cell."""
        return {"P": 1, "A": 2, "C": 2, "I": 2, "R": 3, "F": 4}[self.centring]

    @property
    def polar_axes(self) -> tuple[bool, bool, bool]:
        """Axes along which the origin floats."""
        return tuple(bool(v) for v in tables().polar_axes[self.number - 1])  # type: ignore[return-value]

    @property
    def enantiomorph(self) -> int | None:
        """Number of the group's mirror image where that is another group (11 pairs), else None."""
        partner = int(tables().enantiomorph[self.number - 1])
        return None if partner == self.number else partner

    @cached_property
    def rotations(self) -> Ints:
        """(n, 3, 3) rotation parts of the operations of the conventional cell, identity first."""
        return tables().ragged("operation_rotation", self.number - 1).astype(np.int64)

    @cached_property
    def translations(self) -> Ints:
        """(n, 3) translation parts in 24ths."""
        return tables().ragged("operation_translation", self.number - 1).astype(np.int64)

    @cached_property
    def positions(self) -> tuple[WyckoffPosition, ...]:
        """Wyckoff positions in letter order; the last one is the general position."""
        start, stop = tables().position_offset[self.number - 1 : self.number + 1]
        return tuple(_position(self.number, int(row), int(row - start)) for row in range(start, stop))

    @cached_property
    def normalizer(self) -> NormalizerOperations:
        """Operations that carry the standard setting into itself, one a coset."""
        linear = tables().ragged("normalizer_linear", self.number - 1).astype(np.int64)
        return NormalizerOperations(
            linear=linear,
            translation=tables().ragged("normalizer_translation", self.number - 1).astype(np.int64),
            proper=np.rint(np.linalg.det(linear)).astype(int) == 1,
        )

    def position(self, letter: str) -> WyckoffPosition:
        """The position with a letter.

        Raises:
            SymmetryError: the group has no such letter.
        """
        index = LETTERS.find(letter) if len(letter) == 1 else -1
        if not 0 <= index < len(self.positions):
            last = self.positions[-1].letter
            raise SymmetryError(f"space group {self.number} has no position {letter!r}; its letters are a to {last}")
        return self.positions[index]

    def orbit(self, point: ArrayLike, tolerance: float = 1e-6) -> Floats:
        """Distinct images (m, 3) of a point in the conventional cell, in [0, 1)."""
        images = (self.rotations @ np.asarray(point, float) + self.translations / GRID) % 1.0
        distance = np.abs((images[:, None] - images[None] + 0.5) % 1.0 - 0.5).max(axis=-1)
        first = (distance < tolerance).argmax(axis=1)
        return images[first == np.arange(len(images))]


def _position(number: int, row: int, index: int) -> WyckoffPosition:
    data = tables()
    freedom = int(data.freedom[row])
    return WyckoffPosition(
        space_group=number,
        index=index,
        letter=LETTERS[index],
        multiplicity=int(data.multiplicity[row]),
        freedom=freedom,
        site_symmetry=data.site_symmetries[data.site_symmetry[row]],
        site_symmetry_index=int(data.site_symmetry_index[row]),
        linear=data.representative_linear[row, :, :freedom].astype(np.int64),
        origin=data.representative_origin[row].astype(np.int64),
        inverse=data.representative_inverse[row].astype(np.int64),
        orbit_linear=data.ragged("orbit_linear", row)[:, :, :freedom].astype(np.int64),
        orbit_origin=data.ragged("orbit_origin", row).astype(np.int64),
    )


@cache
def space_group(number: int) -> SpaceGroup:
    """The space group with an ITA number.

    Raises:
        SymmetryError: the number is not one of 1 to 230.
    """
    return SpaceGroup(number=check_group(number))


def locate(position: WyckoffPosition, points: ArrayLike, tolerance: float = 1e-3) -> tuple[Floats, Floats, Ints]:
    """Reads free parameters of points on a position, through whichever image lies on the representative subspace.

    Args:
        position: the Wyckoff position.
        points: coordinates (n, 3), each one member of an orbit of the position.
        tolerance: largest distance, in fractional units, from the subspace.

    Returns:
        free parameters (n, freedom) in [0, 1), the residual (n,) from the subspace in fractional units, and the index
        (n,) of the operation that carries the point to the representative subspace.

    Raises:
        SymmetryError: a point is on no image of the position.
    """
    group = space_group(position.space_group)
    points = np.asarray(points, float).reshape(-1, 3)
    images = np.einsum("gij,nj->ngi", group.rotations, points) + (group.translations - position.origin) / GRID
    read = images @ position.inverse.T
    off = read[..., position.freedom :]
    residual = np.abs(off - np.rint(off)).max(axis=-1, initial=0.0)
    best = (residual > residual.min(axis=1, keepdims=True) + 1e-9).argmin(axis=1)
    rows = np.arange(len(points))
    worst = residual[rows, best]
    if (worst > tolerance).any():
        row = int(worst.argmax())
        raise SymmetryError(
            f"point {points[row].tolist()} is {worst[row]:.2g} (fractional) away from position {position} of space "
            f"group {position.space_group}; the limit is {tolerance:g}"
        )
    free = read[rows, best, : position.freedom] % 1.0
    return np.where(free >= 1.0, 0.0, free), worst, best
