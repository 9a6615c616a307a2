"""Do two reduced cells show the same structure: the answers of pymatgen's `StructureMatcher`, several times faster.

The definition is that of pymatgen (Ong et al. 2013) with its `ElementComparator`. Two cells of equal composition are
brought to one volume; every triple of lattice vectors of the first that agrees with the cell of the second in lengths
and angles is a candidate basis; on each, an atom of the rarest element of the second is put on every such atom of the
first; what is within a fractional tolerance goes on to an optimal assignment of atoms, with distances on the mean of
the two cells in units of (volume / atoms)^(1/3).

Most bases and shifts end at the fractional tolerance. That test is done here for all of them at once, with a margin far
above rounding, so that it never refuses what pymatgen accepts. What passes is computed by pymatgen's own exact test,
shortest vectors and reduced lattices, in the same order, because rounding decides between assignments of equal cost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aristotype.errors import ConfigError

if TYPE_CHECKING:
    from pymatgen.core import Lattice

    from aristotype.evaluate._reduction import ReducedCell

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_MARGIN = 1e-7  # of fractional coordinates; rounding reaches 1e-12
_SLACK = 1.001  # of lengths; minima are known to 1e-4
_EXACT = 1e-5  # a root mean square below it ends pymatgen's search for a smaller one


@dataclass(frozen=True, kw_only=True)
class Tolerances:
    """How far two structures may differ.

    Attributes:
        ltol: share by which the lengths of lattice vectors may differ.
        stol: distance of paired atoms, in units of (volume / atoms)^(1/3).
        angle: degrees by which the angles of the cell may differ.
        scale: whether both structures are brought to one volume first.

    Raises:
        ConfigError: a tolerance is not positive and finite.
    """

    ltol: float = 0.2
    stol: float = 0.3
    angle: float = 5.0
    scale: bool = True

    def __post_init__(self) -> None:
        for name in ("ltol", "stol", "angle"):
            value = getattr(self, name)
            if not 0.0 < value < np.inf:
                raise ConfigError(
                    f"{name} {value} must be positive and finite, for example {getattr(Tolerances, name)}"
                )


class _Pair(NamedTuple):
    """Two cells of the same composition at the volumes at which they are compared."""

    first: Lattice
    second: Lattice
    positions: Floats  # (n, 3) Cartesian, of the first
    coords: Floats  # (n, 3) fractional, of the second
    forbidden: Ints  # (n, n) 1 where atom i of the second and j of the first differ in element
    anchor: int  # atom of the second that is put
    places: Ints  # (T,) on these atoms of the first


def fits(first: ReducedCell, second: ReducedCell, tolerances: Tolerances) -> bool:
    """Whether `StructureMatcher.fit(first, second)` says yes: all paired atoms are within the site tolerance."""
    return any(distances.max() < tolerances.stol for distances in _pairings(first, second, tolerances))


def rms_distance(first: ReducedCell, second: ReducedCell, tolerances: Tolerances) -> float | None:
    """The first number of `StructureMatcher.get_rms_dist(first, second)`.

    This is the smallest root mean square of the distances of paired atoms, in units of (volume / atoms)^(1/3); None
    where it is not below the site tolerance.
    """
    best = np.inf
    for distances in _pairings(first, second, tolerances):
        value = float(np.linalg.norm(distances) / len(distances) ** 0.5)
        best = min(best, value)
        if best < _EXACT and best < tolerances.stol:
            break
    return best if best < tolerances.stol else None


def _pairings(first: ReducedCell, second: ReducedCell, tolerances: Tolerances) -> Iterator[Floats]:
    """Distances (n,) of paired atoms, for each basis and shift that passes the fractional tolerance."""
    if not np.array_equal(np.sort(first.numbers), np.sort(second.numbers)):
        return  # the matcher pairs every atom with one of its element
    if not _may_have_bases(first, second, tolerances):
        return
    pair = _make_pair(first, second, tolerances)
    bases = _bases(pair, tolerances)
    if not len(bases):
        return
    passing = _within_tolerance(pair, bases, tolerances)
    for row in np.flatnonzero(passing.any(axis=1)).tolist():
        frame = _Frame(pair, bases[row], tolerances)
        for place in pair.places[passing[row]].tolist():
            distances = frame.distances(place)
            if distances is not None:
                yield distances


def _may_have_bases(first: ReducedCell, second: ReducedCell, tolerances: Tolerances) -> bool:
    """False only where no basis of the first can have the lengths of the second cell.

    No three independent vectors, sorted, are shorter than the successive minima, one by one.
    """
    ratio = (second.volume / first.volume) ** (1 / 3) if tolerances.scale else 1.0
    longest = np.sort(second.edges) * (1 + tolerances.ltol) * _SLACK
    return bool((first.minima * ratio <= longest).all())


def _make_pair(first: ReducedCell, second: ReducedCell, tolerances: Tolerances) -> _Pair:
    from pymatgen.core import Lattice

    ratio = (second.volume / first.volume) ** (1 / 6) if tolerances.scale else 1.0
    one, two = Lattice(first.matrix * ratio), Lattice(second.matrix / ratio)
    forbidden = (second.numbers[:, None] != first.numbers).astype(np.int64)
    anchor = int(np.argmax(forbidden.sum(axis=-1)))
    return _Pair(
        first=one,
        second=two,
        positions=np.array([np.dot(atom, one.matrix) for atom in first.coords]),  # rounded as by pymatgen
        coords=second.coords,
        forbidden=forbidden,
        anchor=anchor,
        places=np.flatnonzero(forbidden[anchor] == 0),
    )


def _bases(pair: _Pair, tolerances: Tolerances) -> Floats:
    """All bases (m, 3, 3) of the first lattice that agree with the cell of the second, in pymatgen's order."""
    lengths, angles = pair.second.lengths, pair.second.angles
    widest = 1 + tolerances.ltol
    indices, norms, _, _ = pair.first.get_points_in_sphere([[0, 0, 0]], [0, 0, 0], max(lengths) * widest, False)
    if not len(indices):
        return np.zeros((0, 3, 3))
    vectors = np.dot(indices, pair.first.matrix)
    near = [np.flatnonzero((norms / length < widest) & (norms / length > 1 / widest)) for length in lengths]
    a, b, c = (vectors[rows] for rows in near)
    good = (
        _angle_agrees(a, b, angles[2], tolerances.angle)[:, :, None]
        & _angle_agrees(b, c, angles[0], tolerances.angle)
        & _angle_agrees(a, c, angles[1], tolerances.angle)[:, None, :]
    )
    i, j, k = np.nonzero(good)
    x, y, z = (indices[rows][chosen] for rows, chosen in zip(near, (i, j, k)))
    # Whole numbers, and an index of 1: a basis of the lattice and not of a sublattice.
    volumes = np.einsum("mi,mi->m", np.cross(x, y), z) if len(i) else np.zeros(0)
    whole = np.rint(np.abs(volumes)) == 1
    return np.stack([a[i[whole]], b[j[whole]], c[k[whole]]], axis=1)


def _angle_agrees(one: Floats, other: Floats, angle: float, tolerance: float) -> NDArray[np.bool_]:
    """(p, q) whether the angle of each two vectors is the given one."""
    norms = [np.sum(vectors**2, axis=-1) ** 0.5 for vectors in (one, other)]
    cosine = np.inner(one, other) / norms[0][:, None] / norms[1]
    return np.abs(np.rad2deg(np.arccos(np.clip(cosine, -1.0, 1.0))) - angle) <= tolerance


def _within_tolerance(pair: _Pair, bases: Floats, tolerances: Tolerances) -> NDArray[np.bool_]:
    """(m, T) whether a basis and shift put every atom of the second near one of its element, with a margin."""
    coords = pair.positions @ np.linalg.inv(bases)  # (m, n, 3)
    limits = _fractional_limits(bases, pair, tolerances)[:, None] + _MARGIN
    shifts = coords[:, pair.places] - pair.coords[pair.anchor]  # (m, T, 3)
    rows, places = (axis.ravel() for axis in np.indices(shifts.shape[:2]))
    # Few bases and shifts survive the first atoms; the rest is tried on those alone.
    for atoms in _in_stages(pair):
        moved = pair.coords[atoms] + shifts[rows, places][:, None]  # (s, k, 3)
        apart = moved[:, :, None] - coords[rows][:, None]  # (s, k, n, 3)
        apart -= np.rint(apart)
        near = (np.abs(apart) <= limits[rows][:, :, None]).all(axis=-1) & (pair.forbidden[atoms] == 0)
        kept = near.any(axis=-1).all(axis=-1)
        rows, places = rows[kept], places[kept]
        if not len(rows):
            break
    out = np.zeros(shifts.shape[:2], dtype=bool)
    out[rows, places] = True
    return out


def _in_stages(pair: _Pair) -> list[Ints]:
    """Atoms of the second, rare elements first, in growing groups; the anchor fits always."""
    order = np.argsort(-pair.forbidden.sum(axis=1), kind="stable")
    order = order[order != pair.anchor]
    return [part for part in np.split(order, [1, 3, 7]) if len(part)]


def _fractional_limits(bases: Floats, pair: _Pair, tolerances: Tolerances) -> Floats:
    """(m, 3) fractional tolerances on the mean of each basis and the second cell."""
    lengths = np.sqrt(np.sum(bases**2, axis=2))
    following, last = bases[:, [1, 2, 0]], bases[:, [2, 0, 1]]
    cosines = np.sum(following * last, axis=2) / (lengths[:, [1, 2, 0]] * lengths[:, [2, 0, 1]])
    angles = np.rad2deg(np.arccos(np.clip(cosines, -1.0, 1.0)))
    lengths = (lengths + pair.second.lengths) / 2
    cosines = np.cos(np.deg2rad((angles + pair.second.angles) / 2))
    sines = np.sqrt(1 - cosines**2)
    # Volume of a cell with unit edges; 0 (and an endless tolerance) where three mean angles do not close to a cell.
    unit = np.sqrt(np.maximum(1 - np.sum(cosines**2, axis=1) + 2 * np.prod(cosines, axis=1), 0.0))
    volume = np.prod(lengths, axis=1) * unit
    with np.errstate(divide="ignore"):
        reciprocal = 2 * np.pi * sines / (lengths * unit[:, None])
    spacing = np.cbrt(volume / len(pair.coords))
    limits = reciprocal * (tolerances.stol * spacing / np.pi)[:, None]
    return np.where(np.isfinite(limits), limits, np.inf)


class _Images:
    """A lattice as `pbc_shortest_vectors` asks for it: a reduced basis, whose inverse is made once."""

    pbc = (True, True, True)

    def __init__(self, lattice: Lattice) -> None:
        self.lll_matrix = lattice.lll_matrix
        self._inverse = lattice.lll_inverse

    def get_lll_frac_coords(self, coords: Floats) -> Floats:
        """Fractional coordinates on the reduced basis."""
        return np.dot(coords, self._inverse)


class _Frame:
    """One basis: the mean cell and what belongs to it, computed as pymatgen does."""

    def __init__(self, pair: _Pair, basis: Floats, tolerances: Tolerances) -> None:
        from pymatgen.core import Lattice

        lattice = Lattice(basis)
        coords = lattice.get_fractional_coords(pair.positions)
        self._coords = coords - np.floor(coords)
        self._pair = pair
        self._site = tolerances.stol
        mean = (np.array(lattice.parameters) + np.array(pair.second.parameters)) / 2  # of lengths and of angles
        self._mean = Lattice.from_parameters(*mean)
        self._inverse_length = (len(coords) / self._mean.volume) ** (1 / 3)
        self._limits = self._tolerance_on(self._mean)

    @cached_property
    def _images(self) -> tuple[_Images, Floats]:
        """The reduced mean cell, and the fractional tolerances on it."""
        return _Images(self._mean), self._tolerance_on(self._mean.get_lll_reduced_lattice())

    def distances(self, place: int) -> Floats | None:
        """Distances (n,) of paired atoms with the anchor on an atom of the first; None outside of the tolerance."""
        from pymatgen.util.coord_cython import is_coord_subset_pbc, pbc_shortest_vectors
        from scipy.optimize import linear_sum_assignment

        pair = self._pair
        moved = pair.coords + (self._coords[place] - pair.coords[pair.anchor])
        if not is_coord_subset_pbc(moved, self._coords, self._limits, pair.forbidden):
            return None
        images, limits = self._images
        vectors, squares = pbc_shortest_vectors(images, moved, self._coords, pair.forbidden, True, limits)
        chosen = vectors[linear_sum_assignment(squares)]
        return np.sum((chosen - chosen.mean(axis=0)) ** 2, axis=-1) ** 0.5 * self._inverse_length

    def _tolerance_on(self, lattice: Lattice) -> Floats:
        return np.array(lattice.reciprocal_lattice.abc) * self._site / (np.pi * self._inverse_length)
