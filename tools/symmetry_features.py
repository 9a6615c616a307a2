"""Features of groups and positions that mean the same in every group, so that a model can transfer between groups."""

from __future__ import annotations

import numpy as np
from site_symmetry import along, direction_sets, rotation_order
from symmetry_positions import Position
from symmetry_sources import Operations, crystal_system, symbol

ORDERS = (2, 3, 4, 6, -2, -3, -4, -6)
_CENTRINGS = "PACFIR"


def place_of(rotation: np.ndarray, sets: tuple) -> tuple[int, np.ndarray | None]:
    """Place of the Hermann-Mauguin symbol (0 to 2) to which an operation belongs, and its axis; -1 and None for +-1."""
    for place, directions in enumerate(sets):
        for direction in directions:
            if abs(rotation_order(rotation)) > 1 and along(rotation, np.array(direction)):
                return place, np.array(direction)
    return -1, None


def content(rotations: np.ndarray, system: int, number: int) -> np.ndarray:
    """Share of a point group's operations by signed order and place of the symbol (8 x 3), then of the inversion."""
    sets = direction_sets(system, number) if system else ()
    counts = np.zeros((len(ORDERS), 3))
    inversion = 0.0
    for rotation in rotations:
        order = rotation_order(rotation)
        if order == -1:
            inversion = 1.0
        elif order != 1:
            counts[ORDERS.index(order), place_of(rotation, sets)[0]] += 1 / len(rotations)
    return np.concatenate([counts.ravel(), [inversion]])


def position_features(number: int, ops: Operations, positions: list[Position]) -> np.ndarray:
    """One row a position: freedom, size, stabiliser content by place, directions of freedom, location."""
    system = crystal_system(number)
    rotations, _ = ops
    general = positions[-1].multiplicity
    rows = []
    for p in positions:
        angle = 2 * np.pi * p.origin / 24
        rows.append(
            np.concatenate(
                [
                    np.eye(4)[p.freedom],
                    [np.log2(p.multiplicity) / 8, np.log2(general / p.multiplicity) / 6],
                    content(rotations[p.stabiliser], system, number),
                    (p.linear != 0).any(axis=1),
                    np.cos(angle),
                    np.sin(angle),
                ]
            )
        )
    return np.array(rows)


def group_features(number: int, ops: Operations, positions: list[Position]) -> np.ndarray:
    """Crystal system, centring, point group by place, screws and glides, floating origin, census of positions."""
    rotations, translations = ops
    system = crystal_system(number)
    sets = direction_sets(system, number) if system else ()
    census = np.zeros((4, 6))
    general = positions[-1].multiplicity
    for p in positions:
        census[p.freedom, min(5, int(np.log2(general / p.multiplicity)))] += 1
    order = len({r.tobytes() for r in rotations})
    fixed = [(rotations[:, axis, :] == np.eye(3)[axis]).all() for axis in range(3)]
    return np.concatenate(
        [
            np.eye(7)[system],
            np.eye(6)[_CENTRINGS.index(symbol(number)[0])],
            [np.log2(order) / 6],
            np.array(fixed, float),
            content(rotations, system, number),
            intrinsic(rotations, translations, sets),
            np.log1p(census).ravel(),
        ]
    )


def intrinsic(rotations: np.ndarray, translations: np.ndarray, sets: tuple) -> np.ndarray:
    """Mean cosine and signed sine of the screw and glide vectors, by type of operation and axis of the cell."""
    types = (2, 3, 4, 6, -2)
    totals, counts = np.zeros((len(types), 6)), np.zeros(len(types))
    for rotation, shift in zip(rotations, translations, strict=True):
        order = rotation_order(rotation)
        if order not in types:
            continue
        power, total = np.eye(3), np.zeros(3)
        for _ in range(abs(order)):
            total, power = total + power @ shift, rotation @ power
        angle = 2 * np.pi * total / (24 * abs(order))
        _, axis = place_of(rotation, sets)
        probe = np.array([0.3, 0.5, 0.7])
        sense = np.sign(round(float(np.linalg.det([axis, probe, rotation @ probe])), 6)) if order > 2 else 1.0
        row = types.index(order)
        totals[row] += np.concatenate([np.cos(angle), sense * np.sin(angle)])
        counts[row] += 1
    return (totals / np.maximum(counts, 1)[:, None]).ravel()
