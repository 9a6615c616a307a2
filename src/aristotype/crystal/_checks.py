"""Is it a crystal at all: checks that structures pass, many at once, before their symmetry is looked for."""

from __future__ import annotations

from collections import defaultdict
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal._minkowski import reduce_cells
from aristotype.crystal._schema import MAX_NUMBER

if TYPE_CHECKING:
    from collections.abc import Sequence

Floats = NDArray[np.float64]
MIN_DISTANCE = 0.5
"""Angstrom; atoms closer than this overlap (the shortest bond there is, H-H, has 0.74)."""
MAX_ATOMS = 5_000
"""Atoms in an input cell; the symmetry search takes time with their square (1 s at 2,700)."""
MAX_GAP = 10.0
"""Angstrom without any atom between two planes; more is a molecule or a slab (layered crystals reach 9)."""
_MIN_VOLUME = 0.1  # cubic Angstrom; below it the three vectors lie in a plane
_NUMBERS = 1 << 18  # of heights of atoms above planes that are held at once
_PAIRWISE = 64  # atoms up to which all pairs are looked at; larger cells use a tree


class Cell(NamedTuple):
    """A structure as arrays."""

    lattice: Floats  # (3, 3) row vectors, Angstrom; either handedness
    numbers: NDArray[np.int64]  # (n,) atomic numbers
    coords: Floats  # (n, 3) fractional


class Limits(NamedTuple):
    """What a structure may not exceed."""

    tolerance: float
    min_distance: float = MIN_DISTANCE
    max_atoms: int = MAX_ATOMS
    max_gap: float | None = MAX_GAP

    @property
    def radius(self) -> float:
        """Distance (Angstrom) that two atoms must have: the search cannot tell closer ones apart."""
        return max(self.min_distance, self.tolerance)


def complaints(cells: Sequence[Cell], limits: Limits) -> list[str | None]:
    """Why each structure cannot be encoded, or None for those that can.

    Args:
        cells: Structures as arrays, each of consistent shapes.
        limits: What to hold them to.

    Returns:
        One sentence with value, limit and remedy for each, or None.
    """
    found = [_alone(cell, limits) for cell in cells]
    by_size: dict[int, list[int]] = defaultdict(list)
    for index, reason in enumerate(found):
        if reason is None:
            by_size[len(cells[index].numbers)].append(index)
    for rows in by_size.values():
        lattice = np.stack([cells[row].lattice for row in rows])
        coords = np.stack([cells[row].coords for row in rows])
        for row, reason in zip(rows, _together(lattice, coords, limits), strict=True):
            found[row] = reason
    return found


def _alone(cell: Cell, limits: Limits) -> str | None:
    """The checks that need no geometry."""
    count = len(cell.numbers)
    if count == 0:
        return "it has no atoms; a crystal needs at least one"
    if count > limits.max_atoms:
        return f"it has {count:,} atoms, the limit is {limits.max_atoms:,}; give its primitive cell or raise max_atoms"
    if cell.lattice.shape != (3, 3) or cell.coords.shape != (count, 3):
        shapes = f"its lattice has the shape {cell.lattice.shape} and its coordinates {cell.coords.shape}"
        return f"{shapes}; give (3, 3) and ({count}, 3)"
    if not np.isfinite(cell.lattice).all() or not np.isfinite(cell.coords).all():
        return "its lattice or coordinates hold NaN or infinity; correct or remove it"
    if cell.numbers.min() < 1 or cell.numbers.max() > MAX_NUMBER:
        wrong = next(number for number in cell.numbers.tolist() if not 1 <= number <= MAX_NUMBER)
        return f"it has an atom of number {wrong}, which is no element (1 to {MAX_NUMBER}); replace dummy atoms"
    return None


def _together(lattice: Floats, coords: Floats, limits: Limits) -> list[str | None]:
    """Geometry of structures with one number of atoms: lattice (b, 3, 3), coords (b, n, 3)."""
    out: list[str | None] = [None] * len(lattice)
    volume = np.abs(np.linalg.det(lattice))
    flat = volume < _MIN_VOLUME
    for row in np.flatnonzero(flat):
        out[row] = (
            f"its cell has the volume {volume[row]:.3g} cubic Angstrom, the limit is {_MIN_VOLUME}; "
            "give three vectors that do not lie in a plane"
        )
    sound = np.flatnonzero(~flat)
    spacing = 1.0 / np.linalg.norm(np.linalg.inv(lattice[sound]), axis=1)  # (b, 3) between lattice planes
    if limits.max_gap is not None:
        # A gap is no wider than the distance of its planes, and so no wider than the longest edge of the cell.
        long = np.linalg.norm(lattice[sound], axis=2).max(axis=1) > limits.max_gap
        for row in sound[long]:
            gap = widest_gap(lattice[row], coords[row], limits.max_gap)
            if gap > limits.max_gap:
                out[row] = (
                    f"it has {gap:.1f} Angstrom of vacuum between two planes of atoms, the limit is "
                    f"{limits.max_gap:g}: a molecule or a slab, no crystal; raise max_gap if it is one"
                )
    # Wrapping to the nearest image is exact below half the distance of lattice planes.
    small = (spacing.min(axis=1) > 2.0 * limits.radius) & (coords.shape[1] <= _PAIRWISE)
    for start in range(0, int(small.sum()), 256):
        rows = sound[small][start : start + 256]
        for row, pair in zip(rows, _closest_pairs(lattice[rows], coords[rows]), strict=True):
            out[row] = out[row] or _overlap(*pair, limits)
    for row in sound[~small]:
        nearest = _closest_by_tree(lattice[row], coords[row], limits.radius)
        if nearest is not None:
            out[row] = out[row] or _overlap(*nearest, limits)
    return out


def widest_gap(lattice: Floats, coords: Floats, limit: float) -> float:
    """Widest slab (Angstrom) without atoms between lattice planes of any indices; 0 if none is wider than a limit.

    The same for every cell of a crystal: all planes are looked at whose distance 1/|G| is above the limit, and their
    indices h = a . G are below |a| / limit.

    Args:
        lattice: (3, 3) row vectors, Angstrom.
        coords: (n, 3) fractional.
        limit: Angstrom, above 0.
    """
    change = reduce_cells(lattice[None])[0]
    vectors, inside = change @ lattice, coords @ np.linalg.inv(change)
    widest = _gap_of_planes(vectors, inside, np.ones(3, int), 0.0)
    # No gap is wider than the distance of its planes: those no further apart than what was found are not looked at.
    reach = np.floor(np.linalg.norm(vectors, axis=1) / max(limit, widest)).astype(int)
    widest = _gap_of_planes(vectors, inside, reach, max(limit, widest)) or widest
    return widest if widest > limit else 0.0


def _gap_of_planes(vectors: Floats, coords: Floats, reach: NDArray[np.int64], above: float) -> float:
    """Widest gap above a limit (Angstrom) between planes of indices up to `reach` (3,); 0 if there is none."""
    indices = np.stack(np.meshgrid(*[np.arange(-r, r + 1) for r in reach], indexing="ij"), axis=-1).reshape(-1, 3)
    indices = indices[len(indices) // 2 + 1 :]  # one of each pair of opposite ones
    indices = indices[np.gcd.reduce(indices, axis=1) == 1]
    length = np.linalg.norm(indices @ np.linalg.inv(vectors).T, axis=1)
    near = length * above < 1.0
    indices, length = indices[near], length[near]
    widest = above
    for some in np.array_split(np.argsort(length), -(-len(length) * len(coords) // _NUMBERS) or 1):
        if len(some) and length[some[0]] * widest < 1.0:
            ordered = np.sort(coords @ indices[some].T % 1.0, axis=0)
            steps = np.diff(ordered, axis=0, append=ordered[:1] + 1.0)
            widest = max(widest, float((steps.max(axis=0) / length[some]).max()))
    return widest if widest > above else 0.0


def _closest_pairs(lattice: Floats, coords: Floats) -> list[tuple[float, int, int]]:
    """Distance and atoms of the closest pair of each structure, by nearest images."""
    count = coords.shape[1]
    if count == 1:
        return [(np.inf, 0, 0)] * len(coords)
    first, second = np.triu_indices(count, 1)
    step = coords[:, first] - coords[:, second]
    step -= np.rint(step)
    squared = np.square(step @ lattice).sum(axis=-1)
    best = squared.argmin(axis=1)
    distance = np.sqrt(squared[np.arange(len(coords)), best])
    return list(zip(distance.tolist(), first[best].tolist(), second[best].tolist(), strict=True))


def _closest_by_tree(lattice: Floats, coords: Floats, radius: float) -> tuple[float, int, int] | None:
    """Closest pair within a radius, an atom and its own image included, for cells of any shape and size, or None."""
    from scipy.spatial import cKDTree

    reach = radius * np.linalg.norm(np.linalg.inv(lattice), axis=0)  # fractional
    inside = coords % 1.0
    points, owners = [inside], [np.arange(len(coords))]
    spans = [range(-int(np.ceil(r)), int(np.ceil(r)) + 1) for r in reach]
    for shift in product(*spans):
        if any(shift):
            image = inside + np.array(shift)
            near = ((image >= -reach) & (image <= 1.0 + reach)).all(axis=1)
            points.append(image[near])
            owners.append(np.flatnonzero(near))
    owner = np.concatenate(owners)
    tree = cKDTree(np.concatenate(points) @ lattice)
    distance, neighbour = tree.query(tree.data[: len(coords)], k=2, distance_upper_bound=radius)
    row = int(distance[:, 1].argmin())
    if not np.isfinite(distance[row, 1]):
        return None
    # Of coinciding atoms the tree may name the atom itself second.
    others = [int(owner[i]) for i in neighbour[row] if i < len(owner) and int(i) != row]
    return float(distance[row, 1]), row, others[0]


def _overlap(distance: float, first: int, second: int, limits: Limits) -> str | None:
    what = f"atoms {first} and {second}" if first != second else f"atom {first} and its own image"
    if distance < limits.min_distance:
        return (
            f"{what} are {distance:.3f} Angstrom apart, the limit is {limits.min_distance:g}: they overlap; remove one"
        )
    if distance <= limits.tolerance:
        return (
            f"{what} are {distance:.3f} Angstrom apart and the tolerance is {limits.tolerance:g}, which would merge "
            "them; give a smaller tolerance"
        )
    return None
