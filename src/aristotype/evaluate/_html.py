"""HTML from text: everything that comes from outside is escaped here."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from aristotype.evaluate._figure_style import FILL, GRID, INK, PAPER, SERIES
from aristotype.evaluate._sets import DASH, printable_text

LONGEST = 2_000
"""Characters of a text, such as a note, before it is cut off."""
_DARK_SERIES = ("#ff8a3d", "#5aaeea", "#2fc796", "#e596c5", "#e0b13a", "#8fd0ff")
_LIGHT_PAGE = {
    "page": "#ffffff", "card": "#f6f7f9", "accent": "#0a5c9c", "warn": "#8a4b00",
    "ink": INK, "muted": "#5c636e", "grid": GRID, "fill": FILL, "paper": PAPER,
}  # fmt: skip
_DARK_PAGE = {
    "page": "#14171c", "card": "#1c2027", "accent": "#7cc0f5", "warn": "#f0b35a",
    "ink": "#e8eaee", "muted": "#a2abb8", "grid": "#343b45", "fill": "#4a5563", "paper": "#14171c",
}  # fmt: skip


def text(value: Any, longest: int = LONGEST) -> str:
    """A value as HTML text, also within an attribute."""
    return html.escape(printable_text(value, longest), quote=True)


def setting(value: Any) -> str:
    """A setting of a protocol as plain text; what is not there, and NaN, as a dash."""
    if value is None or (isinstance(value, (float, np.floating)) and not np.isfinite(value)):
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (float, np.floating)):
        return f"{float(value):g}"
    if isinstance(value, (list, tuple, set, frozenset)):
        return ", ".join(
            setting(one) for one in (value if isinstance(value, (list, tuple)) else sorted(value, key=str))
        )
    return str(value)


def flattened(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Settings of settings with dotted names."""
    out: dict[str, str] = {}
    for key, value in settings.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            out |= flattened(value, f"{name}.")
        else:
            out[name] = setting(value)
    return out


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: bool = True) -> str:
    """A table of cells that are HTML already; the first column names the rows."""
    kind = ' class="numbers"' if numbers else ""
    top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>' + "".join(f"<td>{cell}</td>" for cell in row[1:]) + "</tr>\n"
        for row in rows
    )
    return f'<div class="wide"><table{kind}><thead><tr>{top}</tr></thead>\n<tbody>{body}</tbody></table></div>\n'


def section(identifier: str, title: str, body: str) -> str:
    """A section under a heading; the title is text, the body HTML."""
    return f'<section id="{identifier}" aria-label="{text(title)}">\n<h2>{text(title)}</h2>\n{body}</section>\n'


def missing(title: str, reason: str) -> str:
    """The line that stands where a figure would."""
    return f'<p class="missing"><b>{text(title)}</b>: not shown, {text(reason)}.</p>\n'


def style() -> str:
    """The style sheet: light, dark, and paper."""

    def variables(page: Mapping[str, str], series: Sequence[str]) -> str:
        colours = dict(page) | {f"s{place}": colour for place, colour in enumerate(series)}
        return "".join(f"--{name}:{colour};" for name, colour in colours.items())

    light, dark = variables(_LIGHT_PAGE, SERIES), variables(_DARK_PAGE, _DARK_SERIES)
    return (
        f":root{{color-scheme:light dark;{light}}}\n"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n{_RULES}"
    )


_RULES = """
*{box-sizing:border-box}
body{margin:0 auto;max-width:1120px;padding:1.5rem 1.25rem 4rem;background:var(--page);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
h1{font-size:1.75rem;line-height:1.2;margin:.2em 0 .3em;overflow-wrap:anywhere}
h2{font-size:1.3rem;margin:2.6rem 0 .6rem;padding-bottom:.25rem;border-bottom:1px solid var(--grid)}
h3{font-size:1.02rem;margin:1.4rem 0 .35rem;overflow-wrap:anywhere}
p{margin:.4rem 0}
.quiet,figcaption,.what,.n{color:var(--muted);font-size:.86rem}
.what{font-weight:400}
figcaption,.what,code{overflow-wrap:anywhere}
td,th{overflow-wrap:break-word}
tbody th{min-width:8rem}
nav ul{list-style:none;display:flex;flex-wrap:wrap;gap:.25rem 1.1rem;margin:.6rem 0;padding:0;font-size:.9rem}
a{color:var(--accent)}
figure{margin:.6rem 0 1rem;break-inside:avoid}
svg{display:block;width:100%;height:auto;fill:var(--ink)}
svg *{stroke-linejoin:round;stroke-linecap:butt}
svg text{font-family:inherit}
.wide{overflow-x:auto}
.plot{overflow-x:auto}
.plot svg{min-width:640px}
table{border-collapse:collapse;font-size:.88rem;margin:.5rem 0}
th,td{padding:.32rem .7rem .32rem 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--grid);
max-width:26rem}
thead th{color:var(--muted);font-weight:600}
tbody th{font-weight:600}
.numbers td{font-variant-numeric:tabular-nums;min-width:6.5rem}
.key{display:inline-block;width:.85em;height:.85em;border-radius:2px;margin-right:.4em;vertical-align:-.06em}
.cards{display:flex;flex-wrap:wrap;gap:.8rem;padding:0;margin:1rem 0;list-style:none}
.cards li{background:var(--card);border-radius:8px;padding:.7rem 1rem;flex:1 1 15rem;min-width:0;overflow-wrap:anywhere}
.cards b{font-size:1.05rem}
.big{font-size:1.5rem;font-weight:600;font-variant-numeric:tabular-nums}
.warn{border-left:4px solid var(--warn);background:var(--card);padding:.5rem .9rem}
.warn-word{color:var(--warn);font-weight:400}
.missing{color:var(--muted);background:var(--card);border-radius:6px;padding:.5rem .9rem}
.gallery{display:grid;grid-template-columns:repeat(auto-fill,minmax(160px,1fr));
gap:.9rem;list-style:none;padding:0;margin:.6rem 0}
.gallery figure{margin:0}
.gallery figcaption{text-align:center;line-height:1.35}
.gallery figcaption b{color:var(--ink);font-weight:600}
code{font-size:.92em}
@media print{body{max-width:none;padding:0;font-size:10.5pt}nav{display:none}.plot svg{min-width:0}
h2,h3,h3+.quiet{break-after:avoid}tr,.gallery li{break-inside:avoid}.gallery{grid-template-columns:repeat(6,1fr)}
.key,svg{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
"""
