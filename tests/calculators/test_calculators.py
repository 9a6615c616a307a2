"""Potentials: the figures of the packages they come from, one at a time or many, and errors that say what to do."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

from aristotype.calculators import load_potential, potential_names
from aristotype.calculators._ase import AseFace, AsePotential
from aristotype.calculators._graphs import graphs_of
from aristotype.errors import ConfigError, UnknownNameError

CUTOFFS = (6.0, 3.0)


def shaken(atoms: Atoms, seed: int, size: float = 0.1) -> Atoms:
    """No symmetry left, in the positions or in the cell."""
    rng = np.random.default_rng(seed)
    atoms = atoms.copy()
    atoms.set_cell(atoms.cell.array + rng.normal(0, size, (3, 3)), scale_atoms=True)
    atoms.positions += rng.normal(0, size, (len(atoms), 3))
    return atoms


def crystals() -> list[Atoms]:
    perovskite = Atoms(
        "SrTiO3",
        scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]],
        cell=[3.9] * 3,
        pbc=True,
    )
    return [
        bulk("Cu"),
        bulk("NaCl", "rocksalt", a=5.6),
        shaken(bulk("Si"), 0),
        shaken(perovskite, 1),
        shaken(bulk("ZnS", "zincblende", a=5.4, cubic=True), 2),
        Atoms("He", cell=[20.0] * 3, pbc=True),
    ]


@pytest.fixture(scope="module")
def chgnet():
    return load_potential("chgnet", device="cpu")


@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad")  # in the package's own batches
def test_crystal_features_are_those_of_the_package(chgnet):
    """Of all crystals at once against one at a time; single precision, other orders of the sums."""
    from chgnet.model.model import CHGNet
    from pymatgen.io.ase import AseAtomsAdaptor

    structures = crystals()
    ours = chgnet.crystal_features(structures)
    theirs = CHGNet.load(use_device="cpu", verbose=False)
    for row, atoms in enumerate(structures[:-1]):
        found = theirs.predict_structure(AseAtomsAdaptor.get_structure(atoms), return_crystal_feas=True)["crystal_fea"]
        np.testing.assert_allclose(ours[row], found, atol=2e-5 * len(atoms))
    double = chgnet.crystal_features([structures[3].repeat((1, 2, 1))])
    np.testing.assert_allclose(double[0], 2 * ours[3], atol=2e-4)
    assert chgnet.crystal_features([]).shape == (0, ours.shape[1])


@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad")  # the package's own
@pytest.mark.parametrize("number", range(6))
def test_the_figures_are_those_of_the_package(chgnet, number):
    from chgnet.model.dynamics import CHGNetCalculator

    atoms = crystals()[number]
    ours = chgnet.predict([atoms])[0]
    atoms.calc = CHGNetCalculator(use_device="cpu", on_isolated_atoms="ignore")
    assert ours.energy == pytest.approx(atoms.get_potential_energy(), abs=2e-5 * len(atoms))
    assert np.abs(ours.forces - atoms.get_forces()).max() < 5e-4
    assert np.abs(ours.stress - atoms.get_stress(voigt=False)).max() < 2e-5


def test_many_at_once_are_the_same_as_one_at_a_time(chgnet):
    structures = crystals() * 12  # several passes
    together = chgnet.predict(structures)
    alone = [chgnet.predict([structure])[0] for structure in structures[:6]]
    for row, found in enumerate(together):
        one = alone[row % 6]
        assert found.energy == pytest.approx(one.energy, abs=1e-5 * len(structures[row]))
        assert np.abs(found.forces - one.forces).max() < 1e-4
        assert np.abs(found.stress - one.stress).max() < 1e-5
    assert chgnet.energies(structures) == pytest.approx([found.energy for found in together], abs=1e-4)
    assert chgnet.predict([]) == []
    assert len(chgnet.energies([])) == 0


def test_forces_and_stresses_are_the_slopes_of_the_energy(chgnet):
    atoms = shaken(bulk("NaCl", "rocksalt", a=5.6), 3)
    found, step = chgnet.predict([atoms])[0], 1e-2
    for axis in range(3):
        moved = [atoms.copy() for _ in range(2)]
        strained = [atoms.copy() for _ in range(2)]
        for sign, (shift, strain) in zip((1, -1), zip(moved, strained, strict=True), strict=True):
            shift.positions[0, axis] += sign * step
            strain.set_cell(atoms.cell.array @ (np.eye(3) + sign * step * np.eye(3)[[axis]].T * np.eye(3)[axis]), True)
        up, down = chgnet.energies(moved)
        assert found.forces[0, axis] == pytest.approx((down - up) / (2 * step), abs=5e-3)
        up, down = chgnet.energies(strained)
        slope = (up - down) / (2 * step) / atoms.get_volume()
        assert found.stress[axis, axis] == pytest.approx(slope, abs=2e-3)


@pytest.mark.parametrize("number", range(6))
def test_graphs_have_the_bonds_and_angles_of_the_package(chgnet, number):
    from pymatgen.io.ase import AseAtomsAdaptor

    atoms = crystals()[number]
    ours = graphs_of([atoms], *CUTOFFS)
    converter = chgnet._network.graph_converter
    converter.set_isolated_atom_response("ignore")
    theirs = converter(AseAtomsAdaptor.get_structure(atoms))
    bonds = theirs.atom_graph.numpy().reshape(-1, 2)

    def named(pairs: np.ndarray, images: np.ndarray) -> list[tuple[int, ...]]:
        return [(*map(int, pair), *map(int, image)) for pair, image in zip(pairs, images, strict=True)]

    mine, other = named(ours.bonds, ours.images), named(bonds, theirs.neighbor_image.numpy())
    assert sorted(mine) == sorted(other)
    assert len(ours.first) * 2 == len(ours.bonds)
    angles = theirs.bond_graph.numpy().reshape(-1, 5)[:, [2, 4]]
    assert sorted((mine[a], mine[b]) for _, a, b in ours.angles) == sorted((other[a], other[b]) for a, b in angles)


def test_graphs_of_many_are_those_of_each(chgnet):
    structures = crystals()
    together = graphs_of(structures, *CUTOFFS)
    parts = [graphs_of([structure], *CUTOFFS) for structure in structures]
    assert len(together.bonds) == sum(len(part.bonds) for part in parts)
    assert len(together.angles) == sum(len(part.angles) for part in parts)
    assert (together.owner[together.bonds[:, 0]] == together.owner[together.bonds[:, 1]]).all()
    reverse = together.bonds[:, ::-1]
    for bond in range(len(together.first)):
        one, other = np.flatnonzero(together.bond_of == bond)
        assert (together.bonds[one] == reverse[other]).all()
        assert (together.images[one] == -together.images[other]).all()


def test_overlapping_atoms_are_nan_and_their_neighbours_are_not(chgnet):
    lost = Atoms("NaCl", positions=[[0, 0, 0], [0, 0, 0]], cell=[5.0] * 3, pbc=True)
    energies = chgnet.energies([bulk("Cu"), lost, bulk("Si")])
    assert np.isfinite(energies).tolist() == [True, False, True]


def test_ase_reads_our_potentials(chgnet):
    atoms = shaken(bulk("NaCl", "rocksalt", a=5.6), 4)
    found = chgnet.predict([atoms])[0]
    atoms.calc = AseFace(chgnet)
    assert atoms.get_potential_energy() == found.energy
    assert (atoms.get_forces() == found.forces).all()
    assert atoms.get_stress(voigt=False) == pytest.approx(found.stress, abs=1e-6)


def test_any_ase_calculator_is_a_potential():
    potential = load_potential("ase.calculators.emt:EMT")
    assert isinstance(potential, AsePotential)
    atoms = shaken(bulk("Cu", cubic=True), 5)
    found = potential.predict([atoms])[0]
    atoms.calc = EMT()
    assert found.energy == pytest.approx(atoms.get_potential_energy())
    assert found.forces == pytest.approx(atoms.get_forces())
    assert potential.energies([atoms]) == pytest.approx([found.energy])
    assert potential.fingerprint.startswith("ase.calculators.emt:EMT ase ")


def test_the_fingerprint_is_of_the_weights(chgnet):
    assert chgnet.fingerprint == load_potential("chgnet", device="cpu").fingerprint
    assert chgnet.name == "chgnet-0.3.0"
    assert {1, 94} <= chgnet.elements and 95 not in chgnet.elements


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("nonsense", UnknownNameError, "chgnet, sevennet"),
        ("nowhere.at.all:Calculator", UnknownNameError, "nowhere"),
        ("ase.calculators.emt:Nothing", UnknownNameError, "Nothing"),
        ("ase.build:bulk", ConfigError, "without arguments"),
        ("collections:Counter", ConfigError, "no ASE calculator"),
    ],
)
def test_what_is_no_potential_is_refused(name, error, message):
    with pytest.raises(error, match=message):
        load_potential(name)


def test_names_are_listed():
    assert potential_names() == ["chgnet", "sevennet"]


@pytest.mark.gpu
def test_a_gpu_gives_the_same_many_at_a_time():
    """Within 1e-4 eV/atom, the accuracy of single precision over sums of another order."""
    structures = crystals() * 20
    many, alone = load_potential("chgnet", "cuda"), load_potential("chgnet", "cpu")
    for found, expected, atoms in zip(many.predict(structures), alone.predict(structures), structures, strict=True):
        assert found.energy / len(atoms) == pytest.approx(expected.energy / len(atoms), abs=1e-4)
        assert np.allclose(found.forces, expected.forces, atol=1e-3)
        assert np.allclose(found.stress, expected.stress, atol=1e-3)
