"""Cells to crystals: moyopy finds the symmetry, exact algebra reads free parameters off its standardised cell."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal._checks import Cell, Limits, complaints
from aristotype.crystal._schema import centring_orders, freedoms, multiplicities
from aristotype.crystal._sites import by_position, order_key, read_free
from aristotype.crystal._table import CrystalTable
from aristotype.errors import StructureError
from aristotype.symmetry import LETTERS, cell_parameters, lattice_constraints

if TYPE_CHECKING:
    from collections.abc import Iterable

Floats = NDArray[np.float64]
DEFAULT_TOLERANCE = 0.1
"""Angstrom; what the papers use for structures relaxed by DFT."""
_CHUNK = 1024
_LETTER_INDEX = {letter: index for index, letter in enumerate(LETTERS)}
_ON_POSITION = 1e-6
"""Largest distance (fractional) of a standardised atom from its position; moyopy's refinement is exact to rounding."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """An input that could not be encoded."""

    index: int  # place in the input
    id: str
    reason: str


class _Found(NamedTuple):
    """What the symmetry search says about one structure: its group, cell and one atom of each orbit."""

    number: int
    basis: list[list[float]]
    points: list[list[float]]
    letters: list[int]
    elements: list[int]
    tolerance: float


def encode_cells(
    named: Iterable[tuple[str, Cell | str]],
    limits: Limits,
    angle_tolerance: float | None = None,
    failures: list[Failure] | None = None,
) -> CrystalTable:
    """Encodes a stream of named cells; a string in place of a cell is the reason why there is none.

    Raises:
        StructureError: a structure cannot be encoded and `failures` is None.
    """
    search = _Search(limits.tolerance, angle_tolerance)
    stream, start, parts = iter(named), 0, []
    while chunk := list(islice(stream, _CHUNK)):
        names = [name for name, _ in chunk]
        reasons: list[str | None] = [cell if isinstance(cell, str) else None for _, cell in chunk]
        present = [index for index, (_, cell) in enumerate(chunk) if not isinstance(cell, str)]
        cells: list[Cell] = [chunk[index][1] for index in present]  # type: ignore[misc]
        found: dict[int, _Found] = {}
        for index, cell, reason in zip(present, cells, complaints(cells, limits), strict=True):
            result = reason or search(cell)
            if isinstance(result, str):
                reasons[index] = result
            else:
                found[index] = result
        table, unsound = _assemble(list(found.values()), [names[index] for index in found])
        for index, place in enumerate(found):
            reasons[place] = unsound.get(index)
        _report(names, reasons, start, failures)
        parts.append(table)
        start += len(chunk)
    return CrystalTable.concatenate(parts) if parts else _assemble([], [])[0]


def _report(names: list[str], reasons: list[str | None], start: int, failures: list[Failure] | None) -> None:
    for index, reason in enumerate(reasons):
        if reason is not None:
            if failures is None:
                raise StructureError(f"structure {names[index]!r} cannot be encoded: {reason}")
            failures.append(Failure(index=start + index, id=names[index], reason=reason))


@cache
def _quiet_moyo() -> None:
    # It warns on standard error about supercells, which are nothing unusual here.
    logging.getLogger("moyo").setLevel(logging.ERROR)


class _Search:
    """moyopy with our settings."""

    def __init__(self, tolerance: float, angle_tolerance: float | None) -> None:
        import moyopy

        _quiet_moyo()
        self._moyopy = moyopy
        self._setting = moyopy.Setting.standard()
        self._tolerance = tolerance
        self._angle = None if angle_tolerance is None else float(np.radians(angle_tolerance))

    def __call__(self, cell: Cell) -> _Found | str:
        """The symmetry of a structure, or why it could not be found."""
        try:
            data = self._moyopy.MoyoDataset(
                self._moyopy.Cell(cell.lattice.tolist(), cell.coords.tolist(), cell.numbers.tolist()),
                symprec=self._tolerance,
                angle_tolerance=self._angle,
                setting=self._setting,
            )
        except (ValueError, RuntimeError, TypeError) as error:
            return (
                f"no space group was found at a tolerance of {self._tolerance:g} Angstrom ({error}); try a smaller one"
            )
        except BaseException as error:
            # A panic in moyopy's Rust code is not an Exception; Ctrl-C must go on.
            if type(error).__name__ != "PanicException":
                raise
            return f"the symmetry search broke down on it ({error}); try another tolerance or its primitive cell"
        return self._read(data, cell)

    def _read(self, data: Any, cell: Cell) -> _Found | str:
        standard, orbits, mapping, letters = data.std_cell, data.orbits, data.mapping_std_prim, data.wyckoffs
        positions, elements = standard.positions, standard.numbers
        # The standardised cell lists each atom of the primitive one with its centring translations after it.
        order = int(centring_orders()[data.number])
        numbers = cell.numbers.tolist()
        if any(elements[image * order] != number for image, number in zip(mapping, numbers, strict=True)):
            return "the symmetry search exchanged elements; give a smaller tolerance"
        first = [atom for atom, orbit in enumerate(orbits) if orbit == atom]
        sites = _Found(
            number=data.number,
            basis=standard.basis,
            points=[positions[mapping[atom] * order] for atom in first],
            letters=[_LETTER_INDEX[letters[atom]] for atom in first],
            elements=[numbers[atom] for atom in first],
            tolerance=data.symprec,
        )
        total = multiplicities()[data.number, sites.letters].sum()
        if total != len(elements):
            return (
                f"its positions hold {total} atoms and its standardised cell {len(elements)}; give a smaller tolerance"
            )
        return sites


def _assemble(found: list[_Found], names: list[str]) -> tuple[CrystalTable, dict[int, str]]:
    """A table of the sound ones among found symmetries, and why others are not, by place."""
    group = np.array([f.number for f in found], np.int64)
    counts = np.array([len(f.letters) for f in found], np.int64)
    owner = np.repeat(np.arange(len(found)), counts)
    letters = np.array([letter for f in found for letter in f.letters], np.int64)
    elements = np.array([element for f in found for element in f.elements], np.int64)
    points = np.array([point for f in found for point in f.points], float).reshape(-1, 3)
    free, off = _read_all(group[owner], letters, points)
    lattice, breach = _read_lattices(group, np.array([f.basis for f in found], float).reshape(-1, 3, 3))
    unsound = _unsound(owner, off, breach)
    keep = np.array([place not in unsound for place in range(len(found))], bool)
    table = sorted_table(
        group=group[keep],
        owner=(np.cumsum(keep) - 1)[owner][keep[owner]],
        letters=letters[keep[owner]],
        elements=elements[keep[owner]],
        free=free[keep[owner]],
        lattice=lattice[keep],
        ids=[name for name, sound in zip(names, keep, strict=True) if sound],
    )
    return table.with_columns(tolerance=np.array([f.tolerance for f in found], float)[keep]), unsound


def _unsound(owner: NDArray[np.int64], off: Floats, breach: Floats) -> dict[int, str]:
    out: dict[int, str] = {}
    for site in np.flatnonzero(off > _ON_POSITION):
        out[int(owner[site])] = (
            f"an atom of its standardised cell is {off[site]:.2g} (fractional) off its position, the limit is "
            f"{_ON_POSITION:g}; try a smaller tolerance"
        )
    for place in np.flatnonzero(breach > _ON_POSITION):
        out[int(place)] = (
            f"its standardised cell breaks the lattice constraints of its group by {breach[place]:.2g}, the limit is "
            f"{_ON_POSITION:g}; try a smaller tolerance"
        )
    return out


def _read_all(group: NDArray[np.int64], letters: NDArray[np.int64], points: Floats) -> tuple[Floats, Floats]:
    """Canonical free parameters (sites, 3), zero beyond the freedom, and distances (sites,), one call a position."""
    free, off = np.zeros((len(points), 3)), np.zeros(len(points))
    for number, index, sites in by_position(group, letters):
        values, off[sites] = read_free(number, index, points[sites])
        free[sites, : values.shape[1]] = values
    return free, off


def _read_lattices(group: NDArray[np.int64], basis: Floats) -> tuple[Floats, Floats]:
    """Cells (n, 6) exactly within their constraints, and how far (n,) they were off."""
    cells = cell_parameters(basis) if len(basis) else np.zeros((0, 6))
    exact = cells.copy()
    for number in np.unique(group).tolist():
        rows, constraints = group == number, lattice_constraints(number)
        exact[rows] = constraints.expand(constraints.reduce(cells[rows], tolerance=np.inf))
    return exact, np.abs(exact - cells).max(axis=1, initial=0.0)


def sorted_table(
    *,
    group: NDArray[np.int64],
    owner: NDArray[np.int64],
    letters: NDArray[np.int64],
    elements: NDArray[np.int64],
    free: Floats,
    lattice: Floats,
    ids: list[str],
) -> CrystalTable:
    """A table from sites in any order: `owner` (sites,) is each one's row, `free` (sites, 3) its parameters first."""
    order = np.lexsort([order_key(free), elements, letters, owner])
    owner, letters, free = owner[order], letters[order], free[order]
    real = np.arange(3) < freedoms()[group[owner], letters][:, None]
    return CrystalTable.from_arrays(
        space_group=group,
        num_sites=np.bincount(owner, minlength=len(group)),
        elements=elements[order],
        wyckoffs=letters,
        free=free[real],
        lattice=lattice,
        ids=ids,
    )
