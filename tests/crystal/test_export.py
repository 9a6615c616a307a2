"""Files and objects of other packages: what we write, pymatgen, ASE and we ourselves read as the same crystal."""

from __future__ import annotations

import json
import re
import warnings

import numpy as np
import pytest
import spglib

from aristotype.crystal import (
    Crystal,
    CrystalTable,
    canonical_crystal,
    cif_text,
    decode,
    encode,
    export,
    file_names,
    gene_keys,
    hermann_mauguin,
    write_files,
)
from aristotype.errors import OutputError, TableError, UnknownNameError
from tests.crystal.builders import random_crystal, table_of
from tests.crystal.round_trip import distance_between

GROUPS = (
    1,
    2,
    5,
    9,
    14,
    15,
    20,
    38,
    41,
    48,
    62,
    68,
    70,
    76,
    88,
    142,
    146,
    148,
    155,
    161,
    166,
    178,
    194,
    203,
    206,
    227,
    230,
)


@pytest.fixture(scope="module")
def table() -> CrystalTable:
    crystals = [random_crystal(number, np.random.default_rng(number), special=1) for number in GROUPS]
    return table_of(*crystals).with_columns(
        model="made up", seed=7, energy=np.linspace(-1, 1, len(GROUPS)), note=["it's \u00e9"] * len(GROUPS)
    )


def test_cifs_are_read_by_pymatgen_as_the_same_atoms(table, tmp_path):
    from pymatgen.core import Structure

    for path, crystal in zip(export(table, tmp_path / "out"), table):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            structure = Structure.from_file(path)
        assert len(structure) == crystal.num_atoms
        read = decode(crystal)._replace(
            lattice=structure.lattice.matrix,
            numbers=np.array(structure.atomic_numbers),
            coords=np.array(structure.frac_coords),
        )
        assert distance_between(read, decode(crystal)) < 1e-6
        assert np.allclose(structure.lattice.parameters, crystal.lattice, atol=1e-8)


def test_cifs_are_read_by_ase_as_the_same_atoms(table, tmp_path):
    import ase.io

    for path, crystal in zip(export(table, tmp_path / "out"), table):
        atoms = ase.io.read(path)
        read = decode(crystal)._replace(numbers=atoms.numbers, coords=atoms.get_scaled_positions())
        assert distance_between(read, decode(crystal)) < 1e-6
        assert atoms.info["spacegroup"].no == crystal.space_group
        assert np.allclose(atoms.cell.cellpar(), crystal.lattice, atol=1e-8)


@pytest.mark.parametrize("format", ["cif", "extxyz", "poscar"])
def test_files_come_back_as_the_same_crystals(table, tmp_path, format):
    table.write(tmp_path / "out", format=format)
    found = encode(tmp_path / "out", tolerance=1e-3, max_gap=None)
    found = found.take([found.ids.index(name) for name in table.ids])
    assert (gene_keys(found.genes()) == gene_keys(table.genes())).all()
    for one, other in zip(found, table):
        assert np.allclose(canonical_crystal(one).free, canonical_crystal(other).free, atol=1e-5)


def test_primitive_files(table, tmp_path):
    import ase.io

    table.write(tmp_path / "out", format="extxyz", primitive=True)
    frames = ase.io.read(tmp_path / "out" / "crystals.extxyz", index=":")
    assert [len(frame) for frame in frames] == [crystal.num_atoms_primitive for crystal in table]
    with pytest.raises(TableError, match="conventional cell"):
        table.write(tmp_path / "cif", format="cif", primitive=True)
    assert not (tmp_path / "cif").exists()


def test_databases_hold_atoms_and_provenance(table, tmp_path):
    from ase.db import connect

    table.write(tmp_path / "out", format="asedb")
    with connect(tmp_path / "out" / "crystals.db") as database:
        rows = list(database.select())
        assert len(rows) == len(table)
        assert database.count(space_group=14) == 1
    for row, crystal in zip(rows, table):
        assert row.data["id"] == crystal.id
        assert row.data["model"] == "made up"
        assert row.label == crystal.label
        assert (
            distance_between(
                decode(crystal)._replace(coords=row.toatoms().get_scaled_positions(), numbers=row.numbers),
                decode(crystal),
            )
            < 1e-9
        )


def test_cifs_carry_symmetry_and_provenance(table):
    crystal = table[GROUPS.index(227)]
    assert isinstance(crystal, Crystal)
    text = cif_text(crystal, {"model": "it's", "seed": 7, "energy": -1.5, "missing": None})
    text.encode("ascii")
    assert text.startswith("data_227\n_audit_creation_method 'aristotype ")
    for item in ('_aristotype_model "it\'s"', "_aristotype_seed 7", "_aristotype_energy -1.5", "_aristotype_missing ?"):
        assert item in text
    assert "_space_group_name_H-M_alt 'F d -3 m :2'" in text
    assert "_space_group_IT_number 227" in text
    assert len(re.findall(r"^\d+ '.*'$", text, re.M)) == 192
    letters = [line.split()[3] for line in text.splitlines() if re.match(r"[A-Z][a-z]?\d+ [A-Z]", line)]
    assert "".join(letters) == crystal.letters


def test_symbols_are_those_of_spglib():
    """spglib's full tables, 'short' symbols without our setting marks; glides that became `e` in 1992 differ."""
    default = {}
    for hall in range(1, 531):
        kind = spglib.get_spacegroup_type(hall)
        default.setdefault(kind.number, kind.international_short)
    renamed = {39, 41, 64, 67, 68}
    for number in set(range(1, 231)) - renamed:
        ours = hermann_mauguin(number).split(" :")[0].replace(" ", "")
        theirs = default[number].replace("_", "")
        if 3 <= number <= 15:
            ours = ours[:1] + ours[2:-1]
        assert ours == theirs, number


def test_file_names_are_safe_and_distinct():
    ids = ["mp-1", "MP-1", "a/b", "a_b", "a b", "..", "", "x" * 300, "\u00e9", "con"]
    names = file_names(ids)
    assert names[0] == "mp-1"
    assert len({name.lower() for name in names}) == len(ids)
    assert all(re.fullmatch(r"[A-Za-z0-9_+][A-Za-z0-9._+-]*", name) and len(name) < 140 for name in names)


def test_outputs_are_whole_and_never_overwritten(table, tmp_path):
    out = tmp_path / "out"
    paths = export(table[:3], out)
    assert [path.name for path in paths] == ["1.cif", "2.cif", "5.cif"]
    assert json.loads((out / "export.json").read_text())["rows"] == 3
    with pytest.raises(OutputError, match="exists"):
        export(table, out)
    assert len(export(table[:2], out, force=True)) == 2
    assert sorted(path.name for path in out.iterdir()) == ["1.cif", "2.cif", "export.json"]
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("years of work")
    with pytest.raises(OutputError, match="did not write"):
        export(table, foreign, force=True)
    genes = CrystalTable.from_genes(table.genes())
    for format in ("cif", "poscar", "extxyz", "asedb"):
        with pytest.raises(TableError, match="realize"):
            genes.write(tmp_path / format, format=format)
        assert not (tmp_path / format).exists()
    with pytest.raises(UnknownNameError, match="cif, extxyz, poscar, asedb"):
        table.write(tmp_path / "pdb", format="pdb")
    assert [path.name for path in write_files(table[:1], foreign)] == ["1.cif"]
