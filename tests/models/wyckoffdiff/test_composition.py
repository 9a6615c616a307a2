"""Draws given an exact composition follow the conditional distribution."""

from __future__ import annotations

from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from aristotype.models.wyckoffdiff._composition import Variable, draw_amounts


def some_variables(rng: np.random.Generator, axes: int) -> list[Variable]:
    out = []
    for _ in range(int(rng.integers(1, 5))):
        values = int(rng.integers(1, 4))
        p = rng.dirichlet(np.ones(values + 1))
        adds = [(0,) * axes, *(tuple(row) for row in rng.integers(0, 3, (values, axes)).tolist())]
        out.append(Variable(probabilities=tuple(p), adds=tuple(adds)))
    return out


def outcomes(variables: list[Variable]) -> dict[tuple[int, ...], tuple[tuple[int, ...], float]]:
    """Amount and probability of all values."""
    found = {}
    for values in product(*(range(len(v.adds)) for v in variables)):
        amount = np.sum([v.adds[value] for v, value in zip(variables, values, strict=True)], axis=0)
        chance = np.prod([v.probabilities[value] for v, value in zip(variables, values, strict=True)])
        found[values] = tuple(amount.tolist()), float(chance)
    return found


@settings(max_examples=25)
@given(seed=st.integers(0, 1 << 32), axes=st.integers(1, 3))
def test_frequencies_are_those_given_the_amounts(seed, axes):
    rng = np.random.default_rng(seed)
    variables = some_variables(rng, axes)
    everything = outcomes(variables)
    amounts = sorted({amount for amount, _ in everything.values()})
    targets = [amounts[place] for place in rng.choice(len(amounts), min(2, len(amounts)), replace=False)]
    wanted = {values: chance for values, (amount, chance) in everything.items() if amount in targets}
    whole = sum(wanted.values())
    n = 600
    chances = rng.random((n, len(variables) + 1))
    drawn = [tuple(draw_amounts(variables, targets, chance)) for chance in chances]
    assert set(drawn) <= set(wanted)
    for values, chance in wanted.items():
        assert abs(drawn.count(values) / n - chance / whole) < 6 * np.sqrt(0.25 / n)


def test_what_cannot_be_reached_is_told():
    one = Variable(probabilities=(0.5, 0.5), adds=((0,), (2,)))
    assert draw_amounts([one], [(1,)], np.array([0.3, 0.3])) is None
    assert draw_amounts([one], [], np.array([0.3, 0.3])) is None
    assert draw_amounts([one], [(1,), (2,)], np.array([0.3, 0.3])) == [1]
