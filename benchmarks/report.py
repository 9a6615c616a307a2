"""Outcomes as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.core import Measurement, Section

_HEAD = "| work | measured | published | ratio | counts | CPU s | seed | notes |\n|---|---|---|---|---|---|---|---|"


def speed_table(measurements: Sequence[Measurement]) -> str:
    """The table of speed and memory; the ratio says how many times better than published."""
    return "\n".join([_HEAD, *map(_line, measurements)])


def _line(item: Measurement) -> str:
    published = "-" if item.published is None else f"{item.published:g}"
    ratio = "-" if item.ratio is None else f"{_digits(item.ratio)}x"
    seed = "-" if item.seed is None else str(item.seed)
    return (
        f"| {item.work} | {_digits(item.value)} {item.unit} | {published} | {ratio} | {item.count} | "
        f"{item.cpu_seconds:.1f} | {seed} | {item.note} |"
    )


def _digits(value: float) -> str:
    """Three digits, without exponents."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def document(
    machine: str, outcomes: Sequence[Measurement | Section], skipped: Mapping[str, str], failed: Mapping[str, str]
) -> str:
    """Everything that is printed."""
    parts = [machine]
    measurements = [item for item in outcomes if isinstance(item, Measurement)]
    if measurements:
        parts.append("## Speed and memory\n\n" + speed_table(measurements))
    parts += [f"## {item.title}\n\n{item.text}" for item in outcomes if isinstance(item, Section)]
    for title, reasons in (("Skipped", skipped), ("Failed", failed)):
        if reasons:
            lines = "\n".join(f"- `{name}`: {reason}" for name, reason in reasons.items())
            parts.append(f"## {title}\n\n{lines}")
    return "\n\n".join(parts)
