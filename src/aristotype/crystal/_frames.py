"""The descriptions in which a crystal that is known in part can be written once it is whole, and the way back.

Coordinates of known sites are given in one of many equivalent descriptions; a model writes crystals in reduced cells
and in settings of its own. A *frame* is a proper operation from the one to the other: a reduction of the cell, where it
is known, then an operation of the normalizer. Along polar axes the origin of a frame floats.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal._equivalence import proper_normalizer
from aristotype.crystal._genes import GeneBatch, from_codes, site_codes
from aristotype.crystal._reduce import Operation, reductions
from aristotype.crystal._settled import Settled, points_of, read_points
from aristotype.crystal._transform import letter_map
from aristotype.symmetry import GRID, cell_matrix, cell_parameters, lattice_constraints, space_group

if TYPE_CHECKING:
    from aristotype.crystal._partial_crystal import PartialCrystal

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Frames(NamedTuple):
    """k frames of a partial crystal."""

    linear: Ints  # (k, 3, 3) x' = linear @ x + translation
    translation: Floats  # (k, 3)
    letters: Ints  # (k, positions) where each letter goes
    points: Floats  # (k, m, 3) an atom of each known site
    lattice: Floats | None  # (k, 6) reduced cells, where the cell is known


def frames_of(partial: PartialCrystal) -> Frames:
    """All frames of a partial crystal, each once up to operations of the group; some may do the same to its sites.

    Raises:
        SymmetryError: the cell is so flat that its reduction does not end.
    """
    number = partial.space_group
    identity = Operation(np.eye(3, dtype=np.int64), np.zeros(3, np.int64))
    basis = None if partial.lattice is None else cell_matrix(partial.lattice)
    changes = [identity] if basis is None else reductions(number, basis)
    linear, translation, letters = [], [], []
    for change in changes:
        first = letter_map(number, change.linear.tobytes(), (change.translation % GRID).tobytes())
        for operation in proper_normalizer(number):
            second = letter_map(number, operation.linear.tobytes(), (operation.translation % GRID).tobytes())
            linear.append(operation.linear @ change.linear)
            translation.append(operation.linear @ change.translation + operation.translation)
            letters.append(second[first])
    kept = _distinct(number, np.array(linear), np.array(translation))
    matrices, shifts = np.array(linear)[kept], np.array(translation)[kept] / GRID
    positions = space_group(number).positions
    own = [positions[letter].representative(free) for letter, free in zip(partial.wyckoffs, partial.site_free)]
    points = np.einsum("kij,mj->kmi", matrices, np.array(own)) + shifts[:, None]
    return Frames(
        matrices, shifts, np.array(letters)[kept], points, None if basis is None else _cells(number, matrices, basis)
    )


def out_of_frames(
    frames: Frames, which: Ints, genes: GeneBatch, free: Floats, lattice: Floats, shift: Floats
) -> tuple[GeneBatch, Floats, Floats]:
    """Crystals of one group, written in frames, in the description of the partial crystal.

    Args:
        frames: of the partial crystal.
        which: (n,) the frame of each.
        genes: (n,) in the frames.
        free: (n, S, 3) in the frames.
        lattice: (n, 6) in the frames.
        shift: (n, 3) how far the origin of each frame was moved, so that coordinates grew by it.

    Returns:
        genes with the letters of the partial crystal (sites in the same places), free parameters and cells.
    """
    number = int(genes.space_group[0])
    back = np.rint(np.linalg.inv(frames.linear)).astype(np.int64)[which]
    points = points_of(genes, free) - (frames.translation[which] + shift)[:, None]
    moved = np.einsum("nij,nsj->nsi", back.astype(float), points)
    letters = np.argsort(frames.letters, axis=1)[which]
    occupied = genes.wyckoffs >= 0
    own = np.where(occupied, np.take_along_axis(letters, np.maximum(genes.wyckoffs, 0).astype(np.int64), axis=1), -1)
    described = GeneBatch(space_group=genes.space_group, elements=genes.elements, wyckoffs=own.astype(np.int8))
    cells = frames.linear[which].transpose(0, 2, 1) @ cell_matrix(lattice)
    constraints = lattice_constraints(number)
    parameters = constraints.expand(constraints.reduce(cell_parameters(cells), tolerance=1e-3))
    return described, read_points(described, moved), parameters


def into_frames(frames: Frames, genes: GeneBatch, free: Floats, lattice: Floats) -> Settled:
    """Crystals of one group in all frames: the way back from `out_of_frames`, with the origin where it is.

    Args:
        frames: of a partial crystal.
        genes: (n,) in its description.
        free: (n, S, 3).
        lattice: (n, 6) Angstrom and degrees.

    Returns:
        n times k descriptions with sorted sites, those of one crystal one after another.
    """
    number = int(genes.space_group[0])
    which = np.tile(np.arange(len(frames.linear)), len(genes))
    owner = np.repeat(np.arange(len(genes)), len(frames.linear))
    linear, occupied = frames.linear[which], genes.wyckoffs[owner] >= 0
    moved = np.take_along_axis(frames.letters[which], np.maximum(genes.wyckoffs[owner], 0).astype(np.int64), axis=1)
    codes = site_codes(np.where(occupied, moved, -1).astype(np.int8), genes.elements[owner])
    order = np.argsort(codes, axis=1, kind="stable")
    points = np.einsum("nij,nsj->nsi", linear.astype(float), points_of(genes, free)[owner])
    points = np.take_along_axis(points + frames.translation[which][:, None], order[..., None], axis=1)
    described = from_codes(genes.space_group[owner], np.take_along_axis(codes, order, axis=1))
    cells = np.linalg.inv(linear).transpose(0, 2, 1) @ cell_matrix(lattice)[owner]
    constraints = lattice_constraints(number)
    parameters = constraints.expand(constraints.reduce(cell_parameters(cells), tolerance=1e-3))
    return Settled(described, read_points(described, points), parameters, owner)


def _distinct(number: int, linear: Ints, translation: Ints) -> Ints:
    """Places of operations that differ by more than an operation of the group and a shift along polar axes."""
    group = space_group(number)
    turned = (group.rotations[:, None] @ linear).reshape(len(group.rotations), len(linear), 9)
    moved = translation @ group.rotations.transpose(0, 2, 1) + group.translations[:, None]
    moved = np.where(group.polar_axes, 0, moved % GRID)
    every = np.concatenate([turned, moved], axis=2)
    smallest = [min(map(tuple, every[:, place].tolist())) for place in range(len(linear))]
    return np.sort(np.unique(np.array(smallest), axis=0, return_index=True)[1])


def _cells(number: int, linear: Ints, basis: Floats) -> Floats:
    constraints = lattice_constraints(number)
    moved = np.linalg.inv(linear).transpose(0, 2, 1) @ basis
    return constraints.expand(constraints.reduce(cell_parameters(moved), tolerance=1e-3))
