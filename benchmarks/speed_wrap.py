"""Points carried into the asymmetric unit of their group."""

from __future__ import annotations

import numpy as np

from aristotype.symmetry import GRID, NUM_GROUPS, asymmetric_unit
from benchmarks.core import Clock, Context, Measurement, Outcome

POINTS = 1_000_000
RICHEST = 225  # of the groups of 192 operations, most crystals are in this one
AIM = 1e5  # points a second


def wrapping(context: Context) -> Outcome:
    """Random points of all groups, a third of them on a grid whose points are often on boundaries, and of Fm-3m."""
    rng = np.random.default_rng(context.seed)
    for number in range(1, NUM_GROUPS + 1):
        asymmetric_unit(number).wrap(rng.random((10, 3)))  # tables are read once
    each = POINTS // NUM_GROUPS
    for work, numbers, count in (
        ("all groups, even shares", range(1, NUM_GROUPS + 1), each),
        (f"space group {RICHEST}", [RICHEST], POINTS // 10),
    ):
        points = [_points(rng, count) for _ in numbers]
        with Clock() as clock:
            for number, some in zip(numbers, points, strict=True):
                asymmetric_unit(number).wrap(some)
        total = len(points) * count
        yield Measurement(
            work=f"points into the asymmetric unit, {work}",
            value=total / clock.cpu,
            unit="a CPU second",
            count=f"{total:,} points",
            cpu_seconds=clock.cpu,
            seed=context.seed,
            note=f"aimed at {AIM:,.0f}",
        )


def _points(rng: np.random.Generator, count: int) -> np.ndarray:
    points = rng.random((count, 3))
    points[::3] = rng.integers(0, GRID, points[::3].shape) / GRID
    return points
