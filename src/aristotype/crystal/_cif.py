"""CIF text of crystals: symmetry operations, asymmetric sites with their Wyckoff letters, provenance."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import cache
from math import gcd
from typing import TYPE_CHECKING, Any

import numpy as np

from aristotype.crystal._conditions import element_symbol
from aristotype.symmetry import GRID, cell_matrix, space_group

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aristotype.crystal._rows import Crystal
    from aristotype.symmetry import SpaceGroup

# Groups whose tables give two origins; ours is the second, at an inversion centre.
_TWO_ORIGINS = frozenset(
    (48, 50, 59, 68, 70, 85, 86, 88, 125, 126, 129, 130, 133, 134, 137, 138, 141, 142, 201, 203, 222, 224, 227, 228)
)
_SYMBOL_PART = re.compile(r"-?\d(?:_\d)?(?:/[a-z])?|[a-z]")


def cif_text(crystal: Crystal, provenance: Mapping[str, Any] | None = None) -> str:
    """One crystal as a CIF data block.

    The space group stands with its number, its Hermann-Mauguin symbol and all its operations, so that readers need no
    table of settings; atoms are the asymmetric ones.

    Args:
        crystal: a row with geometry.
        provenance: where it came from, written as `_aristotype_<name>` items; names are made of letters, digits and _.

    Returns:
        the text, ASCII only, ending with a newline.
    """
    group = space_group(crystal.space_group)
    lines = [f"data_{block_name(crystal.id)}", f"_audit_creation_method {_quoted(f'aristotype {package_version()}')}"]
    lines += [f"_aristotype_id {_quoted(crystal.id)}"]
    lines += [f"_aristotype_{name} {_quoted(value)}" for name, value in (provenance or {}).items()]
    lines += _composition_items(crystal)
    lines += _cell_items(crystal)
    lines += [
        f"_space_group_name_H-M_alt '{hermann_mauguin(crystal.space_group)}'",
        f"_space_group_IT_number {crystal.space_group}",
        "loop_",
        "_space_group_symop_id",
        "_space_group_symop_operation_xyz",
    ]
    lines += [f"{index} '{operation}'" for index, operation in enumerate(_operations(group.number), 1)]
    lines += _site_loop(crystal, group)
    return "\n".join(lines) + "\n"


def _composition_items(crystal: Crystal) -> list[str]:
    composition = {element_symbol(number): count for number, count in crystal.composition.items()}
    units = gcd(*composition.values())
    # The sum formula is in the order of Hill: C, then H, then alphabetically; without carbon all alphabetically.
    first = [name for name in ("C", "H") if "C" in composition and name in composition]
    order = first + sorted(name for name in composition if name not in first)
    counts = [composition[name] // units for name in order]
    total = " ".join(name + (str(count) if count > 1 else "") for name, count in zip(order, counts, strict=True))
    return [
        f"_chemical_formula_structural {_quoted(crystal.formula)}",
        f"_chemical_formula_sum '{total}'",
        f"_cell_formula_units_Z {units * crystal.num_atoms // crystal.num_atoms_primitive}",
    ]


def _cell_items(crystal: Crystal) -> list[str]:
    a, b, c, alpha, beta, gamma = crystal.lattice
    volume = float(np.linalg.det(cell_matrix(crystal.lattice)))
    lengths = [f"_cell_length_{name} {value:.10f}" for name, value in zip("abc", (a, b, c), strict=True)]
    angles = zip(("alpha", "beta", "gamma"), (alpha, beta, gamma), strict=True)
    return [*lengths, *(f"_cell_angle_{name} {value:.10f}" for name, value in angles), f"_cell_volume {volume:.6f}"]


def _site_loop(crystal: Crystal, group: SpaceGroup) -> list[str]:
    lines = ["loop_"] + [
        f"_atom_site_{name}"
        for name in (
            "label",
            "type_symbol",
            "symmetry_multiplicity",
            "Wyckoff_symbol",
            "fract_x",
            "fract_y",
            "fract_z",
            "occupancy",
        )
    ]
    seen: dict[int, int] = {}
    for element, letter, free in zip(crystal.elements, crystal.wyckoffs, crystal.site_free, strict=True):
        seen[element] = seen.get(element, 0) + 1
        position, symbol = group.positions[letter], element_symbol(element)
        x, y, z = position.representative(free) % 1.0
        lines.append(
            f"{symbol}{seen[element]} {symbol} {position.multiplicity} {position.letter} {x:.12f} {y:.12f} {z:.12f} 1"
        )
    return lines


def hermann_mauguin(number: int) -> str:
    """Hermann-Mauguin symbol as CIF writes it, with the setting: 'P 1 21/c 1', 'F d -3 m :2', 'R -3 m :H'."""
    group = space_group(number)
    lattice, parts = group.symbol[0], [part.replace("_", "") for part in _SYMBOL_PART.findall(group.symbol[1:])]
    if group.crystal_system == "monoclinic":
        parts = ["1", *parts, "1"]
    setting = " :2" if number in _TWO_ORIGINS else " :H" if lattice == "R" else ""
    return " ".join([lattice, *parts]) + setting


@cache
def _operations(number: int) -> tuple[str, ...]:
    """Symmetry operations of the conventional cell as 'x,y,z' strings."""
    group = space_group(number)
    return tuple(
        operation_text(rotation, translation)
        for rotation, translation in zip(group.rotations.tolist(), group.translations.tolist(), strict=True)
    )


def operation_text(rotation: Sequence[Sequence[int]], translation: Sequence[int]) -> str:
    """An operation as CIF writes it, 'x-y,x,z+1/3'; translations in 24ths."""
    return ",".join(_coordinate(row, shift) for row, shift in zip(rotation, translation, strict=True))


def _coordinate(row: Sequence[int], shift: int) -> str:
    terms = "".join(("+" if sign > 0 else "-") + axis for sign, axis in zip(row, "xyz", strict=True) if sign)
    part = Fraction(shift, GRID) % 1
    return terms.removeprefix("+") + (f"+{part}" if part else "")


def block_name(name: str) -> str:
    """A name without the characters that end or confuse a CIF block header or a file name."""
    return re.sub(r"[^A-Za-z0-9._+-]", "_", name) or "crystal"


def _quoted(value: Any) -> str:
    """A CIF value: bare where it can be, else in quotes; characters that are not ASCII are escaped."""
    if value is None:
        return "?"
    text = repr(value) if isinstance(value, float) else str(value)
    text = " ".join(text.encode("ascii", "backslashreplace").decode().split())
    if re.fullmatch(r"[A-Za-z0-9(+-][^\s'\"#]*", text) and not re.match(r"(data|save|loop|stop|global)_", text, re.I):
        return text
    for mark in "'\"":
        if mark not in text:
            return f"{mark}{text}{mark}"
    return "'" + text.replace("'", "_") + "'"


@cache
def package_version() -> str:
    """Version of this package; 'unknown' where it runs without being installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("aristotype")
    except PackageNotFoundError:
        return "unknown"
