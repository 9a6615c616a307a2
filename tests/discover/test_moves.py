"""Moves of crystals: symmetric on the stated measure, the same for every description, within the template."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aristotype.crystal import CrystalTable, gene_keys, reduced_lattices, template_keys
from aristotype.discover._chain_crystals import ChainCrystals
from aristotype.discover._metropolis import DRAWS, Judgement, metropolis
from aristotype.discover._moves import NOT_ALLOWED, NOTHING, Displace, Exchange, Strain, Substitute, log_cell_measure
from aristotype.symmetry import cell_matrix, cell_parameters, lattice_constraints, space_group
from tests.crystal.builders import random_crystal, random_lattice, table_of

EVERY = np.ones((119, 119), bool)


def crystal(number: int, seed: int) -> ChainCrystals:
    """A random crystal of a group."""
    return ChainCrystals.from_table(table_of(random_crystal(number, np.random.default_rng(seed))))


def one(number: int, letters, elements, free, lattice, copies: int) -> ChainCrystals:
    table = CrystalTable.from_arrays(
        space_group=[number],
        num_sites=[len(letters)],
        elements=elements,
        wyckoffs=letters,
        free=free,
        lattice=[lattice],
    )
    return ChainCrystals.from_table(table).take(np.zeros(copies, int))


def sample(start: ChainCrystals, move, score, steps: int, seed: int = 0) -> ChainCrystals:
    """The last states of chains on exp(score(crystals))."""

    def judge(batch, rows):
        return Judgement(score(batch)[:, None], np.full(len(batch), "", object))

    run = metropolis(
        start,
        {"move": (1.0, move)},
        judge,
        coefficients=np.ones((steps, 1)),
        goal=np.ones(1),
        seed=seed,
        streams=np.arange(len(start)),
    )
    return run.last


def uniform(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((n, DRAWS - 1))


# ---- within the template, legal, wherever it starts


@settings(max_examples=60)
@given(number=st.integers(1, 230), seed=st.integers(0, 2**32 - 1))
def test_moves_keep_group_template_and_constraints(number, seed):
    start = crystal(number, seed)
    for move in (Substitute(EVERY, False), Exchange(EVERY, True), Displace(0.3), Strain(0.05)):
        made = move(start, uniform(len(start), seed))
        table = made.batch.to_table()  # the table checks groups, positions, ranges and cells
        assert (template_keys(table.genes()) == template_keys(start.genes())).all()
        constraints = lattice_constraints(number)
        assert np.allclose(constraints.expand(constraints.reduce(table.lattice)), table.lattice, atol=1e-9)
        if made.ruled_out[0] == NOTHING:
            assert table == start.to_table()
        if isinstance(move, Displace | Strain):
            assert (gene_keys(table.genes()) == gene_keys(start.genes())).all()
        if isinstance(move, Exchange):
            assert sorted(made.batch.elements[0]) == sorted(start.elements[0]) or move.by_element


def test_moves_of_elements_stay_within_the_mask():
    start = crystal(62, 3).take(np.zeros(400, int))
    allowed = np.eye(119, dtype=bool)
    kinds = np.unique(start.elements[0][start.elements[0] > 0])
    allowed[kinds[0], [11, 19]] = True
    made = Substitute(allowed, True)(start, uniform(400, 0))
    changed = made.batch.elements != start.elements
    assert (start.elements[changed] == kinds[0]).all()
    assert set(made.batch.elements[changed].tolist()) == {11, 19}
    made = Exchange(allowed, True)(start, uniform(400, 0))
    assert set(made.ruled_out.tolist()) <= {NOT_ALLOWED, NOTHING}


def test_all_sites_that_began_alike_change_together():
    start = one(221, [0, 1, 2], [3, 8, 8], [], [4, 4, 4, 90, 90, 90], 300)
    made = Substitute(EVERY, True)(start, uniform(300, 1)).batch
    assert (made.elements[:, 1] == made.elements[:, 2]).all()
    assert (Substitute(EVERY, False)(start, uniform(300, 1)).batch.elements[:, 1] != 8).any()


# ---- known distributions


def test_elements_are_visited_as_often_as_their_weights_say():
    """Two orbits, three elements: nine states of known weight, by moves of both kinds."""
    start = one(221, [0, 1], [3, 8], [], [4, 4, 4, 90, 90, 90], 4000)
    allowed = np.zeros((119, 119), bool)
    allowed[np.ix_([3, 8], [3, 8, 17])] = True
    weight = np.random.default_rng(5).random((119, 119)) + 0.1

    def score(batch):
        return np.log(weight[batch.elements[:, 0], batch.elements[:, 1]])

    index = np.full(119, -1)
    index[[3, 8, 17]] = range(3)
    target = weight[np.ix_([3, 8, 17], [3, 8, 17])].ravel()
    target /= target.sum()
    moves = {"s": (1.0, Substitute(allowed, False)), "e": (0.5, Exchange(allowed, False))}

    def judge(batch, rows):
        return Judgement(score(batch)[:, None], np.full(len(batch), "", object))

    run = metropolis(
        start, moves, judge, coefficients=np.ones((40, 1)), goal=np.ones(1), seed=2, streams=np.arange(4000)
    )
    found = np.bincount(index[run.last.elements] @ [3, 1], minlength=9) / 4000
    assert (np.abs(found - target) < 4.5 * np.sqrt(target * (1 - target) / 4000)).all()


def test_cells_that_grow_with_their_elements_keep_the_target():
    """One orbit, two elements with Gaussian cells of their own: the weight of an element is the width of its cells."""
    start = one(221, [0], [3], [], [4, 4, 4, 90, 90, 90], 3000)
    allowed = np.zeros((119, 119), bool)
    allowed[3, [3, 17]] = True
    middle, width, volumes = np.ones(119), np.ones(119), np.ones(119)
    middle[[3, 17]], width[[3, 17]], volumes[[3, 17]] = (4.0, 5.0), (0.4, 0.2), (4.0**3, 5.0**3)

    def judge(batch, rows):
        element = batch.elements[:, 0]
        terms = -0.5 * np.square((batch.lattice[:, 0] - middle[element]) / width[element])
        return Judgement(terms[:, None], np.full(len(batch), "", object))

    moves = {"s": (1.0, Substitute(allowed, False, volumes)), "c": (1.0, Strain(0.1))}
    run = metropolis(
        start, moves, judge, coefficients=np.ones((60, 1)), goal=np.ones(1), seed=2, streams=np.arange(3000)
    )
    share = (run.last.elements[:, 0] == 3).mean()
    assert abs(share - 2 / 3) < 4.5 * np.sqrt(2 / 9 / 3000)
    assert run.fates["s"]["accepted"] > 0.3 * sum(run.fates["s"].values())


def test_coordinates_are_distributed_as_the_target_says():
    """R-3m, 6c (0, 0, z): density 1 + cos(2 pi z) cannot be told from the chains'."""
    from scipy.stats import kstest

    start = one(166, [2], [8], [0.2], [4, 4, 12, 90, 90, 120], 2500)
    last = sample(start, Displace(1.0), lambda b: np.log1p(0.999 * np.cos(2 * np.pi * b.free[:, 0, 0])), 150)
    z = last.free[:, 0, 0]
    assert kstest(z, lambda x: x + 0.999 * np.sin(2 * np.pi * x) / (2 * np.pi)).pvalue > 1e-4


# Cells around which the target is a Gaussian of a fifth of a length and 12 degrees: so wide that the measure is seen.
CELLS = {
    221: [4.0, 4, 4, 90, 90, 90],
    194: [3.0, 3, 5, 90, 90, 120],
    47: [4.0, 5, 6, 90, 90, 90],
    3: [5.0, 6, 5.5, 90, 100, 90],
    1: [4.0, 4.4, 4.8, 80, 84, 82],
}
WIDTH = np.array([0.8, 0.9, 1.0, 12.0, 12.0, 12.0])


def gaussian_of_reduced_cells(number: int, lattice: np.ndarray) -> np.ndarray:
    """Log of the target density on the free parameters of reduced cells."""
    constraints = lattice_constraints(number)
    columns = [int(row.argmax()) for row in constraints.basis.T]
    return -0.5 * np.square((reduced_lattices(number, lattice) - CELLS[number]) / WIDTH)[:, columns].sum(axis=1)


def drawn_by_rejection(number: int, n: int) -> np.ndarray:
    """Reduced cells (n, 6) of that distribution: Gaussian numbers, without those that are no reduced cell."""
    constraints, rng = lattice_constraints(number), np.random.default_rng(7)
    columns = [int(row.argmax()) for row in constraints.basis.T]
    found = np.zeros((0, 6))
    while len(found) < n:
        cells = constraints.expand(rng.normal(np.array(CELLS[number])[columns], WIDTH[columns], (4 * n, len(columns))))
        turned = np.radians(cells[:, 3:])
        cosine = np.cos(turned)
        closed = 1 + 2 * cosine.prod(axis=1) - np.square(cosine).sum(axis=1) > 0.02
        cells = cells[closed & (cells[:, :3] > 0.5).all(axis=1) & (turned.sum(axis=1) < 2 * np.pi)]
        same = np.abs(reduced_lattices(number, cells) - cells).max(axis=1) < 1e-6
        found = np.concatenate([found, cells[same]])
    return found[:n]


@pytest.mark.parametrize(("number", "chains"), [(221, 2000), (194, 2000), (47, 2000), (3, 300), (1, 250)])
def test_cells_are_distributed_on_lebesgue_measure_of_reduced_cells(number, chains):
    """Against draws by rejection; without Hastings' correction the means would be off by a tenth of a width or more."""
    from scipy.stats import ks_2samp

    freedom = space_group(number).positions[0].freedom
    start = one(number, [0], [8], [0.1] * freedom, CELLS[number], chains)
    last = sample(start, Strain(0.12), lambda batch: gaussian_of_reduced_cells(number, batch.lattice), 40)
    found, wanted = reduced_lattices(number, last.lattice), drawn_by_rejection(number, 4000 if number > 15 else 1500)
    for column in {int(row.argmax()) for row in lattice_constraints(number).basis.T}:
        assert ks_2samp(found[:, column], wanted[:, column]).pvalue > 1e-4, column


@pytest.mark.parametrize("number", [1, 5, 62, 139, 166, 194, 225])
def test_the_measure_of_cells_does_not_depend_on_the_basis(number):
    """d(cell') / d(cell) of any linear change of the vectors is the ratio of the measures' densities (numerically)."""
    from aristotype.discover._moves import _log_measure

    rng = np.random.default_rng(number)
    constraints, system = lattice_constraints(number), space_group(number).crystal_system
    lattice = random_lattice(number, rng, 60.0)
    change = {
        "triclinic": np.eye(3) + 0.2 * rng.normal(size=(3, 3)),
        "monoclinic": np.eye(3) + 0.2 * np.array([[1, 0, -1], [0, 1, 0], [0.7, 0, -0.4]]),
        "orthorhombic": np.diag([1.3, 0.8, 1.1]),
        "cubic": 1.3 * np.eye(3),
    }.get(system, np.diag([1.3, 1.3, 0.8]))

    def changed(free):
        return constraints.reduce(cell_parameters(change @ cell_matrix(constraints.expand(free))), tolerance=1e-6)

    free = constraints.reduce(lattice)
    steps = 1e-5 * np.eye(len(free))
    jacobian = np.array([(changed(free + step) - changed(free - step)) / 2e-5 for step in steps])
    ends = constraints.expand(np.stack([free, changed(free)]))
    before, after = _log_measure(system, ends)
    assert np.linalg.slogdet(jacobian)[1] == pytest.approx(after - before, abs=1e-6)


# ---- the same for every description


@pytest.mark.parametrize("number", [1, 2, 5, 14])
def test_a_change_of_basis_changes_neither_measure_nor_step(number):
    """Of an oblique cell: the law of a displacement in Angstrom, and the measure."""
    rng = np.random.default_rng(number)
    lattice = random_lattice(number, rng, 80.0)
    even = np.array([[1, 0, 0], [0, 1, 0], [2, 0, 1]])  # keeps centrings and glides
    other = cell_parameters(even @ cell_matrix(lattice))
    group = np.full(2, number, np.int16)
    first, second = log_cell_measure(group, np.stack([lattice, other]))
    assert first == pytest.approx(second, abs=1e-9)
    general = len(space_group(number).positions) - 1
    lengths = []
    for cell in (lattice, other):
        start = one(number, [general], [8], [0.2, 0.3, 0.4], cell, 4000)
        made = Displace(0.03)(start, uniform(4000, 3)).batch
        step = (made.free - start.free + 0.5)[:, 0] % 1.0 - 0.5
        lengths.append((step @ start.bases()[0]).std(axis=0))
    assert np.allclose(lengths, lengths[0][0], rtol=0.08)  # all directions of both cells alike; 4000 draws
