"""Draws the asymmetric unit of a space group with the shapes that its Wyckoff positions have in it.

python tools/draw_units.py 192 docs/images/unit_192.png
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.art3d import Line3DCollection, Poly3DCollection

from aristotype._files import atomic_path
from aristotype.symmetry import GRID, asymmetric_unit, cell_matrix, lattice_constraints

NAMES = ("points", "segments", "polygons")
LENGTHS = {"a": 1.0, "b": 0.85, "c": 1.2, "alpha": 80.0, "beta": 105.0, "gamma": 75.0}
"""Of the cell in the picture, where the group leaves them free."""


def main(number: int, out: Path) -> None:
    """One panel a dimension; letters name the positions."""
    constraints = lattice_constraints(number)
    basis = cell_matrix(constraints.expand([LENGTHS[name] for name in constraints.names]))
    unit = asymmetric_unit(number)
    figure = Figure(figsize=(13.5, 5.0), layout="constrained")
    for dimension, name in enumerate(NAMES):
        axes: Any = figure.add_subplot(1, 3, dimension + 1, projection="3d")
        _outline(axes, unit.corners / GRID @ basis, unit.faces)
        found = [
            (position.letter, [shape.corners @ basis for shape in shapes])
            for position, shapes in zip(unit.group.positions, unit.shapes, strict=True)
            if position.freedom == dimension
        ]
        _shapes(axes, dimension, found)
        axes.set_title(f"{unit.group.symbol} ({number}): {name}", fontsize=12)
        axes.set_axis_off()
        axes.set_aspect("equal")
        axes.view_init(elev=22, azim=-62)
    with atomic_path(out) as temporary:
        figure.savefig(temporary, dpi=90, facecolor="white", metadata={"Software": None})


def _outline(axes: Any, corners: np.ndarray, faces: tuple[tuple[int, ...], ...]) -> None:
    rings = [corners[list(face)] for face in faces]
    axes.add_collection3d(Poly3DCollection(rings, facecolor=(0.5, 0.5, 0.5, 0.05), edgecolor=(0.45, 0.45, 0.45, 0.8)))
    low, high = corners.min(axis=0), corners.max(axis=0)
    for limits, one, other in zip((axes.set_xlim, axes.set_ylim, axes.set_zlim), low, high, strict=True):
        limits(one, other)


def _shapes(axes: Any, dimension: int, found: list[tuple[str, list[np.ndarray]]]) -> None:
    colors = colormaps["tab20"](np.linspace(0, 1, max(len(found), 2)))
    for (letter, shapes), color in zip(found, colors, strict=False):
        for corners in shapes:
            if dimension == 0:
                axes.scatter(*corners.T, color=color, s=60, depthshade=False)
            elif dimension == 1:
                axes.add_collection3d(Line3DCollection([corners], colors=[color], linewidths=4))
            else:
                axes.add_collection3d(Poly3DCollection([corners], facecolor=(*color[:3], 0.45), edgecolor=color))
            axes.text(*corners.mean(axis=0), f" {letter}", fontsize=12, zorder=10)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
