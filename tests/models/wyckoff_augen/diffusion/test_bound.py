"""The bound is a bound: of laws that are known, tight for their own score and worse for others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from aristotype.models.wyckoff_augen.diffusion._batches import noised
from aristotype.models.wyckoff_augen.diffusion._bound import cost, even_noises, learnt_noises, spans, strata
from aristotype.models.wyckoff_augen.diffusion._frames import Frame, frame_of, joined
from aristotype.models.wyckoff_augen.diffusion._kernel import pull, shaken
from tests.models.wyckoff_augen.diffusion.small import tiny_model

SMALLEST = 0.005
WIDTH = 0.3  # Angstrom, of the law that is known
LINE = frame_of(2, [8], np.array([4.0, 5.0, 6.0, 80.0, 85.0, 75.0])), 3
AXIS = frame_of(75, [2], np.array([4.0, 4.0, 6.0, 90.0, 90.0, 90.0])), 1
MIRROR = frame_of(47, [20], np.array([4.0, 5.0, 6.0, 90.0, 90.0, 90.0])), 2
"""Frames of one site, and its freedom."""


def bound_of(frame: Frame, at: np.ndarray, centre: np.ndarray, *, scale: float = 1.0) -> float:
    """The mean bound on -log p at points (n, 3), of the law with a width around a centre, its score times a factor."""
    rng, count = np.random.default_rng(0), len(at)
    frames = joined([frame] * count)
    noises = even_noises(frames, SMALLEST, rng.permutation(strata(count, rng)))
    moved = shaken(frames, at, noises.noise, rng.standard_normal((count, 3)))
    target = pull(frames, at, moved, noises.noise).score
    wide = np.sqrt(WIDTH**2 + noises.noise**2)
    score = pull(frames, np.broadcast_to(centre, (count, 3)), moved, wide).score * (noises.noise / wide)[:, None]
    each = cost(torch.from_numpy(scale * score), torch.from_numpy(target), torch.from_numpy(frames.crystal), count)
    images = len(frames.images) / count
    return float((noises.weight * each.numpy()).mean() - np.log(images))


@pytest.mark.parametrize(("frame", "freedom"), [LINE, MIRROR])
def test_it_is_tight_for_the_score_of_a_law_and_worse_for_others(frame, freedom):
    rng = np.random.default_rng(1)
    count = 20_000
    centre = rng.random((1, 3)) * (np.arange(3) < freedom)
    wide = np.full(count, np.sqrt(WIDTH**2 + 2 * SMALLEST**2))  # the law is blurred twice by the smallest noise
    every = joined([frame] * count)
    drawn = shaken(every, np.broadcast_to(centre, (count, 3)), wide, rng.standard_normal((count, 3)))
    for at in (np.broadcast_to(drawn[:1], drawn.shape), np.broadcast_to(drawn[1:2], drawn.shape), drawn):
        exact = -pull(every, np.broadcast_to(centre, at.shape), at, wide).log_density.mean()
        assert bound_of(frame, at, centre) == pytest.approx(exact, abs=0.2)  # four standard errors of the estimate
    for scale in (0.4, 1.6):
        assert bound_of(frame, drawn, centre, scale=scale) > exact + 0.3


def test_without_a_score_it_is_the_even_law():
    for frame, _ in (LINE, AXIS, MIRROR):
        found = bound_of(frame, np.zeros((100, 3)), np.zeros((1, 3)), scale=0.0)
        assert found == -np.log(len(joined([frame]).images))


def test_noises_to_learn_from_weigh_what_even_ones_do():
    frames = joined([LINE[0], MIRROR[0]] * 20_000)
    rng = np.random.default_rng(0)
    even, learnt = even_noises(frames, SMALLEST, rng.random(40_000)), learnt_noises(frames, SMALLEST, rng)
    assert learnt.weight.mean() == pytest.approx(spans(frames, SMALLEST).mean(), rel=0.02)
    for power in (1.0, -1.0):
        values = [(part.weight * np.minimum(part.noise, 0.5) ** power).mean() for part in (even, learnt)]
        assert values[1] == pytest.approx(values[0], rel=0.05)


def test_the_bound_of_a_crystal_whose_only_site_holds_the_origin_is_its_density():
    model = tiny_model()
    frames = joined([AXIS[0]])
    free = np.array([[0.3, 0.0, 0.0]])
    noises = even_noises(frames, SMALLEST, np.array([0.4]))
    batch = noised(frames, np.zeros(1, int), free, noises, np.ones((1, 3)), np.zeros(1, int), model.config)
    with torch.no_grad():
        assert model.network.bound(batch).item() == pytest.approx(frames.log_images[0], abs=1e-6)
        shifted = replace(batch, target=batch.target + 3.0)
        assert model.network.bound(shifted).item() == pytest.approx(frames.log_images[0], abs=1e-5)
