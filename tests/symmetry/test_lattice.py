"""Lattice constraints and cells."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aristotype.errors import SymmetryError
from aristotype.symmetry import cell_matrix, cell_parameters, lattice_constraints, space_group

GROUPS = range(1, 231)
FREE = {"triclinic": 6, "monoclinic": 4, "orthorhombic": 3, "tetragonal": 2, "trigonal": 2, "hexagonal": 2, "cubic": 1}


@pytest.mark.parametrize("number", GROUPS)
def test_constrained_cells_are_invariant_under_the_group(number, random_cell):
    group = space_group(number)
    basis = cell_matrix(random_cell(number, np.random.default_rng(number)))
    gram = basis @ basis.T
    turned = group.rotations.transpose(0, 2, 1) @ gram @ group.rotations
    assert np.abs(turned - gram).max() < 1e-12


@pytest.mark.parametrize("number", GROUPS)
def test_invariant_metrics_have_as_many_parameters_as_are_free(number):
    # The projection of a metric tensor onto the invariant ones, as a matrix over nine entries: its trace is the rank.
    rotations = space_group(number).rotations
    projection = np.mean([np.kron(r.T, r.T) for r in rotations], axis=0)
    swap = np.eye(9).reshape(3, 3, 9).transpose(1, 0, 2).reshape(9, 9)
    rank = np.trace(projection @ (np.eye(9) + swap) / 2)
    constraints = lattice_constraints(number)
    assert round(rank) == len(constraints.names) == FREE[space_group(number).crystal_system]


@pytest.mark.parametrize("number", GROUPS)
def test_expand_and_reduce_round_trip(number):
    constraints = lattice_constraints(number)
    free = np.random.default_rng(number).uniform(60, 100, (7, len(constraints.names)))
    cells = constraints.expand(free)
    assert cells.shape == (7, 6)
    assert np.allclose(constraints.reduce(cells), free, atol=1e-12)
    assert np.allclose(constraints.expand(constraints.reduce(cells)), cells, atol=1e-12)


def test_reduce_averages_what_symmetry_makes_equal():
    free = lattice_constraints(225).reduce([4.0, 4.0003, 4.0006, 90, 90, 90], tolerance=1e-2)
    assert np.allclose(free, [4.0003])


def test_reduce_refuses_a_cell_that_breaks_the_constraints():
    with pytest.raises(SymmetryError, match=r"free: a, c.* by .*the limit is 0.001"):
        lattice_constraints(136).reduce([4.0, 4.1, 5.0, 90, 90, 90])


@settings(deadline=None, max_examples=200)
@given(
    lengths=st.tuples(*[st.floats(0.5, 200)] * 3),
    angles=st.tuples(*[st.floats(65, 115)] * 3),
)
def test_cell_matrix_and_parameters_round_trip(lengths, angles):
    cell = np.array([*lengths, *angles])
    matrix = cell_matrix(cell)
    assert np.linalg.det(matrix) > 0
    assert np.allclose(matrix[np.triu_indices(3, 1)], 0, atol=0)  # a along x, b in the xy plane
    assert np.allclose(cell_parameters(matrix), cell, rtol=1e-9)
    stacked = cell_matrix([cell, cell])
    assert stacked.shape == (2, 3, 3)
    assert (stacked == matrix).all()


@pytest.mark.parametrize(
    "cell", [[1, 1, 1, 90, 90, 180], [1, 1, 1, 30, 30, 100], [0, 1, 1, 90, 90, 90], [1] * 3 + [np.nan] * 3]
)
def test_cells_that_do_not_close_are_refused(cell):
    with pytest.raises(SymmetryError, match="volume"):
        cell_matrix(cell)


def test_group_that_does_not_exist():
    with pytest.raises(SymmetryError, match="1 to 230"):
        lattice_constraints(231)
