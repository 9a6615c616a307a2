"""Wyckoff positions of one group: representative maps, orbits, stabilisers and oriented symbols, in exact integers."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import moyopy
import numpy as np
from site_symmetry import orbit_symbol
from symmetry_sources import (
    Operations,
    cctbx_positions,
    crystal_system,
    moyopy_positions,
    parse_coordinates,
    random_metric,
)


@dataclass(frozen=True, kw_only=True)
class Position:
    """One Wyckoff position; `linear` has its free parameters in the first `freedom` columns."""

    letter: str
    multiplicity: int
    freedom: int
    site_symmetry: str
    linear: np.ndarray  # (3, 3) columns beyond `freedom` are zero
    origin: np.ndarray  # (3,) in 24ths
    inverse: np.ndarray  # (3, 3) unimodular: rows 0..freedom-1 give the parameters, the others must give integers
    orbit_linear: np.ndarray  # (multiplicity, 3, 3)
    orbit_origin: np.ndarray  # (multiplicity, 3) in 24ths
    stabiliser: np.ndarray  # indices of the operations that fix every point of the representative


def wyckoff_positions(number: int, ops: Operations) -> list[Position]:
    """All positions of a group from letter 'a' on; stops where moyopy and cctbx differ."""
    listed = cctbx_positions(number)
    theirs = moyopy_positions(number, probe_crystals(number, ops, listed))
    if set(theirs) != {letter for letter, *_ in listed}:
        raise SystemExit(f"group {number}: letters {sorted(theirs)} from moyopy, not those of cctbx")
    positions = []
    for letter, multiplicity, special, shift in listed:
        source = theirs[letter]
        position = build_position(number, ops, letter, source.coordinates)
        same = position.multiplicity == multiplicity == source.multiplicity
        if not same or not meets(position, ops, special, shift):
            raise SystemExit(f"group {number} position {letter}: moyopy and cctbx describe different positions")
        if position.site_symmetry != source.site_symmetry:
            raise SystemExit(
                f"group {number} position {letter}: stabiliser gives {position.site_symmetry}, "
                f"moyopy says {source.site_symmetry}"
            )
        positions.append(position)
    return positions


def probe_crystals(number: int, ops: Operations, listed: list) -> list[moyopy.Cell]:
    """For each position a random crystal that occupies it and, twice, the general position (to pin the group)."""
    rng = np.random.default_rng(number)
    basis = random_metric(number, rng)
    general = [(np.eye(3), np.zeros(3), 2), (np.eye(3), np.zeros(3), 3)]
    crystals = []
    for _, _, linear, shift in listed:
        coordinates, species = [], []
        for matrix, offset, atom in [(linear, shift, 1), *general]:
            orbit = unique_points(ops, matrix @ rng.uniform(0.05, 0.95, 3) + offset)
            coordinates.extend(orbit.tolist())
            species.extend([atom] * len(orbit))
        crystals.append(moyopy.Cell(basis.tolist(), coordinates, species))
    return crystals


def unique_points(ops: Operations, point: np.ndarray) -> np.ndarray:
    """The orbit of a point, each member once, in [0, 1)."""
    rotations, translations = ops
    images = (rotations @ point + translations / 24) % 1.0
    kept: list[np.ndarray] = []
    for image in images:
        if not any(np.abs((image - k + 0.5) % 1.0 - 0.5).max() < 1e-7 for k in kept):
            kept.append(image)
    return np.array(kept)


def build_position(number: int, ops: Operations, letter: str, coordinates: str) -> Position:
    """Derives everything about a position from its first coordinate triplet."""
    rotations, translations = ops
    over_xyz, origin = parse_coordinates(coordinates)
    columns = over_xyz[:, (over_xyz != 0).any(axis=0)]
    freedom = columns.shape[1]
    linear = np.zeros((3, 3), np.int64)
    linear[:, :freedom] = columns
    images = rotations @ linear
    origins = (rotations @ origin + translations) % 24
    rows = np.concatenate([images.reshape(-1, 9), origins], axis=1)
    _, first = np.unique(rows, axis=0, return_index=True)
    first = np.sort(first)
    fixed = (images == linear).all(axis=(1, 2)) & (origins == origin).all(axis=1)
    stabiliser = np.flatnonzero(fixed)
    return Position(
        letter=letter,
        multiplicity=len(first),
        freedom=freedom,
        site_symmetry=orbit_symbol(rotations[stabiliser], rotations, crystal_system(number), number),
        linear=linear,
        origin=origin,
        inverse=unimodular_inverse(columns),
        orbit_linear=images[first],
        orbit_origin=origins[first],
        stabiliser=stabiliser,
    )


def unimodular_inverse(columns: np.ndarray) -> np.ndarray:
    """Completes primitive integer columns (3, f) to a unimodular matrix and inverts it.

    The first f rows of the inverse read the parameters of a point on the position; the others read integers there.
    """
    freedom = columns.shape[1]
    vectors = [np.array(v) for v in product((0, 1, -1), repeat=3) if any(v)]
    vectors.sort(key=lambda v: int(np.abs(v).sum()))
    for extra in product(vectors, repeat=3 - freedom):
        full = np.column_stack([columns, *extra]) if freedom < 3 else columns
        determinant = round(float(np.linalg.det(full)))
        if abs(determinant) == 1:
            return np.rint(np.linalg.inv(full)).astype(np.int64)
    raise SystemExit(f"columns {columns.tolist()} do not span a direct summand of the lattice")


def maps_onto(position: Position, ops: Operations, linear: np.ndarray, origin: np.ndarray) -> bool:
    """Whether the affine subspace origin + linear * params (24ths) lies on the position, for all parameters."""
    rotations, translations = ops
    rows = position.inverse[position.freedom :]
    flat = rows @ (rotations @ linear)
    offset = (rotations @ origin + translations - position.origin) @ rows.T
    return bool(((flat == 0).all(axis=(1, 2)) & (offset % 24 == 0).all(axis=1)).any())


def meets(position: Position, ops: Operations, special: np.ndarray, shift: np.ndarray) -> bool:
    """Whether a projection (floats, as cctbx gives it) has the position's dimension and lies on it."""
    rank = int(np.linalg.matrix_rank(special))
    scaled = np.rint(special * 12).astype(np.int64)
    origin = np.rint(shift * 24).astype(np.int64)
    return rank == position.freedom and maps_onto(position, ops, scaled, origin)
