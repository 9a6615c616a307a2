"""Metropolis sampling of many chains at once; knows nothing of crystals or models.

Chains are rows of one batch. In a step all of them try one kind of move, and what they propose is judged in one call.
The logarithm of the target of step t is terms @ coefficients[t], so that annealing is a table of coefficients. What a
chain draws depends on the seed, its stream and the step alone: not on how many chains there are, nor on later steps.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from aristotype.errors import InputError
from aristotype.models.blocks import uniforms

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
DRAWS = 16
"""Random numbers of a chain in a step."""
ACCEPTED = "accepted"
DECLINED = "declined by chance"
ZERO = "probability zero"
_SHARED = 1 << 62
"""Streams from here on choose the kind of move of each step, for all chains."""


class Batch(Protocol):
    """States of n chains."""

    def __len__(self) -> int: ...

    def take(self, rows: Ints) -> Self:
        """Those of some chains."""
        ...

    def replaced(self, rows: Ints, others: Any) -> Self:
        """The same with other states in some rows."""
        ...


B = TypeVar("B", bound=Batch)
_Seen = TypeVar("_Seen", bound=Batch, contravariant=True)


@dataclass(frozen=True, kw_only=True)
class Proposal(Generic[B]):
    """What n chains propose.

    Attributes:
        batch: n states; those that are ruled out may be anything.
        log_correction: (n,) Hastings' log q(back) - log q(there); 0 where a move is symmetric.
        ruled_out: (n,) why there is nothing to judge, "" where there is.
        density: (k,) coefficients of the terms in the log-density that states were drawn from, where they were drawn
            without regard to the state before; None where they were not.
    """

    batch: B
    log_correction: Floats
    ruled_out: NDArray[np.str_]
    density: Floats | None = None


class Move(Protocol[B]):
    """Proposes new states (n,) for some, from (n, `DRAWS` - 1) numbers uniform in [0, 1)."""

    def __call__(self, batch: B, draws: Floats) -> Proposal[B]: ...


@dataclass(frozen=True)
class Judgement:
    """The terms (n, k) of n states, and why one is ruled out (n,), "" where it is not."""

    terms: Floats
    ruled_out: NDArray[np.str_]


class Judge(Protocol[_Seen]):
    """Gives the terms of the states that some chains, named by their rows, are in or propose."""

    def __call__(self, batch: _Seen, rows: Ints) -> Judgement: ...


@dataclass(kw_only=True)
class Chains(Generic[B]):
    """What n chains did in some steps, of k terms.

    Step 0 is the start; the arrays by step have a row more than there were steps.
    """

    start: B
    last: B
    best: B  # by terms @ goal
    best_step: Ints  # (n,)
    best_terms: Floats  # (n, k)
    terms: Floats  # (steps + 1, n, k)
    accepted: NDArray[np.bool_]  # (steps + 1, n) False at the start
    moves: list[str]  # (steps + 1,) the kind that was tried; "start" at first
    fates: dict[str, Counter[str]] = field(default_factory=dict)  # by kind of move, what became of proposals


def metropolis(
    start: B,
    moves: Mapping[str, tuple[float, Move[B]]],
    judge: Judge[B],
    *,
    coefficients: Floats,
    goal: Floats,
    seed: int,
    streams: Ints,
    progress: Callable[[int, float], None] | None = None,
) -> Chains[B]:
    """Runs chains (Metropolis et al. 1953, Hastings 1970).

    Args:
        start: n states.
        moves: kinds of moves by name, with the weight at which each is tried.
        judge: gives the terms of states.
        coefficients: (steps, k) of the terms in the log-target of each step.
        goal: (k,) coefficients by which the best state of a chain is known.
        seed: from 0 to 2^64 - 1.
        streams: (n,) numbers of the chains' random streams, each below 2^62.
        progress: called with the steps done and the share of proposals that were accepted so far.

    Raises:
        InputError: a start is ruled out or has no probability; the message names the chain and the reason.
    """
    terms = _judged_start(start, judge)
    names, chosen = list(moves), _kinds([weight for weight, _ in moves.values()], seed, len(coefficients))
    run = Chains(
        start=start,
        last=start,
        best=start,
        best_step=np.zeros(len(start), np.int64),
        best_terms=terms,
        terms=np.empty((len(coefficients) + 1, *terms.shape)),
        accepted=np.zeros((len(coefficients) + 1, len(start)), bool),
        moves=["start", *(names[kind] for kind in chosen)],
        fates={name: Counter() for name in names},
    )
    run.terms[0] = terms
    for step, name in enumerate(run.moves[1:], start=1):
        draws = uniforms(seed, streams, step, DRAWS)
        fate = _step(run, step, judge, moves[name][1](run.last, draws[:, 1:]), coefficients[step - 1], draws[:, 0])
        run.fates[name].update(fate.tolist())
        _note_best(run, step, goal)
        if progress is not None:
            progress(step, float(run.accepted[1 : step + 1].mean()))
    return run


def _judged_start(start: B, judge: Judge[B]) -> Floats:
    """Terms (n, k) of the first states."""
    found = judge(start, np.arange(len(start)))
    reasons = np.where(found.ruled_out != "", found.ruled_out, np.where(_finite(found.terms), "", ZERO))
    if (reasons != "").any():
        row = int((reasons != "").argmax())
        raise InputError(
            f"chain {row} cannot start where it should: {reasons[row]}; start it elsewhere, or mend what rules it out"
        )
    return found.terms


def _kinds(weights: list[float], seed: int, steps: int) -> Ints:
    """(steps,) which kind of move each step tries."""
    share = np.cumsum(weights) / np.sum(weights)
    drawn = uniforms(seed, _SHARED + np.arange(1, steps + 1), 0, 1)[:, 0]
    return np.minimum(np.searchsorted(share, drawn, side="right"), len(weights) - 1)


def _step(
    run: Chains[B], step: int, judge: Judge[B], proposal: Proposal[B], weights: Floats, chance: Floats
) -> NDArray[np.str_]:
    """One step of all chains; returns what became of each proposal (n,)."""
    terms, fate = run.terms[step - 1].copy(), proposal.ruled_out.astype(object)
    rows = np.flatnonzero(fate == "")
    found = judge(proposal.batch.take(rows), rows) if len(rows) else Judgement(terms[:0], np.zeros(0, str))
    sound = (found.ruled_out == "") & _finite(found.terms)
    fate[rows] = np.where(found.ruled_out != "", found.ruled_out, np.where(sound, DECLINED, ZERO))
    rows, new = rows[sound], found.terms[sound]
    gain = (new - terms[rows]) @ (weights if proposal.density is None else weights - proposal.density)
    # log of a number of 0 is -inf, which is below any gain: what is never worse is always taken
    with np.errstate(divide="ignore"):
        taken = np.log(chance[rows]) < gain + proposal.log_correction[rows]
    rows = rows[taken]
    terms[rows], fate[rows] = new[taken], ACCEPTED
    run.last = run.last.replaced(rows, proposal.batch.take(rows))
    run.terms[step] = terms
    run.accepted[step, rows] = True
    return fate


def _note_best(run: Chains[B], step: int, goal: Floats) -> None:
    better = np.flatnonzero(run.terms[step] @ goal > run.best_terms @ goal)
    run.best = run.best.replaced(better, run.last.take(better))
    run.best_step[better] = step
    run.best_terms = run.best_terms.copy()
    run.best_terms[better] = run.terms[step, better]


def _finite(terms: Floats) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(terms).all(axis=1))


def cooled(first: float, last: float, steps: int) -> Floats:
    """(steps,) temperatures that fall, or rise, by the same factor each step.

    Raises:
        InputError: a temperature is not positive and finite, or there is less than one step.
    """
    for value in (first, last):
        if not (np.isfinite(value) and value > 0):
            raise InputError(f"a temperature is {value}; it must be a number above 0")
    if steps < 1:
        raise InputError(f"{steps} steps are asked for; ask for at least 1")
    return np.geomspace(first, last, steps)
