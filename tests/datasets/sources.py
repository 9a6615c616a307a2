"""Sources made of crystals built here: the same rows as Parquet, CSV, files and archives."""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pymatgen.core import Lattice, Structure

ELEMENTS = ("Li", "Na", "K", "Rb", "Mg", "Ca", "Sr", "Ba", "Zn", "Cd", "Mn", "Fe", "Co", "Ni", "Ag")
ANIONS = ("O", "S", "F", "Cl")


FACES = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
U = 0.305  # rutile
RUTILE = [[U, U, 0], [1 - U, 1 - U, 0], [0.5 - U, 0.5 + U, 0.5], [0.5 + U, 0.5 - U, 0.5]]


def structures(count: int, seed: int = 0) -> list[Structure]:
    """Rock salts, caesium chlorides, zinc blendes, perovskites, rutiles of changing elements, all cells different.

    Written out atom by atom: building them from their space group takes pymatgen a tenth of a second each.
    """
    rng = np.random.default_rng(seed)
    out = []
    for row in range(count):
        a, b = (ELEMENTS[i] for i in rng.choice(len(ELEMENTS), 2, replace=False))
        x, length = ANIONS[rng.integers(len(ANIONS))], 4.0 + 0.001 * row
        wide, narrow = Lattice.cubic(length + 1.5), Lattice.cubic(length)
        flat = Lattice.tetragonal(length + 0.6, length * 0.75)
        body = [[0, 0, 0], [0.5, 0.5, 0.5]]
        kinds = (
            (wide, [a] * 4 + [x] * 4, [*FACES, *(FACES + 0.5)]),
            (narrow, [a, x], body),
            (wide, [a] * 4 + [x] * 4, [*FACES, *(FACES + 0.25)]),
            (narrow, [a, b, x, x, x], [*body, *FACES[1:]]),
            (flat, [a] * 2 + [x] * 4, [*body, *RUTILE]),
        )
        out.append(Structure(*kinds[row % 5]))
    return out


def arrays_table(rows: list[Structure], ids: list[str] | None = None, **labels) -> pa.Table:
    """The columns of the converted data files."""
    return pa.table(
        {
            "material_id": ids or [f"mp-{row}" for row in range(len(rows))],
            "lattice": pa.array([s.lattice.matrix.reshape(-1).tolist() for s in rows], pa.list_(pa.float64())),
            "atomic_numbers": pa.array([list(s.atomic_numbers) for s in rows], pa.list_(pa.int8())),
            "frac_coords": pa.array([(s.frac_coords % 1).reshape(-1).tolist() for s in rows], pa.list_(pa.float64())),
            "formula": [s.composition.reduced_formula for s in rows],
            "num_sites": pa.array([len(s) for s in rows], pa.int16()),
            **labels,
        }
    )


def write_arrays(path: Path, rows: list[Structure], ids: list[str] | None = None, **labels) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(arrays_table(rows, ids, **labels), path)
    return path


def write_csv(path: Path, rows: list[Structure], **labels) -> Path:
    """As the CDVAE repository has them: an index without a name, properties, a list of elements and the CIF text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["", "material_id", "pretty_formula", "elements", "cif", *labels])
        for row, structure in enumerate(rows):
            own = [values[row] for values in labels.values()]
            formula, symbols = structure.composition.reduced_formula, sorted(map(str, structure.composition))
            writer.writerow([row, f"mp-{row}", formula, symbols, structure.to(fmt="cif"), *own])
    return path


def write_zip(path: Path, rows: list[Structure], ids: list[str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, structure in zip(ids, rows, strict=True):
            archive.writestr(f"{name}.extxyz", extxyz(structure))
        archive.writestr("__MACOSX/._shadow.extxyz", "no structure")
        archive.writestr("README.txt", "no structure")
    return path


def extxyz(structure: Structure) -> str:
    lattice = " ".join(f"{value:.10f}" for value in structure.lattice.matrix.reshape(-1))
    lines = [str(len(structure)), f'Lattice="{lattice}" Properties=species:S:1:pos:R:3 pbc="T T T"']
    lines += [f"{site.specie} {site.x:.10f} {site.y:.10f} {site.z:.10f}" for site in structure]
    return "\n".join(lines) + "\n"
