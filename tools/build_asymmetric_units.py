"""Builds the shipped table of asymmetric units and of the shapes that Wyckoff positions have in them.

    python tools/build_asymmetric_units.py src/aristotype/symmetry/asymmetric_units.safetensors

Needs the table of `tools/build_symmetry.py`, on whose operations and representatives it stands, and cctbx (see
`tools/asymmetric_units.py`). The build stops where a unit has another volume than that of the cell over the order of
the group, where a position without freedom is not one point, or where a number is not a multiple of 1/24.
"""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from asymmetric_units import GRID, Point, Shape, Unit, asymmetric_unit, corners, shapes, volume
from build_symmetry import offsets, write

from aristotype.symmetry import space_group

COUNTS = [616, 948, 245, 230]  # shapes by dimension


def collect() -> dict[str, np.ndarray]:
    """Every array of the table, ragged ones concatenated with an offset array beside them."""
    units: list[Unit] = []
    points: list[list[Point]] = []
    found: list[list[Shape]] = []
    for number in range(1, 231):
        group = space_group(number)
        unit = asymmetric_unit(number)
        units.append(unit)
        points.append(corners(unit))
        if volume(unit, points[-1]) * len(group.rotations) != 1:
            raise SystemExit(f"group {number}: the unit has not the volume of the cell over the order of the group")
        operations = (group.rotations, group.translations)
        for position in group.positions:
            found.append(shapes(unit, points[-1], operations, position.linear, position.origin))
            if position.freedom == 0 and len(found[-1]) != 1:
                raise SystemExit(f"group {number}, {position}: {len(found[-1])} points in the unit")
    flat = [shape for some in found for shape in some]
    planes = [plane for unit in units for plane in unit.planes]
    dimensions = np.bincount([shape.linear.shape[1] for shape in flat], minlength=4).tolist()
    if dimensions != COUNTS:
        raise SystemExit(f"shapes by dimension are {dimensions}, not {COUNTS}")
    return {
        "facet_count": np.array([unit.facets for unit in units], np.int8),
        "plane_offset": offsets([len(unit.planes) for unit in units]),
        "plane_normal": np.array([plane.normal for plane in planes], np.int8),
        "plane_constant": np.array([plane.constant for plane in planes], np.int16),
        "plane_inclusive": np.array([plane.inclusive for plane in planes], np.int8),
        "plane_rule": np.array([plane.rule for plane in planes], np.int16),
        "node_offset": offsets([len(unit.nodes) for unit in units]),
        "node": np.array([node for unit in units for node in unit.nodes], np.int16),
        "corner_offset": offsets([len(some) for some in points]),
        "corner": np.array([in_grid(point) for some in points for point in some], np.int16),
        "shape_offset": offsets([len(some) for some in found]),
        "shape_linear": np.stack([padded(shape.linear) for shape in flat]).astype(np.int8),
        "shape_origin": np.stack([shape.origin for shape in flat]).astype(np.int16),
        "vertex_offset": offsets([len(shape.vertices) for shape in flat]),
        "vertex": np.array([in_grid(vertex) for shape in flat for vertex in shape.vertices], np.int16),
    }


def in_grid(point: Point) -> list[int]:
    """Coordinates in 24ths, zeros for those that are not there."""
    found = [Fraction(value) * GRID for value in point]
    if any(value.denominator != 1 for value in found):
        raise SystemExit(f"{point} is not in 24ths")
    return [int(value) for value in found] + [0] * (3 - len(point))


def padded(linear: np.ndarray) -> np.ndarray:
    """(3, freedom) as (3, 3)."""
    return np.pad(linear, ((0, 0), (0, 3 - linear.shape[1])))


if __name__ == "__main__":
    write(Path(sys.argv[1]), collect(), "aristotype-asymmetric-units")
