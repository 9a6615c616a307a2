"""Reports as a Markdown table, one column a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Figure = Mapping[str, float | None] | float | int | None
Column = Mapping[str, Figure]


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of the table."""

    key: str  # name of the metric in a report
    label: str
    style: str  # format specification of the value


GENE_ROWS = (
    Row(key="legal", label="legal / attempts", style=".4f"),
    Row(key="distinct", label="distinct", style=".4f"),
    Row(key="novel", label="novel against the training part", style=".4f"),
    Row(key="novel_merged", label="the same, enantiomorphic groups taken for one", style=".4f"),
    Row(key="novel_templates", label="novel distinct templates per 1000, all n", style=".1f"),
    Row(key="novel_templates_1000", label="the same, n = 1,000", style=".1f"),
    Row(key="p1", label="P1", style=".2%"),
    Row(key="space_group_jsd", label="space-group JSD, bits", style=".4f"),
    Row(key="space_group_chi2", label="space-group chi2", style=".4f"),
    Row(key="groups_present", label="groups present", style="d"),
    Row(key="emd_elements", label="EMD number of elements", style=".3f"),
    Row(key="emd_sites", label="EMD number of sites", style=".3f"),
    Row(key="emd_primitive_atoms", label="EMD atoms, primitive", style=".3f"),
    Row(key="emd_conventional_atoms", label="EMD atoms, conventional", style=".3f"),
    Row(key="emd_free_parameters", label="EMD total free parameters", style=".3f"),
    Row(key="over_20_atoms", label="over 20 primitive atoms", style=".2%"),
    Row(key="smact", label="SMACT (smact14, Pauling test, alloys)", style=".1%"),
    Row(key="element_jsd_atoms", label="element JSD, atoms, bits", style=".4f"),
    Row(key="element_jsd_sites", label="element JSD, sites, bits", style=".4f"),
    Row(key="site_freedom_jsd", label="site-freedom JSD, bits", style=".5f"),
    Row(key="special_atoms", label="atoms on special positions", style=".2%"),
    Row(key="frechet_gene", label="Fréchet distance of genes", style=".3f"),
    Row(key="forced", label="higher symmetry at every geometry", style=".2%"),
)


def metrics_table(columns: Mapping[str, Column], rows: tuple[Row, ...] = GENE_ROWS) -> str:
    """A Markdown table of metrics, rows that no column has left out.

    Args:
        columns: heading to the `metrics` of a report, or to plain figures of the same names.
        rows: what is shown, in order.
    """
    lines = [f"| metric | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    lines += [
        f"| {row.label} | {' | '.join(_cell(column.get(row.key), row.style) for column in columns.values())} |"
        for row in rows
        if any(column.get(row.key) is not None for column in columns.values())
    ]
    return "\n".join(lines)


def _cell(figure: Any, style: str) -> str:
    if figure is None:
        return "-"
    if not isinstance(figure, Mapping):
        return format(figure, style)
    text = format(int(figure["value"]) if style == "d" else figure["value"], style)
    if figure.get("low") is None:
        return text
    return f"{text} ({format(figure['low'], style)} to {format(figure['high'], style)})"
