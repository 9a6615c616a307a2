"""Structure files to arrays: CIF, POSCAR and extended XYZ, with every structure in them."""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aristotype._files import printable
from aristotype.crystal._checks import Cell
from aristotype.crystal._objects import from_ase, from_pymatgen
from aristotype.crystal._settings import with_operations
from aristotype.errors import InputError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

_LOG = logging.getLogger("aristotype.crystal")
_BLOCK = re.compile(r"^data_(\S*)", re.IGNORECASE | re.MULTILINE)
_MAGNETIC = re.compile(r"^\s*_(space_group_magn|atom_site_moment|space_group_symop_magn)", re.IGNORECASE | re.MULTILINE)
_ATOMS = re.compile(r"^\s*_atom_site[._](fract_x|cartn_x|label)", re.IGNORECASE | re.MULTILINE)
_FORMULA = re.compile(r"^[ \t]*_chemical_formula_sum[ \t]+([^?.\s].*)$", re.IGNORECASE | re.MULTILINE)
_HEAVY_HYDROGEN = re.compile(r"\b[DT](?=[\d.\s]|$)")
_ISOTOPE = re.compile(r"^([ \t]*)[DT](?=[ \t]+[-+.\d])", re.MULTILINE)
"""Deuterium or tritium in front of coordinates, which ASE does not know."""

Named = tuple[str, Cell | str]
"""A name, and a structure or the reason why there is none."""


def is_structure_file(path: Path) -> bool:
    """Whether a file name is one of a kind that is read here."""
    return _reader(path) is not None


def read_path(path: str | os.PathLike[str]) -> Iterator[Named]:
    """All structures of a file, or of all structure files in a folder and its folders, in the order of their names.

    A file with one structure is named by its stem (POSCAR and CONTCAR by their folder); with several, the name of the
    CIF block or the number of the frame is appended. In a folder, files with equal stems are named by their path in it.

    Args:
        path: A file (.cif, .mcif, .vasp, .poscar, POSCAR*, CONTCAR*, .xyz, .extxyz) or a folder.

    Raises:
        InputError: the path does not exist, is of an unknown kind, or a folder without any structure file.
    """
    given = Path(path)
    if given.is_dir():
        files = sorted(file for file in given.rglob("*") if file.is_file() and is_structure_file(file))
        if not files:
            raise InputError(f"{printable(given)} holds no structure file; known are {_KNOWN}")
        for file, name in zip(files, _names(files, given), strict=True):
            yield from _read_file(file, name)
    elif not given.is_file():
        raise InputError(f"{printable(given)} does not exist; check the path")
    elif not is_structure_file(given):
        raise InputError(f"{printable(given)} is of no known kind; known are {_KNOWN}")
    else:
        yield from _read_file(given, _stem(given))


_KNOWN = ".cif, .vasp, .poscar, POSCAR*, CONTCAR*, .xyz and .extxyz"


def _reader(path: Path) -> Callable[[str, str], Iterator[Named]] | None:
    name, suffix = path.name.lower(), path.suffix.lower()
    if suffix in (".cif", ".mcif"):
        return _read_cif
    if suffix in (".xyz", ".extxyz"):
        return _read_xyz
    if suffix in (".vasp", ".poscar") or name.startswith(("poscar", "contcar")):
        return _read_poscar
    return None


def _stem(path: Path) -> str:
    if path.name.lower() in ("poscar", "contcar"):
        return printable(path.absolute().parent.name)
    return printable(path.stem)


def _names(files: list[Path], folder: Path) -> list[str]:
    """The shortest naming in which no two files are called the same."""
    inside = [file.relative_to(folder) for file in files]
    for naming in (_stem, lambda file: printable(file.relative_to(folder).with_suffix("").as_posix())):
        names = [naming(file) for file in files]
        if max(Counter(names).values()) == 1:
            return names
    return [printable(file.as_posix()) for file in inside]


def _read_file(path: Path, name: str) -> Iterator[Named]:
    reader = _reader(path)
    assert reader is not None
    try:
        text = path.read_bytes().decode("utf-8", "replace")
    except OSError as error:
        yield name, f"the file {printable(path)} cannot be read ({error.strerror}); check its permissions"
        return
    if not text.strip():
        yield name, f"the file {printable(path)} is empty; write it again"
        return
    yield from reader(text, name)


def _quietly(name: str, parse: Callable[[], list[Named]], kind: str) -> list[Named]:
    """Runs a parser of another package: what it raises becomes a reason, what it warns about goes to the log."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            out = parse()
        except Exception as error:  # noqa: BLE001 (parsers raise anything on malformed input)
            detail = str(error).strip() or type(error).__name__
            out = [(name, f"it is no readable {kind} ({detail}); correct the file")]
    for warning in caught:
        if not issubclass(warning.category, DeprecationWarning):
            _LOG.info("%s: %s", name, warning.message)
    return out


def _read_cif(text: str, name: str) -> Iterator[Named]:
    blocks = [(label, block) for label, block in _split_blocks(text) if _ATOMS.search(block)]
    if not blocks:
        yield name, "it is no readable CIF (no data block with atom sites); correct the file"
        return
    labels = _distinct([label for label, _ in blocks])
    for label, (_, block) in zip(labels, blocks, strict=True):
        own = name if len(blocks) == 1 else f"{name}-{label}"
        if _MAGNETIC.search(block):
            yield own, "it is a magnetic CIF, and moments have no place in a crystal here; remove them from the file"
            continue
        complete, reason = with_operations(block)
        if reason is not None:
            yield own, reason
        else:
            yield from _quietly(own, partial(_parse_cif, own, complete), "CIF")


def _parse_cif(name: str, block: str) -> list[Named]:
    from pymatgen.io.cif import CifParser

    cell = from_pymatgen(CifParser.from_str(block).parse_structures(primitive=False, on_error="raise")[0])
    return [(name, cell if isinstance(cell, str) else _unlike_its_formula(block, cell) or cell)]


def _unlike_its_formula(block: str, cell: Cell) -> str | None:
    """Why the atoms of a CIF cannot be all: they are not in the ratio of its sum formula, as after a cut-off file."""
    from pymatgen.core import Composition, Element

    match = _FORMULA.search(block)
    if match is None:
        return None
    stated = match.group(1).strip("'\" \t")
    numbers, counts = np.unique(cell.numbers, return_counts=True)
    there = Composition({Element.from_Z(z): n for z, n in zip(numbers.tolist(), counts.tolist(), strict=True)})
    try:
        wanted = Composition(_HEAVY_HYDROGEN.sub("H", stated))
    except ValueError:  # not in the usual notation: nothing to compare with
        return None
    if not wanted or wanted.fractional_composition.almost_equals(there.fractional_composition, rtol=0.02, atol=1e-3):
        return None
    return (
        f"its atoms are {there.formula} and its sum formula is {stated}: sites are missing or the formula is wrong; "
        "correct the file"
    )


def _split_blocks(text: str) -> list[tuple[str, str]]:
    """Data blocks of a CIF by name; a `data_` inside a text field (between semicolons) starts none."""
    starts, inside = [], False
    position = 0
    for line in text.splitlines(keepends=True):
        if line.startswith(";"):
            inside = not inside
        elif not inside and (match := _BLOCK.match(line)):
            starts.append((position, match.group(1)))
        position += len(line)
    ends = [start for start, _ in starts[1:]] + [len(text)]
    return [(label, text[start:end]) for (start, label), end in zip(starts, ends, strict=False)]


def _distinct(labels: list[str]) -> list[str]:
    """Labels as they are where all differ, else numbers from 1."""
    if len(set(labels)) == len(labels) and all(labels):
        return labels
    return [str(number) for number in range(1, len(labels) + 1)]


def _read_poscar(text: str, name: str) -> Iterator[Named]:
    def parse() -> list[Named]:
        from pymatgen.io.vasp.inputs import BadPoscarWarning, Poscar

        with warnings.catch_warnings():
            # Without element symbols it would be read as H, He, Li, ...
            warnings.simplefilter("error", BadPoscarWarning)
            return [(name, from_pymatgen(Poscar.from_str(text, read_velocities=False).structure))]

    yield from _quietly(name, parse, "POSCAR")


def _read_xyz(text: str, name: str) -> Iterator[Named]:
    kind = "extended XYZ file"
    whole = _quietly(name, partial(_parse_xyz, name, text), kind)
    frames = _split_frames(text)
    if len(whole) > 1 or not isinstance(whole[0][1], str) or len(frames) < 2:
        yield from whole
        return
    for number, frame in enumerate(frames, start=1):  # one bad frame must not lose the others
        own = f"{name}-{number}"
        yield from _quietly(own, partial(_parse_xyz, own, frame), kind)


def _parse_xyz(name: str, text: str) -> list[Named]:
    import ase.io

    frames = ase.io.read(io.StringIO(_ISOTOPE.sub(r"\1H", text)), index=":", format="extxyz")
    if len(frames) == 1:
        return [(name, from_ase(frames[0]))]
    own = [str(frame.info.get("id", "")) for frame in frames]
    labels = own if all(own) and len(set(own)) == len(own) else [f"{name}-{n}" for n in range(1, len(frames) + 1)]
    return [(label, from_ase(frame)) for label, frame in zip(labels, frames, strict=True)]


def _split_frames(text: str) -> list[str]:
    """Frames of an extended XYZ file; one that is cut off ends where the next number of atoms stands alone."""
    lines = text.splitlines(keepends=True)
    starts = [0] if lines else []
    position = 0
    while position < len(lines) and lines[position].strip().isdigit():
        end = min(position + 2 + int(lines[position]), len(lines))
        cut = (row for row in range(position + 2, end) if lines[row].strip().isdigit())
        position = next(cut, end)
        starts.append(position)
    return [
        frame
        for first, last in zip(starts, [*starts[1:], len(lines)], strict=True)
        if (frame := "".join(lines[first:last])).strip()
    ]
