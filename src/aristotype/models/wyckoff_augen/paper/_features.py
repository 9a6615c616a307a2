"""What the network is told about groups, Wyckoff positions and Wyckoff shapes before anything is learnt.

Groups have the 62 features of the paper (2.1): centring, crystal family, point group, chirality, inversion, and 16
that tell those apart that are alike in these. Positions have 231 (2.3): of multiplicity, dimension, site symmetry,
group, and Fourier features averaged over vertices and centres of their shapes; no two positions have the same.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from aristotype.symmetry import (
    CENTRINGS,
    CRYSTAL_SYSTEMS,
    MAX_POSITIONS,
    NUM_GROUPS,
    WyckoffShape,
    asymmetric_unit,
    space_group,
    tables,
)

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
GROUP_FEATURES = 62
POSITION_FEATURES = 231
MOST_SHAPES = 4
"""Of a position in a unit."""
_FAMILIES = tuple(name for name in CRYSTAL_SYSTEMS if name != "trigonal")
_SEED, _SCALE = 23, 0.5
"""Of the random frequencies, cycles in a cell edge."""


@cache
def group_features() -> Singles:
    """(231, 62) of groups by number; 0 for the number 0."""
    classes = _point_groups()
    order = sorted(set(classes))
    out = np.zeros((NUM_GROUPS + 1, GROUP_FEATURES), np.float32)
    seen: dict[tuple[int, ...], int] = {}
    for number in range(1, NUM_GROUPS + 1):
        group = space_group(number)
        family = "hexagonal" if group.crystal_system == "trigonal" else group.crystal_system
        places = (
            CENTRINGS.index(group.centring),
            _FAMILIES.index(family),
            order.index(classes[number - 1]),
        )
        alike = seen[places] = seen.get(places, -1) + 1
        starts = np.cumsum([0, len(CENTRINGS), len(_FAMILIES), len(order)])
        out[number, starts[:3] + places] = 1.0
        out[number, starts[3]] = (np.linalg.det(group.rotations) > 0).all()
        out[number, starts[3] + 1] = (group.rotations == -np.eye(3, dtype=int)).all(axis=(1, 2)).any()
        out[number, starts[3] + 2 + alike] = 1.0
    return out


@cache
def position_features() -> Singles:
    """(231, 27, 231) of positions by group and letter; 0 where there is none."""
    data, groups = tables(), group_features()
    symmetries = data.padded("site_symmetry").astype(np.int64)
    largest = len(data.site_symmetries)
    told = 1 + 4 + largest + GROUP_FEATURES
    waves = POSITION_FEATURES - told
    frequencies = np.random.default_rng(_SEED).normal(0.0, _SCALE, (waves, 3))
    phases = np.arange(waves) % 2 / 4.0  # cosines and sines in turn
    out = np.zeros((NUM_GROUPS + 1, MAX_POSITIONS, POSITION_FEATURES), np.float32)
    for number in range(1, NUM_GROUPS + 1):
        for position in space_group(number).positions:
            row = out[number, position.index]
            row[0] = np.log2(position.multiplicity) / 4.0
            row[1 + position.freedom] = 1.0
            row[5 + symmetries[number, position.index]] = 1.0
            row[5 + largest : told] = groups[number]
            shapes = asymmetric_unit(number).shapes[position.index]
            points = np.concatenate([np.vstack([shape.corners, shape.corners.mean(axis=0)]) for shape in shapes])
            row[told:] = np.cos(2.0 * np.pi * (points @ frequencies.T + phases)).mean(axis=0)
    return out


@cache
def shape_rows() -> NDArray[np.int64]:
    """(231, 27, 4) rows in `shape_corners` by group, letter and number of a shape; -1 where there is none."""
    out = np.full((NUM_GROUPS + 1, MAX_POSITIONS, MOST_SHAPES), -1)
    row = 0
    for number in range(1, NUM_GROUPS + 1):
        for letter, shapes in enumerate(asymmetric_unit(number).shapes):
            out[number, letter, : len(shapes)] = np.arange(row, row + len(shapes))
            row += len(shapes)
    return out


@cache
def shape_corners() -> tuple[Singles, Singles]:
    """Coordinates (Q, V, 3) of the vertices of all shapes, and the share (Q, V) of each in a mean; 0 for padding."""
    shapes: list[WyckoffShape] = [
        shape for number in range(1, NUM_GROUPS + 1) for some in asymmetric_unit(number).shapes for shape in some
    ]
    most = max(len(shape.vertices) for shape in shapes)
    corners, share = np.zeros((len(shapes), most, 3), np.float32), np.zeros((len(shapes), most), np.float32)
    for row, shape in enumerate(shapes):
        corners[row, : len(shape.vertices)] = shape.corners
        share[row, : len(shape.vertices)] = 1.0 / len(shape.vertices)
    return corners, share


def _point_groups() -> list[tuple[int, ...]]:
    """What the geometric class of each group is known by: how many of its rotations are of each kind.

    A rotation's kind is its determinant and trace; their numbers tell the 32 classes apart (ITA A, 1.3.3).
    """
    out = []
    for number in range(1, NUM_GROUPS + 1):
        rotations = np.unique(space_group(number).rotations, axis=0)
        kind = np.rint(np.linalg.det(rotations)).astype(int) * 10 + np.trace(rotations, axis1=1, axis2=2)
        out.append(tuple(np.bincount(kind + 13, minlength=27).tolist()))
    return out
