"""Neighbour graphs of many crystals at once, as arrays: atoms, bonds up to one cutoff, angles up to a shorter one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ase import Atoms

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_TOLERANCE = 1e-8  # Angstrom, below which two points are one


@dataclass(frozen=True, kw_only=True)
class Graphs:
    """n crystals with a atoms, d directed bonds, u = d / 2 bonds and t angles in all; indices run over all crystals."""

    numbers: Ints  # (a,) atomic numbers
    positions: Floats  # (a, 3) Angstrom
    cells: Floats  # (n, 3, 3) Angstrom
    owner: Ints  # (a,) crystal of each atom
    bonds: Ints  # (d, 2) atoms, from and to
    images: Floats  # (d, 3) lattice vectors from the second atom's own cell to where it is
    bond_of: Ints  # (d,) the bond that a directed bond is one direction of
    first: Ints  # (u,) one direction of each bond
    angles: Ints  # (t, 3) atom, directed bond, directed bond


def graphs_of(structures: Sequence[Atoms], cutoff: float, angle_cutoff: float) -> Graphs:
    """The neighbour graphs of some crystals."""
    parts = [_bonds(structure, cutoff) for structure in structures]
    atoms = np.array([len(structure) for structure in structures], dtype=np.int64)
    start = np.cumsum(atoms) - atoms
    counts = np.array([len(part[0]) for part in parts], dtype=np.int64)
    shift = np.repeat(start, counts)
    source = np.concatenate([part[0] for part in parts]) + shift
    target = np.concatenate([part[1] for part in parts]) + shift
    images = np.concatenate([part[2] for part in parts])
    lengths = np.concatenate([part[3] for part in parts])
    bond_of, first = _pair_directions(source, target, images)
    return Graphs(
        numbers=np.concatenate([structure.numbers for structure in structures]).astype(np.int64),
        positions=np.concatenate([structure.positions for structure in structures]),
        cells=np.stack([structure.cell.array for structure in structures]),
        owner=np.repeat(np.arange(len(structures)), atoms),
        bonds=np.stack([source, target], axis=1),
        images=images,
        bond_of=bond_of,
        first=first,
        angles=_angles(source, np.flatnonzero(lengths < angle_cutoff)),
    )


def _bonds(structure: Atoms, cutoff: float) -> tuple[Ints, Ints, Floats, Floats]:
    """From, to, images and lengths of the directed bonds of one crystal."""
    from pymatgen.optimization.neighbors import find_points_in_spheres

    points = np.ascontiguousarray(structure.positions, dtype=np.float64)
    source, target, images, lengths = find_points_in_spheres(
        points,
        points,
        r=float(cutoff),
        pbc=np.ones(3, dtype=np.int64),
        lattice=np.ascontiguousarray(structure.cell.array, dtype=np.float64),
        tol=_TOLERANCE,
    )
    itself = (source == target) & (lengths <= _TOLERANCE)
    return source[~itself], target[~itself], images[~itself], lengths[~itself]


def _pair_directions(source: Ints, target: Ints, images: Floats) -> tuple[Ints, Ints]:
    """The bond of each directed bond (d,), and one direction of each bond (u,).

    A bond and its reverse are told to be one by the ends and the image, turned so that they are the same for both.
    """
    whole = np.rint(images).astype(np.int64)
    signs = np.sign(whole)
    leading = np.where(signs[:, 0] != 0, signs[:, 0], np.where(signs[:, 1] != 0, signs[:, 1], signs[:, 2]))
    turned = (source > target) | ((source == target) & (leading < 0))
    low, high = np.where(turned, target, source), np.where(turned, source, target)
    whole = np.where(turned[:, None], -whole, whole)
    reach = int(np.abs(whole).max(initial=0))
    base = 2 * reach + 1
    code = ((whole[:, 0] + reach) * base + whole[:, 1] + reach) * base + whole[:, 2] + reach
    key = (low * (int(high.max(initial=0)) + 1) + high) * base**3 + code
    _, first, bond_of = np.unique(key, return_index=True, return_inverse=True)
    return bond_of.astype(np.int64), first.astype(np.int64)


def _angles(source: Ints, short: Ints) -> Ints:
    """(t, 3) ordered pairs of different short directed bonds that start from the same atom."""
    order = short[np.argsort(source[short], kind="stable")]
    atoms, begin, count = np.unique(source[order], return_index=True, return_counts=True)
    pairs = count * count
    row = np.repeat(np.arange(len(atoms)), pairs)
    place = np.arange(len(row)) - np.repeat(np.cumsum(pairs) - pairs, pairs)
    left, right = place // count[row], place % count[row]
    row, left, right = (array[left != right] for array in (row, left, right))
    angles: Ints = np.stack([atoms[row], order[begin[row] + left], order[begin[row] + right]], axis=1)
    return angles
