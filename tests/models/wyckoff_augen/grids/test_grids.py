"""Densities on grids: they integrate to one, are the same at all images of a point, and go on across glued faces."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aristotype.models.blocks import image_maps, is_polar, site_features
from aristotype.models.wyckoff_augen.grids._grids import FINER, SPACING, divisions, grid, hats, spread
from aristotype.symmetry import GRID, asymmetric_unit, cell_matrix, lattice_constraints, space_group

NUMBERS, SEEDS = st.integers(1, 230), st.integers(0, 2**32 - 1)
FINEST = 400_000  # nodes of a grid that a test makes


def cell_of(number: int, rng: np.random.Generator) -> np.ndarray:
    constraints = lattice_constraints(number)
    return constraints.expand(
        [rng.uniform(3, 5) if name in "abc" else rng.uniform(75, 105) for name in constraints.names]
    )


def grids_of(number: int, seed: int):
    """A grid of each position that moves, with random weights; in polar groups also of the site on the origin."""
    rng = np.random.default_rng(seed)
    lattice = cell_of(number, rng)
    for position in space_group(number).positions:
        for held in (False, True) if is_polar(np.array([number]))[0] else (False,):
            sizes = divisions(number, position.index, lattice, anchored=held)
            if sizes and np.prod(sizes) < FINEST:
                found = grid(number, position.index, sizes, held)
                weights = rng.random(len(found.nodes))[:, None] * rng.dirichlet(
                    np.ones(len(found.offsets)), len(found.nodes)
                )
                yield position, held, found, weights / weights.sum(), rng


def density(found, weights, free):
    near = hats(found, free)
    return np.bincount(near.point, near.coefficient * weights[near.node, near.offset], minlength=len(free))


def points_of(found, freedom, rng, count):
    free = np.zeros((count, freedom))
    free[:, found.axes] = rng.random((count, len(found.axes)))
    return free


@given(number=NUMBERS, seed=SEEDS)
@settings(max_examples=60)
def test_integrals_are_one(number, seed):
    """A grid of midpoints of all cells integrates functions that are linear in each of them exactly."""
    for position, _, found, weights, _ in grids_of(number, seed):
        sizes = FINER * np.array(found.sizes)
        if np.prod(sizes) * len(found.linear) > 60_000:
            continue
        axes = [(np.arange(size) + 0.5) / size for size in sizes]
        free = np.zeros((int(np.prod(sizes)), position.freedom))
        free[:, found.axes] = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))
        # Every orbit comes as often as it has images.
        assert density(found, weights, free).mean() / len(found.linear) == pytest.approx(1.0, rel=1e-9)


@given(number=NUMBERS, seed=SEEDS)
@settings(max_examples=60)
def test_images_of_a_point_have_one_density(number, seed):
    for position, held, found, weights, rng in grids_of(number, seed):
        free = points_of(found, position.freedom, rng, 5)
        maps = image_maps(number, position.index, held)
        images = (np.einsum("mij,nj->nmi", maps.linear, free) + maps.shift / GRID) % 1.0
        values = density(found, weights, images.reshape(-1, position.freedom)).reshape(5, -1)
        np.testing.assert_allclose(values, np.repeat(values[:, :1], values.shape[1], axis=1), rtol=1e-7, atol=1e-9)


@given(number=NUMBERS, seed=SEEDS)
@settings(max_examples=60)
def test_densities_go_on_across_the_faces_of_the_unit(number, seed):
    """On both sides of a face a point and the image of the other side differ as little as points within the unit."""
    unit, step = asymmetric_unit(number), 1e-7
    for position, held, found, weights, rng in grids_of(number, seed):
        if held:
            continue
        for shape in unit.shapes[position.index]:
            ends = shape.vertices / GRID
            mix = rng.dirichlet(np.ones(len(ends)), 4)
            mix[:, 0] = 0.0  # on a face, or beyond it
            free = (mix / mix.sum(axis=1, keepdims=True)) @ ends
            beyond = free + step * rng.standard_normal(free.shape)
            fine = FINER * np.array(found.sizes)
            slope = fine.max() * (density(found, weights, free).max(initial=1.0) + weights.max() * fine.prod())
            values = [density(found, weights, some) for some in (free, beyond)]
            assert np.abs(values[0] - values[1]).max() < 100 * step * slope * len(found.linear)


@given(number=NUMBERS, seed=SEEDS)
@settings(max_examples=60)
def test_nodes_are_one_of_each_orbit_and_near_each_other(number, seed):
    rng = np.random.default_rng(seed)
    lattice = cell_of(number, rng)
    for position in space_group(number).positions:
        sizes = divisions(number, position.index, lattice)
        if not sizes or np.prod(sizes) > FINEST:
            continue
        found = grid(number, position.index, sizes)
        lengths = np.linalg.norm(position.linear.T @ cell_matrix(lattice), axis=1)
        assert (lengths / sizes <= SPACING[position.freedom] + 1e-9).all()
        size = np.array(sizes)
        reached = np.concatenate(
            [(found.nodes @ turn.T + shift * size // GRID) % size for turn, shift in zip(found.linear, found.shift)]
        )
        assert len(np.unique(reached, axis=0)) == size.prod()  # their images are all nodes
        # Every point has a density, whatever fine point of a node it is next to.
        everywhere = hats(found, rng.random((50, position.freedom)))
        assert len(np.unique(everywhere.point)) == 50
        around = found.around(np.arange(min(len(found.nodes), 50)), position.freedom)
        apart = around[:, :, found.axes] - found.nodes[:50, None] / size
        assert (np.abs(apart - np.rint(apart)) * size <= 1.0).all()


@given(number=NUMBERS, seed=SEEDS)
@settings(max_examples=40)
def test_features_are_structure_factors(number, seed):
    for position, _, found, _, rng in grids_of(number, seed):
        some = rng.choice(len(found.nodes), min(len(found.nodes), 20), replace=False)
        expected = site_features(number, position.index, found.free(position.freedom)[some])
        np.testing.assert_allclose(found.features[some], expected, atol=2e-3)  # kept in half precision
        around = found.around(some[:3], position.freedom)
        expected = site_features(number, position.index, around.reshape(-1, position.freedom))
        found_around = found.around_features(some[:3])
        np.testing.assert_allclose(found_around.reshape(-1, found_around.shape[2]), expected, atol=1e-5)


def test_draws_follow_the_density():
    """Points drawn around nodes, folded into the unit, have the density of the grid."""
    rng = np.random.default_rng(0)
    position = space_group(62).position("c")  # x, 1/4, z
    found = grid(62, position.index, (24, 36))
    weights = rng.dirichlet(np.full(len(found.nodes) * len(found.offsets), 0.1)).reshape(len(found.nodes), -1)
    nodes, offsets = np.divmod(rng.choice(weights.size, 40_000, p=weights.ravel()), weights.shape[1])
    drawn = np.zeros((len(nodes), position.freedom))
    drawn[:, found.axes] = spread(found, nodes, offsets, rng.random((len(nodes), 2, 2)))
    # The mean of a function over draws is its integral with the density, the same by random points of the circle.
    everywhere = points_of(found, position.freedom, rng, 200_000)
    weight = density(found, weights, everywhere) / len(found.linear)
    for test in (lambda u: np.cos(4 * np.pi * u[:, 0]), lambda u: np.cos(4 * np.pi * u[:, 1]) ** 2):
        error = 5 * np.sqrt(1 / len(drawn) + (weight**2).mean() / len(everywhere))
        assert test(drawn).mean() == pytest.approx((weight * test(everywhere)).mean(), abs=error)
