"""One crystal under a change of description: an operation of the normalizer, acting on sites and cell together."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal._rows import Crystal
from aristotype.crystal._sites import order_key, read_free, readers, wrap
from aristotype.errors import SymmetryError
from aristotype.symmetry import GRID, cell_matrix, cell_parameters, lattice_constraints, space_group

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
_ON = 1e-6
_GENERIC = np.array([0.1234567, 0.2718281, 0.4142135])


class Description(NamedTuple):
    """A crystal as arrays while its description is being changed."""

    number: int
    basis: Floats  # (3, 3) row vectors
    letters: Integers  # (sites,)
    elements: Integers  # (sites,)
    points: Floats  # (sites, 3) one atom of each orbit

    def shifted(self, shift: Floats) -> Description:
        """The same with the origin moved, so that coordinates grow by `shift`."""
        return self._replace(points=self.points + shift)


def describe(crystal: Crystal) -> Description:
    """A crystal as arrays."""
    group = space_group(crystal.space_group)
    points = [group.positions[w].representative(f) for w, f in zip(crystal.wyckoffs, crystal.site_free, strict=True)]
    return Description(
        number=crystal.space_group,
        basis=cell_matrix(crystal.lattice),
        letters=np.array(crystal.wyckoffs, np.int64),
        elements=np.array(crystal.elements, np.int64),
        points=np.array(points, float).reshape(-1, 3),
    )


def transform(description: Description, linear: Integers, translation: Integers) -> Description:
    """The description after x' = linear @ x + translation / 24, an operation of the normalizer of the group.

    Raises:
        SymmetryError: the operation is not one of the normalizer.
    """
    letters = letter_map(description.number, linear.tobytes(), (translation % GRID).tobytes())
    return description._replace(
        basis=np.linalg.inv(linear).T @ description.basis,
        letters=letters[description.letters],
        points=description.points @ linear.T + translation / GRID,
    )


@lru_cache(maxsize=4096)
def letter_map(number: int, linear: bytes, translation: bytes) -> Integers:
    """Which position each position of a group goes to under an operation given by the bytes of its int64 arrays.

    Raises:
        SymmetryError: the operation is not one of the normalizer.
    """
    rotation = np.frombuffer(linear, np.int64).reshape(3, 3)
    shift = np.frombuffer(translation, np.int64) / GRID
    positions = space_group(number).positions
    out = np.full(len(positions), -1, np.int64)
    for position in positions:
        # Coordinates that no other position than the image's own, or one above it, can have.
        image = rotation @ position.representative(_GENERIC[: position.freedom]) + shift
        for other in positions:
            if (other.multiplicity, other.freedom) == (position.multiplicity, position.freedom):
                _, off = read_free(number, other.index, image[None])
                if off[0] < _ON:
                    out[position.index] = other.index
                    break
    if sorted(out.tolist()) != list(range(len(positions))):
        raise SymmetryError(
            f"the operation {rotation.tolist()}, {np.round(shift * GRID).astype(int).tolist()}/{GRID} does not "
            f"normalize space group {number}; give one of space_group({number}).normalizer"
        )
    return out


def site_images(number: int, letter: int, point: Floats) -> Floats:
    """All free parameters (k, freedom) of one orbit: every one reads off an atom of the same orbit."""
    freedom = space_group(number).positions[letter].freedom
    rotations, translations = readers(number, letter)
    read = rotations @ point + translations
    off = read[:, freedom:]
    residual = np.abs(off - np.rint(off)).max(axis=-1, initial=0.0)
    free = wrap(read[residual <= residual.min() + _ON, :freedom])
    _, first = np.unique(order_key(free), return_index=True)
    return free[first]


def to_crystal(description: Description, name: str, pinned: tuple[int, Floats] | None = None) -> Crystal:
    """A row object from a description, sites in canonical order.

    Args:
        description: the crystal as arrays.
        name: its id.
        pinned: a site and its free parameters where they are not to be the canonical ones.
    """
    number = description.number
    positions = space_group(number).positions
    frees = []
    for site, (letter, point) in enumerate(zip(description.letters.tolist(), description.points, strict=True)):
        free = read_free(number, letter, point[None])[0][0] if pinned is None or pinned[0] != site else pinned[1]
        frees.append(free)
    padded = np.zeros((len(frees), 3))
    for row, free in enumerate(frees):
        padded[row, : len(free)] = free
    order = np.lexsort([order_key(padded), description.elements, description.letters])
    constraints = lattice_constraints(number)
    cell = constraints.expand(constraints.reduce(cell_parameters(description.basis), tolerance=1e-3))
    assert all(len(frees[site]) == positions[description.letters[site]].freedom for site in order)
    return Crystal(
        space_group=number,
        elements=tuple(description.elements[order].tolist()),
        wyckoffs=tuple(description.letters[order].tolist()),
        free=tuple(float(value) for site in order for value in frees[site]),
        lattice=tuple(cell.tolist()),
        id=name,
    )
