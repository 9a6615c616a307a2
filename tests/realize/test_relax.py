"""Relaxation: the minima that ASE finds, a symmetry that cannot be lost, and an outcome for every row."""

from __future__ import annotations

import numpy as np
import pytest
from ase.calculators.emt import EMT
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS

from aristotype.calculators import Prediction, load_potential
from aristotype.crystal import CrystalTable, GeneBatch, encode_arrays
from aristotype.errors import ConfigError, TableError
from aristotype.realize import RealizeConfig, RelaxConfig, realize, relax_rows
from aristotype.realize._freedom import FullFreedom, SymmetricFreedom
from aristotype.realize._relax import closest_distance
from aristotype.symmetry import space_group
from tests.random_genes import random_genes

METALS = (13, 28, 29, 46, 47, 78, 79)
"""What EMT knows."""
SYSTEMS = (2, 5, 12, 14, 33, 62, 99, 136, 146, 166, 174, 194, 198, 225)
"""At least one group of each crystal system and centring type, polar ones among them."""
SYMMETRIC = RelaxConfig(free_steps=0)


def metals(groups=SYSTEMS, seed: int = 0) -> CrystalTable:
    """Random crystals that EMT can compute, of at most five atoms a site."""
    genes = random_genes(np.random.default_rng(seed), list(groups), elements=METALS, max_sites=2)
    small = genes.take(np.flatnonzero(genes.multiplicities.sum(axis=1) <= 48))
    return realize(CrystalTable.from_genes(small), seed=seed, config=RealizeConfig(verify=False), failures=[])


@pytest.fixture(scope="module")
def emt():
    return load_potential("ase.calculators.emt:EMT")


@pytest.fixture(scope="module")
def table() -> CrystalTable:
    return metals()


@pytest.fixture(scope="module")
def relaxed(table, emt) -> CrystalTable:
    return relax_rows(table, emt, SYMMETRIC)


def shaken(x: np.ndarray, seed: int) -> np.ndarray:
    return x + np.random.default_rng(seed).normal(0, 0.02, len(x))


@pytest.mark.parametrize("number", SYSTEMS)
@pytest.mark.parametrize("whole", [False, True])
def test_slopes_are_the_derivatives_of_the_energy(emt, number, whole):
    table = metals((number, number, number, number))
    freedom = SymmetricFreedom(table.take([0]))
    if whole:
        freedom = FullFreedom(freedom.structure(freedom.start))
    x, step = shaken(freedom.start, number), 1e-4
    slope = freedom.slope(x, emt.predict([freedom.structure(x)])[0])
    for place in np.random.default_rng(1).permutation(len(x))[:8]:
        aside = np.eye(len(x))[place] * step
        up, down = emt.energies([freedom.structure(x + aside), freedom.structure(x - aside)])
        assert slope[place] == pytest.approx((up - down) / (2 * step), abs=1e-4, rel=1e-4)


def test_the_first_structure_is_the_crystal_itself(table):
    for row, atoms in enumerate(table.to_atoms(primitive=True)):
        freedom = SymmetricFreedom(table.take([row]))
        found = freedom.structure(freedom.start)
        assert sorted(found.numbers) == sorted(atoms.numbers)
        assert found.get_volume() == pytest.approx(atoms.get_volume())
        assert closest_distance(found, 5.0) == pytest.approx(closest_distance(atoms, 5.0))


def test_every_row_is_at_rest_and_lower(table, relaxed):
    frame = relaxed.arrow.to_pandas()
    assert relaxed.ids == table.ids
    assert (frame["relax_end"] == "converged").all()
    assert (frame["max_force"] < SYMMETRIC.fmax).all()
    assert (frame["energy"] <= frame["energy_start"] + 1e-6).all()
    assert (frame["energy"] == frame["energy_symmetric"]).all()
    assert frame["space_group_before"].tolist() == table.space_group.tolist()


def test_the_symmetry_is_never_lost(table, emt):
    """At a tolerance a thousand times smaller than that of real data; it may rise, where the minimum has more.

    A crystal that still has its group has a point group of which the group's is a subgroup, so that the orders divide.
    """

    def order(number: int) -> int:
        group = space_group(number)
        return group.positions[-1].multiplicity // group.centring_order

    found = relax_rows(table, emt, RelaxConfig(free_steps=0, tolerance=1e-4))
    pairs = list(zip(found.space_group.tolist(), table.space_group.tolist(), strict=True))
    assert all(order(after) % order(before) == 0 for after, before in pairs)
    assert sum(after == before for after, before in pairs) >= len(pairs) // 3


@pytest.mark.filterwarnings("ignore:logm result may be inaccurate")  # of ASE's filter
def test_minima_are_those_of_ase(emt):
    """Without symmetry, from the same start."""
    table = metals((225, 221, 194, 123), seed=3)
    ours = relax_rows(table, emt, RelaxConfig(fmax=0.005, free_steps=0)).arrow.to_pandas()
    for row, atoms in enumerate(table.to_atoms(primitive=True)):
        atoms.calc = EMT()
        BFGS(FrechetCellFilter(atoms), logfile=None).run(fmax=0.005, steps=500)
        assert ours["energy"][row] == pytest.approx(atoms.get_potential_energy() / len(atoms), abs=2e-3)


class Double:
    """A potential with two wells along z between two atoms a cell: symmetric positions are a saddle."""

    name, fingerprint, elements = "double", "double", frozenset(range(1, 100))

    def energies(self, structures):
        return np.array([found.energy for found in self.predict(structures)])

    def predict(self, structures):
        out = []
        for atoms in structures:
            z = atoms.get_scaled_positions(wrap=False)[:, 2]
            off = z[1] - z[0] - 0.5
            height = 4.0
            forces = np.zeros((len(atoms), 3))
            slope = height * (4 * off**3 - 0.04 * off) * 40 / atoms.cell.array[2, 2]
            forces[0, 2], forces[1, 2] = slope, -slope
            out.append(
                Prediction(energy=height * 40 * (off**4 - 0.02 * off**2), forces=forces, stress=np.zeros((3, 3)))
            )
        return out


def caesium_chloride() -> CrystalTable:
    return encode_arrays([np.eye(3) * 4.2], [[55, 17]], [[[0, 0, 0], [0.5, 0.5, 0.5]]], tolerance=0.01)


def test_a_saddle_is_left_only_without_symmetry():
    held = relax_rows(caesium_chloride(), Double(), SYMMETRIC)
    free = relax_rows(caesium_chloride(), Double(), RelaxConfig(tolerance=0.01, fmax=1e-3))
    assert held.space_group.tolist() == [221]
    assert free.space_group.tolist() != [221]
    gained = (held.column("energy").to_numpy() - free.column("energy").to_numpy())[0]
    assert gained == pytest.approx(4.0 * 40 * 1e-4 / 2, rel=0.05)
    assert not free.column("gene_kept").to_pylist()[0]


def test_without_a_gain_the_symmetric_structure_stands(emt):
    table = encode_arrays([np.eye(3) * 3.7], [[29] * 4], [[[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]])
    found = relax_rows(table, emt, RelaxConfig(tolerance=1e-5))
    assert found.space_group.tolist() == [225]
    assert found.column("relax_steps").to_pylist()[0] > 0
    assert found.column("gene_kept").to_pylist() == [True]


class Broken(Double):
    def predict(self, structures):
        found = super().predict(structures)
        return [Prediction(energy=np.nan, forces=one.forces, stress=one.stress) for one in found]


class Pull(Double):
    """Pulls every cell together without an end."""

    def predict(self, structures):
        return [
            Prediction(energy=float(atoms.get_volume()), forces=np.zeros((len(atoms), 3)), stress=np.eye(3))
            for atoms in structures
        ]


class Light(Double):
    elements = frozenset({1, 17})


@pytest.mark.parametrize(
    ("potential", "reason"),
    [
        (Broken(), "the potential gives no number for it"),
        (Light(), "double does not know Cs"),
        (Pull(), "its volume changed by a factor of"),
    ],
)
def test_failures_are_outcomes_with_a_reason(potential, reason):
    found = relax_rows(caesium_chloride(), potential, RelaxConfig())
    assert len(found) == 1
    assert found.column("relax_end").to_pylist()[0].startswith(reason)
    assert np.isfinite(found.lattice).all()
    assert found.space_group.tolist() == [221]


def test_limits_of_steps_and_time_are_outcomes(table, emt):
    few = relax_rows(table, emt, RelaxConfig(steps=2, free_steps=0, fmax=1e-4)).column("relax_end").to_pylist()
    assert set(few) <= {"steps", "converged"} and "steps" in few
    short = relax_rows(table, emt, RelaxConfig(seconds=0.1, steps=10_000, free_steps=0, fmax=1e-4))
    assert "seconds" in short.column("relax_end").to_pylist()


def test_a_row_does_not_depend_on_its_neighbours(table, relaxed, emt):
    alone = relax_rows(table.take([3]), emt, SYMMETRIC)
    assert alone.column("energy").to_pylist()[0] == pytest.approx(relaxed.column("energy").to_pylist()[3], abs=1e-9)
    assert alone.lattice[0] == pytest.approx(relaxed.lattice[3], abs=1e-9)


def test_genes_without_a_geometry_are_refused(emt):
    genes = CrystalTable.from_genes(GeneBatch.from_lists([225], [[29]], [[0]]))
    with pytest.raises(TableError, match="1 rows are genes and have no geometry, first row 0"):
        relax_rows(genes, emt, RelaxConfig())


@pytest.mark.parametrize("setting", [{"fmax": 0.0}, {"steps": 0}, {"rattle": -1.0}, {"max_volume_change": 1.0}])
def test_settings_out_of_range_are_refused(setting):
    with pytest.raises(ConfigError, match=next(iter(setting))):
        RelaxConfig(**setting)


def test_a_collapsed_cell_never_reaches_the_potential():
    """Its neighbours would fill the memory."""

    class Refusing(Double):
        def predict(self, structures):
            raise AssertionError("it was asked")

    small = encode_arrays([np.eye(3) * 1.2], [[55, 17]], [[[0, 0, 0], [0.5, 0.5, 0.5]]], tolerance=0.01)
    found = relax_rows(small, Refusing(), RelaxConfig())
    assert "atoms a cubic Angstrom; the limit is 0.6" in found.column("relax_end").to_pylist()[0]
    assert found.column("energy").to_pylist() == [None]
