"""Which of the 530 tabulated settings a CIF without operations means: pymatgen would take the standard one, or P1."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

import numpy as np

from aristotype.crystal._cif import operation_text
from aristotype.symmetry import GRID

_OPERATIONS = re.compile(r"^\s*_(symmetry_equiv_pos_as_xyz|space_group_symop[._]operation_xyz)", re.I | re.M)
_SYMBOL = re.compile(r"^\s*_(?:symmetry_)?space_group[._]name_H[-_]M(?:_alt|_full)?\s+(\S.*)$", re.I | re.M)
_HALL = re.compile(r"^\s*_(?:symmetry_)?space_group[._]name_Hall\s+(\S.*)$", re.I | re.M)
_NUMBER = re.compile(r"^\s*_(?:space_group[._]IT_number|symmetry_Int_Tables_number)\s+['\"]?(\d+)", re.I | re.M)
_ANGLE = re.compile(r"^\s*_cell[._]angle_(alpha|beta|gamma)\s+([\d.]+)", re.I | re.M)
# Symbols before the e-glide of 1992 (ITA A, 1.3), in the settings that were in use.
_FORMER = {
    "Abm2": "Aem2",
    "Aba2": "Aea2",
    "Cmca": "Cmce",
    "Cmma": "Cmme",
    "Ccca": "Ccce",
    "Bmab": "Bmeb",
    "Bbcm": "Bbem",
}
_EXACT = 0.01  # degrees


class _Setting(NamedTuple):
    hall: int
    number: int
    short: str
    full: str
    hall_symbol: str
    code: str  # axes and cell choice ('b1'), origin ('1'), or axes of R ('H'), as in the tables of Hall symbols


@cache
def _settings() -> tuple[_Setting, ...]:
    from moyopy import HallSymbolEntry

    entries = [HallSymbolEntry(hall) for hall in range(1, 531)]
    return tuple(
        _Setting(e.hall_number, e.number, _bare(e.hm_short), _bare(e.hm_full), _bare(e.hall_symbol), str(e.setting))
        for e in entries
    )


def _bare(symbol: str) -> str:
    return re.sub(r"[\s_'\"]", "", symbol)


def with_operations(block: str) -> tuple[str, str | None]:
    """A CIF block that lists its operations, and, where it cannot be, the reason.

    A block that lists operations, or names no space group at all, stays as it is. Of a symbol with two origins the one
    has to be named (`F d -3 m :2`); the axes of a rhombohedral group and the unique axis of a short monoclinic symbol
    are read off the angles of the cell.

    Args:
        block: the text of one data block.

    Returns:
        the text, and None or what is wrong with it.
    """
    if _OPERATIONS.search(block):
        return block, None
    symbol, hall, number = _SYMBOL.search(block), _HALL.search(block), _NUMBER.search(block)
    if not (symbol or hall or number):
        return block, None
    angles = {name.lower(): float(value) for name, value in _ANGLE.findall(block)}
    found = _matching(symbol and symbol.group(1), hall and hall.group(1), number and int(number.group(1)), angles)
    named = symbol or hall or number
    assert named is not None
    if len(found) != 1:
        what = "is not a known one" if not found else "has several settings or origins"
        return block, (
            f"its space group {_unquoted(named.group(1))!r} {what} and no operations are listed; list them under "
            "_space_group_symop_operation_xyz"
        )
    lines = "\n".join(f"'{operation}'" for operation in _operations(found[0].hall))
    return f"{block.rstrip()}\nloop_\n_space_group_symop_operation_xyz\n{lines}\n", None


def _unquoted(text: str) -> str:
    return text.strip().strip("'\"").strip()


def _matching(symbol: str | None, hall: str | None, number: int | None, angles: dict[str, float]) -> list[_Setting]:
    """The settings that fit what is given; exactly one if it is enough."""
    if hall is not None and (exact := [s for s in _settings() if s.hall_symbol == _bare(_unquoted(hall))]):
        return exact[:1]
    if symbol is None or _unquoted(symbol) in ("?", "."):
        return _narrowed([s for s in _settings() if s.number == number], "", angles)
    name, _, code = _unquoted(symbol).partition(":")
    name = _bare(name)
    if not code and (mark := re.fullmatch(r"(.+?)(HR|[SZHR])", name)) and name[0] != name:
        # The marks of the ICSD: S and Z for the first and second origin, H and R (HR) for axes.
        name, code = mark.group(1), {"S": "1", "Z": "2", "HR": "H"}.get(mark.group(2), mark.group(2))
    name = _FORMER.get(name, name)
    full = [s for s in _settings() if s.full == name]
    if full:
        return _narrowed(full, code.strip(), angles)
    short = [s for s in _settings() if s.short == name or name in _shortened(s)]
    return _narrowed(short, code.strip(), angles)


def _shortened(setting: _Setting) -> tuple[str, ...]:
    """A monoclinic symbol without its ones: P21/n for P121/n1."""
    if not 3 <= setting.number <= 15:
        return ()
    ones = {"b": ("1", "1"), "c": ("11", ""), "a": ("", "11")}[setting.code.lstrip("-")[0]]
    lattice, rest = setting.full[0], setting.full[1:]
    return (lattice + rest.removeprefix(ones[0]).removesuffix(ones[1]),)


def _narrowed(settings: list[_Setting], code: str, angles: dict[str, float]) -> list[_Setting]:
    """Those that the given code allows, or else the angles of the cell."""
    if len(settings) <= 1:
        return settings
    if code:
        return [s for s in settings if s.code == code]
    if 3 <= settings[0].number <= 15:
        return _by_unique_axis(settings, angles)
    if {s.code for s in settings} == {"H", "R"}:
        hexagonal = abs(angles.get("gamma", 90.0) - 120.0) < _EXACT and abs(angles.get("alpha", 90.0) - 90.0) < _EXACT
        return [s for s in settings if s.code == ("H" if hexagonal else "R")]
    # Only a number: its standard setting is the one without a code, where the tables have no two origins.
    return [s for s in settings if s.code == ""] or settings


def _by_unique_axis(settings: list[_Setting], angles: dict[str, float]) -> list[_Setting]:
    oblique = [name for name in ("alpha", "beta", "gamma") if abs(angles.get(name, 90.0) - 90.0) > _EXACT]
    axis = {"alpha": "a", "beta": "b", "gamma": "c"}[oblique[0]] if len(oblique) == 1 else "b"
    kept = [s for s in settings if s.code.lstrip("-").startswith(axis)]
    named = {s.full for s in kept}
    # The first cell choice is the standard one where the symbol itself does not tell.
    first = [s for s in kept if s.code in (axis, axis + "1")]
    return kept if len(named) == 1 and len(kept) == 1 else first or kept


def _operations(hall: int) -> list[str]:
    from moyopy import HallSymbolEntry, Setting, operations_from_number

    number = HallSymbolEntry(hall).number
    found = operations_from_number(number, setting=Setting.hall_number(hall))
    shifts = np.rint(np.array(found.translations) * GRID).astype(int) % GRID
    return [operation_text(r, t) for r, t in zip(found.rotations, shifts.tolist(), strict=True)]
