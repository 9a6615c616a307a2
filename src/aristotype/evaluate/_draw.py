"""Crystals drawn with matplotlib: the unit cell and its atoms as shaded discs, seen in parallel projection."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import Cell, Crystal, decode, element_symbol
from aristotype.errors import InputError, SymmetryError
from aristotype.evaluate._figure_style import INK, MUTED, label, new_figure
from aristotype.symmetry import tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

Floats = NDArray[np.float64]
MAX_ATOMS = 120
"""A conventional cell with more atoms is drawn as the primitive one, so that one can see through it."""
_RADIUS = 0.55  # of the covalent radius
_AZIMUTH, _ELEVATION = np.radians(24.0), np.radians(13.0)  # off the axis that points to the viewer
_ON_FACE = 1e-3  # fractional; atoms so close to a face of the cell are drawn on the opposite one too
_PIECES = 60  # of a cell edge, each seen or hidden by an atom
_SHADES = ((1.0, -0.22), (0.86, 0.0), (0.62, 0.18), (0.38, 0.38), (0.16, 0.62))  # radius, share of white or black
_LIGHT = np.array([-0.28, 0.32])  # where the shades move to, in radii


class Scene(NamedTuple):
    """A crystal as seen: x to the right, y up, z to the viewer, in Angstrom."""

    points: Floats  # (atoms, 3) sorted from the farthest to the nearest
    numbers: NDArray[np.int64]  # (atoms,)
    radii: Floats  # (atoms,)
    edges: Floats  # (12, 2, 3) edges of the cell
    axes: Floats  # (3, 3) the vectors a, b, c


def drawable_cell(crystal: Crystal) -> Cell:
    """The cell to draw: the conventional one, or the primitive one above `MAX_ATOMS`."""
    return decode(crystal, primitive=crystal.num_atoms > MAX_ATOMS)


def scene(cell: Cell) -> Scene:
    """Atoms of a cell, those on its faces repeated, and its edges, with the shortest axis to the viewer."""
    lattice = np.asarray(cell.lattice, np.float64)
    coords, numbers = _with_faces(np.asarray(cell.coords, np.float64), np.asarray(cell.numbers, np.int64))
    view = _view(lattice)
    corners = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)], np.float64)
    first, second = np.nonzero(np.triu(np.abs(corners[:, None] - corners[None]).sum(axis=-1) == 1))
    points = coords @ lattice @ view
    order = np.argsort(points[:, 2], kind="stable")
    return Scene(
        points=points[order],
        numbers=numbers[order],
        radii=_RADIUS * _element_data()[0][numbers[order]],
        edges=np.stack([corners[first], corners[second]], axis=1) @ lattice @ view,
        axes=lattice @ view,
    )


def _with_faces(coords: Floats, numbers: NDArray[np.int64]) -> tuple[Floats, NDArray[np.int64]]:
    """Atoms at 0 are also at 1, along each axis in turn: those on corners come eight times."""
    # What a rounding error put just below 1 lies on the face at 0.
    coords = np.where(coords > 1.0 - _ON_FACE, coords - 1.0, coords)
    for axis in range(3):
        again = coords[:, axis] < _ON_FACE
        moved = coords[again] + np.eye(3)[axis]
        coords, numbers = np.concatenate([coords, moved]), np.concatenate([numbers, numbers[again]])
    return coords, numbers


def _view(lattice: Floats) -> Floats:
    """(3, 3) maps row vectors to the screen; axes in cyclic order, so that the hand stays."""
    lengths = np.linalg.norm(lattice, axis=1)
    # Axes equal but for rounding count as equal: a points to the viewer unless another one is clearly shorter.
    shortest = int(np.flatnonzero(lengths <= lengths.min() * 1.01)[0])
    _, right, up = np.roll(lattice, -shortest, axis=0)
    if shortest == 0:  # as in textbooks: c straight up
        z = up / np.linalg.norm(up)
        y = _unit(right - (right @ z) * z)
    else:  # else oblique cells would stand on a corner
        y = right / np.linalg.norm(right)
        z = _unit(up - (up @ y) * y)
    frame = np.stack([np.cross(y, z), y, z], axis=1)  # columns: to the viewer, right, up
    ca, sa, ce, se = np.cos(_AZIMUTH), np.sin(_AZIMUTH), np.cos(_ELEVATION), np.sin(_ELEVATION)
    screen = np.array([[-sa, -se * ca, ce * ca], [ca, -se * sa, ce * sa], [0.0, ce, se]])
    return np.asarray(frame @ screen, np.float64)


def _unit(vector: Floats) -> Floats:
    return np.asarray(vector / np.linalg.norm(vector), np.float64)


@cache
def _element_data() -> tuple[Floats, Floats]:
    """(119,) covalent radii in Angstrom (Cordero et al. 2008) and (119, 3) colours (of Jmol), as ASE has them."""
    from ase.data import covalent_radii
    from ase.data.colors import jmol_colors

    radii, colours = np.full(119, 1.5), np.full((119, 3), 0.6)
    radii[: len(covalent_radii)] = covalent_radii[:119]
    colours[: len(jmol_colors)] = jmol_colors[:119]
    return radii, colours


def seen_pieces(view: Scene) -> list[Floats]:
    """Parts (2, 2) of the cell edges, on the screen, that no atom hides."""
    steps = np.linspace(0.0, 1.0, _PIECES + 1)
    middles = (steps[1:] + steps[:-1]) / 2
    out = []
    for start, end in view.edges:
        points = start + middles[:, None] * (end - start)
        flat = ((points[:, None, :2] - view.points[None, :, :2]) ** 2).sum(axis=-1)
        above = view.radii[None] ** 2 - flat  # squared height of the sphere over the point of the screen
        top = view.points[None, :, 2] + np.sqrt(np.maximum(above, 0.0))
        seen = ~((above > 0) & (top > points[:, None, 2])).any(axis=1)
        bounds = np.flatnonzero(np.diff(np.concatenate([[0], seen.astype(np.int8), [0]])))
        out += [(start + steps[run][:, None] * (end - start))[:, :2] for run in bounds.reshape(-1, 2)]
    return out


def draw_crystal(axis: Any, crystal: Crystal, *, legend: bool = True) -> None:
    """Draws a crystal into matplotlib axes, which it fills.

    Args:
        axis: of a figure whose size does not change any more: discs are measured in points.
        crystal: what to draw.
        legend: whether a line below names the directions of a, b and c and the elements.

    Raises:
        SymmetryError: the cell parameters do not close to a cell.
    """
    view = scene(drawable_cell(crystal))
    box = axis.get_position()
    width, height = axis.figure.get_size_inches() * 72 * [box.width, box.height]
    foot = 25.0 if legend else 0.0  # points, for the axes and the elements
    low = np.min([view.edges[..., :2].min(axis=(0, 1)), (view.points[:, :2] - view.radii[:, None]).min(axis=0)], axis=0)
    high = np.max(
        [view.edges[..., :2].max(axis=(0, 1)), (view.points[:, :2] + view.radii[:, None]).max(axis=0)], axis=0
    )
    margin = 5.0
    scale = float(min((width - 2 * margin) / (high - low)[0], (height - foot - 2 * margin) / (high - low)[1]))
    centre = (low + high) / 2
    # From here on in points, the origin in the lower left corner of the axes.
    shift = np.array([width / 2, foot + (height - foot) / 2]) - centre * scale
    axis.set(xlim=(0, width), ylim=(0, height))
    axis.set_axis_off()
    _spheres(axis, view.points[:, :2] * scale + shift, view.radii * scale, view.numbers)
    _edges(axis, [piece * scale + shift for piece in seen_pieces(view)])
    if legend:
        _triad(axis, (view.axes / np.linalg.norm(view.axes, axis=1, keepdims=True))[:, :2])
        _legend(axis, sorted(set(crystal.elements)), width)


def _spheres(axis: Any, places: Floats, radii: Floats, numbers: NDArray[np.int64]) -> None:
    """Discs of several shades an atom, in one collection, so that nearer atoms cover farther ones."""
    base = _element_data()[1][numbers]
    shades = [_shade(base, amount) for _, amount in _SHADES]
    size = np.array([part for part, _ in _SHADES])
    offsets = (1.0 - size)[:, None] * _LIGHT * 1.6
    points = places[:, None] + offsets[None] * radii[:, None, None]  # (atoms, shades, 2)
    edges = np.tile(np.array([0.0, 0.0, 0.0, 0.0]), (len(numbers), len(_SHADES), 1))
    edges[:, 0] = [0.13, 0.14, 0.17, 1.0]
    widths = np.where(np.arange(len(_SHADES)) == 0, 0.5, 0.0)
    axis.scatter(
        *points.reshape(-1, 2).T,
        s=((2 * radii[:, None] * size) ** 2).ravel(),
        c=np.stack(shades, axis=1).reshape(-1, 3),
        edgecolors=edges.reshape(-1, 4),
        linewidths=np.tile(widths, len(numbers)),
        clip_on=False,
    )


def _shade(colours: Floats, amount: float) -> Floats:
    """Colours moved towards white (amount above 0) or black."""
    return np.clip(colours + amount * (1.0 - colours if amount > 0 else colours), 0.0, 1.0)


def _edges(axis: Any, pieces: list[Floats]) -> None:
    from matplotlib.collections import LineCollection

    axis.add_collection(LineCollection(pieces, colors=INK, linewidths=0.8, capstyle="round", zorder=3), autolim=False)


def _triad(axis: Any, vectors: Floats, size: float = 11.0) -> None:
    """The directions of a, b and c, small, in the corner; what points to the viewer is short."""
    unit = vectors * size
    origin = 8.0 - np.minimum(unit.min(axis=0), 0.0)
    for name, vector in zip("abc", unit, strict=True):
        axis.plot(*np.stack([origin, origin + vector]).T, color=MUTED, linewidth=0.9, zorder=4)
        place = origin + vector * (1.0 + 6.0 / max(float(np.linalg.norm(vector)), 3.0))
        axis.text(*place, name, color=MUTED, fontsize=7, ha="center", va="center", zorder=4)


def _legend(axis: Any, elements: Sequence[int], width: float) -> None:
    """A disc and a symbol an element, in the middle of the foot."""
    step = min(30.0, (width - 46.0) / max(1, len(elements)))
    start = max(width / 2 - step * len(elements) / 2 + 14.0, 42.0)  # the triad stands to the left
    area, size = (42, 8.0) if step > 18.5 else (24, 6.5)  # many elements, in little room
    colours = _element_data()[1]
    for place, number in enumerate(elements):
        x = start + step * place
        axis.scatter([x], [8.0], s=area, color=[colours[number]], edgecolors=[INK], linewidths=0.5, clip_on=False)
        x += np.sqrt(area) / 2 + 2.5
        axis.text(x, 8.0, element_symbol(number), fontsize=size, ha="left", va="center", zorder=4)


def draw_crystals(crystals: Sequence[Crystal], titles: Sequence[str], *, columns: int = 5, size: float = 2.1) -> Figure:
    """A figure of crystals in rows, each with a title of one or more lines.

    Args:
        crystals: what to draw.
        titles: one a crystal.
        columns: crystals in a row.
        size: width of each, inches.

    Returns:
        A matplotlib figure; write it with its `savefig`.

    Raises:
        InputError: there is no crystal, or not one title for each.
        SymmetryError: cell parameters do not close to a cell.
    """
    if not crystals or len(titles) != len(crystals):
        raise InputError(f"{len(titles)} titles for {len(crystals)} crystals; give at least one crystal, a title each")
    columns = min(columns, len(crystals))
    rows = -(-len(crystals) // columns)
    head = 0.2 * max(title.count("\n") + 1 for title in titles) + 0.08
    figure = new_figure(columns * size, rows * (size + head))
    for place, (crystal, title) in enumerate(zip(crystals, titles, strict=True)):
        row, column = divmod(place, columns)
        box = (column / columns, 1 - (row + 1) / rows, 1 / columns, size / (size + head) / rows)
        axis = figure.add_axes(box)
        draw_crystal(axis, crystal)
        text = "\n".join(label(line) for line in title.split("\n"))
        axis.set_title(text, fontsize=8.5, loc="center", color=INK, linespacing=1.3, parse_math=False)
    return figure


def crystal_figure(crystal: Crystal, size: float = 1.9) -> Figure:
    """A figure of one crystal without a title (`size`: inches)."""
    figure = new_figure(size, size)
    draw_crystal(figure.add_axes((0, 0, 1, 1)), crystal)
    return figure


def crystal_title(crystal: Crystal) -> str:
    """Formula with subscripts, and the space group by symbol and number."""
    return f"{subscripted(crystal.formula)}, {group_symbol(crystal.space_group)} ({crystal.space_group})"


def group_symbol(number: int) -> str:
    """Hermann-Mauguin symbol of a space group, the parts of screw axes as subscripts."""
    return re.sub(r"_(\d)", lambda found: subscripted(found.group(1)), tables().symbols[number - 1])


def subscripted(formula: str) -> str:
    """A formula whose digits are subscripts."""
    return formula.translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))


def closes(crystal: Crystal) -> bool:
    """Whether the cell parameters of a crystal close to a cell, so that it can be drawn."""
    try:
        drawable_cell(crystal)
    except SymmetryError:
        return False
    return True
