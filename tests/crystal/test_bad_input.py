"""What is not a crystal is refused with its value, the limit and what to do."""

from __future__ import annotations

from itertools import product
from math import gcd

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aristotype.crystal import Cell, encode, encode_arrays, protostructure_labels
from aristotype.crystal._checks import Limits, complaints, widest_gap
from aristotype.errors import InputError, StructureError

CUBE = np.eye(3) * 4.0


def salt(**changes) -> Cell:
    return Cell(CUBE, np.array([11, 17]), np.array([[0.0, 0, 0], [0.5, 0.5, 0.5]]))._replace(**changes)


CASES = {
    "nan": (salt(coords=np.array([[0, 0, np.nan], [0.5, 0.5, 0.5]])), "NaN or infinity"),
    "infinite cell": (salt(lattice=np.full((3, 3), np.inf)), "NaN or infinity"),
    "no volume": (
        salt(lattice=np.array([[4.0, 0, 0], [0, 4, 0], [4, 4, 0]])),
        "volume 0 cubic Angstrom, the limit is 0.1",
    ),
    "no cell": (salt(lattice=np.zeros((3, 3))), "volume 0"),
    "dummy": (salt(numbers=np.array([0, 17])), "number 0, which is no element"),
    "unknown element": (salt(numbers=np.array([11, 119])), "number 119, which is no element"),
    "negative element": (salt(numbers=np.array([11, -3])), "number -3"),
    "no atoms": (Cell(CUBE, np.zeros(0, np.int64), np.zeros((0, 3))), "no atoms"),
    "overlap": (
        salt(coords=np.array([[0, 0, 0], [0, 0, 0.1]])),
        r"atoms 0 and 1 are 0\.400 Angstrom apart, the limit is 0\.5",
    ),
    "same place": (salt(coords=np.array([[0, 0, 0.999999], [0, 0, 0]])), r"atoms 0 and 1 are 0\.000"),
    "across the border": (salt(coords=np.array([[0, 0, 0.05], [0, 0, 0.95]])), r"atoms 0 and 1 are 0\.400"),
    "own image": (
        salt(lattice=np.diag([4.0, 4.0, 0.4]), coords=np.array([[0.0, 0, 0], [0.5, 0.5, 0]])),
        "its own image",
    ),
    "shapes": (salt(coords=np.zeros((3, 3))), r"the shape"),
    "flat shapes": (salt(lattice=np.eye(2)), r"give \(3, 3\)"),
    "fractional elements": (salt(numbers=np.array([11.5, 17])), "not whole numbers"),
    "slab": (
        salt(lattice=np.diag([4.0, 4.0, 30.0]), coords=np.array([[0, 0, 0], [0.5, 0.5, 0.1]])),
        r"27\.0 Angstrom of vacuum",
    ),
    "molecule": (salt(lattice=np.eye(3) * 15, coords=np.array([[0, 0, 0], [0, 0, 0.1]])), r"15\.0 Angstrom of vacuum"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_no_crystal_is_refused(name):
    cell, match = CASES[name]
    with pytest.raises(StructureError, match=match):
        encode_arrays([cell.lattice], [cell.numbers], [cell.coords])
    failures = []
    assert len(encode([salt(), cell, salt()], failures=failures)) == 2
    assert [failure.index for failure in failures] == [1]


@given(
    seed=st.integers(0, 2**32 - 1),
    edges=st.tuples(*[st.floats(3.0, 40.0)] * 3),
    repeats=st.tuples(*[st.integers(1, 2)] * 3),
)
def test_gaps_are_the_same_in_every_cell_of_a_crystal(seed, edges, repeats):
    rng = np.random.default_rng(seed)
    lattice = np.diag(edges) @ (np.eye(3) + rng.uniform(-0.3, 0.3, (3, 3)))
    coords = rng.random((3, 3)) * rng.choice([0.2, 1.0], 3)
    found = widest_gap(lattice, coords, 5.0)
    change = np.eye(3)
    for _ in range(3):
        step = np.eye(3)
        step[tuple(rng.choice(3, 2, replace=False))] = rng.choice([-1, 1])
        change = step @ change
    other = (coords + rng.random(3)) @ np.linalg.inv(change)
    assert widest_gap(change @ lattice, other, 5.0) == pytest.approx(found, abs=1e-6)
    shifts = np.array(list(product(*map(range, repeats))))
    many = ((coords[:, None] + shifts) / np.array(repeats)).reshape(-1, 3)
    assert widest_gap(np.diag(repeats) @ lattice, many, 5.0) == pytest.approx(found, abs=1e-6)
    # By brute force, all planes of small indices.
    brute = 0.0
    for indices in product(range(-6, 7), repeat=3):
        if gcd(*indices) == 1:
            places = np.sort(coords @ indices % 1.0)
            gap = np.diff(places, append=places[0] + 1.0).max() / np.linalg.norm(np.linalg.inv(lattice) @ indices)
            brute = max(brute, gap)
    assert found == pytest.approx(brute if brute > 5.0 else 0.0, abs=1e-6)


@pytest.mark.parametrize("limit", [1e-6, 0.01, 0.5, 2.0])
def test_gaps_above_small_limits_are_found_in_bounded_memory(limit):
    rng = np.random.default_rng(0)
    coords = rng.random((2000, 3))
    coords[:, 2] *= 0.9  # 6 Angstrom of 60
    found = widest_gap(np.eye(3) * 60.0, coords, limit)
    assert found == pytest.approx(60.0 * (1 - coords[:, 2].max() + coords[:, 2].min()))


def test_limits_can_be_raised():
    slab, _ = CASES["slab"]
    assert len(encode(slab, max_gap=None)) == 1
    assert len(encode(slab, max_gap=40.0)) == 1
    with pytest.raises(StructureError, match="2 atoms, the limit is 1; give its primitive cell or raise max_atoms"):
        encode(salt(), max_atoms=1)


def test_cells_of_ten_thousand_atoms_are_refused_at_once():
    points = np.stack(np.meshgrid(*[np.arange(22)] * 3), axis=-1).reshape(-1, 3) / 22
    cell = Cell(np.eye(3) * 88, np.full(len(points), 29), points)
    with pytest.raises(StructureError, match="10,648 atoms, the limit is 5,000"):
        encode(cell)


def test_tolerances_that_merge_atoms_are_refused():
    near = salt(coords=np.array([[0.0, 0, 0], [0, 0, 0.2]]))
    assert len(encode(near, tolerance=0.1)) == 1
    with pytest.raises(StructureError, match=r"0\.800 Angstrom apart and the tolerance is 1, which would merge them"):
        encode(near, tolerance=1.0)
    for wrong in (0.0, -0.1, float("nan"), float("inf")):
        with pytest.raises(InputError, match="positive number"):
            encode(near, tolerance=wrong)


def test_skewed_and_large_cells_are_searched_for_overlaps():
    """The fast check wraps to nearest images, which is wrong in skewed cells; those and large ones go another way."""
    rng = np.random.default_rng(0)
    skew = np.array([[1, 0, 0], [7, 1, 0], [-5, 9, 1]])
    for trial in range(20):
        points = rng.random((6, 3))
        straight = Cell(CUBE, np.full(6, 29), points)
        skewed = Cell(skew @ CUBE, np.full(6, 29), points @ np.linalg.inv(skew))
        many = np.stack(np.meshgrid(*[np.arange(3)] * 3), axis=-1).reshape(-1, 1, 3)
        large = Cell(CUBE * 3, np.full(6 * 27, 29), ((points + many) / 3).reshape(-1, 3))
        limits = Limits(0.1, min_distance=0.9)
        found = [complaints([cell], limits)[0] for cell in (straight, skewed, large)]
        step = points[:, None] - points[None]
        shifts = np.stack(np.meshgrid(*[np.arange(-1, 2)] * 3), axis=-1).reshape(-1, 1, 1, 3)
        lengths = np.linalg.norm((step + shifts) @ CUBE, axis=-1)
        shortest = lengths[lengths > 1e-9].min()
        assert all((reason is not None) == (shortest < 0.9) for reason in found), trial
        if shortest < 0.9:
            assert all(f"{shortest:.3f} Angstrom apart" in reason for reason in found)


def test_charges_spins_and_isotopes_stand_for_their_elements():
    from pymatgen.core import Lattice, Species, Structure

    for kinds, label in (
        ([Species("Na", 1), Species("Cl", -1)], "AB_cP2_221_a_b:Cl-Na"),
        ([Species("Fe", 2, spin=5), Species("O", -2)], "AB_cP2_221_a_b:Fe-O"),
        ([Species("Fe", 2, spin=5), Species("Fe", 3, spin=-5)], "A_cI2_229_a:Fe"),
        (["D", "Cl"], "AB_cP2_221_a_b:Cl-H"),
        (["D", "T"], "A_cI2_229_a:H"),
    ):
        structure = Structure(Lattice.cubic(4), kinds, [[0, 0, 0], [0.5, 0.5, 0.5]])
        assert protostructure_labels(encode(structure).genes()) == [label]


def test_ids_that_come_twice_are_refused_by_name():
    with pytest.raises(InputError, match="'twin'"):
        encode([salt(), salt()], ids=["twin", "twin"])


def test_objects_that_are_no_crystals_are_refused():
    from ase import Atoms
    from pymatgen.core import DummySpecies, Lattice, Molecule, Structure

    coords = [[0, 0, 0], [0.5, 0.5, 0.5]]
    water = Molecule(["O", "H", "H"], [[0, 0, 0], [0.8, 0.6, 0], [-0.8, 0.6, 0]])
    for thing, match in (
        (water, "molecule without a lattice"),
        (Structure(Lattice.cubic(4, pbc=(True, True, False)), ["Na", "Cl"], coords), "2 of its axes"),
        (Structure(Lattice.cubic(4), [{"Na": 0.5, "K": 0.5}, "Cl"], coords), "partially occupied"),
        (Structure(Lattice.cubic(4), [{"Na": 0.5}, "Cl"], coords), "site 0 .* partially occupied"),
        (Structure(Lattice.cubic(4), [DummySpecies("X"), "Cl"], coords), "no element"),
        (Atoms("OH2", positions=water.cart_coords), "0 of its axes"),
        (Atoms("NaCl", scaled_positions=coords, cell=[4, 4, 4], pbc=(1, 1, 0)), "2 of its axes"),
        (Atoms("NaCl", positions=coords, pbc=True), "three independent vectors"),
        (Atoms("XCl", scaled_positions=coords, cell=[4, 4, 4], pbc=True), "number 0, which is no element"),
        (Atoms("NaCl", positions=coords, cell=[4, 4, np.nan], pbc=True), "NaN"),
    ):
        with pytest.raises(StructureError, match=match):
            encode([thing])
    with pytest.raises(InputError, match="int is no structure"):
        encode(5)
    with pytest.raises(InputError, match="dict is no structure"):
        encode([{}])
