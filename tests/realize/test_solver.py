"""The parts of the solver against independent ones: gradients, reduced cells, orbits, priors."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aristotype.crystal import primitive_vectors, reduce_cells
from aristotype.realize._atoms import position_maps
from aristotype.realize._pairs import NearPairs, measure
from aristotype.realize._priors import priors
from aristotype.realize._solve import _Problem
from aristotype.symmetry import NUM_GROUPS, cell_matrix, lattice_constraints, space_group
from tests.realize.structures import GROUPS, free_positions

TARGET = 1.3


@pytest.fixture(scope="module")
def problem():
    atoms, geometry = free_positions(10.0)
    return _Problem(atoms, geometry, torch.float64), atoms, geometry


def test_gradients_agree_with_differences(problem):
    """Central differences of the energy over all pairs, which shares no code with the gradient but the distances."""
    parts, atoms, geometry = problem
    shape, free = torch.from_numpy(geometry.shape), torch.from_numpy(geometry.free)

    def energy(shape, free):
        cells = parts.primitive_cells(parts.cells(shape))
        return measure(parts.pairs, parts.points(free), parts.atom_row, cells, TARGET)[1]

    conventional = parts.cells(shape)
    cells, points = parts.primitive_cells(conventional), parts.points(free)
    near = NearPairs.among(parts.pairs, points, parts.atom_row, cells, TARGET, 0.3)
    slope, by_cell = near.gradients(points, cells)
    by_shape = parts.shape_slope(conventional, shape, by_cell)
    by_free = parts.free_slope(slope, cells) * torch.from_numpy(atoms.site_weight)[:, None]
    step = 1e-6
    for k in range(6):
        change = torch.zeros(6, dtype=torch.float64)
        change[k] = step
        numeric = (energy(shape + change, free) - energy(shape - change, free)) / (2 * step)
        assert torch.allclose(numeric, by_shape[:, k], rtol=1e-5, atol=1e-6)
    direction = torch.from_numpy(
        np.random.default_rng(0).standard_normal(free.shape) * (np.arange(3) < atoms.site_freedom[:, None])
    )
    numeric = (energy(shape, free + step * direction) - energy(shape, free - step * direction)) / (2 * step)
    total = torch.zeros(len(GROUPS), dtype=torch.float64)
    total.index_add_(0, torch.from_numpy(atoms.site_row), (by_free * direction).sum(dim=1))
    assert (total.abs() > 1e-3).any()
    assert torch.allclose(numeric, total, rtol=1e-5, atol=1e-5)


def test_volumes_are_kept(problem):
    parts, _, geometry = problem
    cells = parts.cells(torch.from_numpy(geometry.shape)).numpy()
    assert np.linalg.det(cells) == pytest.approx(geometry.volume, rel=1e-12)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_reduced_cells_have_the_shortest_vectors(seed):
    """Against all vectors with coefficients up to 5 of a lattice skewed by random integers."""
    rng = np.random.default_rng(seed)
    lattice = cell_matrix([*rng.uniform(3, 9, 3), *rng.uniform(65, 115, 3)])
    skew = np.eye(3)
    for i, j in itertools.permutations(range(3), 2):
        shear = np.eye(3)
        shear[i, j] = rng.integers(-1, 2)
        skew = shear @ skew
    change = reduce_cells((skew @ lattice)[None])[0]
    assert abs(np.linalg.det(change)) == pytest.approx(1.0)
    assert (change == np.rint(change)).all()
    lengths = np.sort(np.linalg.norm(change @ skew @ lattice, axis=1))
    every = np.array([v for v in itertools.product(range(-5, 6), repeat=3) if any(v)]) @ lattice
    order = np.argsort(np.linalg.norm(every, axis=1))
    # Minkowski-reduced in three dimensions: the vectors reach the successive minima.
    kept = []
    for vector in every[order]:
        if np.linalg.matrix_rank(np.array([*kept, vector]), tol=1e-6) > len(kept):
            kept.append(vector)
        if len(kept) == 3:
            break
    assert lengths == pytest.approx(np.linalg.norm(kept, axis=1), rel=1e-9)


def test_primitive_atoms_are_the_orbit_without_centring():
    for number in range(1, NUM_GROUPS + 1):
        group, basis = space_group(number), primitive_vectors(number)
        assert 1 / np.linalg.det(basis) == pytest.approx(group.centring_order)
        for position in group.positions:
            maps = position_maps(number, position.index)
            assert len(maps.origin) * group.centring_order == position.multiplicity
            free = np.array([0.137, 0.281, 0.419])[: position.freedom]
            points = (maps.linear[:, :, : position.freedom] @ free + maps.origin) @ basis
            step = points[:, None] - position.orbit(free)[None]
            assert np.abs(step - np.rint(step)).max(axis=2).min(axis=1).max() < 1e-9


def test_priors_cover_every_group_and_element():
    data = priors()
    assert np.isfinite(data.volumes[1:97]).all()
    assert np.isfinite(data.radii[1:97]).all()
    assert (data.volumes[1:97] > 0).all()
    assert np.isnan(data.radii[97:]).all()
    for number in range(1, NUM_GROUPS + 1):
        count = len(lattice_constraints(number).names)
        assert (data.shape_low[number] <= data.shape_mean[number]).all()
        assert (data.shape_mean[number] <= data.shape_high[number]).all()
        assert not data.shape_mean[number, count:].any()


def test_radii_are_those_of_ase():
    from ase.data import covalent_radii

    assert priors().radii[1:97] == pytest.approx(covalent_radii[1:97], abs=1e-9)
