"""Structure files: what is in them comes out, and what cannot be read is said."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from aristotype.crystal import encode, gene_keys, protostructure_labels
from aristotype.errors import InputError, StructureError
from tests.crystal.builders import random_crystal, table_of

ROCK_SALT = """data_{name}
_cell_length_a 5.64
_cell_length_b 5.64
_cell_length_c 5.64
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'F m -3 m'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
{sites}
"""
SITES = "Na1 Na+ 0 0 0 1.0\nCl1 Cl- 0.5 0.5 0.5 1.0"
POSCAR = "salt\n1.0\n4 0 0\n0 4 0\n0 0 4\n{names}1 1\nDirect\n0 0 0\n0.5 0.5 0.5\n"
XYZ = '2\nLattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3 pbc="{pbc}"{info}\nNa 0 0 0\nCl 2 2 2\n'


def cif(name: str = "salt", sites: str = SITES) -> str:
    return ROCK_SALT.format(name=name, sites=sites)


def write(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_each_format_is_read(tmp_path):
    for name, text, label in (
        ("salt.cif", cif(), "AB_cF8_225_a_b:Cl-Na"),
        ("salt.CIF", cif(), "AB_cF8_225_a_b:Cl-Na"),
        ("POSCAR", POSCAR.format(names="Na Cl\n"), "AB_cP2_221_a_b:Cl-Na"),
        ("CONTCAR.relaxed", POSCAR.format(names="Na Cl\n"), "AB_cP2_221_a_b:Cl-Na"),
        ("salt.vasp", POSCAR.format(names="Na Cl\n"), "AB_cP2_221_a_b:Cl-Na"),
        ("salt.xyz", XYZ.format(pbc="T T T", info=""), "AB_cP2_221_a_b:Cl-Na"),
        ("salt.extxyz", XYZ.format(pbc="T T T", info=""), "AB_cP2_221_a_b:Cl-Na"),
    ):
        path = write(tmp_path / name / "here", name, text)
        for given in (path, str(path)):
            table = encode(given)
            assert protostructure_labels(table.genes()) == [label]
            assert table.ids == ["here" if name == "POSCAR" else path.stem]


def test_every_block_of_a_cif_is_a_row(tmp_path):
    """Blocks without atoms are passed over; a `data_` inside a text field starts no block."""
    prose = "data_global\n_publ_section_title\n;\ndata_fake is prose here\n;\n"
    path = write(tmp_path, "many.cif", prose + cif("one") + cif("two", "Cu1 Cu 0 0 0 1.0"))
    table = encode(path)
    assert table.ids == ["many-one", "many-two"]
    assert protostructure_labels(table.genes()) == ["AB_cF8_225_a_b:Cl-Na", "A_cF4_225_a:Cu"]
    assert encode(write(tmp_path, "twins.cif", cif("x") + cif("x"))).ids == ["twins-1", "twins-2"]
    failures = []
    broken = write(tmp_path, "half.cif", cif("good") + cif("bad", "Na1 Na zero 0 0 1.0"))
    assert encode(broken, failures=failures).ids == ["half-good"]
    assert [failure.id for failure in failures] == ["half-bad"]


def test_every_frame_is_a_row(tmp_path):
    frames = "".join(XYZ.format(pbc="T T T", info=f" id=s{n}") for n in (3, 4))
    assert encode(write(tmp_path, "run.extxyz", frames)).ids == ["s3", "s4"]
    unnamed = XYZ.format(pbc="T T T", info="") * 2
    assert encode(write(tmp_path, "run.xyz", unnamed)).ids == ["run-1", "run-2"]


def test_non_standard_settings_are_the_same_crystal(tmp_path):
    """P 21/c in its settings P 21/n and P 21/a, unique axis c, and Fd-3m with the origin at -43m."""
    standard = """_cell_length_a 5.0\n_cell_length_b 6.0\n_cell_length_c 7.0\n_cell_angle_alpha 90\n_cell_angle_beta 105
_cell_angle_gamma 90\n_symmetry_space_group_name_H-M '{symbol}'\nloop_\n_symmetry_equiv_pos_as_xyz\n{operations}
loop_\n_atom_site_label\n_atom_site_type_symbol\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z
Si1 Si {x} {y} {z}\nO1 O {u} {v} {w}\n"""
    operations = ["x,y,z", "-x,y+1/2,-z+1/2", "-x,-y,-z", "x,-y+1/2,z+1/2"]
    si, o = np.array([0.1, 0.2, 0.3]), np.array([0.4, 0.35, 0.05])

    def text(change: np.ndarray, symbol: str) -> str:
        """The same atoms with new vectors `change @ (a, b, c)`."""
        from aristotype.symmetry import cell_matrix, cell_parameters

        cell = cell_parameters(change @ cell_matrix([5, 6, 7, 90, 105, 90]))
        names = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
        inverse = np.linalg.inv(change)
        moved = []
        for operation in operations:
            matrix, shift = _read_operation(operation)
            moved.append(_write_operation(inverse.T @ matrix @ change.T, inverse.T @ shift))
        sites = (si @ inverse, o @ inverse)
        lines = "\n".join(f"_cell_{name} {value:.8f}" for name, value in zip(names, cell))
        x, y, z, u, v, w = np.concatenate(sites) % 1
        body = standard.format(
            symbol=symbol, operations="\n".join(f"'{m}'" for m in moved), x=x, y=y, z=z, u=u, v=v, w=w
        )
        return "data_x\n" + lines + "\n" + body.split("_cell_angle_gamma 90\n", 1)[1]

    identity = np.eye(3)
    expected = encode(write(tmp_path, "c.cif", text(identity, "P 21/c")), tolerance=1e-3)
    assert expected.space_group.tolist() == [14]
    for name, change, symbol in (
        ("n", np.array([[1, 0, 0], [0, 1, 0], [1, 0, 1]]), "P 21/n"),
        ("a", np.array([[0, 0, 1], [0, -1, 0], [1, 0, 0]]), "P 21/a"),
        ("axis_c", np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]]), "P 1 1 21/b"),
    ):
        found = encode(write(tmp_path, f"{name}.cif", text(change, symbol)), tolerance=1e-3)
        assert found.space_group.tolist() == [14]
        assert gene_keys(found.genes()) == gene_keys(expected.genes())
        assert np.allclose(np.sort(found.lattice[0, :3]), np.sort(expected.lattice[0, :3]), atol=1e-6)


def _read_operation(text: str) -> tuple[np.ndarray, np.ndarray]:
    from pymatgen.core import SymmOp

    operation = SymmOp.from_xyz_str(text)
    return operation.rotation_matrix, operation.translation_vector


def _write_operation(matrix: np.ndarray, shift: np.ndarray) -> str:
    from pymatgen.core import SymmOp

    return SymmOp.from_rotation_and_translation(np.rint(matrix), shift % 1.0).as_xyz_str()


@pytest.mark.parametrize("origin", [1, 2])
def test_both_origins_of_diamond_are_the_same_crystal(tmp_path, origin):
    point = "0 0 0" if origin == 1 else "0.125 0.125 0.125"
    text = cif("diamond", f"C1 C {point} 1.0").replace("F m -3 m", f"F d -3 m :{origin}").replace("5.64", "3.57")
    table = encode(write(tmp_path, "diamond.cif", text))
    assert protostructure_labels(table.genes()) == ["A_cF8_227_a:C"]


@pytest.mark.parametrize("isotope", ["D", "T"])
def test_isotopes_and_charges_are_read_as_elements(tmp_path, isotope):
    table = encode(write(tmp_path, "d.cif", cif("d", f"{isotope}1 {isotope} 0 0 0 1.0\nLi1 Li1+ 0.5 0.5 0.5 1.0")))
    assert protostructure_labels(table.genes()) == ["AB_cF8_225_a_b:H-Li"]
    for name, text in (
        ("d.vasp", POSCAR.format(names=f"{isotope} Cl\n")),
        ("d.xyz", XYZ.format(pbc="T T T", info=" note=T").replace("\nNa", f"\n{isotope}")),
    ):
        assert protostructure_labels(encode(write(tmp_path, name, text)).genes()) == ["AB_cP2_221_a_b:Cl-H"]


REFUSED = {
    "empty.cif": ("", "is empty"),
    "blank.cif": (" \n\n", "is empty"),
    "prose.cif": ("this is no CIF\n", "no data block with atom sites"),
    "headless.cif": (cif().replace("data_salt\n", ""), "no data block with atom sites"),
    "cut.cif": (cif()[:150], "no data block with atom sites"),
    "no_cell.cif": (cif().replace("_cell_length_a 5.64\n", ""), "no readable CIF"),
    "words.cif": (cif(sites="Na1 Na zero 0 0 1.0"), "no readable CIF"),
    "partial.cif": (cif(sites="Na1 Na 0 0 0 0.5\nCl1 Cl 0.5 0.5 0.5 1.0"), "partially occupied"),
    "mixed.cif": (cif(sites="Na1 Na 0 0 0 0.5\nK1 K 0 0 0 0.5\nCl1 Cl 0.5 0.5 0.5 1.0"), "partially occupied"),
    "unknown.cif": (cif(sites="Xx1 Xx 0 0 0 1.0"), "no readable CIF|no element"),
    "flat.cif": (cif().replace("_cell_angle_gamma 90", "_cell_angle_gamma 0.000001"), "volume|no readable CIF"),
    "nan.cif": (cif(sites="Na1 Na nan 0 0 1.0"), "NaN|no readable CIF"),
    "magnetic.mcif": (
        cif() + "loop_\n_atom_site_moment.label\n_atom_site_moment.crystalaxis_x\nNa1 1.0\n",
        "magnetic CIF",
    ),
    "binary.cif": (bytes(range(256)), "no readable CIF"),
    "POSCAR_empty": ("", "is empty"),
    "POSCAR_cut": (POSCAR.format(names="Na Cl\n")[:40], "no readable POSCAR"),
    "POSCAR_nameless": (POSCAR.format(names=""), "no readable POSCAR"),
    "POSCAR_unknown": (POSCAR.format(names="Na Qq\n"), "Qq.* is no element|no readable POSCAR"),
    "cut.xyz": (XYZ.format(pbc="T T T", info="")[:60], "no readable extended XYZ"),
    "plain.xyz": ("2\nsalt\nNa 0 0 0\nCl 2 2 2\n", "0 of its axes"),
    "slab.extxyz": (XYZ.format(pbc="T T F", info=""), "2 of its axes"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused_with_its_reason(tmp_path, name):
    text, match = REFUSED[name]
    path = write(tmp_path, name, text)
    with pytest.raises(StructureError, match=match):
        encode(path)
    failures = []
    assert len(encode(path, failures=failures)) == 0
    assert len(failures) == 1


def test_folders_are_read_in_order_and_named_apart(tmp_path):
    write(tmp_path / "a", "salt.cif", cif())
    write(tmp_path / "a", "notes.txt", "not a structure")
    assert encode(tmp_path).ids == ["salt"]
    write(tmp_path / "b", "salt.cif", cif())
    assert encode(tmp_path).ids == ["a/salt", "b/salt"]
    write(tmp_path / "b", "salt.vasp", POSCAR.format(names="Na Cl\n"))
    assert encode(tmp_path).ids == ["a/salt.cif", "b/salt.cif", "b/salt.vasp"]
    runs = tmp_path / "runs"
    for name in ("x", "y"):
        write(runs / name, "POSCAR", POSCAR.format(names="Na Cl\n"))
    assert encode(runs).ids == ["x", "y"]


def test_paths_that_are_no_structures_are_refused(tmp_path):
    write(tmp_path / "empty", "notes.txt", "nothing")
    with pytest.raises(InputError, match="no structure file"):
        encode(tmp_path / "empty")
    with pytest.raises(InputError, match="no known kind; known are"):
        encode(tmp_path / "empty" / "notes.txt")
    with pytest.raises(InputError, match="does not exist"):
        encode(tmp_path / "none.cif")


@pytest.mark.skipif(os.name != "posix", reason="only there file names may hold any bytes")
def test_names_that_are_not_utf8(tmp_path):
    path = os.path.join(os.fsencode(tmp_path), b"s\xffalt.cif")
    try:
        with open(path, "w") as file:
            file.write(cif())
    except OSError as error:
        pytest.skip(f"the file system refuses such names: {error}")
    assert encode(os.fsdecode(path)).ids == [r"s\xffalt"]
    assert encode(tmp_path).ids == [r"s\xffalt"]


def test_latin1_comments_do_no_harm(tmp_path):
    table = encode(write(tmp_path, "l.cif", "# Universit\xe4t\n".encode("latin-1") + cif().encode()))
    assert len(table) == 1


def test_files_and_objects_mix(tmp_path):
    path = write(tmp_path, "salt.cif", cif())
    atoms = table_of(random_crystal(62, np.random.default_rng(0))).to_atoms()[0]
    assert encode([path, atoms, path.parent / "salt.cif"], ids=["a", "b", "c"]).ids == ["a", "b", "c"]
    assert encode([path, atoms]).ids == ["salt", "1"]


def test_a_cif_that_was_cut_off_between_two_sites_is_refused(tmp_path):
    """It is a sound CIF of another crystal; only its sum formula tells."""
    from pymatgen.core import Lattice, Structure
    from pymatgen.io.cif import CifWriter

    structure = Structure.from_spacegroup(225, Lattice.cubic(5.6), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    lines = str(CifWriter(structure)).rstrip().splitlines(keepends=True)
    (tmp_path / "whole.cif").write_text("".join(lines))
    (tmp_path / "cut.cif").write_text("".join(lines[:-2]))
    assert encode(tmp_path / "whole.cif").space_group.tolist() == [225]
    with pytest.raises(StructureError, match="its atoms are Na4 Cl2 and its sum formula is Na4 Cl4"):
        encode(tmp_path / "cut.cif")


def test_a_frame_that_was_cut_off_does_not_lose_the_others(tmp_path):
    def frame(edge: float, atoms: int = 2) -> str:
        head = f'2\nLattice="{edge} 0 0 0 {edge} 0 0 0 {edge}" Properties=species:S:1:pos:R:3 pbc="T T T"\n'
        return head + "".join(["Cs 0 0 0\n", f"Cl {edge / 2} {edge / 2} {edge / 2}\n"][:atoms])

    (tmp_path / "three.xyz").write_text(frame(4.1) + frame(4.2, atoms=1) + frame(4.3))
    failures = []
    found = encode(tmp_path / "three.xyz", failures=failures)
    assert found.ids == ["three-1", "three-3"]
    assert found.lattice[:, 0].tolist() == pytest.approx([4.1, 4.3])
    assert [failure.id for failure in failures] == ["three-2"]
    (tmp_path / "end.xyz").write_text(frame(4.1) + frame(4.2, atoms=1))
    failures = []
    assert encode(tmp_path / "end.xyz", failures=failures).ids == ["end-1"]
    assert [failure.id for failure in failures] == ["end-2"]
