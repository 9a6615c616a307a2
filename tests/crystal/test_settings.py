"""CIFs that name a space group in any setting and list no operations, against spglib's operations."""

from __future__ import annotations

import numpy as np
import pytest
import spglib

from aristotype.crystal import Cell, encode, gene_keys
from aristotype.crystal._settings import _settings, with_operations
from aristotype.errors import StructureError

CELLS = {  # by crystal system, and unique axis or axes where it matters; wide, so that no two atoms meet
    "triclinic": (5.0, 6.0, 7.0, 80.0, 95.0, 105.0),
    "a": (5.0, 6.0, 7.0, 105.0, 90.0, 90.0),
    "b": (5.0, 6.0, 7.0, 90.0, 105.0, 90.0),
    "c": (5.0, 6.0, 7.0, 90.0, 90.0, 105.0),
    "orthorhombic": (25.0, 30.0, 35.0, 90.0, 90.0, 90.0),
    "tetragonal": (30.0, 30.0, 40.0, 90.0, 90.0, 90.0),
    "hexagonal": (41.0, 41.0, 50.0, 90.0, 90.0, 120.0),
    "rhombohedral": (20.0, 20.0, 20.0, 70.0, 70.0, 70.0),
    "cubic": (64.0, 64.0, 64.0, 90.0, 90.0, 90.0),
}
POINTS = {"Si": (0.06, 0.31, 0.17), "O": (0.22, 0.09, 0.457)}


def cell_of(number: int, code: str) -> tuple[float, ...]:
    if number <= 2:
        return CELLS["triclinic"]
    if number <= 15:
        return CELLS[code.lstrip("-")[0]]
    if code == "R":
        return CELLS["rhombohedral"]
    bounds = ((74, "orthorhombic"), (142, "tetragonal"), (194, "hexagonal"), (230, "cubic"))
    return CELLS[next(name for last, name in bounds if number <= last)]


def cif(symbol: str, cell: tuple[float, ...], key: str = "_symmetry_space_group_name_H-M") -> str:
    names = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
    lines = ["data_x", *(f"_cell_{name} {value}" for name, value in zip(names, cell)), f"{key} '{symbol}'", "loop_"]
    lines += [f"_atom_site_{name}" for name in ("label", "type_symbol", "fract_x", "fract_y", "fract_z")]
    return "\n".join(lines + [f"{e}1 {e} {x} {y} {z}" for e, (x, y, z) in POINTS.items()]) + "\n"


def expanded(hall: int, cell: tuple[float, ...]) -> Cell:
    """All atoms by spglib's operations."""
    from aristotype.symmetry import cell_matrix

    found = spglib.get_symmetry_from_database(hall)
    numbers, coords = [], []
    for number, point in zip((14, 8), POINTS.values()):
        images = (found["rotations"] @ np.array(point) + found["translations"]) % 1.0
        coords.append(images)
        numbers += [number] * len(images)
    return Cell(cell_matrix(cell), np.array(numbers), np.concatenate(coords))


@pytest.mark.parametrize("hall", range(1, 531, 6))
def test_every_tabulated_setting_is_understood(tmp_path, hall):
    setting = next(s for s in _settings() if s.hall == hall)
    cell = cell_of(setting.number, setting.code)
    marked = f"{setting.full} :{setting.code}" if setting.code and not 3 <= setting.number <= 15 else setting.full
    expected = encode(expanded(hall, cell), tolerance=1e-3, max_gap=None)
    for symbol, key in ((marked, "_space_group_name_H-M_alt"), (setting.hall_symbol, "_space_group_name_Hall")):
        text, reason = with_operations(cif(symbol, cell, key))
        if reason is not None:  # a symbol that the tables use for two settings
            assert "several settings" in reason
            continue
        path = tmp_path / "x.cif"
        path.write_text(text)
        found = encode(path, tolerance=1e-3, max_gap=None)
        assert found.space_group.tolist() == expected.space_group.tolist() == [setting.number]
        assert gene_keys(found.genes()) == gene_keys(expected.genes())


@pytest.mark.parametrize(
    ("symbol", "cell", "hall"),
    [
        ("P 21/n", "b", 82),
        ("P 21/c", "b", 81),
        ("P21/b", "c", 86),
        ("I 2/a", "b", 92),
        ("C m c a", "orthorhombic", 304),
        ("P b n m", "orthorhombic", 294),
        ("F d -3 m :1", "cubic", 525),
        ("F d -3 m S", "cubic", 525),
        ("F d -3 m Z", "cubic", 526),
        ("R -3 m", "hexagonal", 458),
        ("R -3 m", "rhombohedral", 459),
        ("R -3 m H", "hexagonal", 458),
        ("R -3 m :R", "rhombohedral", 459),
    ],
)
def test_short_former_and_marked_symbols(tmp_path, symbol, cell, hall):
    path = tmp_path / "x.cif"
    path.write_text(cif(symbol, CELLS[cell]))
    found = encode(path, tolerance=1e-3, max_gap=None)
    expected = encode(expanded(hall, CELLS[cell]), tolerance=1e-3, max_gap=None)
    assert gene_keys(found.genes()) == gene_keys(expected.genes())


def test_symbols_that_do_not_tell_are_refused(tmp_path):
    path = tmp_path / "x.cif"
    for symbol, match in (("F d -3 m", "several settings or origins"), ("Q 1", "not a known one")):
        path.write_text(cif(symbol, CELLS["cubic"]))
        with pytest.raises(StructureError, match=match):
            encode(path)
    path.write_text(cif("227", CELLS["cubic"], "_space_group_IT_number"))
    with pytest.raises(StructureError, match="'227' has several settings"):
        encode(path)


def test_listed_operations_and_no_group_at_all_stand_as_they_are():
    text = cif("F d -3 m", CELLS["cubic"])
    for extra in ("loop_\n_symmetry_equiv_pos_as_xyz\n'x,y,z'\n", "_space_group_symop.operation_xyz 'x,y,z'\n"):
        assert with_operations(text + extra) == (text + extra, None)
    bare = "\n".join(line for line in text.splitlines() if "H-M" not in line)
    assert with_operations(bare) == (bare, None)
