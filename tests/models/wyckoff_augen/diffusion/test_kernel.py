"""Noise on orbits: it integrates to one, is the same at all images, is symmetric, and its score is its gradient."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aristotype.models.blocks import image_maps
from aristotype.models.wyckoff_augen.diffusion._frames import Frames, frame_of, joined, position_maps
from aristotype.models.wyckoff_augen.diffusion._kernel import pull, shaken
from aristotype.symmetry import GRID, space_group
from tests.models.wyckoff_augen.grids.test_grids import cell_of

NUMBERS, SEEDS = st.integers(1, 230), st.integers(0, 2**32 - 1)


def one_site(number: int, seed: int, most: int = 3) -> tuple[Frames, int, np.random.Generator]:
    """The frame of one site that moves, the number of its parameters, and a generator."""
    rng = np.random.default_rng(seed)
    moving = [p for p in space_group(number).positions if 0 < p.freedom <= most]
    if not moving:
        moving = [space_group(number).positions[-1]]
    position = moving[rng.integers(len(moving))]
    frame = frame_of(number, [position.index], cell_of(number, rng))
    return joined([frame]), position.freedom, rng


def many(frames: Frames, free: np.ndarray, moved: np.ndarray, noise: float):
    """The law of many points, each in a crystal of its own."""
    every = joined(list(frames.each) * len(moved))
    return pull(every, np.broadcast_to(free, moved.shape), moved, np.full(len(moved), noise))


def padded(values: np.ndarray) -> np.ndarray:
    return np.pad(values, ((0, 0), (0, 3 - values.shape[1])))


@given(NUMBERS, SEEDS)
@settings(max_examples=60)
def test_it_integrates_to_one_over_orbits(number, seed):
    """Noise as wide as a fifth of the longest period: an even grid of points sums to the integral, to rounding."""
    frames, freedom, rng = one_site(number, seed, most=2)
    if freedom > 2:
        return
    grid = np.array(list(product(*[np.arange(120) / 120] * freedom)))
    found = many(frames, padded(rng.random((1, freedom))), padded(grid), frames.largest[0] / 3)
    images = len(image_maps(number, frames.each[0].letters[0]).linear)
    assert np.exp(found.log_density).mean() / images == pytest.approx(1.0, abs=1e-4)


@given(NUMBERS, SEEDS, st.floats(0.02, 2.0))
@settings(max_examples=100)
def test_it_is_symmetric_and_the_same_at_all_images(number, seed, noise):
    frames, freedom, rng = one_site(number, seed)
    maps = position_maps(number, frames.each[0].letters[0])
    u = padded(rng.random((1, freedom)))
    v = shaken(frames, u, np.array([noise]), rng.standard_normal((1, 3)))
    found, back = many(frames, u, v, noise), many(frames, v, u, noise)
    assert back.log_density[0] == pytest.approx(found.log_density[0], abs=1e-3)
    g, h = (rng.integers(len(maps.images), size=2)).tolist()
    there = (v @ maps.images[h].T + maps.shifts[h]) % 1.0
    again = many(frames, (u @ maps.images[g].T + maps.shifts[g]) % 1.0, there, noise)
    assert again.log_density[0] == pytest.approx(found.log_density[0], abs=1e-3)
    turned = maps.images[h] @ (found.score[0] @ frames.dual[0])
    np.testing.assert_allclose(again.score[0] @ frames.dual[0], turned, atol=2e-3)


@given(NUMBERS, SEEDS, st.floats(0.02, 1.5))
@settings(max_examples=60, deadline=None)
def test_its_score_is_the_gradient_of_a_plain_sum(number, seed, noise):
    frames, freedom, rng = one_site(number, seed, most=2)
    letter, steps = frames.each[0].letters[0], torch.from_numpy(frames.steps[0, :freedom])
    maps = image_maps(number, letter)
    u = rng.random((1, freedom))
    v = shaken(frames, padded(u), np.array([noise]), rng.standard_normal((1, 3)))
    reach = int(np.ceil(8 * noise / np.abs(frames.cell).max() + 3)) if freedom > 2 else 9
    whole = np.array(list(product(range(-reach, reach + 1), repeat=freedom)))
    points = (np.einsum("mij,j->mi", maps.linear, u[0]) + maps.shift / GRID)[:, None] + whole
    at = torch.tensor(v[0, :freedom], requires_grad=True)
    away = torch.square((at - torch.from_numpy(points)) @ steps).sum(dim=-1).flatten()
    log = torch.logsumexp(-0.5 * away / noise**2, dim=0) + 0.5 * torch.logdet(steps @ steps.T)
    log = log - freedom * np.log(noise * np.sqrt(2 * np.pi))
    (gradient,) = torch.autograd.grad(log, at)
    found = pull(frames, padded(u), v, np.array([noise]))
    assert found.log_density[0] == pytest.approx(log.item(), abs=1e-3)
    wanted = noise * (frames.dual[0, :, :freedom] @ gradient.numpy())
    np.testing.assert_allclose(found.score[0], wanted, atol=2e-3)


@pytest.mark.parametrize("number", [1, 2, 14, 62, 139, 166, 194, 225])
def test_noise_as_large_as_the_largest_leaves_nothing_to_know(number):
    for seed in range(4):
        frames, freedom, rng = one_site(number, seed)
        points = padded(rng.random((20, freedom)))
        found = many(frames, points[:1], points, frames.largest[0])
        np.testing.assert_allclose(found.score, 0.0, atol=0.03)


def test_noise_has_the_same_width_in_every_direction_of_the_subspace():
    rng = np.random.default_rng(0)
    frames = joined([frame_of(166, [len(space_group(166).positions) - 2], cell_of(166, rng))] * 20_000)
    start = np.full((20_000, 3), 0.5) * (np.arange(3) < 2)
    moved = shaken(frames, start, np.full(20_000, 0.1), rng.standard_normal((20_000, 3)))
    step = (moved - start) @ frames.steps[0]
    spread = np.linalg.eigvalsh(np.cov(step.T))
    np.testing.assert_allclose(spread, [0.0, 0.01, 0.01], atol=4e-4)
