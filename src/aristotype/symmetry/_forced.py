"""Genes whose crystals have more symmetry than their space group at every geometry.

Legal letters do not make a crystal of the group: 216 with 4a + 4b is rock salt, Fm-3m, whatever the cell length. Such a
supergroup holds for all free parameters and all cells of the crystal family exactly if it holds for one generic choice,
so one generic choice is tested, without tolerances: free parameters are random integers modulo `_MODULUS`, which every
rotation, centring and translation in 24ths keeps as integers. A gene with forced symmetry is always found; one without
is taken for one with a probability below 1e-10.

What a supergroup can hold:

* Rotations are isometries of the generic metric of the crystal family, in the basis of the conventional cell. Rational
  isometries beyond those of the cell itself (Pythagorean ones, say) would need a translation lattice whose index has a
  prime factor other than 2 and 3, which positions in 24ths do not give.
* A supergroup G' is a union of cosets G h, one for each pair of a right coset of the rotations and a translation modulo
  the lattice. The number of such pairs that map every element's atoms onto themselves is the index of G in G'.
* What maps a crystal maps the atoms of each element: the operations of a gene are the intersection over its elements,
  and those of one element, as a function of its letters, are kept. Most elements alone already have none but the group.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise, product
from typing import TYPE_CHECKING

import numpy as np

from aristotype.errors import SymmetryError
from aristotype.symmetry._groups import space_group
from aristotype.symmetry._tables import CRYSTAL_SYSTEMS, GRID, LETTERS, Ints, check_group, tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

_PRIME = 2**50 - 27
_MODULUS = GRID * _PRIME
"""Coordinates are integers modulo this number: 1 stands for one lattice translation of a basis vector."""
_HASH = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], dtype=np.uint64)
_CACHED_ELEMENTS = 1 << 16
_CACHED_GENES = 1 << 17

Letters = tuple[int, ...]
Operations = frozenset[tuple[int, int]]

# From conventional to primitive coordinates. Rhombohedral groups keep the hexagonal cell: a six-fold axis that arises
# from a finer lattice is an integer matrix there, and is none in the rhombohedral basis.
_TO_LATTICE = {
    "P": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "A": ((1, 0, 0), (0, 1, 1), (0, -1, 1)),
    "C": ((1, 1, 0), (-1, 1, 0), (0, 0, 1)),
    "I": ((0, 1, 1), (1, 0, 1), (1, 1, 0)),
    "F": ((-1, 1, 1), (1, -1, 1), (1, 1, -1)),
    "R": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
}
# Integer metric tensors with no isometry beyond those of the crystal family.
_GENERIC_METRIC = {
    "triclinic": ((100, 13, 27), (13, 137, 41), (27, 41, 211)),
    "monoclinic": ((100, 0, 27), (0, 137, 0), (27, 0, 211)),
    "orthorhombic": ((100, 0, 0), (0, 137, 0), (0, 0, 211)),
    "tetragonal": ((100, 0, 0), (0, 100, 0), (0, 0, 211)),
    "trigonal": ((100, -50, 0), (-50, 100, 0), (0, 0, 211)),
    "hexagonal": ((100, -50, 0), (-50, 100, 0), (0, 0, 211)),
    "cubic": ((100, 0, 0), (0, 100, 0), (0, 0, 100)),
}


@dataclass(frozen=True, kw_only=True)
class ForcedSupergroup:
    """Symmetry that every crystal of a gene has, whatever its free parameters and its cell."""

    index: int
    """How many times as many operations as the gene's own space group, 1 where nothing is forced."""
    operations: int
    """Operations in the conventional cell of the gene's space group, pure translations included."""

    @property
    def forced(self) -> bool:
        """Whether the crystals of the gene belong to a supergroup at every geometry."""
        return self.index > 1


def forced_supergroup(number: int, elements: ArrayLike, wyckoffs: ArrayLike) -> ForcedSupergroup:
    """The symmetry that the letters of a gene force on every crystal of it.

    Args:
        number: space group.
        elements: atomic numbers (S,) of the sites, 0 for no site. Only which of them are equal counts.
        wyckoffs: letter indices (S,), 0 for a.

    Raises:
        SymmetryError: the group or a position does not exist, a position without freedom is occupied twice, or there is
            no site.
    """
    atoms, letters = np.asarray(elements).ravel(), np.asarray(wyckoffs).ravel()
    _check_shapes(atoms, letters, atoms.shape)
    index = _gene_index(number, _pattern(atoms.tolist(), letters.tolist()))
    return ForcedSupergroup(index=index, operations=index * len(space_group(number).rotations))


def forced(numbers: ArrayLike, elements: ArrayLike, wyckoffs: ArrayLike) -> NDArray[np.bool_]:
    """Which genes have a higher symmetry than their space group at every geometry.

    Args:
        numbers: space groups (n,).
        elements: atomic numbers (n, S), 0 where there is no site.
        wyckoffs: letter indices (n, S), read only where there is a site.

    Returns:
        (n,) booleans.

    Raises:
        SymmetryError: as in `forced_supergroup`, with the row named.
    """
    groups, atoms, letters = np.asarray(numbers), np.asarray(elements), np.asarray(wyckoffs)
    _check_shapes(atoms, letters, (*groups.shape, *atoms.shape[-1:]))
    found = np.empty(len(groups), dtype=np.bool_)
    rows = zip(groups.tolist(), atoms.tolist(), letters.tolist(), strict=True)
    for row, (group, row_atoms, row_letters) in enumerate(rows):
        try:
            found[row] = _gene_index(group, _pattern(row_atoms, row_letters)) > 1
        except SymmetryError as error:
            raise SymmetryError(f"gene {row}: {error}") from None
    return found


def _check_shapes(atoms: NDArray[np.generic], letters: NDArray[np.generic], shape: tuple[int, ...]) -> None:
    """Refuses arrays that do not belong together."""
    if atoms.shape != shape or letters.shape != shape:
        raise SymmetryError(f"elements have the shape {atoms.shape}, wyckoffs {letters.shape}; both must have {shape}")


def _pattern(atoms: Sequence[int], letters: Sequence[int]) -> tuple[Letters, ...]:
    """Letters of each element, sorted, without the elements' names: all that forced symmetry depends on."""
    sites: dict[int, list[int]] = {}
    for atom, letter in zip(atoms, letters, strict=True):
        if atom:
            sites.setdefault(atom, []).append(letter)
    return tuple(sorted(tuple(sorted(own)) for own in sites.values()))


@lru_cache(maxsize=_CACHED_GENES)
def _gene_index(number: int, pattern: tuple[Letters, ...]) -> int:
    """Number of cosets of the group that map every element of a pattern onto itself."""
    _check_pattern(number, pattern)
    common: Operations | None = None
    # A group that rhombohedral centring triples has three translations a coset in the hexagonal cell.
    trivial = 3 if space_group(number).centring == "R" else 1
    # Elements with fewest sites first: they are the fastest, and the most often cached.
    for place, letters in sorted(enumerate(pattern), key=lambda item: len(item[1])):
        copy = pattern[:place].count(letters)  # elements alike in letters still differ in free parameters
        own = _element_operations(number, letters, copy)
        common = own if common is None else common & own
        if len(common) == trivial:
            return 1
    assert common is not None
    return len(common) // trivial


def _check_pattern(number: int, pattern: tuple[Letters, ...]) -> None:
    """Refuses patterns that describe no crystal."""
    row = check_group(number) - 1
    start, stop = tables().position_offset[row : row + 2]
    freedom = tables().freedom[start:stop]
    every = [letter for letters in pattern for letter in letters]
    if not every:
        raise SymmetryError("a gene without a site has no symmetry to speak of; give at least one element")
    for letter in set(every):
        if not 0 <= letter < len(freedom):
            last = len(freedom) - 1
            raise SymmetryError(
                f"space group {number} has no position with the index {letter}; they go from 0 to {last}"
            )
        if freedom[letter] == 0 and every.count(letter) > 1:
            raise SymmetryError(
                f"position {LETTERS[letter]} of space group {number} has no free parameter and can be occupied once, "
                f"not {every.count(letter)} times"
            )


@lru_cache(maxsize=_CACHED_ELEMENTS)
def _element_operations(number: int, letters: Letters, copy: int) -> Operations:
    """Cosets of the group that map the atoms of one element onto themselves.

    Each is a pair of the rotation's place in `_rotations` and the hash of the translation. The pair of the group itself
    is among them. `copy` counts elements with the same letters; it only makes their free parameters differ.
    """
    atoms = _atoms(number, letters, copy)
    rotations = _rotations(number)
    keys = np.sort(_keys(atoms))
    # (rotation, image of atom 0) fixes an operation; x -> R x + t with t = atoms[image] - R atoms[0].
    turned = atoms @ rotations.transpose(0, 2, 1) % _MODULUS  # (r, n, 3)
    shifts = (atoms[None, :, :] - turned[:, :1, :]) % _MODULUS  # (r, n, 3)
    which = np.repeat(np.arange(len(rotations)), len(atoms))
    shifts = shifts.reshape(-1, 3)
    for chunk in _chunks(len(atoms)):
        images = turned[which, chunk] + shifts[:, None, :]
        kept = _contains(keys, _keys(images % _MODULUS)).all(axis=1)
        which, shifts = which[kept], shifts[kept]
    return frozenset(zip(which.tolist(), _keys(shifts).tolist(), strict=True))


def _chunks(count: int) -> list[slice]:
    """Ranges of atoms to test, short ones first: nearly every false operation fails with the first few atoms."""
    edges = [1, 2, 4, 16, 64, 256]
    stops = [edge for edge in edges if edge < count] + [count]
    return [slice(start, stop) for start, stop in pairwise(stops)]


def _atoms(number: int, letters: Letters, copy: int) -> Ints:
    """Atoms (n, 3) of orbits with random free parameters, one a lattice point, in lattice coordinates."""
    rng = np.random.default_rng((number, copy, *letters))
    free = rng.integers(0, _MODULUS, (len(letters), 3))
    orbits = []
    for letter, parameters in zip(letters, free, strict=True):
        linear, origin = _lattice_orbit(number, letter)
        orbits.append((linear @ parameters + origin) % _MODULUS)
    return np.concatenate(orbits)


@cache
def _lattice_orbit(number: int, letter: int) -> tuple[Ints, Ints]:
    """Maps (m, 3, 3) and origins (m, 3) from free parameters to the atoms of a position, one a lattice point."""
    group = space_group(number)
    position = group.positions[letter]
    to_lattice = np.array(_TO_LATTICE[group.centring])
    linear = np.zeros((position.multiplicity, 3, 3), dtype=np.int64)
    linear[:, :, : position.freedom] = to_lattice @ position.orbit_linear
    origin = position.orbit_origin @ to_lattice.T * _PRIME
    probe = np.random.default_rng(0).integers(0, _MODULUS, 3)
    _, first = np.unique(_keys((linear @ probe + origin) % _MODULUS), return_index=True)
    return linear[first], origin[first]


@cache
def _rotations(number: int) -> Ints:
    """One rotation a right coset of the group's in the holohedry of its crystal family, identity first, (r, 3, 3).

    They are integer matrices in the basis in which `_atoms` gives coordinates.
    """
    group = space_group(number)
    to_lattice = np.array(_TO_LATTICE[group.centring])
    of_group = np.unique(group.rotations, axis=0)
    seen: set[bytes] = set()
    kept = []
    for rotation in _holohedry(CRYSTAL_SYSTEMS[tables().crystal_system[number - 1]]):
        if rotation.tobytes() not in seen:
            kept.append(rotation)
            seen.update(product_.tobytes() for product_ in of_group @ rotation)
    turned = to_lattice @ np.array(kept) @ np.linalg.inv(to_lattice)
    return np.rint(turned).astype(np.int64)


@cache
def _holohedry(system: str) -> Ints:
    """Isometries of the generic metric of a crystal system's family in the conventional basis, identity first."""
    metric = np.array(_GENERIC_METRIC[system])
    every = np.array(list(product((0, 1, -1), repeat=9)), dtype=np.int64).reshape(-1, 3, 3)
    kept = every[(every.transpose(0, 2, 1) @ metric @ every == metric).all(axis=(1, 2))]
    return kept[np.argsort((kept != np.eye(3)).any(axis=(1, 2)), kind="stable")]


def _keys(points: Ints) -> NDArray[np.uint64]:
    """A 64-bit number a point, equal where the points are equal."""
    return (points.astype(np.uint64) * _HASH).sum(axis=-1, dtype=np.uint64)


def _contains(sorted_keys: NDArray[np.uint64], keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Whether each key is among sorted ones."""
    places = np.minimum(np.searchsorted(sorted_keys, keys), len(sorted_keys) - 1)
    return sorted_keys[places] == keys
