"""Which structures are the same: the answers of pymatgen's `StructureMatcher`, for whole tables.

Only structures of one reduced formula can match, and only if their reduced cells have equally many atoms of each
element. So only structures that share their formula are reduced, each once, and only reduced cells of one composition
are compared. Neither changes an answer.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from aristotype._pool import check_processes, ordered_map, worker_pool
from aristotype.errors import InputError
from aristotype.evaluate._fit import Tolerances, fits, rms_distance
from aristotype.evaluate._reduction import ReducedCell, reduced_cells
from aristotype.evaluate._sides import Side, Structures, make_side

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Executor

T = TypeVar("T")
R = TypeVar("R")
_REDUCTIONS = 64  # structures a task, about 0.15 s
_PAIRS = 1_000  # comparisons a task where it can be cut, about 0.5 s
_DISTANCES = 100  # the same for distances, which take longer because their search does not end early


class Matches(NamedTuple):
    """What each of n structures matches first, None where nothing."""

    firsts: list[int | None]  # a kept structure before it
    references: list[int | None]  # a structure of the reference


class Matcher(Tolerances):
    """pymatgen's `StructureMatcher` with its `ElementComparator`, for tables.

    Every answer is that of `StructureMatcher(ltol, stol, angle_tol, scale=scale, comparator=ElementComparator())`, with
    primitive cells, without supercells and subsets. `fit` is not symmetric: here the structure that was there before
    (the earlier row, the reference) is its first argument, as in pymatgen's own `group_structures`.

    Structures are a table of crystals, whose primitive cells are compared, or a sequence of pymatgen `Structure`s or
    `Cell`s, which are taken as they are. All methods raise `TableError` where a row is a gene, `StructureError` where a
    structure is disordered, not finite or has no reduced cell, and `InputError` where something is no structure or
    `processes` is less than 1.
    """

    def first_matches(
        self, structures: Structures, *, processes: int = 1, executor: Executor | None = None
    ) -> list[int | None]:
        """Finds duplicates: for each row the first kept row before it that it matches, None for the kept rows.

        Matching is not transitive. A row is compared with kept rows only, in order, and is kept if it matches none of
        them, even if it matches a duplicate of one. So each kept row and its duplicates are a group as
        `StructureMatcher.group_structures` makes it.

        Args:
            structures: n structures.
            processes: worker processes, one thread each.
            executor: runs the work instead of processes of our own.

        Returns:
            n row numbers or None.
        """
        return self._find(structures, [], True, _Crew(processes, executor)).firsts

    def reference_matches(
        self, structures: Structures, reference: Structures, *, processes: int = 1, executor: Executor | None = None
    ) -> list[int | None]:
        """Finds known structures: for each row the first row of a reference that it matches, None if it is new.

        Args:
            structures: n structures.
            reference: the structures that are known.
            processes: worker processes, one thread each.
            executor: runs the work instead of processes of our own.

        Returns:
            n row numbers of the reference or None.
        """
        return self._find(structures, reference, False, _Crew(processes, executor)).references

    def matches(
        self, structures: Structures, reference: Structures, *, processes: int = 1, executor: Executor | None = None
    ) -> Matches:
        """`first_matches` and `reference_matches` in one go, which reduces every structure once.

        Args:
            structures: n structures.
            reference: the structures that are known.
            processes: worker processes, one thread each.
            executor: runs the work instead of processes of our own.
        """
        return self._find(structures, reference, True, _Crew(processes, executor))

    def rms(
        self,
        first: Structures,
        second: Structures,
        pairs: Iterable[tuple[int, int]] | NDArray[np.int64],
        *,
        processes: int = 1,
        executor: Executor | None = None,
    ) -> NDArray[np.float64]:
        """Smallest root mean square distance of paired atoms, in units of (volume / atoms)^(1/3).

        Args:
            first: structures that are `get_rms_dist`'s first argument, predictions for example.
            second: structures that are its second argument.
            pairs: m pairs of rows, of `first` and of `second`.
            processes: worker processes, one thread each.
            executor: runs the work instead of processes of our own.

        Returns:
            (m,) distances below `stol`; NaN where the two do not match.
        """
        asked = np.array(pairs if isinstance(pairs, np.ndarray) else list(pairs), np.int64).reshape(-1, 2)
        sides = make_side(first), make_side(second)
        _check_rows(asked, sides)
        same_formula = np.flatnonzero(_equal(sides[0].formulas, sides[1].formulas, asked))
        rows = [np.unique(asked[same_formula, column]).tolist() for column in (0, 1)]
        out = np.full(len(asked), np.nan)
        with _Crew(processes, executor).gathered(sum(map(len, rows)) + len(same_formula)) as crew:
            one, two = (_reduced(side, some, crew) for side, some in zip(sides, rows))
            kind, other = ({row: _composition(cell) for row, cell in cells.items()} for cells in (one, two))
            todo = same_formula[_equal(kind, other, asked[same_formula])]
            parts = (asked[todo[start : start + _DISTANCES]].tolist() for start in range(0, len(todo), _DISTANCES))
            tasks = ((self, [(one[i], two[j]) for i, j in part]) for part in parts)
            out[todo] = [value for part in crew.map(_distances, tasks) for value in part]
        return out

    def _find(self, structures: Structures, reference: Structures, own: bool, crew: _Crew) -> Matches:
        side, known = make_side(structures), make_side(reference)
        rows, known_rows = _grouped(enumerate(side.formulas)), _grouped(enumerate(known.formulas))
        met = [key for key in rows if key in known_rows]
        alone = [key for key in rows if key not in known_rows and own and len(rows[key]) > 1]
        wanted = sorted(row for key in met + alone for row in rows[key])
        known_wanted = sorted(row for key in met for row in known_rows[key])
        out = Matches([None] * len(side.formulas), [None] * len(side.formulas))
        with crew.gathered(len(wanted) + len(known_wanted)) as ready:
            cells, known_cells = _reduced(side, wanted, ready), _reduced(known, known_wanted, ready)
            work = list(_work(_by_composition(cells), _by_composition(known_cells), own))
            for task, found in zip(work, ready.map(_compare, [(self, task) for task in work]), strict=True):
                for row, match in found:
                    (out.references if task.others else out.firsts)[row] = match
        return out


class _Crew(NamedTuple):
    """Who does the work."""

    processes: int
    executor: Executor | None = None

    def map(self, function: Callable[[T], R], tasks: Iterable[T]) -> Iterable[R]:
        """Results in order."""
        processes = self.processes if self.executor else 1
        return ordered_map(function, tasks, processes=processes, start=_warm_up, executor=self.executor)

    @contextmanager
    def gathered(self, structures: int) -> Iterator[_Crew]:
        """The crew with its processes running; none where there is less work than they take to start."""
        check_processes(self.processes)
        if self.executor is not None or structures < 4 * _REDUCTIONS:
            yield self
        else:
            with worker_pool(self.processes, start=_warm_up) as pool:
                yield self._replace(executor=pool)


def _warm_up() -> None:
    import pymatgen.core  # noqa: F401 (what takes longest, in all processes at once)


class _Bucket(NamedTuple):
    """Reduced cells of one composition, by row; without `others`, they are compared with each other."""

    cells: dict[int, ReducedCell]
    others: dict[int, ReducedCell]


def _compare(task: tuple[Tolerances, _Bucket]) -> list[tuple[int, int]]:
    """The rows that match, with what they match first."""
    tolerances, (cells, others) = task
    found, kept = [], dict(others)
    for row, cell in cells.items():
        match = next((other for other, known in kept.items() if fits(known, cell, tolerances)), None)
        if match is not None:
            found.append((row, match))
        elif not others:
            kept[row] = cell
    return found


def _work(
    buckets: dict[bytes, dict[int, ReducedCell]], known: dict[bytes, dict[int, ReducedCell]], own: bool
) -> Iterable[_Bucket]:
    """Buckets to compare; those with a reference cut where they are large, as each row stands for itself there."""
    for composition, cells in buckets.items():
        if own and len(cells) > 1:
            yield _Bucket(cells, {})
        if others := known.get(composition):
            rows, size = list(cells), max(1, _PAIRS // len(others))
            for start in range(0, len(rows), size):
                yield _Bucket({row: cells[row] for row in rows[start : start + size]}, others)


def _distances(task: tuple[Tolerances, list[tuple[ReducedCell, ReducedCell]]]) -> list[float]:
    tolerances, pairs = task
    values = (rms_distance(first, second, tolerances) for first, second in pairs)
    return [np.nan if value is None else value for value in values]


def _reduced(side: Side, rows: Sequence[int], crew: _Crew) -> dict[int, ReducedCell]:
    """Reduced cells of some rows, by row and in order."""
    names, cells = side.names(rows), side.cells(rows)
    starts = range(0, len(rows), _REDUCTIONS)
    tasks = [(names[start : start + _REDUCTIONS], cells[start : start + _REDUCTIONS]) for start in starts]
    return dict(zip(rows, (cell for part in crew.map(reduced_cells, tasks) for cell in part), strict=True))


def _equal(
    one: Mapping[int, bytes] | Sequence[bytes], two: Mapping[int, bytes] | Sequence[bytes], pairs: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """(m,) whether the two rows of each pair have equal keys."""
    same = (one[i] == two[j] for i, j in pairs.tolist())
    return np.fromiter(same, dtype=bool, count=len(pairs))


def _composition(cell: ReducedCell) -> bytes:
    return np.sort(cell.numbers).tobytes()


def _by_composition(cells: dict[int, ReducedCell]) -> dict[bytes, dict[int, ReducedCell]]:
    found = _grouped((row, _composition(cell)) for row, cell in cells.items())
    return {key: {row: cells[row] for row in rows} for key, rows in found.items()}


def _grouped(keyed: Iterable[tuple[int, bytes]]) -> dict[bytes, list[int]]:
    """Rows by their key, in order."""
    out: dict[bytes, list[int]] = defaultdict(list)
    for row, key in keyed:
        out[key].append(row)
    return dict(out)


def _check_rows(asked: NDArray[np.int64], sides: tuple[Side, Side]) -> None:
    for column, side in zip(asked.T, sides, strict=True):
        count = len(side.formulas)
        wrong = column[(column < 0) | (column >= count)]
        if len(wrong):
            raise InputError(f"a pair names row {wrong[0]} of {count} structures; rows count from 0")
