"""Random crystals from the symmetry tables alone, for laws that hold in all 230 groups."""

from __future__ import annotations

import gzip
import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from aristotype.crystal import Cell, Crystal, CrystalTable, atomic_number, decode
from aristotype.crystal._checks import Limits, complaints
from aristotype.symmetry import cell_matrix, lattice_constraints, space_group

_VOLUME_AN_ATOM = 25.0  # cubic Angstrom: loose, so that random coordinates rarely overlap


def random_crystal(number: int, rng: np.random.Generator, special: int = 2, elements: int = 3) -> Crystal:
    """A crystal on the general position and up to `special` others, of no higher symmetry but by bad luck.

    One general orbit alone often is more symmetric than its group; the smaller the group, the more there are. No two
    atoms are closer than 0.6 Angstrom, and sites are sorted by letter and element.
    """
    group = space_group(number)
    order = len(group.rotations) // group.centring_order
    general = 4 if order <= 2 else 3 if order <= 4 else 2 if order <= 24 else 1
    for _ in range(1000):
        others = rng.integers(len(group.positions), size=int(rng.integers(special + 1))).tolist()
        # A position without freedom holds one atom only.
        others = [i for n, i in enumerate(others) if group.positions[i].freedom or i not in others[:n]]
        letters = sorted([*others, *[len(group.positions) - 1] * general])
        atoms = sum(group.positions[i].multiplicity for i in letters)
        lattice = random_lattice(number, rng, atoms * _VOLUME_AN_ATOM)
        crystal = Crystal(
            space_group=number,
            elements=tuple(int(z) for z in rng.integers(3, 3 + elements, size=len(letters))),
            wyckoffs=tuple(letters),
            free=tuple(float(x) for i in letters for x in rng.random(group.positions[i].freedom)),
            lattice=tuple(lattice.tolist()),
            id=f"{number}",
        )
        if complaints([decode(crystal, primitive=True)], Limits(0.1, min_distance=0.6, max_gap=None))[0] is None:
            # In canonical order, which sorts sites of one letter by element.
            order = np.lexsort([crystal.elements, crystal.wyckoffs])
            frees = [crystal.site_free[i] for i in order]
            return Crystal(
                space_group=number,
                elements=tuple(crystal.elements[i] for i in order),
                wyckoffs=tuple(crystal.wyckoffs[i] for i in order),
                free=tuple(x for free in frees for x in free),
                lattice=crystal.lattice,
                id=crystal.id,
            )
    raise AssertionError(f"no crystal without overlaps was found in group {number}")


def random_lattice(number: int, rng: np.random.Generator, volume: float) -> np.ndarray:
    """Cell parameters within the constraints of a group, with a given volume, far from special metrics."""
    constraints = lattice_constraints(number)
    while True:
        free = [rng.uniform(0.7, 1.4) if name in "abc" else rng.uniform(65, 115) for name in constraints.names]
        cell = constraints.expand(free)
        if sum(cell[3:]) < 355 and 2 * max(cell[3:]) < sum(cell[3:]) - 5:
            cell[:3] *= (volume / np.linalg.det(cell_matrix(cell))) ** (1 / 3)
            return cell


def disguised(crystal: Crystal, rng: np.random.Generator) -> Cell:
    """The atoms of a crystal in another primitive basis, origin, orientation and order."""
    cell = decode(crystal, primitive=True)
    change = np.eye(3, dtype=int)
    for _ in range(4):
        i, j = rng.choice(3, 2, replace=False)
        step = np.eye(3, dtype=int)
        step[i, j] = rng.integers(-1, 2)
        change = step @ change
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    order = rng.permutation(len(cell.numbers))
    coords = cell.coords @ np.linalg.inv(change) + rng.random(3)
    return Cell(change @ cell.lattice @ turn, cell.numbers[order], coords[order])


def aflow_prototypes() -> tuple[list[str], list[Cell]]:
    """Labels and structures of the 288 prototypes of AFLOW that pymatgen ships, read without its machinery."""
    folder = Path(find_spec("pymatgen.analysis.prototypes").origin).parent
    entries = json.loads(gzip.decompress((folder / "aflow_prototypes.json.gz").read_bytes()))
    cells = []
    for entry in entries:
        sites = entry["snl"]["sites"]
        numbers = [atomic_number(site["species"][0]["element"]) for site in sites]
        cells.append(
            Cell(np.array(entry["snl"]["lattice"]["matrix"]), np.array(numbers), np.array([s["abc"] for s in sites]))
        )
    return [entry["tags"]["aflow"].split("-")[0] for entry in entries], cells


def table_of(*crystals: Crystal) -> CrystalTable:
    return CrystalTable.from_crystals(crystals)


seeds = st.integers(0, 2**32 - 1)
groups = st.integers(1, 230)


@st.composite
def crystals(draw, number=groups, special: int = 2) -> Crystal:
    return random_crystal(draw(number), np.random.default_rng(draw(seeds)), special)
