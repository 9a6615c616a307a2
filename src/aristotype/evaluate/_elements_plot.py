"""Shares of the elements as a periodic table."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

from aristotype.crystal import element_symbol
from aristotype.evaluate import _counts
from aristotype.evaluate._figure_style import GRID, INK, MUTED, WIDTH, new_figure
from aristotype.evaluate._picture import Floats, Picture, Subject, minus, why_missing
from aristotype.evaluate._sets import EvaluatedSet, Sets

_SHARES, _DIFFERENCES = "YlGnBu", "PuOr_r"
_DARK, _LIGHT = "#101418", "#f7f9fb"  # of symbols on coloured cells; they stay what they are on a dark page
_LAST = 118
SECTION = "Elements"


@cache
def element_places() -> tuple[tuple[int, float, int], ...]:
    """(atomic number, row, column) of every element; lanthanoids and actinoids stand below, as usual."""
    from pymatgen.core import Element

    every = [Element.from_Z(number) for number in range(1, _LAST + 1)]
    first = {kind: min(e.Z for e in every if getattr(e, kind)) for kind in ("is_lanthanoid", "is_actinoid")}
    out = []
    for element in every:
        below = next((kind for kind in first if getattr(element, kind)), None)
        row, column = float(element.row), int(element.group)
        if below is not None:
            row, column = row + 2.4, 3 + element.Z - first[below]
        out.append((element.Z, row, column))
    return tuple(out)


def element_shares(one: EvaluatedSet) -> Floats:
    """(119,) mean share of each element among the atoms; every structure weighs the same, large cells do not more."""
    atoms = _counts.compositions(one.genes).astype(np.float64)
    return np.asarray((atoms / np.maximum(1.0, atoms.sum(axis=1, keepdims=True))).mean(axis=0), np.float64)


def elements(sets: Sets) -> Iterator[Picture]:
    """A periodic table of shares for each set, and one of differences to the reference."""
    drawn = [one for one in sets.evaluated if len(one)]
    if not drawn:
        yield Picture(
            subject=Subject(key="elements", section=SECTION, title="Share of atoms"), missing=why_missing(sets)
        )
        return
    known = sets.reference if sets.reference is not None and len(sets.reference) else None
    shares = {one.name: element_shares(one) for one in drawn}
    theirs = None if known is None else element_shares(known)
    most = max(float(values.max()) for values in shares.values())
    widest = 0.0 if theirs is None else max(float(np.abs(values - theirs).max()) for values in shares.values())
    for place, one in enumerate(drawn):
        mine = shares[one.name]
        order = [int(number) for number in np.argsort(-mine, kind="stable")[:10] if mine[number] > 0]
        words = ", ".join(f"{element_symbol(number)} {mine[number]:.1%}" for number in order)
        yield Picture(
            subject=Subject(key=f"elements-{place}", section=SECTION, title=f"Share of atoms: {one.name}"),
            figure=_periodic_table(mine, most, signed=False),
            description=f"Most frequent: {words}. {int((mine > 0).sum())} elements occur.",
            caption=f"Percent of atoms; every structure weighs the same. {int((mine > 0).sum())} elements occur, "
            "the others are left empty.",
        )
        if theirs is None or known is None:
            continue
        difference = mine - theirs
        yield Picture(
            subject=Subject(
                key=f"elements-difference-{place}",
                section=SECTION,
                title=f"Difference of {one.name} to {known.name}",
            ),
            figure=_periodic_table(difference, widest, signed=True),
            description=_extremes(difference),
            caption=f"Percentage points. {_extremes(difference)}.",
        )
    if theirs is None:
        about = Subject(key="elements-difference", section=SECTION, title="Difference to the reference")
        yield Picture(subject=about, missing="no reference was given")


def _extremes(difference: Floats) -> str:
    order = np.argsort(difference, kind="stable")

    def named(numbers: Any) -> str:
        return ", ".join(minus(f"{element_symbol(int(z))} {100 * difference[z]:+.2f}") for z in numbers) or "none"

    less = named([z for z in order[:5] if difference[z] < 0])
    return f"Most above the reference: {named([z for z in order[::-1][:5] if difference[z] > 0])}; most below: {less}"


def _periodic_table(values: Floats, most: float, *, signed: bool) -> Any:
    """Coloured by the root of the share, so that rare elements differ from absent ones."""
    import matplotlib as mpl
    from matplotlib.patches import Rectangle

    figure = new_figure(WIDTH, 5.0)
    axis = figure.add_axes((0.01, 0.01, 0.98, 0.98))
    axis.set(xlim=(0.4, 18.6), ylim=(10.05, 0.45))
    axis.set_axis_off()
    colours = mpl.colormaps[_DIFFERENCES if signed else _SHARES]
    for number, row, column in element_places():
        value = float(values[number])
        shade = _shade(value, most, signed)
        face = colours(shade) if value else (0.0, 0.0, 0.0, 0.0)
        corner = (column - 0.47, row - 0.47)
        axis.add_patch(Rectangle(corner, 0.94, 0.94, facecolor=face, edgecolor=GRID, linewidth=0.6))
        ink = _contrast(face) if value else MUTED
        axis.text(column, row - 0.1, element_symbol(number), ha="center", va="center", fontsize=10, color=ink)
        if value:
            text = _percent(value, signed)
            axis.text(column, row + 0.27, text, ha="center", va="center", fontsize=6.5, color=ink)
    for row, text in ((6, "57-71"), (7, "89-103")):
        axis.text(3, row, text, ha="center", va="center", fontsize=7, color=MUTED)
    _scale(axis, colours, most, signed)
    return figure


def _shade(value: float, most: float, signed: bool) -> float:
    """Place of a value in the colour map, 0 to 1."""
    root = float(np.sign(value) * np.sqrt(abs(value) / most)) if most else 0.0
    return 0.5 + 0.47 * root if signed else 0.04 + 0.92 * root


def _contrast(face: tuple[float, ...]) -> str:
    """Dark or light, whichever is read better on a colour (relative luminance of WCAG 2.1)."""
    channels = np.array(face[:3])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return _DARK if float(linear @ [0.2126, 0.7152, 0.0722]) > 0.2 else _LIGHT


def _percent(value: float, signed: bool) -> str:
    points = 100 * value
    if abs(points) < 0.005:
        return "<0.01" if not signed else "±0"
    text = f"{points:.2f}" if abs(points) < 10 else f"{points:.1f}"
    return minus(f"{'+' if points > 0 else ''}{text}") if signed else text


def _scale(axis: Any, colours: Any, most: float, signed: bool) -> None:
    """The colours and what they stand for, in the empty middle of the table."""
    low = -most if signed else 0.0
    steps = np.linspace(low, most, 61)
    x = np.linspace(4.2, 11.2, 61)
    shades = [_shade(float(value), most, signed) for value in steps]
    for left, right, shade in zip(x[:-1], x[1:], shades[:-1], strict=True):
        axis.fill_between([left, right + 0.01], 1.5, 1.85, color=colours(shade), linewidth=0)
    for value in (low, 0.0, most) if signed else (0.0, most / 4, most):
        place = float(np.interp(value, steps, x))
        axis.text(
            place,
            2.12,
            minus(f"{100 * value:{'+' if signed and value else ''}.2g}"),
            ha="center",
            va="center",
            fontsize=8,
        )
    name = "percentage points more or less than the reference" if signed else "percent of atoms"
    axis.text(7.7, 1.2, name, ha="center", va="center", fontsize=8.5, color=INK)
