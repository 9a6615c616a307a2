"""Densities of general positions: invariant, normalised over the unit of every group, and followed by draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from aristotype.models.wyckoff_augen.paper._interior import (
    MOST,
    CellMixture,
    draw,
    log_density,
    log_in_cell,
    mixture,
    von_mises_quantile,
)
from aristotype.symmetry import GRID, asymmetric_unit, space_group

SOME = [1, 2, 5, 14, 19, 47, 62, 88, 99, 146, 166, 178, 194, 205, 225, 230]


def random_law(rows: int, seed: int, components: int = 3, spread: float = 1.0) -> CellMixture:
    raw = np.random.default_rng(seed).normal(0.0, spread, (rows, 7 * components))
    return mixture(torch.from_numpy(raw))


def spread_over(law: CellMixture, rows: int) -> CellMixture:
    return CellMixture(*(part.repeat_interleave(rows, dim=0) for part in law))


@pytest.mark.parametrize("start", range(1, 231, 46))
def test_a_density_integrates_to_one_over_the_unit_of_every_group(start):
    """A mean over a grid of the cell, each point carried into the unit: exact for laws that are as smooth as these."""
    side = np.arange(6) / 6
    grid = np.stack(np.meshgrid(side + 0.013, side + 0.029, side + 0.071), axis=-1).reshape(-1, 3)
    for number in range(start, start + 46):
        unit = asymmetric_unit(number)
        points = torch.from_numpy(unit.wrap(grid).points)
        law = random_law(1, number, components=2)
        law = law._replace(concentration=law.concentration.clamp(max=0.5))
        group = torch.full((len(points),), number)
        density = log_density(spread_over(law, len(points)), group, points).exp()
        volume = 1.0 / len(unit.group.rotations)
        assert float(density.mean()) * volume == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("number", SOME)
def test_a_sharper_density_integrates_to_one_over_random_points_of_the_unit(number):
    unit = asymmetric_unit(number)
    low, high = unit.corners.min(axis=0) / GRID, unit.corners.max(axis=0) / GRID
    n = 4000
    points = low + np.random.default_rng(number).random((n, 3)) * (high - low)
    inside = unit.contains(points)
    law = random_law(1, number, components=5)
    density = np.zeros(n)
    rows = int(inside.sum())
    found = log_density(spread_over(law, rows), torch.full((rows,), number), torch.from_numpy(points[inside]))
    density[inside] = found.exp().numpy() * np.prod(high - low)
    assert density.mean() == pytest.approx(1.0, abs=4.0 * density.std() / np.sqrt(n))


def test_a_density_is_the_same_for_every_image():
    """Under all operations of every group and translations; rows of one call are of all groups."""
    rng = np.random.default_rng(0)
    groups = np.concatenate([np.full(min(8, len(space_group(n).rotations)), n) for n in range(1, 231)])
    x = rng.random((231, 3))[groups]
    chosen = np.concatenate([rng.permutation(len(space_group(n).rotations))[:8] for n in range(1, 231)])
    image = np.stack(
        [
            space_group(n).rotations[g] @ point + space_group(n).translations[g] / GRID + rng.integers(-2, 3, 3)
            for n, g, point in zip(groups.tolist(), chosen.tolist(), x, strict=True)
        ]
    )
    one = random_law(231, 1, spread=3.0)
    law = CellMixture(*(part[groups] for part in one))
    number = torch.from_numpy(groups)
    found, other = (log_density(law, number, torch.from_numpy(points)) for points in (x, image))
    assert float((found - other).abs().max()) < 1e-8
    alone = [
        log_density(CellMixture(*(p[i : i + 1] for p in law)), number[i : i + 1], torch.from_numpy(x[i : i + 1]))
        for i in range(0, len(x), 200)
    ]
    assert torch.cat(alone).numpy() == pytest.approx(found[::200].numpy(), abs=1e-12)


def test_a_density_in_the_cell_is_that_of_scipy():
    law = random_law(20, 0, components=4, spread=2.0)
    x = np.random.default_rng(1).random((20, 3))
    weight, centre, concentration = (part.numpy() for part in law)
    each = 2.0 * np.pi * stats.vonmises.pdf(2.0 * np.pi * (x[:, None] - centre), concentration)
    expected = (np.exp(weight) * each.prod(axis=2)).sum(axis=1)
    assert log_in_cell(law, torch.from_numpy(x)[:, None])[:, 0].exp().numpy() == pytest.approx(expected, rel=1e-9)


def test_single_precision_is_enough():
    law = random_law(40, 5, spread=4.0)
    group = torch.arange(1, 41)
    x = torch.rand(40, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    single = log_density(CellMixture(*(part.float() for part in law)), group, x)
    assert single.dtype == torch.float32
    assert single.double().numpy() == pytest.approx(log_density(law, group, x).numpy(), abs=5e-3)


def test_concentrations_have_bounds_and_gradients():
    raw = torch.randn(12, 35, generator=torch.Generator().manual_seed(0)).mul(30.0).requires_grad_()
    law = mixture(raw)
    assert 0.0 <= float(law.concentration.detach().min()) < float(law.concentration.detach().max()) <= MOST
    log_density(law, torch.arange(200, 212), torch.rand(12, 3).double()).sum().backward()
    assert torch.isfinite(raw.grad).all()
    assert mixture(torch.zeros(1, 7)).concentration.flatten().tolist() == pytest.approx([1.0] * 3)


@pytest.mark.parametrize("concentration", [1e-6, 0.3, 3.0, 10.0, 11.0, 60.0, MOST])
def test_quantiles_invert_the_integral_of_the_density(concentration):
    """By a sum over a grid: scipy's own distribution function is good to 1e-5 only at large concentrations."""
    uniform = np.concatenate([np.linspace(1e-4, 1.0 - 1e-4, 201), [0.0, 1.0 - 2.0**-53]])
    found = von_mises_quantile(torch.full((len(uniform),), concentration).double(), torch.from_numpy(uniform)).numpy()
    assert (np.abs(found) <= 0.5).all()
    grid = np.linspace(-0.5, 0.5, 100_001)
    density = np.exp(concentration * (np.cos(2.0 * np.pi * grid) - 1.0))
    below = integrate.cumulative_simpson(density, x=grid, initial=0.0)
    assert np.interp(found, grid, below / below[-1]) == pytest.approx(uniform, abs=1e-6)


def test_draws_lie_in_the_unit_and_follow_the_density():
    """The mean of 1 / p over draws is the unit's volume, that of q / p is one; groups are mixed in one call."""
    n = 600
    group = torch.tensor(SOME).repeat_interleave(n)
    law = spread_over(random_law(len(SOME), 7), n)
    other = law._replace(centre=law.centre + 0.02)
    drawn = draw(law, group, torch.from_numpy(np.random.default_rng(3).random((len(group), 4))))
    own = log_density(law, group, drawn)
    order = torch.tensor([len(space_group(number).rotations) for number in SOME]).repeat_interleave(n)
    for ratio in (torch.exp(-own) * order, torch.exp(log_density(other, group, drawn) - own)):
        each = ratio.view(len(SOME), n)
        error = each.std(dim=1) / np.sqrt(n)
        assert float(error.max()) < 0.2
        assert float(((each.mean(dim=1) - 1.0).abs() / error).max()) < 4.5
    for row, number in enumerate(SOME):
        assert asymmetric_unit(number).contains(drawn[row * n : (row + 1) * n].numpy()).all()


def test_draws_of_the_trivial_group_are_von_mises():
    n = 3000
    law = spread_over(random_law(1, 4, components=1, spread=2.0), n)
    drawn = draw(
        law, torch.ones(n, dtype=torch.long), torch.from_numpy(np.random.default_rng(0).random((n, 4)))
    ).numpy()
    centre, concentration = law.centre[0, 0].numpy(), law.concentration[0, 0].numpy()
    for axis in range(3):
        offset = np.mod(drawn[:, axis] - centre[axis] + 0.5, 1.0) - 0.5
        below = stats.vonmises.cdf(2.0 * np.pi * offset, concentration[axis])
        assert stats.kstest(below, "uniform").pvalue > 1e-3
