"""Figures of energies above hull and of relaxation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from aristotype.evaluate._figure_style import INK, MUTED, PAPER, colour, label
from aristotype.evaluate._picture import (
    Floats,
    Grid,
    Picture,
    Subject,
    beyond,
    cumulative,
    figure_number,
    legend,
    minus,
    outline,
    panels,
    percent_axis,
    quantiles,
    rule,
    span,
    why_missing,
    without,
)
from aristotype.evaluate._sets import DASH, EvaluatedSet, Sets, Values, gathered, printable_text

HULL = "e_above_hull"
MAX_CLASSES = 8
"""Classes of confidence that are shown."""
_LEAST_GAIN = 1e-4
"""eV/atom where the axis of gains begins."""
_LEAST_RANGE = 0.2
"""eV/atom that an axis of energies spans at least."""


def hull(sets: Sets) -> Iterator[Picture]:
    """Energies above hull: a histogram and the cumulative share, with quantiles."""
    about = Subject(key="hull", section="Energy above hull", title="Distribution")
    drawn = gathered(sets, lambda one: one.energies(HULL))
    if not any(values.owner.place is not None for values in drawn):
        yield Picture(subject=about, missing=why_missing(sets, HULL))
        return
    low, high = _energy_span(drawn)
    edges = _edges_at_zero(low, high)
    figure, (left, right) = panels(sets.everything, 2, 3.2)
    for values in drawn:
        outline(left, values, edges)
        cumulative(right, values, low, high)
    for values in drawn:
        marks = np.array(quantiles(values.numbers))
        inside = (marks >= low) & (marks <= high)
        face = PAPER if values.owner.place is None else colour(values.owner)
        right.plot(
            marks[inside], np.array([0.1, 0.5, 0.9])[inside], "o", color=face, markeredgecolor=INK, markersize=5
        )  # fmt: skip
    for axis in (left, right):
        rule(axis, 0.0)
        axis.set(xlim=(low, high), xlabel="energy above hull, eV/atom")
        percent_axis(axis)
    left.set(ylabel="share of structures", ylim=(0, None))
    cut = _cut_off(left, drawn, edges)
    right.set(ylabel="share at or below", ylim=(0, 1))
    legend(figure, [values.owner for values in drawn])
    rows = tuple(_hull_row(values, drawn) for values in drawn)
    words = "; ".join(f"{row[0]}: 10, 50 and 90% lie below {row[2]}, {row[3]} and {row[4]} eV/atom" for row in rows)
    caption = (
        "Circles: 10, 50 and 90% of the structures lie below. The dotted line is the hull."
        f"{cut}{beyond(drawn, low, high)}{_unphysical(sets)}{without(sets, HULL, drawn)}"
    )
    head = ("set", "n", "Q10, eV/atom", "Q50", "Q90", "at or below 0", "at or below 0.1", "Q50 less the reference's")
    yield Picture(subject=about, figure=figure, description=words, caption=caption, grid=Grid(head=head, rows=rows))


def _cut_off(axis: Any, drawn: list[Values], edges: Floats) -> str:
    """Keeps the reference, most of which lies on the hull, from squeezing the sets; says what was cut."""
    tallest = {
        values.owner.name: float(np.histogram(values.numbers, edges)[0].max() / len(values.numbers)) for values in drawn
    }
    known = next((values.owner.name for values in drawn if values.owner.place is None), None)
    most = 1.5 * max(height for name, height in tallest.items() if name != known)
    if known is None or tallest[known] <= most:
        return ""
    axis.set_ylim(0, most)
    return f" The highest bin of {known} goes on to {tallest[known]:.0%}."


def _energy_span(drawn: list[Values]) -> tuple[float, float]:
    low, high = span(drawn, 0.005, 0.985)
    low, high = min(low, 0.0), max(high, 0.0)
    room = max(0.02 * (high - low), 0.01)
    return low - room, max(high, low + _LEAST_RANGE) + room


def _edges_at_zero(low: float, high: float, bins: int = 60) -> Floats:
    """Bins one of which begins at the hull, so that none holds both sides of it."""
    step = (high - low) / bins
    return np.arange(np.floor(low / step), np.ceil(high / step) + 1) * step


def _hull_row(values: Values, drawn: list[Values]) -> tuple[str, ...]:
    numbers = values.numbers
    known = next((other.numbers for other in drawn if other.owner.place is None), None)
    apart = DASH if known is None or known is numbers else minus(f"{np.median(numbers) - np.median(known):+.3f}")
    return (
        values.owner.name,
        f"{len(numbers):,}",
        *(minus(f"{mark:z.3f}") for mark in quantiles(numbers)),
        f"{(numbers <= 0).mean():.1%}",
        f"{(numbers <= 0.1).mean():.1%}",
        apart,
    )


def _unphysical(sets: Sets) -> str:
    counts = [(one.name, int(one.flags("unphysical").sum())) for one in sets.evaluated]
    found = [f"{count:,} of {name}" for name, count in counts if count]
    return f" Left out as unphysical: {', '.join(found)}." if found else ""


def confidence(sets: Sets) -> Iterator[Picture]:
    """Energies above hull by how well the hull is known there."""
    about = Subject(key="confidence", section="Energy above hull", title="How well the hull is known")
    drawn = [one for one in sets.evaluated if len(one) and one.has("hull_confidence", HULL)]
    classes = {one.name: _by_class(one) for one in drawn}
    rows_of = Counter[str]()
    for found in classes.values():
        rows_of.update({name: len(numbers) for name, numbers in found.items()})
    names = sorted(name for name, _ in rows_of.most_common(MAX_CLASSES))
    if not names:
        yield Picture(subject=about, missing=why_missing(sets, "hull_confidence", HULL))
        return
    figure, (axis,) = panels(sets.everything, 1, 0.9 + 0.32 * len(drawn) * len(names))
    bars = [(one, name, classes[one.name][name]) for one in drawn for name in names if name in classes[one.name]]
    for y, (one, _, numbers) in enumerate(bars):
        low, middle, high = quantiles(numbers)
        axis.plot([low, high], [y, y], color=colour(one), linewidth=5, alpha=0.45, solid_capstyle="butt")
        axis.plot([middle], [y], "o", color=colour(one), markeredgecolor=INK, markersize=6)
    labels = [f"{label(name)}, n = {len(numbers):,}" for _, name, numbers in bars]
    rows = tuple(
        (one.name, printable_text(name), f"{len(numbers):,}", *(minus(f"{mark:z.3f}") for mark in quantiles(numbers)))
        for one, name, numbers in bars
    )
    rule(axis, 0.0)
    axis.set_yticks(range(len(labels)), labels)
    axis.set(ylim=(len(labels) - 0.4, -0.6), xlabel="energy above hull, eV/atom")
    axis.grid(visible=False, axis="y")
    figure.subplots_adjust(left=0.24, bottom=0.45 / figure.get_size_inches()[1])
    legend(figure, drawn)
    words = "; ".join(f"{row[0]}, {row[1]}: {row[2]} structures, median {row[4]} eV/atom" for row in rows)
    head = ("set", "confidence", "n", "Q10, eV/atom", "Q50", "Q90")
    caption = "Bars go from the 10th to the 90th percentile, circles are medians; classes are the protocol's."
    caption += f" Shown are the {MAX_CLASSES} most frequent of {len(rows_of)}." if len(rows_of) > MAX_CLASSES else ""
    yield Picture(subject=about, figure=figure, description=words, caption=caption, grid=Grid(head=head, rows=rows))


def _by_class(one: EvaluatedSet) -> dict[str, Floats]:
    energies = one.energies(HULL)
    classes = np.array(
        [str(name) if name is not None else "" for name in one.table.column("hull_confidence").to_pylist()]
    )
    known = np.isfinite(energies) & (classes != "")
    return {str(name): energies[known & (classes == name)] for name in np.unique(classes[known])}


def before_and_after(sets: Sets) -> Iterator[Picture]:
    """Energies above hull before and after relaxation, of the structures that have both."""
    about = Subject(key="before-after", section="Relaxation", title="Energy above hull before and after")
    columns = (HULL, "energy", "energy_start")
    drops = gathered(Sets(evaluated=sets.evaluated), _drop)
    if not drops:
        yield Picture(subject=about, missing=why_missing(sets, *columns))
        return
    after = [_kept(values.owner, values.owner.energies(HULL)) for values in drops]
    before = [_kept(values.owner, values.owner.energies(HULL) + _drop(values.owner)) for values in drops]
    low, high = _energy_span([*before, *after])
    figure, (left, right) = panels(sets.everything, 2, 3.0)
    for first, last in zip(before, after, strict=True):
        cumulative(left, first, low, high, linestyle=(0, (1, 1)), width=1.2)
        cumulative(left, last, low, high)
    rule(left, 0.0)
    left.set(xlim=(low, high), ylim=(0, 1), xlabel="energy above hull, eV/atom", ylabel="share at or below")
    left.text(0.98, 0.04, "dotted: before", transform=left.transAxes, ha="right", color=MUTED, fontsize=8)
    percent_axis(left)
    _gains(right, drops)
    legend(figure, [values.owner for values in drops])
    rows = tuple(_gain_row(*values) for values in zip(drops, before, after, strict=True))
    words = "; ".join(f"{row[0]}: median {row[2]} before and {row[3]} eV/atom after" for row in rows)
    head = ("set", "n", "median before, eV/atom", "median after", "median gain", f"gain up to {_LEAST_GAIN:g}")
    caption = (
        f"The hull is the same before and after. The first bin at the right holds all gains up to {_LEAST_GAIN:g} "
        f"eV/atom.{beyond([*before, *after], low, high)}{without(sets, ', '.join(columns), drops)}"
    )
    yield Picture(subject=about, figure=figure, description=words, caption=caption, grid=Grid(head=head, rows=rows))


def _gains(axis: Any, drops: list[Values]) -> None:
    """Histograms of what relaxation gains, on a logarithmic axis."""
    from matplotlib.ticker import FuncFormatter

    edges = np.geomspace(_LEAST_GAIN, max(1.0, max(float(values.numbers.max()) for values in drops)), 41)
    for values in drops:
        # What lies below the axis is shown in its first bin.
        outline(axis, Values(owner=values.owner, numbers=np.maximum(values.numbers, edges[0])), edges)
    axis.set(xscale="log", xlim=(edges[0], edges[-1]), ylim=(0, None))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))  # exponents would need mathtext
    axis.set(xlabel="energy that relaxation gains, eV/atom", ylabel="share of structures")
    percent_axis(axis)


def _gain_row(drop: Values, before: Values, after: Values) -> tuple[str, ...]:
    return (
        drop.owner.name,
        f"{len(drop.numbers):,}",
        minus(f"{np.median(before.numbers):z.3f}"),
        minus(f"{np.median(after.numbers):z.3f}"),
        minus(f"{np.median(drop.numbers):z.4f}"),
        f"{(drop.numbers <= _LEAST_GAIN).mean():.1%}",
    )


def _drop(one: EvaluatedSet) -> Floats:
    """(n,) energy before less energy after, where the structure has an energy above hull too."""
    drop = one.energies("energy_start") - one.energies("energy")
    return np.where(np.isfinite(one.energies(HULL)), drop, np.nan)


def _kept(one: EvaluatedSet, numbers: Floats) -> Values:
    return Values(owner=one, numbers=numbers[np.isfinite(_drop(one))])


def relaxation(sets: Sets) -> Iterator[Picture]:
    """How far relaxation moves atoms and cell, and how long it takes."""
    about = Subject(key="relaxation", section="Relaxation", title="What relaxation changes")
    columns = {"rmsd": "RMSD to relaxed, Å", "volume_change": "change of the volume", "relax_steps": "steps"}
    own = Sets(evaluated=sets.evaluated)
    every = {name: gathered(own, partial(EvaluatedSet.numbers, column=name)) for name in columns}
    found = {name: drawn for name, drawn in every.items() if drawn}
    if not found:
        yield Picture(subject=about, missing=why_missing(sets, *columns))
        return
    figure, axes = panels(sets.everything, len(found), 2.8)
    notes = ""
    for axis, (name, drawn) in zip(axes, found.items(), strict=True):
        low, high = span(drawn, 0.0 if name != "volume_change" else 0.01, 0.98 if name != "volume_change" else 0.99)
        for values in drawn:
            outline(axis, values, np.linspace(low, high, 41))
        axis.set(xlabel=columns[name], xlim=(low, high), ylim=(0, None))
        percent_axis(axis)
        if name == "volume_change":
            percent_axis(axis, "x")
            rule(axis, 0.0)
        notes += beyond(drawn, low, high, columns[name].partition(",")[0]) + without(sets, name, drawn)
    axes[0].set_ylabel("share of structures")
    absent = [name for name in columns if name not in found]
    notes += f" Left out: {why_missing(sets, *absent)}." if absent else ""
    shown = {id(values.owner) for drawn in found.values() for values in drawn}
    legend(figure, [one for one in sets.evaluated if id(one) in shown])
    rows = tuple(_relaxation_row(one) for one in sets.evaluated if id(one) in shown)
    words = "; ".join(f"{row[0]}: median RMSD {row[2]} Å, space group kept {row[5]}" for row in rows)
    head = ("set", "n", "median RMSD, Å", "median |volume change|", "median steps", "space group kept")
    grid = Grid(head=head, rows=rows)
    yield Picture(subject=about, figure=figure, description=words, caption=notes.strip(), grid=grid)


def _relaxation_row(one: EvaluatedSet) -> tuple[str, ...]:
    def median(numbers: Floats) -> float | None:
        known = numbers[np.isfinite(numbers)]
        return float(np.median(known)) if len(known) else None

    change, before = median(np.abs(one.numbers("volume_change"))), one.numbers("space_group_before")
    known = np.isfinite(before)
    kept = f"{(before[known] == one.table.space_group[known]).mean():.1%}" if known.any() else DASH
    return (
        one.name,
        f"{int(np.isfinite(one.numbers('rmsd')).sum()):,}",
        figure_number(median(one.numbers("rmsd"))),
        DASH if change is None else f"{change:.1%}",
        figure_number(median(one.numbers("relax_steps"))),
        kept,
    )
