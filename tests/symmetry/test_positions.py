"""Orbits, representative maps and stabilisers of all 1731 positions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aristotype.errors import SymmetryError
from aristotype.symmetry import GRID, locate, space_group, tables

GROUPS = range(1, 231)
EXACT = 1e-9  # coordinates are sums of a few products of numbers below 10


def apart(first, second):
    """Largest coordinate difference modulo lattice translations, for each pair of points."""
    return np.abs((first[:, None] - second[None] + 0.5) % 1.0 - 0.5).max(axis=-1)


def same_points(first, second):
    distance = apart(first, second) < EXACT
    return len(first) == len(second) and (distance.sum(axis=0) == 1).all() and (distance.sum(axis=1) == 1).all()


def generic(freedom, seed=0):
    """Free parameters that fulfil no equation with small coefficients."""
    return np.random.default_rng(seed).uniform(0.05, 0.95, freedom)


@pytest.mark.parametrize("number", GROUPS)
def test_operations_form_a_group(number):
    group = space_group(number)
    assert (group.rotations[0] == np.eye(3)).all()
    assert (group.translations[0] == 0).all()
    assert np.isin(group.translations, np.arange(GRID)).all()

    def keys(rotations, translations):
        rows = np.concatenate([rotations.reshape(-1, 9) + 1, translations % GRID], axis=1)
        return rows @ (25 ** np.arange(12, dtype=np.int64))

    own = keys(group.rotations, group.translations)
    assert len(np.unique(own)) == len(own)
    # Products with every eighth operation from each side reach them all; all pairs would be 36,864 in Fm-3m.
    some = np.unique(np.r_[np.arange(0, len(own), 8), np.arange(min(len(own), 12))])
    rotations = group.rotations[some, None] @ group.rotations[None]
    moved = np.einsum("sij,nj->sni", group.rotations[some], group.translations)
    products = keys(rotations.reshape(-1, 3, 3), (moved + group.translations[some, None]).reshape(-1, 3))
    assert np.isin(products, own).all()


@pytest.mark.parametrize("number", GROUPS)
def test_orbits_have_their_multiplicity_and_are_closed(number):
    group = space_group(number)
    for position in group.positions:
        free = generic(position.freedom, number)
        orbit = position.orbit(free)
        assert orbit.shape == (position.multiplicity, 3)
        assert ((orbit >= 0) & (orbit < 1)).all()
        assert (apart(orbit, orbit) < EXACT).sum() == position.multiplicity
        assert same_points(orbit, group.orbit(position.representative(free)))
        some = np.random.default_rng(number).integers(0, len(group.rotations), 6)  # of up to 192, enough to generate
        for rotation, translation in zip(group.rotations[some], group.translations[some], strict=True):
            assert same_points(orbit @ rotation.T + translation / GRID, orbit)


@pytest.mark.parametrize("number", GROUPS)
def test_every_image_is_located_at_an_equivalent_parameter(number):
    for position in space_group(number).positions:
        free = generic(position.freedom, number)
        orbit = position.orbit(free)
        read, residual, operation = locate(position, orbit)
        assert residual.max() < EXACT
        assert ((read >= 0) & (read < 1)).all()
        assert operation.shape == (len(orbit),)
        for parameters in np.unique(read.round(9), axis=0):
            assert same_points(position.orbit(parameters), orbit)


@pytest.mark.parametrize("number", GROUPS)
def test_representative_maps_are_idempotent(number):
    for position in space_group(number).positions:
        # Reading after placing gives the parameters back: (linear @ inverse[:f]) projects onto the subspace.
        rows = position.inverse[: position.freedom]
        assert (rows @ position.linear == np.eye(position.freedom)).all()
        assert (position.inverse[position.freedom :] @ position.linear == 0).all()
        assert abs(round(np.linalg.det(position.inverse))) == 1
        projection = position.linear @ rows
        assert (projection @ projection == projection).all()
        assert (position.orbit_linear == position.linear).all(axis=(1, 2)).any()


@pytest.mark.parametrize("number", GROUPS)
def test_stabiliser_times_multiplicity_is_the_order(number):
    group = space_group(number)
    data = tables()
    start = data.position_offset[number - 1]
    for position in group.positions:
        stabiliser = data.ragged("stabiliser", start + position.index)
        assert len(stabiliser) * position.multiplicity == len(group.rotations)
        point = position.representative(generic(position.freedom, number))
        moved = (group.rotations @ point + group.translations / GRID - point + 0.5) % 1.0 - 0.5
        fixing = np.flatnonzero(np.abs(moved).max(axis=1) < EXACT)
        assert sorted(stabiliser.tolist()) == fixing.tolist()
        # What fixes every point of the representative leaves as many directions as the position has parameters.
        rotations = group.rotations[stabiliser]
        assert round(np.trace(rotations, axis1=1, axis2=2).mean()) == position.freedom


@pytest.mark.parametrize("number", GROUPS)
def test_letters_go_from_special_to_general(number):
    positions = space_group(number).positions
    multiplicities = [p.multiplicity for p in positions]
    assert multiplicities == sorted(multiplicities)
    general = positions[-1]
    assert (general.freedom, general.site_symmetry) == (3, "1")
    assert general.multiplicity == len(space_group(number).rotations)
    assert space_group(number).position(general.letter) == general


@settings(deadline=None, max_examples=200)
@given(row=st.integers(0, 1730), seed=st.integers(0, 2**32 - 1))
def test_locate_then_represent_is_the_point_itself(row, seed):
    data = tables()
    number = int(np.searchsorted(data.position_offset, row, side="right"))
    position = space_group(number).positions[row - data.position_offset[number - 1]]
    rng = np.random.default_rng(seed)
    orbit = position.orbit(rng.random(position.freedom))
    point = orbit[rng.integers(len(orbit))] + rng.integers(-2, 3, 3)
    free, _, operation = locate(position, point)
    group = space_group(number)
    carried = group.rotations[operation[0]] @ point + group.translations[operation[0]] / GRID
    assert apart(carried[None], position.representative(free)).max() < EXACT
    again, _, _ = locate(position, position.representative(free))
    assert same_points(position.orbit(again[0]), position.orbit(free[0]))


def test_locate_names_the_point_that_is_not_on_the_position():
    with pytest.raises(SymmetryError, match=r"away from position 4a of space group 225"):
        locate(space_group(225).position("a"), [[0.0, 0.0, 0.0], [0.1, 0.2, 0.3]])


def test_locate_reads_no_points():
    free, residual, operation = locate(space_group(225).position("e"), np.empty((0, 3)))
    assert free.shape == (0, 1)
    assert residual.shape == operation.shape == (0,)


def test_orbit_is_batched():
    position = space_group(62).position("c")
    free = np.random.default_rng(0).random((5, 2))
    assert np.allclose(position.orbit(free), [position.orbit(row) for row in free])
    assert position.representative(free).shape == (5, 3)
