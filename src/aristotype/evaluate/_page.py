"""The report page: one HTML file that shows evaluated sets side by side and needs nothing but a browser."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from aristotype._files import atomic_path, refuse_overwrite
from aristotype.crystal import package_version
from aristotype.evaluate._draw import crystal_figure, crystal_title, group_symbol, subscripted
from aristotype.evaluate._figure_style import SERIES, inline_svg, styled
from aristotype.evaluate._figures import GALLERY, check_gallery, pictures
from aristotype.evaluate._gallery import Gallery, galleries
from aristotype.evaluate._html import flattened, missing, section, setting, style, table, text
from aristotype.evaluate._picture import Grid, Picture, figure_number
from aristotype.evaluate._plots import STAGES, stage_counts
from aristotype.evaluate._sets import DASH, MINUS, EvaluatedSet, Sets, evaluated_sets

if TYPE_CHECKING:
    import os

    import pyarrow as pa

_LONGEST_ID = 80
_NAMED = 4  # sets that a heading names one by one
_GALLERY_NOTE = (
    "Conventional cells, primitive ones above 120 atoms; atoms on faces of the cell are repeated, radii are 0.55 "
    "covalent radii, colours those of Jmol. Hull: energy above hull."
)


def write_page(
    path: str | os.PathLike[str],
    evaluations: Sequence[tuple[Mapping[str, Any], pa.Table]],
    reference: pa.Table | None = None,
    *,
    reference_name: str = "reference",
    gallery: int = GALLERY,
    seed: int = 0,
    force: bool = False,
) -> None:
    """Writes one HTML page about evaluated sets; it opens from a file and fetches nothing.

    The same input gives the same bytes. Figures for which columns are missing are left out, and the page says why.
    matplotlib's `rcParams` are changed while it runs, so do not draw in another thread meanwhile.

    Args:
        path: the file to write.
        evaluations: a summary and a table for each set, in the order of the page. A summary has `name`, `protocol`,
            `counts`, `metrics` (name to `value`, `low`, `high`, `n`, `unit`, `what`), `notes` and `versions`, each of
            which may be absent; a table has the columns of `CrystalTable` and what was computed of the others.
        reference: a table of crystals that sets are compared with, with `e_above_hull` where it is known.
        reference_name: what the reference is called.
        gallery: at most so many crystals a gallery; 0 for no galleries.
        seed: of the draw of crystals.
        force: whether a file that is there may be replaced.

    Raises:
        InputError: no set or too many, or `gallery` is out of range.
        TableError: a table is no table of crystals, or a column has a wrong type.
        OutputError: the file exists, or cannot be written.
    """
    check_gallery(gallery)
    refuse_overwrite(path, force)
    sets = evaluated_sets(evaluations, reference, reference_name)
    with styled():
        parts = list(_sections(sets, gallery, seed))
    with atomic_path(path) as temporary:
        temporary.write_text(_document(sets, parts), encoding="utf-8", newline="\n")


def _document(sets: Sets, parts: list[tuple[str, str, str]]) -> str:
    links = "".join(f'<li><a href="#{identifier}">{text(title)}</a></li>' for identifier, title, _ in parts)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # Nothing is fetched and nothing runs, whatever a name may hold.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>Evaluation of {text(_names(sets))}</title>\n<style>\n{style()}</style>\n</head>\n<body>\n"
        f'{_header(sets)}<nav aria-label="Sections"><ul>{links}</ul></nav>\n<main>\n'
        + "".join(section(identifier, title, body) for identifier, title, body in parts)
        + "</main>\n</body>\n</html>\n"
    )


def _names(sets: Sets) -> str:
    count = len(sets.evaluated)
    return ", ".join(one.name for one in sets.evaluated) if count <= _NAMED else f"{count} sets"


def _header(sets: Sets) -> str:
    """Names, counts, protocols and the version at a glance."""
    cards = "".join(_card(one) for one in sets.evaluated)
    known = sets.reference
    against = "no reference" if known is None else f"reference: {text(known.name)}, {len(known):,} structures"
    warning = ""
    protocols = {tuple(_protocol(one).items()) for one in sets.evaluated}
    if len(protocols) > 1:
        warning = (
            '<p class="warn">These sets were judged under different protocols (see the table of the protocol): '
            "figures that depend on a setting that differs cannot be compared.</p>\n"
        )
    return (
        f"<header>\n<h1>Evaluation of {text(_names(sets))}</h1>\n"
        f'<p class="quiet">aristotype {text(package_version())}; {against}</p>\n'
        f'<ul class="cards">{cards}</ul>\n{warning}</header>\n'
    )


def _card(one: EvaluatedSet) -> str:
    counts, protocol = stage_counts(one), _protocol(one)
    submitted = counts.get("submitted")
    best = counts.get("sun")
    lines = [f"<b>{_key(one)}{text(one.name)}</b>"]
    if best is not None and submitted:
        lines.append(f'<span class="big">{best / submitted:.1%}</span> S.U.N. of {submitted:,} submitted')
    lines.append(", ".join(f"{count:,} {text(STAGES[stage])}" for stage, count in counts.items()) or "no counts")
    named = " ".join(part for part in (protocol.get("name"), protocol.get("version")) if part)
    lines.append(f'<span class="quiet">protocol: {text(named) if named else "not stated"}</span>')
    return f"<li>{'<br>'.join(lines)}</li>"


def _key(one: EvaluatedSet) -> str:
    place = (one.place or 0) % len(SERIES)
    return f'<span class="key" style="background:var(--s{place})"></span>'


def _heads(sets: Sets) -> list[str]:
    return [f"{_key(one)}{text(one.name)}" for one in sets.evaluated]


def _sections(sets: Sets, gallery: int, seed: int) -> Iterator[tuple[str, str, str]]:
    """Identifier, title and HTML of every section, in order."""
    yield "metrics", "Metrics", _metrics(sets)
    yield "protocol", "Protocol", _protocols(sets)
    grouped: dict[str, list[str]] = {}
    for picture in pictures(sets):  # each is turned to text and dropped, so that figures do not pile up
        grouped.setdefault(picture.subject.section, []).append(_figure(picture))
    for title, bodies in grouped.items():
        yield title.lower().replace(" ", "-").replace(",", ""), title, "".join(bodies)
    if gallery:
        bodies = [f'<p class="quiet">{_GALLERY_NOTE}</p>\n']
        bodies += [_gallery(chosen) for one in sets.evaluated for chosen in galleries(one, gallery, seed)]
        yield "crystals", "Crystals", "".join(bodies)
    yield "notes", "Notes and versions", _notes(sets)


# Tables ---------------------------------------------------------------------------------------------------------------


def _metrics(sets: Sets) -> str:
    every = [one.summary.get("metrics") or {} for one in sets.evaluated]
    names = list(dict.fromkeys(name for metrics in every for name in metrics))
    if not names:
        return missing("Metrics", "no summary has any")
    rows = []
    for name in names:
        entries = [metrics.get(name) or {} for metrics in every]
        units = [str(entry["unit"]) for entry in entries if entry.get("unit")]
        about = list(dict.fromkeys(str(entry["what"]) for entry in entries if entry.get("what")))
        what = "".join(f'<br><span class="what">{text(one)}</span>' for one in about)
        rows.append([f"{text(name)}{what}", text(units[0]) if units else "", *(_metric(entry) for entry in entries)])
    note = '<p class="quiet">In brackets: the 95% interval; n: on how many the figure rests.</p>\n'
    return table(["metric", "unit", *_heads(sets)], rows) + note


def _metric(entry: Mapping[str, Any]) -> str:
    """Value, interval and n, with the digits that the interval allows."""
    value, low, high = (_number(entry.get(key)) for key in ("value", "low", "high"))
    if value is None:
        return f'<span title="not computed">{DASH}</span>'
    count = _number(entry.get("n"))
    n = "" if count is None else f'<br><span class="n">n = {count:,.0f}</span>'
    if low is None or high is None:
        return f"{_plain(value)}{n}"
    width = max((high - low) / 2, abs(value) * 1e-6, 1e-12)
    decimals = min(max(0, 1 - int(np.floor(np.log10(width)))), 8)
    shown = [f"{number:z,.{decimals}f}" for number in (value, low, high)]
    return f'{shown[0]} <span class="n">[{shown[1]}, {shown[2]}]</span>{n}'.replace("-", MINUS)


def _plain(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) and abs(value) < 1e15 else figure_number(value, 4)


def _number(value: Any) -> float | None:
    """A finite number, or None."""
    if isinstance(value, (int, float, np.number)) and np.isfinite(value):
        return float(value)
    return None


def _protocol(one: EvaluatedSet) -> dict[str, str]:
    found = one.summary.get("protocol") or {}
    return flattened(found) if isinstance(found, Mapping) else {"name": setting(found)}


def _protocols(sets: Sets) -> str:
    every = [_protocol(one) for one in sets.evaluated]
    names = list(dict.fromkeys(name for settings in every for name in settings))
    if not names:
        return missing("Protocol", "no summary states one")
    same = [name for name in names if len({settings.get(name, DASH) for settings in every}) == 1]
    rows = []
    for name in names:
        mark = "" if name in same else ' <span class="warn-word">(differs)</span>'
        rows.append([f"{text(name)}{mark}", *(text(settings.get(name, DASH)) for settings in every)])
    return table(["setting", *_heads(sets)], rows, numbers=False)


def _notes(sets: Sets) -> str:
    bodies = []
    for one in sets.evaluated:
        notes = one.summary.get("notes") or []
        listed = "".join(f"<li>{text(note)}</li>" for note in ([notes] if isinstance(notes, str) else notes))
        bodies.append(
            f"<h3>{_key(one)}{text(one.name)}</h3>\n" + (f"<ul>{listed}</ul>\n" if listed else "<p>No notes.</p>\n")
        )
    every = [flattened(one.summary.get("versions") or {}) for one in sets.evaluated]
    names = list(dict.fromkeys(name for versions in every for name in versions))
    rows = [[text(name), *(text(versions.get(name, DASH)) for versions in every)] for name in names]
    bodies.append(
        table(["version", *_heads(sets)], rows, numbers=False) if rows else "<p>No versions are stated.</p>\n"
    )
    return "".join(bodies)


# Figures --------------------------------------------------------------------------------------------------------------


def _figure(picture: Picture) -> str:
    if picture.figure is None:
        return missing(picture.subject.title, picture.missing)
    drawn = inline_svg(picture.figure, picture.subject.key, picture.subject.title, picture.description)
    caption = f"<figcaption>{text(picture.caption)}</figcaption>\n" if picture.caption else ""
    return (
        f'<h3>{text(picture.subject.title)}</h3>\n<figure>\n<div class="plot">{drawn}</div>\n{caption}</figure>\n'
        f"{_grid(picture.grid)}"
    )


def _grid(grid: Grid | None) -> str:
    if grid is None:
        return ""
    return table([text(cell) for cell in grid.head], [[text(cell) for cell in row] for row in grid.rows])


def _gallery(chosen: Gallery) -> str:
    if not chosen.rows:
        return missing(chosen.title, chosen.missing)
    ids = chosen.owner.table.ids
    items = []
    for crystal, row, energy in zip(chosen.crystals(), chosen.rows, chosen.energies(), strict=True):
        words = f"{crystal.num_sites} sites, {crystal.num_atoms} atoms in the conventional cell; {energy}"
        drawn = inline_svg(crystal_figure(crystal), f"{chosen.key}-{row}", crystal_title(crystal), words)
        items.append(
            f"<li><figure>{drawn}<figcaption><b>{text(subscripted(crystal.formula))}</b><br>"
            f"{text(group_symbol(crystal.space_group))} ({crystal.space_group})<br>{text(energy)}<br>"
            f"<code>{text(ids[row], _LONGEST_ID)}</code></figcaption></figure></li>\n"
        )
    return (
        f'<h3>{text(chosen.title)}</h3>\n<p class="quiet">{text(chosen.note)}</p>\n'
        f'<ul class="gallery">{"".join(items)}</ul>\n'
    )
