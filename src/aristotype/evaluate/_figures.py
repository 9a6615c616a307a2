"""All figures of the report in order, and all of them as PNG files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aristotype._files import atomic_path, refuse_overwrite
from aristotype.errors import InputError
from aristotype.evaluate._draw import crystal_title, draw_crystals
from aristotype.evaluate._elements_plot import elements
from aristotype.evaluate._energy_plots import before_and_after, confidence, hull, relaxation
from aristotype.evaluate._figure_style import png, styled
from aristotype.evaluate._gallery import galleries
from aristotype.evaluate._picture import Picture
from aristotype.evaluate._plots import crystal_systems, funnel, geometry, positions, sizes, space_groups
from aristotype.evaluate._sets import Sets, evaluated_sets

if TYPE_CHECKING:
    import os

    import pyarrow as pa

GALLERY = 12
"""Crystals of a gallery, unless asked otherwise."""
MAX_GALLERY = 100
_PLOTS = (
    funnel,
    hull,
    confidence,
    before_and_after,
    relaxation,
    crystal_systems,
    space_groups,
    positions,
    elements,
    sizes,
    geometry,
)
_COLUMNS = 6


def pictures(sets: Sets) -> Iterator[Picture]:
    """Every figure of the report but the crystals, in order, one at a time; call it within `styled`."""
    for plot in _PLOTS:
        yield from plot(sets)


def save_figures(
    folder: str | os.PathLike[str],
    evaluations: Sequence[tuple[Mapping[str, Any], pa.Table]],
    reference: pa.Table | None = None,
    *,
    reference_name: str = "reference",
    gallery: int = GALLERY,
    seed: int = 0,
    dpi: int = 120,
    force: bool = False,
) -> list[Path]:
    """Writes the figures of the report as PNG files.

    Figures for which columns are missing are left out. Colours and fonts are those of matplotlib's settings here, and
    not the user's: `rcParams` are changed while it runs, so do not draw in another thread meanwhile.

    Args:
        folder: where to; made if it is not there.
        evaluations: as for `write_page`.
        reference: as for `write_page`.
        reference_name: what the reference is called.
        gallery: at most so many crystals a gallery; 0 for none.
        seed: of the draw of crystals.
        dpi: dots an inch; figures are 10.4 inches wide.
        force: whether files that are there may be replaced.

    Returns:
        The files written.

    Raises:
        InputError: no set or too many, or a number is out of range.
        TableError: a table is no table of crystals, or a column has a wrong type.
        OutputError: a file exists, or cannot be written.
    """
    check_gallery(gallery)
    if not 30 <= dpi <= 600:
        raise InputError(f"{dpi} dots an inch; it may be 30 to 600")
    sets = evaluated_sets(evaluations, reference, reference_name)
    written = []
    with styled():
        for name, figure in _named_figures(sets, gallery, seed):
            path = Path(folder) / f"{name}.png"
            refuse_overwrite(path, force)
            with atomic_path(path) as temporary:
                png(figure, temporary, dpi)
            written.append(path)
    return written


def _named_figures(sets: Sets, gallery: int, seed: int) -> Iterator[tuple[str, Any]]:
    for picture in pictures(sets):
        if picture.figure is not None:
            yield picture.subject.key, picture.figure
    for one in sets.evaluated if gallery else ():
        for chosen in galleries(one, gallery, seed):
            if chosen.rows:
                crystals = chosen.crystals()
                lines = [f"{crystal_title(c)}\n{energy}" for c, energy in zip(crystals, chosen.energies(), strict=True)]
                yield f"crystals-{chosen.key}", draw_crystals(crystals, lines, columns=_COLUMNS)


def check_gallery(gallery: int) -> None:
    """Refuses sizes of a gallery that make no sense.

    Raises:
        InputError: naming the number.
    """
    if not 0 <= gallery <= MAX_GALLERY:
        raise InputError(f"a gallery of {gallery} crystals; it may have 0 to {MAX_GALLERY}")
