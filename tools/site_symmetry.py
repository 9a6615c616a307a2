"""Oriented site-symmetry symbols from stabilisers (ITA A, section 2.1.3.12)."""

from __future__ import annotations

import numpy as np

# Symmetry directions by lattice (ITA A, Table 2.1.3.1), one list a place of the symbol.
_CUBIC = (
    [(1, 0, 0), (0, 1, 0), (0, 0, 1)],
    [(1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)],
    [(1, -1, 0), (1, 1, 0), (0, 1, -1), (0, 1, 1), (-1, 0, 1), (1, 0, 1)],
)
_TETRAGONAL = ([(0, 0, 1)], [(1, 0, 0), (0, 1, 0)], [(1, 1, 0), (1, -1, 0)])
_HEXAGONAL = ([(0, 0, 1)], [(1, 0, 0), (0, 1, 0), (-1, -1, 0)], [(1, -1, 0), (1, 2, 0), (-2, -1, 0)])
_RHOMBOHEDRAL = ([(0, 0, 1)], [(1, 0, 0), (0, 1, 0), (-1, -1, 0)])
_ORTHORHOMBIC = ([(1, 0, 0)], [(0, 1, 0)], [(0, 0, 1)])
_MONOCLINIC = ([(0, 1, 0)],)
RHOMBOHEDRAL_GROUPS = (146, 148, 155, 160, 161, 166, 167)
_ORDER_BY_TRACE = {(1, -1): 2, (1, 0): 3, (1, 1): 4, (1, 2): 6, (-1, 1): -2, (-1, 0): -3, (-1, -1): -4, (-1, -2): -6}


def direction_sets(system: int, number: int) -> tuple[list[tuple[int, int, int]], ...]:
    """Direction sets of the places of a symbol for a crystal system (index in `symmetry_sources.SYSTEMS`)."""
    if number in RHOMBOHEDRAL_GROUPS:
        return _RHOMBOHEDRAL
    return ((), _MONOCLINIC, _ORTHORHOMBIC, _TETRAGONAL, _HEXAGONAL, _HEXAGONAL, _CUBIC)[system]


def rotation_order(rotation: np.ndarray) -> int:
    """Order with sign: 1, 2, 3, 4, 6 for rotations, -1, -2 (mirror), -3, -4, -6 for rotoinversions."""
    determinant = round(float(np.linalg.det(rotation)))
    trace = int(np.trace(rotation))
    if abs(trace) == 3:
        return determinant
    return _ORDER_BY_TRACE[determinant, trace]


def along(rotation: np.ndarray, direction: np.ndarray) -> bool:
    """Whether a direction is the axis of an operation (the normal, for a mirror)."""
    proper = rotation * round(float(np.linalg.det(rotation)))
    return bool((proper @ direction == direction).all())


def one_direction(rotations: np.ndarray, direction: tuple[int, int, int]) -> str:
    """What a stabiliser has along one direction: '', '2', 'm', '2/m', '-4', '4/m', ..."""
    axis = np.array(direction)
    orders = {rotation_order(r) for r in rotations if along(r, axis)} - {1, -1}
    highest = max((o for o in orders if o > 0), default=1)
    lowest = min(orders, default=0)
    if lowest == -6 and highest == 6:
        return "6/m"
    if lowest == -4 and highest == 4:
        return "4/m"
    if lowest in (-6, -4, -3) and highest < abs(lowest) + 1:
        return str(lowest)
    if highest == 2 and -2 in orders:
        return "2/m"
    if highest > 1:
        return str(highest)
    return "m" if -2 in orders else ""


def one_place(rotations: np.ndarray, directions: list[tuple[int, int, int]]) -> list[str]:
    """Symbols along the directions of one place, once for those that the stabiliser itself exchanges."""
    found, seen = [], set()
    for direction in directions:
        if direction in seen:
            continue
        images = rotations @ np.array(direction)
        seen.update(tuple(s * v for v in image) for image in images.tolist() for s in (1, -1))
        text = one_direction(rotations, direction)
        if text:
            found.append(text)
    return found


def orbit_symbol(stabiliser: np.ndarray, group: np.ndarray, system: int, number: int) -> str:
    """The symbol of a position, from the stabiliser of its representative and all rotations of the group.

    In tetragonal groups a and b (or [110] and [1-10]) are equivalent, and which of them the first listed triplet uses
    is chance (136 f and g): the first symbol in alphabetical order over the orbit is the one ITA prints.
    """
    if system != 3:
        return oriented_symbol(stabiliser, system, number)
    inverses = np.rint(np.linalg.inv(group)).astype(np.int64)
    conjugates = group[:, None] @ stabiliser[None] @ inverses[:, None]
    return min(oriented_symbol(each, system, number) for each in conjugates)


def oriented_symbol(rotations: np.ndarray, system: int, number: int) -> str:
    """The symbol of a stabiliser, given as rotation matrices (n, 3, 3) of the conventional cell."""
    if len(rotations) == 1:
        return "1"
    if len(rotations) == 2 and any(rotation_order(r) == -1 for r in rotations):
        return "-1"
    places = [one_place(rotations, directions) for directions in direction_sets(system, number)]
    if sum(len(p) for p in places) > 1:  # the short form: a mirror stands for a two-fold axis with a mirror across it
        places = [["m" if text == "2/m" else text for text in place] for place in places]
    if system == 6:  # the polar axis of mm2 stands last; 4/m-3m is shortened to m-3m
        places[0] = sorted(places[0], key=lambda text: text == "2" and len(places[0]) == 3)
        places[0] = ["m" if text == "4/m" and places[1] else text for text in places[0]]
    joined = ["".join(place) for place in places]
    return "".join(text or "." for text in joined) if len(joined) > 1 else joined[0]
