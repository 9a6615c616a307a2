"""`explore`: which phases can form in a space of compositions? Crystals of it, relaxed and ranked by energy above hull.

The hull holds the known phases of the space. What is on it or near it competes with them: a phase that a synthesis may
end in, wanted or not (McDermott et al., ACS Central Science 9, 1957, 2023).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from aristotype.crystal import CrystalTable, formulas, protostructure_labels
from aristotype.discover._generate import GenerateSummary, Sampler, generate
from aristotype.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from aristotype.crystal import Conditions, Failure
    from aristotype.discover._generate import Realizer
    from aristotype.evaluate import Hull


@dataclass(frozen=True, kw_only=True)
class ExploreResult:
    """Phases of a space, those of the lowest energy above hull first.

    Attributes:
        table: One row a phase, relaxed, with `formula`, `label`, `e_above_hull` (eV/atom) and the other columns of
            `stability`, `rank` from 1, `found` (how many of the crystals became this phase) and `log_prob` of the
            crystal that was drawn.
        generated: What was drawn.
        lost: Reasons why crystals are no phase, with their numbers.
        failures: Crystals that did not relax.
    """

    table: CrystalTable
    generated: GenerateSummary
    lost: dict[str, int]
    failures: tuple[Failure, ...]


def explore(
    model: Sampler,
    n: int,
    conditions: Conditions,
    *,
    hull: Hull,
    relax: Callable[[CrystalTable], CrystalTable],
    seed: int = 0,
    realize: Realizer | None = None,
    progress: Callable[[int, int, int], None] | None = None,
) -> ExploreResult:
    """Draws crystals in a space of compositions, relaxes them and ranks what they become.

    Args:
        model: A model of genes or crystals.
        n: How many crystals are drawn and relaxed.
        conditions: The space: `allowed_elements` at least, or a formula.
        hull: Known phases, by the potential that relaxes.
        relax: Relaxes a table, such as `aristotype.realize.relax` with its settings.
        seed: The same seed draws the same crystals.
        realize: See `generate`.
        progress: See `generate`.

    Raises:
        InputError: The conditions allow every element; energies are of another potential than the hull.
        InfeasibleConditionsError: Nothing satisfies the conditions.
    """
    from aristotype.realize import relax_failures

    if conditions.allowed_elements is None and conditions.formula is None:
        raise InputError("a space to explore is a set of elements (or a formula); say which are allowed")
    drawn = generate(model, n, conditions, seed=seed, realize=realize, progress=progress)
    relaxed = relax(drawn.table)
    relaxed = relaxed.with_columns({"log_prob": _by_id(drawn.table, "log_prob", relaxed.ids)})
    failures = tuple(relax_failures(relaxed))
    table, lost = phases(relaxed, hull)
    if drawn.summary.failed:
        lost = {"without geometry": drawn.summary.failed, **lost}
    return ExploreResult(table=table, generated=drawn.summary, lost=lost, failures=failures)


def phases(relaxed: CrystalTable, hull: Hull) -> tuple[CrystalTable, dict[str, int]]:
    """Distinct physical crystals of a relaxed table by energy above hull, and why others are not among them.

    Args:
        relaxed: crystals with the columns of `relax`.
        hull: known phases, by the same potential.

    Raises:
        InputError: the energies are of another potential than the hull's.
    """
    from aristotype.evaluate import Matcher, geometry, heights, stability
    from aristotype.realize import relax_failures

    failed = {failure.index for failure in relax_failures(relaxed)}
    columns = stability(relaxed, hull, min_distance=geometry(relaxed).min_distance)
    height = heights(columns)
    lost: Counter[str] = Counter()
    for row, (value, missing) in enumerate(zip(height, columns["hull_missing"].to_pylist(), strict=True)):
        if not np.isfinite(value):
            lost["not relaxed" if row in failed else f"no hull for {missing}" if missing else "not physical"] += 1
    order = np.argsort(height, kind="stable")[: int(np.isfinite(height).sum())]
    table = relaxed.with_columns(columns).take(order)
    firsts = Matcher().first_matches(table)
    kept = [row for row, first in enumerate(firsts) if first is None]
    if len(kept) < len(firsts):
        lost["the same phase as another"] = len(firsts) - len(kept)
    times = Counter(row if first is None else first for row, first in enumerate(firsts))
    out = table.take(kept)
    return out.with_columns(
        formula=formulas(out.genes()),
        label=protostructure_labels(out.genes()),
        rank=np.arange(1, len(out) + 1),
        found=[times[row] for row in kept],
    ), dict(lost)


def _by_id(table: CrystalTable, name: str, ids: list[str]) -> pa.Array:
    """A column of a table, in the order of other ids."""
    if name not in table.columns:
        return pa.array([None] * len(ids), pa.float64())
    values = dict(zip(table.ids, table.column(name).to_pylist(), strict=True))
    return pa.array([values.get(row) for row in ids], pa.float64())
