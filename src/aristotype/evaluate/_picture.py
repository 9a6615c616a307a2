"""A figure of the report with its words, and what several figures are made of: histograms, bars, legends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aristotype.evaluate._figure_style import FILL, INK, MUTED, WIDTH, colour, dashes, label, new_figure
from aristotype.evaluate._sets import DASH, MINUS, EvaluatedSet, Sets, Values

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A small table beneath a figure."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What a figure is about."""

    key: str  # name of its file; unique
    section: str
    title: str


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure, or the reason why there is none."""

    subject: Subject
    caption: str = ""
    description: str = ""  # what it shows, in words, for those who do not see it
    figure: Figure | None = None
    missing: str = ""
    grid: Grid | None = None


def figure_number(value: float | None, digits: int = 3) -> str:
    """A number with a few digits; a dash where there is none."""
    if value is None or not np.isfinite(value):
        return DASH
    if value == 0:
        return "0"
    if abs(value) >= 10**digits:
        return minus(f"{value:,.0f}")
    decimals = max(0, digits - 1 - int(np.floor(np.log10(abs(value)))))
    return minus(f"{value:.{min(decimals, 6)}f}" if abs(value) >= 1e-4 else f"{value:.1e}")


def minus(number: str) -> str:
    """A printed number with a true minus sign."""
    return number.replace("-", MINUS)


def without(sets: Sets, columns: str, drawn: Sequence[Values]) -> str:
    """Which of the evaluated sets a figure leaves out, as a sentence."""
    shown = {id(values.owner) for values in drawn}
    left_out = [one.name for one in sets.evaluated if id(one) not in shown]
    return f" Not in it, without values of {columns}: {', '.join(left_out)}." if left_out else ""


def why_missing(sets: Sets, *columns: str) -> str:
    """Why no set has what a figure needs."""
    if not any(len(one) for one in sets.evaluated):
        return "no structure was built"
    absent = [name for name in columns if not any(one.has(name) for one in sets.evaluated)]
    if absent:
        return f"no table has the column{'s' if len(absent) > 1 else ''} {', '.join(absent)}"
    return f"no structure has a value of {', '.join(columns)}"


def legend_columns(sets: Sequence[EvaluatedSet]) -> int:
    """Names of sets that fit side by side."""
    longest = max(len(label(one.name)) for one in sets)
    return min(len(sets), 4 if longest <= 22 else 3)


def legend_height(sets: Sequence[EvaluatedSet]) -> float:
    """Inches that a legend takes."""
    return 0.14 + 0.2 * -(-len(sets) // legend_columns(sets))


def panels(
    sets: Sequence[EvaluatedSet], count: int, height: float, *, widths: Sequence[float] | None = None
) -> tuple[Figure, list[Any]]:
    """A figure over the page's width with panels side by side and room for a legend on top.

    Args:
        sets: those whose names the legend will have.
        count: of the panels.
        height: inches, without the legend.
        widths: of the panels, relative.
    """
    head = legend_height(sets)
    figure = new_figure(WIDTH, height + head)
    axes = figure.subplots(1, count, squeeze=False, gridspec_kw={"width_ratios": widths})[0]
    figure.subplots_adjust(
        left=0.075, right=0.985, top=1 - (head + 0.06) / (height + head), bottom=0.5 / (height + head), wspace=0.22
    )
    return figure, list(axes)


def legend(figure: Figure, sets: Sequence[EvaluatedSet], *, bars: bool = False) -> None:
    """Names of sets on top: the reference as an area, the others as lines or as bars."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    def sample(one: EvaluatedSet) -> Any:
        if one.place is None:
            return Patch(facecolor=FILL)
        if bars:
            return Patch(facecolor=colour(one), hatch=hatch(one), edgecolor=INK, linewidth=0)
        return Line2D([], [], color=colour(one), linestyle=dashes(one), linewidth=1.8)

    figure.legend(
        [sample(one) for one in sets],
        [label(one.name) for one in sets],
        loc="upper left",
        ncols=legend_columns(sets),
        bbox_to_anchor=(0.055, 1 - 0.02 / figure.get_size_inches()[1]),
        borderaxespad=0.0,
        handlelength=2.2,
    )


def hatch(one: EvaluatedSet) -> str:
    """The pattern of a set's bars: sets of the second round of colours are hatched."""
    return "////" if isinstance(dashes(one), tuple) else ""


def outline(axis: Any, values: Values, edges: Floats) -> None:
    """A histogram of shares: filled for the reference, a line for others."""
    counts = np.histogram(values.numbers, edges)[0] / len(values.numbers)
    if values.owner.place is None:
        axis.stairs(counts, edges, fill=True, color=FILL)
    else:
        axis.stairs(counts, edges, color=colour(values.owner), linestyle=dashes(values.owner), linewidth=1.6)


def cumulative(
    axis: Any, values: Values, low: float, high: float, *, linestyle: Any = None, width: float = 1.6
) -> None:
    """The share of structures up to each value, in at most 400 steps."""
    ordered = np.sort(values.numbers)
    points = np.linspace(low, high, 401)
    shares = np.searchsorted(ordered, points, side="right") / len(ordered)
    line = dashes(values.owner) if linestyle is None else linestyle
    axis.step(points, shares, where="post", color=colour(values.owner), linestyle=line, linewidth=width)


def span(values: Sequence[Values], low: float = 0.005, high: float = 0.995) -> tuple[float, float]:
    """Where nearly all values of every set lie, so that one outlier does not squeeze the rest."""
    bounds = np.array([np.quantile(one.numbers, [low, high]) for one in values])
    first, last = float(bounds[:, 0].min()), float(bounds[:, 1].max())
    if last - first < 1e-9 * max(1.0, abs(first)):
        room = 0.05 * max(abs(first), 0.1)
        return first - room, last + room
    return first, last


def beyond(values: Sequence[Values], low: float, high: float, name: str = "") -> str:
    """How many values lie beyond an axis (of a name), as a sentence; nothing where there are none."""
    counts = [(one.owner.name, int(((one.numbers < low) | (one.numbers > high)).sum())) for one in values]
    found = [f"{count:,} of {name}" for name, count in counts if count]
    axis = f"the axis of {name}" if name else "the axis"
    return f" Beyond {axis}: {', '.join(found)}." if found else ""


def grouped_bars(axis: Any, shares: Sequence[tuple[EvaluatedSet, Floats, Floats | None]]) -> None:
    """Bars side by side.

    Args:
        axis: matplotlib axes.
        shares: for each set its shares (k,) and, for bars with a whisker, low and high ends (2, k).
    """
    width = 0.82 / max(1, len(shares))
    for place, (one, heights, ends) in enumerate(shares):
        x = np.arange(len(heights)) + (place - (len(shares) - 1) / 2) * width
        face = FILL if one.place is None else colour(one)
        axis.bar(x, heights, width=width * 0.94, color=face, hatch=hatch(one), edgecolor=INK, linewidth=0.0)
        if ends is not None:
            axis.vlines(x, *ends, color=INK, linewidth=0.8)


def percent_axis(axis: Any, which: str = "y") -> None:
    """Shares as percentages, with as many digits as the ticks need."""
    from matplotlib.ticker import FuncFormatter

    getattr(axis, f"{which}axis").set_major_formatter(FuncFormatter(lambda x, _: minus(f"{round(100 * x, 6):g}%")))


def quantiles(numbers: Floats) -> tuple[float, float, float]:
    """The 10th, 50th and 90th percentile."""
    low, middle, high = np.quantile(numbers, [0.1, 0.5, 0.9]).tolist()
    return low, middle, high


def rule(axis: Any, x: float) -> None:
    """A thin line at a value that means something."""
    axis.axvline(x, color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)
