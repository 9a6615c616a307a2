"""Hints say what the rule says of the formula that would be there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aristotype.crystal import can_balance, reduced
from aristotype.models.blocks import primitive_multiplicities
from aristotype.models.wyckoff_augen._balance import END, balances, balances_along

VOCABULARY = (3, 8, 11, 17, 26, 29, 79)


@settings(max_examples=60, deadline=None)
@given(number=st.integers(1, 230), data=st.data())
def test_hints_are_those_of_the_whole_formula(number, data):
    space = np.zeros((1, len(VOCABULARY)), bool)
    space[0, data.draw(st.lists(st.integers(0, len(VOCABULARY) - 1), min_size=1, max_size=4, unique=True))] = True
    atoms = np.array([[data.draw(st.integers(0, 6)) if one else 0 for one in space[0].tolist()]])
    found = balances(np.array([number]), space, atoms, VOCABULARY)[0]
    sizes = primitive_multiplicities(number)

    def balanced(there: np.ndarray) -> bool:
        return bool((there[space[0]] > 0).all()) and can_balance(reduced(list(zip(VOCABULARY, there.tolist()))))

    members = np.flatnonzero(space[0]).tolist()
    step = np.eye(len(VOCABULARY), dtype=np.int64)
    for place in members:
        for letter, size in enumerate(sizes):
            there = atoms[0] + size * step[place]
            later = any(balanced(there + other * step[more]) for more in members for other in sizes)
            assert found[letter, place].tolist() == [balanced(there), later], (letter, place)
    assert (found[END, :, 0] == balanced(atoms[0])).all() and not found[END, :, 1].any()
    assert not found[len(sizes) : END].any() and not found[:END, ~space[0]].any()


def test_along_a_sequence_hints_are_those_of_what_is_there():
    """Rock salt: lithium on the first letter, then only letters as large would balance with chlorine, then it does."""
    space = np.isin(VOCABULARY, (3, 17))[None]
    found = balances_along(np.array([225]), space, np.array([[0, 3]]), np.array([[1, 1]]), VOCABULARY)[0]
    sizes = np.array(primitive_multiplicities(225))
    assert not found[0, ..., 0].any() and found[0, : len(sizes), [0, 3], 1].all()  # two elements have to come
    assert found[1, : len(sizes), 3, 0].tolist() == (sizes == 1).tolist() and not found[1, END].any()
    assert found[2, END, :, 0].all()


@pytest.mark.parametrize("formula", [{8: 1}, {26: 1, 29: 3}])
def test_elements_and_alloys_balance(formula):
    assert can_balance(reduced(sorted(formula.items())))
