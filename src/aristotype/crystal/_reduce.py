"""Reduced cells: Niggli for triclinic crystals, reduced a and c around the unique axis b for monoclinic ones.

A reduction is a set of changes of basis, not one: where the metric has a symmetry that the crystal lacks (a monoclinic
crystal with a right angle, say), several descriptions have the same reduced cell, and all of them are returned.
"""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aristotype.errors import SymmetryError
from aristotype.symmetry import GRID, SpaceGroup, cell_matrix, cell_parameters, space_group

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
RELATIVE = 1e-6
"""Cells whose metrics differ by less, relative to their longest vector squared, count as the same."""
_STEPS = 1000  # a Niggli reduction of a sane cell takes fewer than 20


class Operation(NamedTuple):
    """x' = linear @ x + translation / 24; the cell changes by the inverse."""

    linear: Integers  # (3, 3) unimodular
    translation: Integers  # (3,) in 24ths


def reductions(number: int, lattice: Floats) -> list[Operation]:
    """Proper operations that carry a cell of a group to its reduced cell and keep the standard setting.

    Triclinic: the Niggli cell (Krivy and Gruber, Acta Cryst. A32, 297, 1976). Monoclinic, unique axis b, cell choice 1:
    of all cells that keep the centring and the glide, the one with the smallest a^2 + c^2, then the smallest a, with
    beta >= 90 degrees. All other groups: the cell has no freedom, and the identity is returned.

    Args:
        number: space group.
        lattice: row vectors (3, 3) of the conventional cell.

    Returns:
        the operations, at least one.
    """
    system = space_group(number).crystal_system
    if system == "triclinic":
        return _triclinic(lattice)
    if system == "monoclinic":
        return _monoclinic(number, lattice)
    return [Operation(np.eye(3, dtype=np.int64), np.zeros(3, np.int64))]


def small_changes(number: int) -> list[Operation]:
    """Proper changes of cell by small integers that keep the standard setting, identity first.

    For triclinic and monoclinic groups they lead from a cell that is reduced, or nearly, to all short ones, and with
    `SpaceGroup.normalizer` to every relabelling; of other groups only the identity keeps the setting of any cell.
    """
    system = space_group(number).crystal_system
    identity = Operation(np.eye(3, dtype=np.int64), np.zeros(3, np.int64))
    if system == "triclinic":
        found = [Operation(from_basis_change(change), np.zeros(3, np.int64)) for change in _SMALL]
    elif system == "monoclinic":
        allowed = monoclinic_classes(number)
        kept = [change for change in _PLANAR if tuple((change % 2).ravel().tolist()) in allowed]
        found = [_monoclinic_operation(change, allowed) for change in kept]
    else:
        return [identity]
    return [identity, *(one for one in found if (one.linear != identity.linear).any())]


def reduced_lattices(number: int, lattice: Floats) -> Floats:
    """Parameters (n, 6) of the reduced cells of cells (n, 6) of one group; other than oblique ones stay as they are.

    Raises:
        SymmetryError: a cell is so flat that its reduction does not end.
    """
    system = space_group(number).crystal_system
    if system not in ("triclinic", "monoclinic") or not len(lattice):
        return lattice
    bases = cell_matrix(lattice)
    if system == "triclinic":
        return cell_parameters(np.array([niggli_change(basis) for basis in bases]) @ bases)
    bases[:, [0, 2]] = _reduced_planes(number, bases[:, [0, 2]])
    out = cell_parameters(bases)
    out[:, [3, 5]] = 90.0
    return out


def _reduced_planes(number: int, planes: Floats) -> Floats:
    """Vectors a and c (n, 2, 3) as `_monoclinic` chooses them; of equal choices any."""
    first = np.array([_gauss_change(plane) for plane in planes])
    changes = _PLANAR @ first[:, None]
    codes = {int(np.dot(key, (8, 4, 2, 1))) for key in monoclinic_classes(number)}
    allowed = np.isin((changes % 2).reshape(*changes.shape[:2], 4) @ (8, 4, 2, 1), list(codes))
    vectors = changes @ planes[:, None]
    squares = np.square(vectors).sum(axis=3)
    slack = RELATIVE * squares.max(axis=2).min(axis=1, keepdims=True)
    keep = allowed & (np.prod(vectors, axis=2).sum(axis=2) <= slack)
    for score in (squares.sum(axis=2), squares[:, :, 0]):
        keep &= score <= np.where(keep, score, np.inf).min(axis=1, keepdims=True) + slack
    return np.asarray(vectors[np.arange(len(planes)), keep.argmax(axis=1)])


def from_basis_change(change: Integers) -> Integers:
    """Linear part of the operation on coordinates that belongs to new vectors `change @ old` (rows)."""
    return np.rint(np.linalg.inv(change).T).astype(np.int64)


def _triclinic(lattice: Floats) -> list[Operation]:
    first = niggli_change(lattice)
    reduced = first @ lattice
    metric = reduced @ reduced.T
    slack = RELATIVE * metric.diagonal().max()
    keeps = np.abs(_SMALL @ metric @ _SMALL.transpose(0, 2, 1) - metric).max(axis=(1, 2)) < slack
    return [Operation(from_basis_change(change @ first), np.zeros(3, np.int64)) for change in _SMALL[keeps]]


def _small_proper() -> Integers:
    every = np.array(list(product((-1, 0, 1), repeat=9)), np.int64).reshape(-1, 3, 3)
    return every[np.rint(np.linalg.det(every)) == 1]


_SMALL = _small_proper()  # every proper symmetry of a Niggli cell's metric has entries -1, 0 and 1


def niggli_change(lattice: Floats) -> Integers:
    """Proper change of basis to the Niggli cell: reduced = change @ lattice.

    Args:
        lattice: row vectors (3, 3) of a right-handed cell.

    Returns:
        (3, 3) integers of determinant +1.

    Raises:
        SymmetryError: the cell is so flat that the reduction does not end.
    """
    change = np.eye(3, dtype=np.int64)
    slack = RELATIVE * abs(np.linalg.det(lattice)) ** (2 / 3)
    for _ in range(_STEPS):
        vectors = change @ lattice
        step = _niggli_step(vectors @ vectors.T, slack)
        if step is None:
            return change
        change = np.array(step, np.int64) @ change
    raise SymmetryError(f"the Niggli reduction of {np.round(lattice, 4).tolist()} does not end; its cell is too flat")


def _niggli_step(metric: Floats, slack: float) -> list[list[int]] | None:
    """The next change of basis, or None at the end (Grosse-Kunstleve et al., Acta Cryst. A60, 1, 2004)."""
    (a, _, _), (_, b, _), (_, _, c) = metric
    xi, eta, zeta = 2 * metric[1, 2], 2 * metric[0, 2], 2 * metric[0, 1]

    def less(x: float, y: float) -> bool:
        return x < y - slack

    def same(x: float, y: float) -> bool:
        return not less(x, y) and not less(y, x)

    if less(b, a) or (same(a, b) and less(abs(eta), abs(xi))):
        return [[0, -1, 0], [-1, 0, 0], [0, 0, -1]]
    if less(c, b) or (same(b, c) and less(abs(zeta), abs(eta))):
        return [[-1, 0, 0], [0, 0, -1], [0, -1, 0]]
    signs = _niggli_signs(xi, eta, zeta, slack)
    if signs != (1, 1, 1):
        return np.diag(signs).tolist()
    if less(b, abs(xi)) or (same(b, xi) and less(2 * eta, zeta)) or (same(b, -xi) and less(zeta, 0)):
        return [[1, 0, 0], [0, 1, 0], [0, -1 if xi > 0 else 1, 1]]
    if less(a, abs(eta)) or (same(a, eta) and less(2 * xi, zeta)) or (same(a, -eta) and less(zeta, 0)):
        return [[1, 0, 0], [0, 1, 0], [-1 if eta > 0 else 1, 0, 1]]
    if less(a, abs(zeta)) or (same(a, zeta) and less(2 * xi, eta)) or (same(a, -zeta) and less(eta, 0)):
        return [[1, 0, 0], [-1 if zeta > 0 else 1, 1, 0], [0, 0, 1]]
    total = xi + eta + zeta + a + b
    if less(total, 0) or (same(total, 0) and less(0, 2 * (a + eta) + zeta)):
        return [[1, 0, 0], [0, 1, 0], [1, 1, 1]]
    return None


def _niggli_signs(xi: float, eta: float, zeta: float, slack: float) -> tuple[int, int, int]:
    """Signs of the axes that make all angles acute, or else none of them."""
    kind = [0 if abs(value) <= slack else 1 if value > 0 else -1 for value in (xi, eta, zeta)]
    if kind[0] * kind[1] * kind[2] > 0:
        # xi changes with the signs of b and c, whose product is the sign of xi when that of all three is positive.
        return (kind[0], kind[1], kind[2])
    if max(kind) <= 0:
        return (1, 1, 1)
    return _all_obtuse(kind)


def _all_obtuse(kind: list[int]) -> tuple[int, int, int]:
    for signs in ((1, -1, -1), (-1, 1, -1), (-1, -1, 1)):
        products = (signs[1] * signs[2], signs[0] * signs[2], signs[0] * signs[1])
        if all(value * sign <= 0 for value, sign in zip(kind, products, strict=True)):
            return signs
    return (1, 1, 1)


_PLANAR = np.array(
    [m for m in product(range(-2, 3), repeat=4) if abs(m[0] * m[3] - m[1] * m[2]) == 1], np.int64
).reshape(-1, 2, 2)  # bases of the ac plane in terms of a Gauss-reduced one


def _monoclinic(number: int, lattice: Floats) -> list[Operation]:
    plane = lattice[[0, 2]]
    changes = _PLANAR @ _gauss_change(plane)
    allowed = monoclinic_classes(number)
    changes = changes[[tuple((change % 2).ravel().tolist()) in allowed for change in changes]]
    vectors = changes @ plane
    squares = np.square(vectors).sum(axis=2)
    cosine = (vectors[:, 0] * vectors[:, 1]).sum(axis=1)
    slack = RELATIVE * squares.max(axis=1).min()
    keep = cosine <= slack
    for score in (squares.sum(axis=1), squares[:, 0]):
        keep &= score <= score[keep].min() + slack
    return [_monoclinic_operation(change, allowed) for change in changes[keep]]


def _gauss_change(plane: Floats) -> Integers:
    """Change of basis (2, 2) to the two shortest vectors of a plane lattice."""
    change = np.eye(2, dtype=np.int64)
    for _ in range(_STEPS):
        first, second = vectors = change @ plane
        if first @ first > second @ second * (1 + RELATIVE):
            change = change[::-1]
            continue
        turns = int(np.rint(first @ second / (first @ first)))
        if turns == 0 or abs(first @ second) <= (0.5 + RELATIVE) * (first @ first):
            return change
        change = np.array([[1, 0], [-turns, 1]]) @ change
    raise SymmetryError(
        f"the reduction of the plane {np.round(vectors, 4).tolist()} does not end; its cell is too flat"
    )


def _monoclinic_operation(change: Integers, allowed: dict[tuple[int, ...], Integers]) -> Operation:
    """The operation of a change of a and c: that of its class modulo 2, then an even one, which keeps every setting."""
    key = tuple((change % 2).ravel().tolist())
    base = np.array(key, np.int64).reshape(2, 2)
    even = change @ np.rint(np.linalg.inv(base)).astype(np.int64)
    return Operation(
        linear=from_basis_change(_with_axis(change)),
        translation=from_basis_change(_with_axis(even)) @ allowed[key] % GRID,
    )


def _with_axis(change: Integers) -> Integers:
    """The proper change of all three vectors that goes with a change (2, 2) of a and c."""
    out = np.zeros((3, 3), np.int64)
    out[np.ix_([0, 2], [0, 2])] = change
    out[1, 1] = round(float(np.linalg.det(change)))
    return out


@cache
def monoclinic_classes(number: int) -> dict[tuple[int, ...], Integers]:
    """Changes of a and c modulo 2 that keep the standard setting, each with a translation (24ths) that does it.

    A change that is the identity modulo 2 keeps centrings and glides; so the classes decide about all changes.
    """
    group = space_group(number)
    out = {}
    for entries in product((0, 1), repeat=4):
        change = np.array(entries, np.int64).reshape(2, 2)
        if abs(round(float(np.linalg.det(change)))) != 1:
            continue
        linear = from_basis_change(_with_axis(change))
        for shift in product((0, 6, 12, 18), repeat=3):
            if _normalizes(group, linear, np.array(shift, np.int64)):
                out[entries] = np.array(shift, np.int64)
                break
    return out


def _normalizes(group: SpaceGroup, linear: Integers, translation: Integers) -> bool:
    """Whether an operation carries a group to itself."""
    inverse = np.rint(np.linalg.inv(linear)).astype(np.int64)
    rotations = linear @ group.rotations @ inverse
    shifts = (group.translations @ linear.T + translation - rotations @ translation) % GRID
    own = {(r.tobytes(), t.tobytes()) for r, t in zip(group.rotations, group.translations % GRID, strict=True)}
    return all((r.tobytes(), t.tobytes()) in own for r, t in zip(rotations, shifts, strict=True))
