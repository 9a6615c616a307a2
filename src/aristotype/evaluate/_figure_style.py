"""How figures look, and figures as inline SVG or PNG, the same bytes for the same input.

Figures are drawn in the colours of a light page. In SVG each of these colours becomes a CSS variable, which the page
sets for light, dark and paper. Series have the colours of Okabe and Ito (2008), which people without red-green vision
tell apart, and differ in their lines too.
"""

from __future__ import annotations

import io
import re
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from aristotype.evaluate._sets import EvaluatedSet, printable_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matplotlib.figure import Figure

INK, MUTED, GRID, FILL, PAPER = "#20242b", "#6b727d", "#dfe3e8", "#bcc4ce", "#fefefe"
SERIES = ("#d55e00", "#0072b2", "#009e73", "#c2649a", "#b57f00", "#3a9bd9")
DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)))
VARIABLES = {INK: "ink", MUTED: "muted", GRID: "grid", FILL: "fill", PAPER: "paper"} | {
    colour: f"s{place}" for place, colour in enumerate(SERIES)
}
"""Colour of a drawing to the CSS variable that stands for it on the page."""
WIDTH = 10.4  # inches of a figure over the whole page

_FONT = "DejaVu Sans"  # comes with matplotlib, so that it is there on every machine
_LONGEST_LABEL = 32
_RC = {
    "font.family": _FONT,
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,  # a name with two dollar signs is a name
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.labelcolor": INK,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "svg.fonttype": "none",
    "svg.hashsalt": "aristotype",
}
_GEOMETRY = ("d", "x", "y", "points", "width", "height")
_HREF = "{http://www.w3.org/1999/xlink}href"


@contextmanager
def styled() -> Iterator[None]:
    """The style within which figures are made and written, whatever the user's own settings of matplotlib are."""
    from matplotlib import style

    with style.context(["default", _RC]):
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure (inches) without the global state of pyplot."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height))


def colour(one: EvaluatedSet) -> str:
    """The colour of a set."""
    return MUTED if one.place is None else SERIES[one.place % len(SERIES)]


def dashes(one: EvaluatedSet) -> Any:
    """The kind of line of a set."""
    return DASHES[(one.place or 0) // len(SERIES) % len(DASHES)]


def label(text: Any) -> str:
    """A name as a label in a figure: short, and with characters only that the font has."""
    known = _characters()
    shown = "".join(c if ord(c) in known else "?" for c in printable_text(text, _LONGEST_LABEL))
    # matplotlib leaves labels out of legends that begin with an underscore.
    return f" {shown}" if shown.startswith("_") else shown


@cache
def _characters() -> frozenset[int]:
    from matplotlib.font_manager import findfont, get_font

    return frozenset(get_font(findfont(_FONT)).get_charmap())


def png(figure: Figure, path: Path, dpi: int) -> None:
    """Writes a figure as PNG on white, without date and version."""
    figure.savefig(path, format="png", dpi=dpi, facecolor="white", metadata={"Software": None})


def inline_svg(figure: Figure, name: str, title: str, description: str) -> str:
    """A figure as an `svg` element for a page.

    No namespaces, metadata, comments or styles remain; identifiers are prefixed, so that figures do not meet.

    Args:
        figure: what is drawn.
        name: unique on the page; letters, digits and hyphens.
        title: its name for screen readers.
        description: what it shows, in words.
    """
    buffer = io.StringIO()
    unknown = {"Date": None, "Creator": None, "Format": None, "Type": None}
    figure.savefig(buffer, format="svg", transparent=True, metadata=unknown)
    root = ElementTree.fromstring(buffer.getvalue().encode())
    text = ElementTree.tostring(root, encoding="unicode")
    referenced = set(re.findall(r'(?:url\(|href=")#([^)"]+)', text))
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        _clean(element, name, referenced)
    for child in list(root):
        if child.tag == "metadata":
            root.remove(child)
    for defs in root.iter("defs"):
        for child in list(defs):
            if child.tag == "style":  # would hold for the whole page, which has the same rule for its figures
                defs.remove(child)
    _describe(root, name, title, description)
    return re.sub(r">\s+<", "><", ElementTree.tostring(root, encoding="unicode")).strip()


def _clean(element: ElementTree.Element, name: str, referenced: set[str]) -> None:
    attributes = element.attrib
    identifier = attributes.pop("id", None)
    if identifier in referenced:
        attributes["id"] = f"{name}-{identifier}"
    if _HREF in attributes:
        attributes["href"] = attributes.pop(_HREF).replace("#", f"#{name}-")
    for key in _GEOMETRY:
        if key in attributes:  # a hundredth of a point is not seen, and half of the bytes are such digits
            attributes[key] = re.sub(r"(\.\d\d)\d+", r"\1", attributes[key]).replace("\n", "").strip()
    for key in ("style", "clip-path"):
        if key in attributes:
            attributes[key] = _css(attributes[key].replace("url(#", f"url(#{name}-"))
    _as_circle(element)


def _as_circle(element: ElementTree.Element) -> None:
    """The eight curves that matplotlib draws a disc with as one short element, of which a gallery has thousands."""
    path = element.get("d", "")
    if element.tag != "path" or path.count("C") != 8 or not path.rstrip().endswith("z"):
        return
    numbers = [float(number) for number in re.findall(r"-?[\d.]+", path)]
    if len(numbers) != 2 + 8 * 6:
        return
    ends = [(numbers[start], numbers[start + 1]) for start in range(0, len(numbers), 6)][:8]
    x, y = (sum(end[axis] for end in ends) / 8 for axis in (0, 1))
    radii = [((end[0] - x) ** 2 + (end[1] - y) ** 2) ** 0.5 for end in ends]
    if max(radii) - min(radii) > 0.02:  # points; coordinates have two digits
        return
    del element.attrib["d"]
    element.tag = "circle"
    element.attrib |= {"cx": f"{x:.2f}", "cy": f"{y:.2f}", "r": f"{sum(radii) / 8:.2f}"}


def _css(style: str) -> str:
    """Colours as variables, fonts as those of the page."""
    style = re.sub(r"#[0-9a-f]{6}", lambda found: _variable(found.group()), style)
    style = re.sub(r"font: (?:(bold|600|700) )?([\d.]+px)[^;]*", _font, style)
    return style.replace("; ", ";").replace(": ", ":")


def _variable(colour: str) -> str:
    return f"var(--{VARIABLES[colour]})" if colour in VARIABLES else colour


def _font(found: re.Match[str]) -> str:
    weight, size = found.groups()
    return f"font-size: {size}" + ("; font-weight: 600" if weight else "")


def _describe(root: ElementTree.Element, name: str, title: str, description: str) -> None:
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    root.attrib |= {"role": "img", "aria-labelledby": f"{name}-title {name}-desc"}
    for place, (tag, text) in enumerate((("title", title), ("desc", description))):
        child = ElementTree.Element(tag, {"id": f"{name}-{tag}"})
        child.text = text
        root.insert(place, child)
