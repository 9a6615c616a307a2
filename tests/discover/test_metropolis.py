"""The engine on targets whose distribution is known: stationarity, Hastings' correction, streams, annealing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from aristotype.discover._metropolis import ACCEPTED, DECLINED, Judgement, Proposal, cooled, metropolis
from aristotype.errors import InputError

LOG_WEIGHT = np.log(np.array([1.0, 3.0, 0.5, 2.0]))


@dataclass(frozen=True)
class Numbers:
    """States that are numbers."""

    value: np.ndarray

    def __len__(self) -> int:
        return len(self.value)

    def take(self, rows) -> Numbers:
        return Numbers(self.value[rows])

    def replaced(self, rows, others) -> Numbers:
        out = self.value.copy()
        out[rows] = others.value
        return Numbers(out)


def proposal(value, correction=None, ruled_out=None, density=None) -> Proposal:
    n = len(value)
    return Proposal(
        batch=Numbers(value),
        log_correction=np.zeros(n) if correction is None else correction,
        ruled_out=np.full(n, "", object) if ruled_out is None else ruled_out,
        density=density,
    )


def neighbour(batch, draws):
    """Left or right with probability a half each; off the ends nothing is proposed."""
    new = batch.value + np.where(draws[:, 0] < 0.5, -1, 1)
    inside = (new >= 0) & (new < len(LOG_WEIGHT))
    return proposal(np.where(inside, new, 0), ruled_out=np.where(inside, "", "off the end").astype(object))


def mostly_up(batch, draws):
    """Up on a ring with probability 0.8, down otherwise: not symmetric."""
    up = draws[:, 0] < 0.8
    correction = np.where(up, np.log(0.2 / 0.8), np.log(0.8 / 0.2))
    return proposal((batch.value + np.where(up, 1, -1)) % len(LOG_WEIGHT), correction)


def judged(batch, rows):
    return Judgement(LOG_WEIGHT[batch.value][:, None], np.full(len(batch), "", object))


def run(moves, *, chains=4000, steps=40, seed=0, judge=judged, start=0, heat=1.0, streams=None, goal=(1.0,)):
    return metropolis(
        Numbers(np.full(chains, start)),
        moves,
        judge,
        coefficients=np.ones((steps, len(goal))) / heat,
        goal=np.array(goal),
        seed=seed,
        streams=np.arange(chains) if streams is None else streams,
    )


def assert_distributed(values, probabilities):
    """Each frequency within 4.5 standard errors: by chance once in a hundred thousand."""
    n = len(values)
    share = np.bincount(values, minlength=len(probabilities)) / n
    error = np.sqrt(probabilities * (1 - probabilities) / n)
    assert (np.abs(share - probabilities) < 4.5 * error + 1e-12).all(), (share, probabilities)


@pytest.mark.parametrize("heat", [1.0, 3.0])
@pytest.mark.parametrize("move", [neighbour, mostly_up])
def test_chains_draw_from_the_target(move, heat):
    weight = np.exp(LOG_WEIGHT / heat)
    assert_distributed(run({"move": (1.0, move)}, heat=heat).last.value, weight / weight.sum())


def test_independent_draws_of_known_density_draw_from_the_target():
    """Draws from exp(second term) are corrected for by their density."""
    density = np.log(np.array([0.4, 0.1, 0.4, 0.1]))

    def draw(batch, draws):
        return proposal(np.searchsorted(np.cumsum(np.exp(density)), draws[:, 0]).clip(0, 3), density=np.array([0, 1.0]))

    def both(batch, rows):
        return Judgement(np.column_stack([LOG_WEIGHT, density])[batch.value], np.full(len(batch), "", object))

    found = metropolis(
        Numbers(np.zeros(4000, int)),
        {"draw": (1.0, draw)},
        both,
        coefficients=np.tile([1.0, 0.0], (40, 1)),
        goal=np.array([1.0, 0.0]),
        seed=1,
        streams=np.arange(4000),
    )
    weight = np.exp(LOG_WEIGHT)
    assert_distributed(found.last.value, weight / weight.sum())


def test_the_flow_between_two_states_is_the_same_both_ways():
    """Detailed balance, once chains have forgotten their start."""
    found = run({"move": (1.0, mostly_up)}, steps=60)
    values = np.searchsorted(np.sort(LOG_WEIGHT), found.terms[20:, :, 0])
    flow = np.zeros((4, 4))
    np.add.at(flow, (values[:-1].ravel(), values[1:].ravel()), 1)
    difference, total = np.abs(flow - flow.T), flow + flow.T
    assert (difference[total > 0] < 6 * np.sqrt(total[total > 0])).all()


def test_a_chain_depends_on_its_stream_alone():
    moves = {"one": (1.0, neighbour), "two": (2.0, mostly_up)}
    long = run(moves, chains=9, steps=50)
    short = run(moves, chains=4, steps=20)
    assert (long.terms[:21, :4] == short.terms).all()
    assert long.moves[:21] == short.moves
    moved = run(moves, chains=4, steps=20, streams=np.arange(2, 6))
    assert (long.terms[:21, 2:6] == moved.terms).all()
    assert (run(moves, chains=4, steps=20, seed=1).terms != short.terms).any()


def test_kinds_of_moves_are_tried_by_their_weights():
    names = run({"one": (1.0, neighbour), "two": (3.0, neighbour)}, chains=1, steps=2000).moves[1:]
    assert abs(names.count("two") / 2000 - 0.75) < 4.5 * np.sqrt(0.75 * 0.25 / 2000)


def test_what_is_ruled_out_is_never_visited_and_every_proposal_is_counted():
    def without_three(batch, rows):
        return Judgement(LOG_WEIGHT[batch.value][:, None], np.where(batch.value == 3, "three", "").astype(object))

    def zero_at_two(batch, rows):
        terms = np.where(batch.value == 2, -np.inf, 0.0)[:, None]
        return Judgement(terms, np.full(len(batch), "", object))

    found = run({"move": (1.0, mostly_up)}, chains=50, judge=without_three)
    assert (found.last.value != 3).all()
    fates = found.fates["move"]
    assert fates["three"] > 0
    assert sum(fates.values()) == 50 * 40
    assert set(fates) <= {ACCEPTED, DECLINED, "three"}
    assert fates[ACCEPTED] == found.accepted.sum()
    found = run({"move": (1.0, mostly_up)}, chains=50, judge=zero_at_two)
    assert (found.last.value != 2).all()
    assert found.fates["move"]["probability zero"] > 0


def test_the_best_state_is_the_best_of_the_trace():
    found = run({"move": (1.0, mostly_up)}, chains=30, steps=10)
    scores = found.terms[:, :, 0]
    assert (found.best_terms[:, 0] == scores.max(axis=0)).all()
    assert (found.best_step == scores.argmax(axis=0)).all()
    assert (LOG_WEIGHT[found.best.value] == scores.max(axis=0)).all()


def test_a_start_without_probability_is_refused():
    def none_at_zero(batch, rows):
        return Judgement(np.where(batch.value == 0, -np.inf, 0.0)[:, None], np.full(len(batch), "", object))

    with pytest.raises(InputError, match=r"chain 0 cannot start .* probability zero"):
        run({"move": (1.0, neighbour)}, chains=3, judge=none_at_zero)


def test_a_slowly_cooled_chain_is_distributed_as_the_last_temperature_says():
    found = metropolis(
        Numbers(np.full(4000, 2)),
        {"move": (1.0, mostly_up)},
        judged,
        coefficients=1.0 / np.append(cooled(5.0, 0.4, 60), np.full(40, 0.4))[:, None],
        goal=np.ones(1),
        seed=0,
        streams=np.arange(4000),
    )
    weight = np.exp(LOG_WEIGHT / 0.4)
    assert_distributed(found.last.value, weight / weight.sum())


def test_temperatures_fall_by_equal_factors():
    heat = cooled(8.0, 1.0, 4)
    assert heat == pytest.approx([8.0, 4.0, 2.0, 1.0])
    for first, last, steps, message in (
        (0.0, 1.0, 3, "temperature"),
        (1.0, np.nan, 3, "nan"),
        (1.0, 1.0, 0, "0 steps"),
    ):
        with pytest.raises(InputError, match=message):
            cooled(first, last, steps)
