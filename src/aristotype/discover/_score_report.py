"""A short report of scored crystals: the most and the least likely, as a whole and part by part."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aristotype.crystal import CrystalTable

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TOTAL = "percentile"
_PART = "percentile_"


def extremes(table: CrystalTable, number: int, part: str = "") -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the most and of the least likely crystals, the extreme ones first; no row is in both.

    They are ordered by percentile; where these agree or are null, by `log_prob_per_site`, and for a part by its nats.

    Args:
        table: as `score` gives it.
        number: of rows on either side, at most.
        part: whose percentile; all of it by default.
    """
    rank = table.column(_PART + part if part else _TOTAL).to_numpy().astype(float)
    tie = table.column(f"log_prob_{part}" if part else "log_prob_per_site").to_numpy()
    order = np.lexsort((tie, np.nan_to_num(rank, nan=50.0)))  # the least likely first
    least = order[: min(number, (len(order) + 1) // 2)]
    most = order[len(least) :][-number:][::-1]
    return most, least


def score_parts(table: CrystalTable) -> list[str]:
    """Names of the parts that a table of `score` has."""
    return [name.removeprefix(_PART) for name in table.columns if name.startswith(_PART)]


def has_bounds(table: CrystalTable) -> bool:
    """Whether some scores of a table are lower bounds."""
    return "log_prob_kind" in table.columns and "bound" in table.column("log_prob_kind").to_pylist()


def score_report(table: CrystalTable, *, model: str, reference: str, number: int = 10, failed: int = 0) -> str:
    """The report as Markdown.

    Args:
        table: as `score` gives it.
        model: its name.
        reference: what percentiles are among, in words.
        number: of crystals on either side.
        failed: rows that could not be scored.
    """
    nats, compared = table.column("log_prob").to_numpy(), table.column("compared_with").to_numpy()
    name = "log p, of which a lower bound is known," if has_bounds(table) else "log p"
    lines = [
        f"# Scores under {model}",
        "",
        f"{len(table):,} crystals, {failed:,} more could not be scored. {name} {np.median(nats):.2f} nats (median), "
        f"{nats.min():.2f} to {nats.max():.2f}. Percentiles are among {reference}: for each crystal those nearest in "
        f"number of sites and of free numbers, {compared.min():,} or more.",
    ]
    parts = score_parts(table)
    for title, rows in zip(("Most likely", "Least likely"), extremes(table, number), strict=True):
        lines += ["", f"## {title}", "", *_table(table, rows, parts)]
    for part in parts:
        for title, rows in zip(("most", "least"), extremes(table, min(3, number), part), strict=True):
            lines += ["", f"## {part.capitalize()}, {title} likely", "", *_table(table, rows, [part])]
    return "\n".join(lines) + "\n"


def _table(table: CrystalTable, rows: NDArray[np.int64], parts: list[str]) -> list[str]:
    """Lines of a table: nats with percentiles, of all and of some parts."""
    few = table.take(rows)
    columns = ["log p bound" if has_bounds(table) else "log p", *parts]
    head = f"| id | formula | group | sites | {' | '.join(columns)} |"
    lines = [head, "|---" * (4 + len(columns)) + "|"]
    figures = [
        [
            _figure(nats, rank)
            for nats, rank in zip(
                few.column(f"log_prob_{part}" if part else "log_prob").to_pylist(),
                few.column(_PART + part if part else _TOTAL).to_pylist(),
                strict=True,
            )
        ]
        for part in ("", *parts)
    ]
    sites = few.genes().num_sites.tolist()
    named = zip(few.ids, few.column("formula").to_pylist(), few.space_group.tolist(), sites, strict=True)
    for (name, formula, group, count), cells in zip(named, zip(*figures, strict=True), strict=True):
        lines.append(f"| {name.replace('|', '/')} | {formula} | {group} | {count} | {' | '.join(cells)} |")
    return lines


def _figure(nats: float, rank: float | None) -> str:
    """Nats and percentile."""
    return f"{nats:.2f}" if rank is None else f"{nats:.2f} ({rank:.1f})"
