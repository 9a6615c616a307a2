"""Figures of what crystals are: the funnel, space groups, elements, sizes, positions, densities."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from aristotype.evaluate import _counts
from aristotype.evaluate._bootstrap import share
from aristotype.evaluate._distances import jensen_shannon, wasserstein
from aristotype.evaluate._figure_style import FILL, INK, MUTED, WIDTH, colour, label, new_figure
from aristotype.evaluate._picture import (
    Floats,
    Grid,
    Picture,
    Subject,
    beyond,
    figure_number,
    grouped_bars,
    hatch,
    legend,
    outline,
    panels,
    percent_axis,
    span,
    why_missing,
    without,
)
from aristotype.evaluate._sets import DASH, EvaluatedSet, Sets, gathered
from aristotype.symmetry import CRYSTAL_SYSTEMS, NUM_GROUPS, tables

STAGES = {
    "submitted": "submitted",
    "built": "built",
    "valid": "valid",
    "unique": "unique",
    "novel": "novel",
    "unique_novel": "unique and novel",
    "stable": "stable",
    "sun": "S.U.N.",
    "ssun": "S.S.U.N.",
    "msun": "M.S.U.N.",
}
"""Counts of a summary, in order, and what they are called."""


def stage_counts(one: EvaluatedSet) -> dict[str, int]:
    """The counts of a summary that are whole numbers, in the order of the stages."""
    counts = one.summary.get("counts") or {}
    found = {stage: counts.get(stage) for stage in STAGES}
    return {
        stage: int(count)
        for stage, count in found.items()
        if isinstance(count, (int, float, np.number)) and np.isfinite(count)
    }


def funnel(sets: Sets) -> Iterator[Picture]:
    """Bars from what was submitted to what is stable, unique and novel."""
    about = Subject(key="funnel", section="From submitted to stable, unique and novel", title="What passes each test")
    counts = {one.name: stage_counts(one) for one in sets.evaluated}
    drawn = [one for one in sets.evaluated if counts[one.name].get("submitted")]
    if not drawn:
        yield Picture(subject=about, missing="no summary counts submitted structures")
        return
    stages = [stage for stage in STAGES if any(stage in counts[one.name] for one in drawn)]
    figure, (axis,) = panels(drawn, 1, 0.45 + len(stages) * (0.16 + 0.17 * len(drawn)))
    figure.subplots_adjust(left=0.13, right=0.94, bottom=0.3 / figure.get_size_inches()[1])
    for place, one in enumerate(drawn):
        _stage_bars(axis, one, stages, height=0.84 / len(drawn), shift=place - (len(drawn) - 1) / 2)
    axis.set(xlim=(0, 1.12), ylim=(len(stages) - 0.45, -0.55), yticks=range(len(stages)))
    axis.set_yticklabels([STAGES[stage] for stage in stages])
    axis.tick_params(axis="y", length=0)
    axis.set_xticks(np.linspace(0, 1, 6))
    axis.grid(visible=True, axis="x")
    axis.grid(visible=False, axis="y")
    percent_axis(axis, "x")
    legend(figure, drawn, bars=True)
    words = "; ".join(
        f"{one.name}: " + ", ".join(f"{STAGES[stage]} {count:,}" for stage, count in counts[one.name].items())
        for one in drawn
    )
    yield Picture(
        subject=about, figure=figure, description=words,
        caption="Each bar is a share of what was submitted; which tests build on which, the protocol says.",
    )  # fmt: skip


def _stage_bars(axis: Any, one: EvaluatedSet, stages: list[str], *, height: float, shift: float) -> None:
    """The bars of one set with counts and shares; `shift` from the middle of each stage, in bars."""
    mine = stage_counts(one)
    for row, stage in enumerate(stages):
        y = row + shift * height
        known = stage in mine
        length = mine[stage] / mine["submitted"] if known else 0.0
        axis.barh(y, length, height=height * 0.88, color=colour(one), hatch=hatch(one), edgecolor=INK, linewidth=0)
        text = f"{mine[stage]:,}  ({length:.1%})" if known else "not computed"
        axis.text(length + 0.006, y, text, va="center", fontsize=8, color=INK if known else MUTED)


def group_histogram(one: EvaluatedSet) -> Floats:
    """(231,) share of the structures in each space group."""
    return np.bincount(one.table.space_group, minlength=NUM_GROUPS + 1) / max(1, len(one))


def crystal_systems(sets: Sets) -> Iterator[Picture]:
    """Shares of the seven crystal systems; trigonal and hexagonal ones are one crystal family."""
    about = Subject(key="crystal-systems", section="Space groups", title="Crystal systems and families")
    drawn = list(sets.everything)
    if not any(one.place is not None for one in drawn):
        yield Picture(subject=about, missing=why_missing(sets))
        return
    system = tables().crystal_system
    bars = []
    for one in drawn:
        counts = np.bincount(system[one.table.space_group - 1], minlength=len(CRYSTAL_SYSTEMS))
        intervals = [share(int(count), len(one)) for count in counts]
        ends = np.array([[float(i.low or 0.0) for i in intervals], [float(i.high or 0.0) for i in intervals]])
        bars.append((one, counts / len(one), None if one.place is None else ends))
    figure, (axis,) = panels(sets.everything, 1, 3.0)
    grouped_bars(axis, bars)
    axis.set_xticks(range(len(CRYSTAL_SYSTEMS)), CRYSTAL_SYSTEMS)
    axis.tick_params(axis="x", length=0)
    axis.set(xlim=(-0.6, len(CRYSTAL_SYSTEMS) - 0.4), ylabel="share of structures")
    percent_axis(axis)
    first = CRYSTAL_SYSTEMS.index("trigonal")
    transform = axis.get_xaxis_transform()
    axis.plot(
        [first - 0.4, first + 1.4], [-0.125, -0.125], color=MUTED, linewidth=1, clip_on=False, transform=transform
    )
    axis.text(
        first + 0.5, -0.145, "hexagonal family", ha="center", va="top", color=MUTED, fontsize=8, transform=transform
    )
    legend(figure, drawn, bars=True)
    words = "; ".join(
        f"{one.name}: " + ", ".join(f"{name} {value:.1%}" for name, value in zip(CRYSTAL_SYSTEMS, heights, strict=True))
        for one, heights, _ in bars
    )
    yield Picture(subject=about, figure=figure, description=words, caption="Whiskers: 95% intervals of Wilson (1927).")


def space_groups(sets: Sets) -> Iterator[Picture]:
    """Shares of the 230 groups, the reference downwards."""
    about = Subject(key="space-groups", section="Space groups", title="Space groups by number")
    drawn = [one for one in sets.evaluated if len(one)]
    if not drawn:
        yield Picture(subject=about, missing=why_missing(sets))
        return
    known = sets.reference if sets.reference is not None and len(sets.reference) else None
    theirs = None if known is None else group_histogram(known)
    height = 0.75 + 1.9 * len(drawn)
    figure = new_figure(WIDTH, height)
    axes = figure.subplots(len(drawn), 1, squeeze=False, sharex=True)[:, 0]
    figure.subplots_adjust(left=0.075, right=0.985, top=1 - 0.3 / height, bottom=0.45 / height, hspace=0.24)
    words = []
    highest = max(float(group_histogram(one).max()) for one in (drawn if known is None else [*drawn, known]))
    for axis, one in zip(axes, drawn, strict=True):
        mine = group_histogram(one)
        _mirrored(axis, mine, theirs, one, highest)
        title = label(one.name)
        if theirs is not None and known is not None:
            divergence = float(jensen_shannon(mine, theirs))
            title += f"  (up), {label(known.name)} (down): Jensen-Shannon divergence {divergence:.4f} bits"
            words.append(f"{one.name}: Jensen-Shannon divergence to the reference {divergence:.4f} bits")
        axis.set_title(title)
        words.append(f"{one.name}: {_most_frequent_groups(mine)}")
    _name_systems(axes[0])
    axes[-1].set(xlim=(0.5, NUM_GROUPS + 0.5), xlabel="space group")
    caption = "Heights follow the square root of the share, so that rare groups are seen."
    yield Picture(subject=about, figure=figure, description=". ".join(words), caption=caption)


def _mirrored(axis: Any, mine: Floats, theirs: Floats | None, one: EvaluatedSet, highest: float) -> None:
    edges = np.arange(0.5, NUM_GROUPS + 1.5)
    axis.stairs(np.sqrt(mine[1:]), edges, fill=True, color=colour(one))
    if theirs is not None:
        axis.stairs(-np.sqrt(theirs[1:]), edges, fill=True, color=FILL)
    axis.axhline(0, color=INK, linewidth=0.6)
    ticks = _root_ticks(highest)
    places = ticks if theirs is None else np.concatenate([-ticks[:0:-1], ticks])
    axis.set_yticks(places, [f"{place**2:.0%}" for place in places])
    top = 1.08 * np.sqrt(highest)
    axis.set_ylim(0 if theirs is None else -top, top)
    system = tables().crystal_system
    for border in np.flatnonzero(np.diff(system)) + 1.5:
        axis.axvline(border, color=MUTED, linewidth=0.5, linestyle=(0, (1, 2)))


def _root_ticks(highest: float) -> Floats:
    """Roots of round shares up to the highest, far enough apart for their labels."""
    kept = [0.0]
    for root in np.sqrt([0.64, 0.36, 0.16, 0.04, 0.01]):
        if 0.12 * np.sqrt(highest) < root < 1.05 * np.sqrt(highest) and abs(root - kept[-1]) > 0.12 * np.sqrt(highest):
            kept.append(float(root))
    return np.sort(kept)


def _name_systems(axis: Any) -> None:
    system = tables().crystal_system
    for index, name in enumerate(CRYSTAL_SYSTEMS):
        numbers = np.flatnonzero(system == index) + 1
        if len(numbers) > 5:
            shown = name if len(numbers) > 20 else f"{name[:6]}."  # 13 monoclinic groups leave no room
            axis.text(
                numbers[0] + 0.5, 0.99, shown, fontsize=7.5, va="top", color=MUTED, transform=axis.get_xaxis_transform()
            )


def _most_frequent_groups(shares: Floats) -> str:
    order = [int(number) for number in np.argsort(-shares, kind="stable")[:5] if shares[number] > 0]
    names = ", ".join(f"{tables().symbols[number - 1]} ({number}) {shares[number]:.1%}" for number in order)
    return f"most frequent are {names}"


def sizes(sets: Sets) -> Iterator[Picture]:
    """Elements, sites and atoms a crystal."""
    about = Subject(key="sizes", section="Sizes", title="Elements, sites and atoms of a primitive cell")
    counts: tuple[tuple[str, Callable[[EvaluatedSet], Any]], ...] = (
        ("elements", lambda one: _counts.num_elements(one.genes)),
        ("occupied positions", lambda one: one.genes.num_sites),
        ("atoms in the primitive cell", lambda one: _counts.primitive_atoms(one.genes)),
    )
    if not any(len(one) for one in sets.evaluated):
        yield Picture(subject=about, missing=why_missing(sets))
        return
    figure, axes = panels(sets.everything, 3, 2.8, widths=(0.8, 1.1, 1.3))
    rows: dict[str, list[str]] = {one.name: [one.name, f"{len(one):,}"] for one in sets.everything}
    head, notes = ["set", "n"], ""
    for axis, (name, count) in zip(axes, counts, strict=True):
        drawn = gathered(sets, lambda one, count=count: np.asarray(count(one), np.float64))  # type: ignore[misc]
        last = np.ceil(max(span(drawn)[1], 4.0))
        for values in drawn:
            outline(axis, values, np.arange(0.5, last + 1.5))
        axis.set(xlabel=name, xlim=(0.5, last + 0.5), ylim=(0, None))
        axis.xaxis.get_major_locator().set_params(integer=True)
        percent_axis(axis)
        known = next((values.numbers for values in drawn if values.owner.place is None), None)
        head += [f"mean {name}"] + ["earth mover's distance"] * (known is not None)
        for values in drawn:
            rows[values.owner.name] += [f"{values.numbers.mean():.2f}", *_mover(values.numbers, known)]
        notes += beyond(drawn, 0.5, last + 0.5, name)
    axes[0].set_ylabel("share of structures")
    legend(figure, sets.everything)
    grid = Grid(head=tuple(head), rows=tuple(tuple(row) for row in rows.values()))
    words = "; ".join(
        f"{row[0]}: " + ", ".join(f"{name} {cell}" for name, cell in zip(head[2:], row[2:], strict=True))
        for row in grid.rows
    )
    yield Picture(subject=about, figure=figure, description=words, caption=notes.strip(), grid=grid)


def _mover(mine: Floats, theirs: Floats | None) -> list[str]:
    """Earth mover's distance to the reference, where there is one."""
    if theirs is None:
        return []
    if theirs is mine:
        return [DASH]
    distance = wasserstein(np.bincount(mine.astype(int)), np.bincount(theirs.astype(int)))
    return [f"{float(distance):.3f}"]


def positions(sets: Sets) -> Iterator[Picture]:
    """How free the positions are that atoms take, and how many free coordinates a crystal has."""
    about = Subject(key="positions", section="Wyckoff positions", title="Special and general positions")
    drawn = list(sets.everything)
    if not any(one.place is not None for one in drawn):
        yield Picture(subject=about, missing=why_missing(sets))
        return
    figure, (left, right) = panels(sets.everything, 2, 2.8, widths=(1.0, 1.2))
    shares = [(one, _freedom_shares(one), None) for one in drawn]
    grouped_bars(left, shares)
    names = ("0: a point", "1: a line", "2: a plane", "3: general")
    left.set_xticks(range(4), names)
    left.tick_params(axis="x", length=0)
    left.set(xlabel="free coordinates of the position", ylabel="share of atoms")
    percent_axis(left)
    totals = gathered(sets, lambda one: _counts.free_parameters(one.genes).astype(np.float64))
    last = max(np.ceil(span(totals)[1]), 4.0)
    for values in totals:
        outline(right, values, np.arange(-0.5, last + 1.5))
    right.set(
        xlabel="free coordinates of all sites of a crystal", ylabel="share of structures", xlim=(-0.5, last + 0.5)
    )
    right.xaxis.get_major_locator().set_params(integer=True)
    percent_axis(right)
    legend(figure, drawn, bars=True)
    words = "; ".join(f"{one.name}: {1 - values[3]:.1%} of the atoms on special positions" for one, values, _ in shares)
    caption = f"{words}. A floating origin and the cell are not counted.{beyond(totals, -0.5, last + 0.5)}"
    yield Picture(subject=about, figure=figure, description=words, caption=caption)


def _freedom_shares(one: EvaluatedSet) -> Floats:
    """(4,) share of atoms, of primitive cells, on positions with 0 to 3 free coordinates."""
    genes = one.genes
    freedoms, atoms = _counts.site_freedoms(genes), genes.multiplicities.astype(np.float64)
    # Conventional cells hold as many primitive ones as their centring says.
    ratio = _counts.primitive_atoms(genes) / np.maximum(1, _counts.conventional_atoms(genes))
    weights = (atoms * ratio[:, None])[freedoms >= 0]
    counted = np.bincount(freedoms[freedoms >= 0], weights=weights, minlength=4)
    return np.asarray(counted / counted.sum(), np.float64)


def geometry(sets: Sets) -> Iterator[Picture]:
    """Densities, volumes and shortest distances."""
    about = Subject(key="geometry", section="Density and distances", title="Density, volume and shortest distance")
    columns = {
        "density": "density, g/cm³",
        "volume_per_atom": "volume an atom, Å³",
        "min_distance": "shortest distance, Å",
    }
    found = {name: gathered(sets, partial(EvaluatedSet.numbers, column=name)) for name in columns}
    found = {name: drawn for name, drawn in found.items() if any(v.owner.place is not None for v in drawn)}
    if not found:
        yield Picture(subject=about, missing=why_missing(sets, *columns))
        return
    figure, axes = panels(sets.everything, len(found), 2.8)
    words, notes = [], ""
    for axis, (name, drawn) in zip(axes, found.items(), strict=True):
        low, high = span(drawn)
        for values in drawn:
            outline(axis, values, np.linspace(low, high, 41))
            middle = figure_number(float(np.median(values.numbers)))
            words.append(f"{values.owner.name}: median {columns[name]} {middle}")
        axis.set(xlabel=columns[name], xlim=(low, high), ylim=(0, None))
        percent_axis(axis)
        notes += beyond(drawn, low, high, columns[name].partition(",")[0])
        notes += without(sets, name, drawn)
    axes[0].set_ylabel("share of structures")
    shown = {id(values.owner): values.owner for drawn in found.values() for values in drawn}
    legend(figure, [one for one in sets.everything if id(one) in shown])
    absent = [name for name in columns if name not in found]
    notes += f" Left out: {why_missing(sets, *absent)}." if absent else ""
    yield Picture(subject=about, figure=figure, description="; ".join(words), caption=notes.strip())
