"""Chains with a score that is known draw from its law."""

from __future__ import annotations

import numpy as np
import pytest

from aristotype.models.blocks import uniforms
from aristotype.models.wyckoff_augen.diffusion._chain import Held, draw_free
from aristotype.models.wyckoff_augen.diffusion._frames import frame_of, joined
from aristotype.models.wyckoff_augen.diffusion._kernel import pull

SMALLEST, WIDTH, COUNT = 0.005, 0.4, 4000
CELL = np.array([4.0, 5.0, 3.0, 90.0, 90.0, 90.0])


@pytest.mark.parametrize("share", [0.5, 0.8])
def test_frequencies_are_those_of_the_law(share):
    """Two peaks on a line, each on all images of a point; a chain of 100 steps, against the law by its integral."""
    frames = joined([frame_of(47, [8], CELL)] * COUNT)
    peaks = [np.tile([[u, 0.0, 0.0]], (COUNT, 1)) for u in (0.11, 0.36)]

    def parts(free: np.ndarray, noise: float, at=None) -> tuple[np.ndarray, list]:
        given = frames if at is None else at
        wide = np.full(len(free), np.hypot(WIDTH, noise))
        laws = [pull(given, peak[: len(free)], free, wide) for peak in peaks]
        logs = np.array([law.log_density for law in laws]) + np.log([[share], [1 - share]])
        return logs, [law.score * (noise / wide)[:, None] for law in laws]

    def scores(free: np.ndarray, noise: np.ndarray) -> np.ndarray:
        logs, each = parts(free, noise[0])
        weights = np.exp(logs - np.logaddexp(*logs))
        return weights[0][:, None] * each[0] + weights[1][:, None] * each[1]

    def random(step: int) -> np.ndarray:
        return uniforms(7, np.arange(COUNT), step, 3)

    drawn = draw_free(frames, scores, random, 100, SMALLEST)
    assert (drawn[:, 1:] == 0).all()
    folded = np.minimum(drawn[:, 0], 1 - drawn[:, 0])  # the two images of a point
    edges = np.linspace(0, 0.5, 11)
    counts = np.histogram(folded, edges)[0]
    middle = np.repeat(edges[:-1], 40) + np.tile((np.arange(40) + 0.5) / 800, 10)
    few = joined([frames.each[0]] * len(middle))
    logs, _ = parts(np.pad(middle[:, None], ((0, 0), (0, 2))), 0.0, few)
    expected = COUNT * np.exp(np.logaddexp(*logs)).reshape(10, 40).mean(axis=1) / 20
    assert expected.sum() == pytest.approx(COUNT, rel=1e-3)
    # Pearson's statistic has nine degrees of freedom; steps of a finite chain add a little.
    assert ((counts - expected) ** 2 / expected).sum() < 35


def test_held_sites_stay_and_the_others_see_them_with_as_much_noise():
    """Every second site is held. Where no site pulls on another, the others come as if it were not."""
    count, steps = 300, 20
    frames = joined([frame_of(47, [8, 8], CELL)] * count)
    held = Held(np.tile([True, False], count), np.tile([[0.2, 0.0, 0.0]], (2 * count, 1)))
    seen: list[tuple[float, float]] = []

    def scores(free: np.ndarray, noise: np.ndarray) -> np.ndarray:
        apart = (free[::2, 0] - 0.2 + 0.5) % 1.0 - 0.5
        seen.append((float(noise[0]), float((apart * CELL[0]).std())))
        return -0.5 * np.sin(2 * np.pi * free)

    def random(step: int) -> np.ndarray:
        return uniforms(3, np.arange(2 * count), step, 3)

    kept = draw_free(frames, scores, random, steps, SMALLEST, held)
    noisy = [(noise, spread) for noise, spread in seen[1:] if noise < 0.5]
    free = draw_free(frames, scores, random, steps, SMALLEST)
    assert (kept[::2] == held.free[::2]).all() and (free[::2] != held.free[::2]).any()
    np.testing.assert_array_equal(kept[1::2], free[1::2])
    assert len(noisy) > 5
    for noise, spread in noisy:
        assert spread == pytest.approx(noise, rel=0.2)
