"""Points of the box and reduced cells are the same thing, and the density between them is the true one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aristotype.crystal import (
    MAX_CELL,
    Crystal,
    cell_box,
    fix_gauge,
    from_box,
    primitive_vectors,
    reduced_lattices,
    to_box,
)
from aristotype.crystal._reduce import reductions
from aristotype.errors import SymmetryError
from aristotype.symmetry import NUM_GROUPS, cell_matrix, cell_parameters, lattice_constraints
from tests.crystal.builders import random_crystal

GROUPS = st.integers(1, NUM_GROUPS)
# Most groups have cells without freedom in their reduction: these are drawn more often.
OBLIQUE = st.one_of(st.integers(1, 15), GROUPS)


def points(number: int, seed: int, n: int = 8) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random points of a box, away from its borders, kinds of cell, and numbers of atoms."""
    rng = np.random.default_rng(seed)
    box = cell_box(number)
    normal, uniform = rng.normal(0.0, 0.4, (n, MAX_CELL)), rng.uniform(0.001, 0.999, (n, MAX_CELL))
    out = np.where(np.isfinite(box.high), uniform, np.where(np.isfinite(box.low), np.abs(normal) + 1e-3, normal))
    out[:, 0] += 3.0
    out[:, box.size :] = 0.0
    return out, (rng.random(n) < 0.5) & box.two_kinds, rng.integers(1, 60, n)


@given(OBLIQUE, st.integers(0, 2**32))
@settings(max_examples=150)
def test_every_point_is_a_reduced_cell_and_comes_back(number, seed):
    wanted, acute, atoms = points(number, seed)
    cells = from_box(number, wanted, acute, atoms)
    found = to_box(number, cells, atoms)
    assert found.coordinates == pytest.approx(wanted, abs=1e-7)
    assert (found.acute == acute).all()
    volume = np.abs(np.linalg.det(cell_matrix(cells)))
    assert np.log(volume / atoms) == pytest.approx(wanted[:, 0])
    for cell in cells:
        assert any((operation.linear == np.eye(3)).all() for operation in reductions(number, cell_matrix(cell)))


@given(st.integers(1, 15), st.integers(0, 2**32))
@settings(max_examples=100)
def test_the_reduced_cell_of_any_cell_is_a_point_of_the_box(number, seed):
    rng = np.random.default_rng(seed)
    free = [*rng.uniform(3.0, 12.0, 3), *rng.uniform(70.0, 110.0, 3)]
    constraints = lattice_constraints(number)
    lattice = constraints.expand([free["a b c alpha beta gamma".split().index(name)] for name in constraints.names])
    crystal = Crystal(space_group=number, elements=(), wyckoffs=(), free=(), lattice=tuple(lattice))
    reduced = fix_gauge(crystal).lattice
    found = to_box(number, [reduced], [1])
    box = cell_box(number)
    assert (found.coordinates >= box.low).all()
    assert (found.coordinates <= box.high).all()
    assert from_box(number, found.coordinates, found.acute, [1])[0] == pytest.approx(reduced, rel=1e-7)


@given(st.integers(3, 230), st.floats(3.0, 12.0), st.floats(0.5, 2.0), st.floats(0.5, 2.0))
@settings(max_examples=100)
def test_cells_of_symmetric_crystals_are_points_of_the_triclinic_box(number, a, ratio, other):
    """They lie on its borders, where rounding decides; those of body-centred ones leave gamma no room at all."""
    constraints = lattice_constraints(number)
    values = dict(zip("a b c alpha beta gamma".split(), [a, a * ratio, a * other, 95.0, 95.0, 95.0], strict=True))
    lattice = constraints.expand([values[name] for name in constraints.names])
    primitive = cell_parameters(primitive_vectors(number) @ cell_matrix(lattice))
    crystal = Crystal(space_group=1, elements=(), wyckoffs=(), free=(), lattice=tuple(primitive))
    reduced = fix_gauge(crystal).lattice
    found = to_box(1, [reduced], [1])
    assert np.isfinite(found.coordinates).all()
    assert np.isfinite(found.log_density).all()
    back = from_box(1, found.coordinates, found.acute, [1])[0]
    assert back == pytest.approx(reduced, rel=1e-4)


@given(OBLIQUE, st.integers(0, 2**32))
@settings(max_examples=100)
def test_the_density_is_the_determinant_of_the_derivative(number, seed):
    wanted, acute, atoms = points(number, seed, n=1)
    constraints = lattice_constraints(number)
    cell = from_box(number, wanted, acute, atoms)
    free = constraints.reduce(cell)
    size, step = len(constraints.names), 1e-5
    derivative = np.empty((size, size))
    for axis in range(size):
        moved = [constraints.expand(free + sign * step * np.eye(size)[axis]) for sign in (1, -1)]
        above, below = (to_box(number, each, atoms).coordinates[0, :size] for each in moved)
        derivative[:, axis] = (above - below) / (2 * step)
    numeric = np.log(np.abs(np.linalg.det(derivative)))
    assert to_box(number, cell, atoms).log_density[0] == pytest.approx(numeric, abs=1e-5)


def test_a_cell_that_is_not_reduced_is_refused():
    with pytest.raises(SymmetryError, match="not a reduced one of space group 2; fix the gauge"):
        to_box(2, [[5.0, 4.0, 6.0, 80.0, 85.0, 88.0]], [4])
    with pytest.raises(SymmetryError, match="not a reduced one of space group 14"):
        to_box(14, [[5.0, 4.0, 6.0, 90.0, 88.0, 90.0]], [4])


@given(number=st.integers(1, 15), seed=st.integers(0, 2**32 - 1))
def test_reduced_lattices_are_those_of_the_fixed_gauge(number, seed):
    """Lengths and angles, up to the order of descriptions that share a reduced cell."""
    rng = np.random.default_rng(seed)
    crystal = random_crystal(number, rng)
    change = np.array([[1, 0, 0], [0, 1, 0], [2 * rng.integers(-2, 3), 0, 1]])
    other = cell_parameters(change @ cell_matrix(np.array(crystal.lattice)))
    wanted = fix_gauge(crystal).lattice
    assert np.allclose(reduced_lattices(number, np.stack([crystal.lattice, other])), wanted, atol=1e-5)
