"""Telescoped laws of cells: normalised, inside their ranges, with a volume, and followed by draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from aristotype.errors import ConfigError
from aristotype.models.wyckoff_augen.paper._lattice import ANGLES, BINS, LENGTHS, UNIFORMS, TelescopedLattice
from aristotype.symmetry import cell_matrix, lattice_constraints

WIDTH = 6
FAMILIES = [1, 2, 3, 15, 16, 74, 75, 142, 143, 167, 168, 194, 195, 230]


def lattice_law(seed: int = 0, scale: float = 2.0, **ranges) -> TelescopedLattice:
    """A network whose last layers are large enough that bins differ."""
    torch.manual_seed(seed)
    law = TelescopedLattice(WIDTH, frequencies=4, **ranges)
    with torch.no_grad():
        for level in (*law.coarse, *law.fine):
            level[-1].weight.mul_(scale)
    return law


def drawn(law: TelescopedLattice, group: torch.Tensor, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    context = torch.from_numpy(rng.normal(size=(len(group), WIDTH))).float()
    return context, law.draw(context, group, torch.from_numpy(rng.random((len(group), UNIFORMS))))


@torch.no_grad()
def test_cubic_cells_integrate_to_one_exactly():
    law = lattice_law()
    edges = torch.linspace(*LENGTHS, BINS**2 + 1, dtype=torch.float64)
    a = 0.5 * (edges[1:] + edges[:-1])
    cells = torch.cat([a[:, None].expand(-1, 3), torch.full((len(a), 3), 90.0, dtype=torch.float64)], dim=1)
    context = torch.randn(1, WIDTH, generator=torch.Generator().manual_seed(1)).expand(len(a), -1)
    density = law.log_density(context, torch.full((len(a),), 221), cells).double().exp()
    assert float((density * edges.diff()).sum()) == pytest.approx(1.0, abs=1e-5)
    assert float(density.max() / density.min()) > 10.0


@pytest.mark.parametrize("ranges", [{}, {"angles": (20.0, 170.0)}, {"angles": (35.0, 158.0)}])
@torch.no_grad()
def test_each_parameter_integrates_to_one_given_those_before(ranges):
    """Triclinic, over pieces that are cut where bins and the support end; rest parameters are those of draws."""
    law = lattice_law(1, **ranges)
    context, cells = drawn(law, torch.ones(6, dtype=torch.long))
    for parameter in range(6):
        support = law._support(parameter, cells)
        low, size = float(law.range_low[parameter]), float(law.range_size[parameter])
        for row in range(len(cells)):
            ends = [float(support.low[row]), float(support.high[row])]
            edges = np.unique(np.clip(np.concatenate([low + size * np.arange(BINS**2 + 1) / BINS**2, ends]), *ends))
            middle = torch.from_numpy(0.5 * (edges[1:] + edges[:-1]))
            n = len(middle)
            state = law._state(context[row : row + 1], cells[row : row + 1], parameter).expand(n, -1)
            own = type(support)(*(end[row].expand(n) for end in support))
            density = law._log_parameter(parameter, state, middle, own).double().exp()
            assert float((density * torch.from_numpy(np.diff(edges))).sum()) == pytest.approx(1.0, abs=1e-5)


@torch.no_grad()
def test_draws_follow_the_density():
    """The mean of q / p over draws from p is one, in every crystal family."""
    n = 400
    law, other = lattice_law(2, scale=1.0), lattice_law(2, scale=1.1)
    group = torch.tensor(FAMILIES).repeat_interleave(n)
    context, cells = drawn(law, group, 1)
    ratio = torch.exp(other.log_density(context, group, cells) - law.log_density(context, group, cells)).double()
    each = ratio.view(len(FAMILIES), n)
    error = each.std(dim=1) / np.sqrt(n)
    assert float(error.max()) < 0.1
    assert float(((each.mean(dim=1) - 1.0).abs() / error).max()) < 4.5
    assert float(error.min()) > 1e-4  # the two do differ


@torch.no_grad()
def test_draws_of_a_length_are_spread_as_the_density():
    n = 4000
    law = lattice_law(3)
    context = torch.randn(1, WIDTH, generator=torch.Generator().manual_seed(0))
    group = torch.full((n,), 225)
    uniform = torch.from_numpy(np.random.default_rng(0).random((n, UNIFORMS)))
    a = law.draw(context.expand(n, -1), group, uniform)[:, 0].numpy()
    edges = np.linspace(*LENGTHS, BINS**2 + 1)
    middle = torch.from_numpy(0.5 * (edges[1:] + edges[:-1]))
    cells = torch.cat([middle[:, None].expand(-1, 3), torch.full((len(middle), 3), 90.0)], dim=1)
    density = law.log_density(context.expand(len(middle), -1), torch.full((len(middle),), 225), cells).double().exp()
    cumulative = np.concatenate([[0.0], np.cumsum(density.numpy() * np.diff(edges))])
    assert stats.kstest(np.interp(a, edges, cumulative), "uniform").pvalue > 1e-3


@pytest.mark.parametrize("angles", [ANGLES, (20.0, 170.0)])
def test_draws_have_a_volume_and_obey_their_group(angles):
    law = lattice_law(4, angles=angles)
    group = torch.cat([torch.arange(1, 231), torch.ones(1500, dtype=torch.long)])
    context, cells = drawn(law, group, 2)
    assert torch.isfinite(law.log_density(context, group, cells)).all()
    assert (np.linalg.det(cell_matrix(cells.numpy())) > 0.0).all()
    for number, cell in zip(range(1, 231), cells.numpy(), strict=False):
        rules = lattice_constraints(number)
        assert rules.expand(rules.reduce(cell, 1e-9)) == pytest.approx(cell, abs=1e-9)
    low, high = cells.amin(dim=0), cells.amax(dim=0)
    assert (low[:3] >= LENGTHS[0]).all()
    assert (high[:3] <= LENGTHS[1]).all()
    assert (low[3:] >= angles[0]).all()
    assert (high[3:] <= angles[1]).all()


@torch.no_grad()
def test_the_whole_admissible_range_of_gamma_has_a_density():
    """Up to where the cell becomes flat, and nothing beyond."""
    law = lattice_law(5)
    alpha, beta = 62.0, 131.0  # gamma from 69 to 135 degrees by range, to 167 by volume
    other = 128.0, 132.0  # gamma up to 100 degrees
    for first, second, gamma, has in (
        (alpha, beta, 68.99, False),
        (alpha, beta, 69.01, True),
        (alpha, beta, 134.99, True),
        (*other, 99.98, True),
        (*other, 100.02, False),
    ):
        cell = torch.tensor([[5.0, 6.0, 7.0, first, second, gamma]], dtype=torch.float64)
        found = law.log_density(torch.zeros(1, WIDTH), torch.tensor([1]), cell)
        assert bool(torch.isfinite(found)) == has


@pytest.mark.parametrize(
    ("number", "cell"),
    [
        (221, [1.9, 1.9, 1.9, 90, 90, 90]),
        (221, [134, 134, 134, 90, 90, 90]),
        (221, [4, 4, 4.01, 90, 90, 90]),
        (221, [4, 4, 4, 90, 90, 91]),
        (194, [4, 4, 6, 90, 90, 90]),
        (14, [4, 5, 6, 90, 59, 90]),
        (1, [4, 5, 6, 200, 100, 100]),
        (1, [4, 5, 6, 100, -20, 100]),
        (1, [4, 5, 6, 100, float("nan"), 100]),
    ],
)
def test_what_is_outside_has_no_density(number, cell):
    law = lattice_law()
    context = torch.zeros(2, WIDTH, requires_grad=True)
    good = (
        [5, 5, 5, 90, 90, 90] if number == 221 else [5, 5, 5, 90, 90, 120] if number == 194 else [5, 6, 7, 90, 95, 90]
    )
    found = law.log_density(context, torch.tensor([number] * 2), torch.tensor([cell, good], dtype=torch.float64))
    assert found[0] == -torch.inf
    assert torch.isfinite(found[1])
    found[1].backward()
    assert torch.isfinite(context.grad).all() or np.isnan(cell).any()


def test_ends_of_the_range_have_a_density():
    law = lattice_law()
    for a in LENGTHS:
        cell = torch.tensor([[a, a, a, 90, 90, 90]], dtype=torch.float64)
        assert torch.isfinite(law.log_density(torch.zeros(1, WIDTH), torch.tensor([225]), cell)).all()


@torch.no_grad()
def test_what_a_parameter_is_told_is_what_is_before_it():
    """Noise on earlier parameters changes the law of later ones only; `given` says what is told."""
    law = lattice_law(6)
    context, cells = drawn(law, torch.tensor([195, 62, 62]))
    group = torch.tensor([195, 62, 62])
    noisy = cells + 0.3
    assert law.log_density(context, group, cells, given=cells).equal(law.log_density(context, group, cells))
    change = law.log_density(context, group, cells, given=noisy) - law.log_density(context, group, cells)
    assert float(change[0]) == 0.0  # one free parameter, the first
    assert (change[1:].abs() > 1e-4).all()


def test_frequencies_are_fixed_and_kept():
    one, two = TelescopedLattice(4), TelescopedLattice(4)
    assert torch.equal(one.frequency, two.frequency)
    assert {"frequency", "edge_frequency"} <= set(one.state_dict())
    assert float(one.frequency[:3].std()) == pytest.approx(20.0, rel=0.3)
    assert float(one.frequency[3:].std()) == pytest.approx(1.0, rel=0.3)
    assert float(one.edge_frequency.std()) == pytest.approx(10.0, rel=0.3)


@pytest.mark.parametrize(
    "ranges",
    [{"lengths": (5.0, 2.0)}, {"lengths": (0.0, 20.0)}, {"angles": (91.0, 135.0)}, {"angles": (60.0, 180.0)}],
)
def test_ranges_without_cells_are_refused(ranges):
    with pytest.raises(ConfigError, match=r"lengths|angles"):
        TelescopedLattice(4, **ranges)
