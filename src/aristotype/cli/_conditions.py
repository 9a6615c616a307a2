"""Conditions from the command line: lists with commas, prototype labels, structure files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from aristotype._files import printable
from aristotype.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aristotype.crystal import Conditions, CrystalTable, GeneBatch, PartialCrystal, PropertyTarget

_FORM = "A2B_tP6_136_f_a: formula, Pearson symbol, space group, then the letters of each element"


def build_conditions(
    *,
    space_group: Iterable[str] | None = None,
    elements: Iterable[str] | None = None,
    require: Iterable[str] | None = None,
    exclude: Iterable[str] | None = None,
    formula: str | None = None,
    z: int | None = None,
    sites: int | None = None,
    max_atoms: int | None = None,
    template: str | None = None,
    partial: Path | None = None,
    partial_crystal: Path | None = None,
    free_cell: bool = False,
    targets: Iterable[str] | None = None,
    strength: float = 1.0,
) -> Conditions:
    """The conditions that the options ask for.

    Raises:
        InputError: an option cannot be read; the message says what is wrong with it.
    """
    from aristotype.crystal import Conditions

    if free_cell and partial_crystal is None:
        raise InputError("--free-cell is for a partial crystal; give --partial-crystal too")
    known = None if partial_crystal is None else _known_part(partial_crystal, free_cell)
    return Conditions(
        space_groups=None if not space_group else [_group(text) for text in _items("--space-group", space_group)],
        allowed_elements=None if not elements else _items("--elements", elements),
        required_elements=_items("--require", require or ()),
        excluded_elements=_items("--exclude", exclude or ()),
        formula=formula,
        formula_units=z,
        num_sites=sites,
        max_atoms=max_atoms,
        template=None if template is None else read_template(template),
        partial=None if partial is None else _one_row("--partial", partial).genes(),
        partial_crystal=known,
        targets=[_target(text, strength) for text in targets or ()],
    )


def _items(option: str, values: Iterable[str]) -> list[str]:
    """The entries of an option that takes lists with commas and may be given several times."""
    values = list(values)
    items = [item.strip() for value in values for item in value.split(",")]
    if not all(items):
        raise InputError(f"{option} {','.join(values)!r} has an empty entry; separate entries by single commas")
    return items


def _group(text: str) -> int:
    if not text.isdecimal():
        raise InputError(f"--space-group {text!r} is no number; give numbers from 1 to 230, such as 225,216")
    return int(text)


def _target(text: str, strength: float) -> PropertyTarget:
    """The range of a property: NAME=LOW:HIGH, of which one end may be left out."""
    from aristotype.crystal import PropertyTarget

    name, _, ends = text.rpartition("=")
    low, colon, high = ends.partition(":")
    try:
        limits = float(low or "-inf"), float(high or "inf")
    except ValueError:
        colon = ""
    if not name or not colon:
        raise InputError(
            f"--target {printable(text)!r} cannot be read; write NAME=LOW:HIGH, of which one end may be left out, such "
            "as formation_energy=:-2"
        )
    return PropertyTarget(property=name, low=limits[0], high=limits[1], strength=strength)


def read_template(text: str) -> GeneBatch:
    """One gene from a file with one crystal, or from a prototype or protostructure label.

    Raises:
        InputError: it is neither.
    """
    if Path(text).exists():
        return _one_row("--template", Path(text)).genes()
    return parse_label(text)


def parse_label(label: str) -> GeneBatch:
    """The gene of an AFLOW prototype label, `A2B_tP6_136_f_a`, or protostructure label, `A2B_tP6_136_f_a:O-Ti`.

    Without elements, hydrogen, helium and so on stand for A, B and so on. The Pearson symbol is not looked at, since
    conventions differ for rhombohedral cells.

    Raises:
        InputError: the label cannot be read, names letters that its space group lacks, or its formula is not what the
            letters give.
        SymmetryError: there is no such space group.
    """
    from aristotype.crystal import GeneBatch, atomic_number, element_symbol, prototype_labels
    from aristotype.symmetry import LETTERS, check_group, tables

    prototype, _, symbols = label.partition(":")
    words = prototype.split("_")
    if len(words) < 4 or not words[2].isdecimal():
        raise InputError(f"{printable(label)!r} is neither a file that exists nor a prototype label like {_FORM}")
    number = check_group(int(words[2]))
    words[-1] = re.sub(r"-\d{3}$", "", words[-1])  # newer AFLOW labels number the prototypes that share a label
    kinds = words[3:]
    species = [atomic_number(symbol) for symbol in symbols.split("-")] if symbols else list(range(1, len(kinds) + 1))
    if len(species) != len(kinds):
        raise InputError(f"the label {label!r} has the letters of {len(kinds)} elements and names {len(species)}")
    letters = [[LETTERS.index(letter) for letter in _letters(word, label)] for word in kinds]
    flat = [letter for word in letters for letter in word]
    last = int(tables().num_positions[number])
    if max(flat) >= last:
        raise InputError(
            f"the label {label!r} has the letter {LETTERS[max(flat)]}, and space group {number} has a to "
            f"{LETTERS[last - 1]}"
        )
    genes = GeneBatch.from_lists([number], [[z for z, word in zip(species, letters) for _ in word]], [flat])
    if not genes.legal()[0]:
        raise InputError(f"the label {label!r} has a position without freedom twice; only one atom fits there")
    # A prototype lists its elements by symbol: elements whose symbols stand in the order of the label.
    ordered = sorted(range(1, 119), key=element_symbol)
    same = GeneBatch.from_lists([number], [[ordered[k] for k, word in enumerate(letters) for _ in word]], [flat])
    found = prototype_labels(same)[0].partition("_")[0]
    if found != words[0]:
        raise InputError(f"the label {label!r} says {words[0]}, and its letters give {found}; correct one of them")
    return genes


def _letters(word: str, label: str) -> list[str]:
    """Letters of one element: `2ab` is a, a, b."""
    if not re.fullmatch(r"(\d*[a-zA])+", word):
        raise InputError(f"the label {printable(label)!r} has {word!r} for Wyckoff letters; the form is {_FORM}")
    return [letter for count, letter in re.findall(r"(\d*)([a-zA])", word) for _ in range(int(count or 1))]


def _known_part(path: Path, free_cell: bool) -> PartialCrystal:
    """All sites of a file with one crystal, and its cell unless that is free."""
    from aristotype.crystal import PartialCrystal

    row = _one_row("--partial-crystal", path)[0]
    return PartialCrystal.of(row, lattice=not free_cell)


def _one_row(option: str, path: Path) -> CrystalTable:
    """A file with one crystal."""
    from aristotype.crystal import CrystalTable, encode

    table = CrystalTable.read(path) if path.suffix.lower() == ".parquet" else encode(path)
    if len(table) != 1:
        raise InputError(f"{option} {printable(path)} holds {len(table)} crystals; give a file with one")
    return table
