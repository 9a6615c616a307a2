"""Crystal structure prediction: how well structures are found when their composition is given.

Match rate and mean distance are those of CDVAE (Xie et al. 2022) and DiffCSP (Jiao et al. 2023): a prediction is
compared with its own target by `StructureMatcher.get_rms_dist` with the tolerances 0.3, 0.5 and 10 degrees. METRe
(match everyone to reference) and cRMSE are those of Martirossyan et al. 2025 ("All that structure matches does not
glitter", arXiv 2509.12178), who showed that a match rate can be had without variety: there every prediction is compared
with every target.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aristotype.errors import InputError
from aristotype.evaluate._bootstrap import Interval, resampled_copies, share
from aristotype.evaluate._matching import Matcher
from aristotype.evaluate._sides import Structures, make_side

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Executor

    from numpy.typing import ArrayLike

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
CSP_MATCHER = Matcher(ltol=0.3, stol=0.5, angle=10.0)
"""The tolerances of CDVAE and of all who compare with it."""


@dataclass(frozen=True, kw_only=True)
class CspDistances:
    """Distances of predictions to targets, in units of (volume / atoms)^(1/3); NaN where nothing matches."""

    paired: Floats  # (t,) smallest of a target to its own predictions
    everyone: Floats  # (t,) smallest of a target to all predictions
    distinct: Bools  # (t,) whether no target before it is the same structure
    stol: float  # distances are below it; stands for targets that nothing matches


def csp_distances(
    predictions: Structures,
    truths: Structures,
    *,
    targets: Sequence[int] | None = None,
    k: int | None = None,
    valid: ArrayLike | None = None,
    matcher: Matcher = CSP_MATCHER,
    distinct: Matcher | None = None,
    processes: int = 1,
    executor: Executor | None = None,
) -> CspDistances:
    """Compares predictions with the structures that they should be.

    What was not predicted, or could not be built, is simply not among the predictions: its target is not matched.

    Args:
        predictions: m structures, the better or earlier ones of a target first.
        truths: t targets.
        targets: (m,) the target of each prediction; None where prediction i is for target i.
        k: how many predictions of a target count; None for all of them.
        valid: (m,) predictions that may match, as CDVAE asks for charge balance and distances; None for all.
        matcher: tolerances.
        distinct: what counts as the same target twice; by default pymatgen's own tolerances (0.2, 0.3, 5 degrees).
        processes: worker processes, one thread each.
        executor: runs the work instead of processes of our own.

    Raises:
        TableError: a row is a gene, which has no geometry.
        StructureError: a structure has no reduced cell.
        InputError: lengths do not fit together, a target does not exist, or `k` or `processes` is less than 1.
    """
    asked, known = make_side(predictions).formulas, make_side(truths).formulas
    target = _checked_targets(targets, len(asked), len(known))
    counted = np.flatnonzero(_within_first(target, k) & _checked_mask(valid, len(asked)))
    pairs = _same_formula(asked, known, counted)
    values = matcher.rms(predictions, truths, pairs, processes=processes, executor=executor)
    firsts = (distinct or Matcher()).first_matches(truths, processes=processes, executor=executor)
    own = target[pairs[:, 0]] == pairs[:, 1]
    return CspDistances(
        paired=_smallest(values[own], pairs[own, 1], len(known)),
        everyone=_smallest(values, pairs[:, 1], len(known)),
        distinct=np.array([first is None for first in firsts], dtype=bool),
        stol=matcher.stol,
    )


def csp_metrics(distances: CspDistances, *, resamples: int = 200, seed: int = 0) -> dict[str, dict[str, Any]]:
    """The figures, with 95 % intervals: Wilson's for shares, the bootstrap's over targets for distances.

    Args:
        distances: what `csp_distances` found.
        resamples: bootstrap resamples.
        seed: of the bootstrap.

    Returns:
        name to value, low, high, n, unit and what, in one line, for each figure. A figure over no targets is left out.
    """
    paired, everyone, distinct = distances.paired, distances.everyone, distances.distinct
    matched, reached = np.isfinite(paired), np.isfinite(everyone)
    mean = _Mean(resamples, seed)
    filled = {name: np.where(np.isfinite(x), x, distances.stol) for name, x in (("own", paired), ("all", everyone))}
    rows = {
        "match_rate": (_share(matched), "", "targets that one of their own predictions matches"),
        "rms": (mean(paired[matched]), _UNIT, "mean over matched targets of the distance to their best prediction"),
        "match_rate_distinct": (_share(matched[distinct]), "", "match rate, repeated targets left out"),
        "rms_distinct": (mean(paired[matched & distinct]), _UNIT, "mean distance, repeated targets left out"),
        "crmse_own": (mean(filled["own"]), _UNIT, "as rms over all targets, where unmatched ones count with stol"),
        "metre": (_share(reached), "", "targets that any prediction of the set matches"),
        "crmse": (mean(filled["all"]), _UNIT, "mean distance to the nearest of all predictions, stol if unmatched"),
        "metre_distinct": (_share(reached[distinct]), "", "METRe, repeated targets left out"),
        "crmse_distinct": (mean(filled["all"][distinct]), _UNIT, "cRMSE, repeated targets left out"),
    }
    return {
        name: {"value": at.value, "low": at.low, "high": at.high, "n": n, "unit": unit, "what": what}
        for name, ((at, n), unit, what) in rows.items()
        if n
    }


_UNIT = "(volume / atoms)^(1/3)"


class _Mean:
    """Means with intervals of the bootstrap."""

    def __init__(self, resamples: int, seed: int) -> None:
        self._resamples, self._seed = resamples, seed

    def __call__(self, values: Floats) -> tuple[Interval, int]:
        n = len(values)
        if not n:
            return Interval(value=np.nan), 0
        if not self._resamples:
            return Interval(value=float(values.mean())), n
        again = resampled_copies(n, self._resamples, self._seed) @ values / n
        low, high = np.quantile(again, [0.025, 0.975])
        return Interval(value=float(values.mean()), low=float(low), high=float(high)), n


def _share(found: Bools) -> tuple[Interval, int]:
    return (share(int(found.sum()), len(found)) if len(found) else Interval(value=np.nan)), len(found)


def _smallest(values: Floats, rows: NDArray[np.int64], count: int) -> Floats:
    """(count,) smallest value of each row, NaN where there is none."""
    out = np.full(count, np.inf)
    np.minimum.at(out, rows, np.where(np.isnan(values), np.inf, values))
    return np.where(np.isinf(out), np.nan, out)


def _same_formula(asked: list[bytes], known: list[bytes], counted: NDArray[np.int64]) -> NDArray[np.int64]:
    """(pairs, 2) rows of predictions and targets of one formula: no others can match."""
    by_formula: dict[bytes, list[int]] = defaultdict(list)
    for row, formula in enumerate(known):
        by_formula[formula].append(row)
    others = [by_formula.get(asked[row], []) for row in counted.tolist()]
    lengths = [len(rows) for rows in others]
    return np.column_stack([np.repeat(counted, lengths), np.array([row for rows in others for row in rows], np.int64)])


def _within_first(target: NDArray[np.int64], k: int | None) -> Bools:
    """(m,) whether a prediction is among the first k of its target."""
    if k is None:
        return np.ones(len(target), dtype=bool)
    if k < 1:
        raise InputError(f"k is {k} and must be at least 1, the number of predictions of a target that count")
    order = np.argsort(target, kind="stable")
    ordered = target[order]
    starts = np.searchsorted(ordered, ordered)
    out = np.empty(len(target), dtype=bool)
    out[order] = np.arange(len(target)) - starts < k
    return out


def _checked_targets(targets: Sequence[int] | None, predictions: int, truths: int) -> NDArray[np.int64]:
    if targets is None:
        if predictions != truths:
            raise InputError(
                f"{predictions} predictions for {truths} targets; give `targets`, the row of the target of each"
            )
        return np.arange(truths)
    rows = np.asarray(targets, np.int64).reshape(-1)
    if len(rows) != predictions:
        raise InputError(f"{len(rows)} targets for {predictions} predictions; give one for each")
    wrong = rows[(rows < 0) | (rows >= truths)]
    if len(wrong):
        raise InputError(f"target {wrong[0]} of {truths} does not exist; rows count from 0")
    return rows


def _checked_mask(valid: ArrayLike | None, predictions: int) -> Bools:
    if valid is None:
        return np.ones(predictions, dtype=bool)
    mask = np.asarray(valid, dtype=bool).reshape(-1)
    if len(mask) != predictions:
        raise InputError(f"`valid` has {len(mask)} values for {predictions} predictions; give one for each")
    return mask
