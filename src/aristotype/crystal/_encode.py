"""Structures to crystals: the ways in, for objects, files and arrays."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from aristotype.crystal._checks import MAX_ATOMS, MAX_GAP, MIN_DISTANCE, Cell, Limits
from aristotype.crystal._objects import from_ase, from_pymatgen, is_ase, is_pymatgen
from aristotype.crystal._read import Named, read_path
from aristotype.crystal._standardise import Failure, encode_cells
from aristotype.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from aristotype.crystal._table import CrystalTable

DEFAULT_TOLERANCE = 0.1
"""Angstrom; what the papers use for structures relaxed by DFT."""


def encode(
    structures: Any,
    *,
    tolerance: float = DEFAULT_TOLERANCE,
    angle_tolerance: float | None = None,
    ids: Sequence[str] | None = None,
    failures: list[Failure] | None = None,
    max_atoms: int = MAX_ATOMS,
    max_gap: float | None = MAX_GAP,
) -> CrystalTable:
    """Encodes structures as crystals: space group, occupied Wyckoff positions, free parameters and cell.

    Oxidation states, spins and isotopes are dropped (D and T become H); coordinates are wrapped; left-handed cells and
    supercells are reduced to the right-handed standard cell of the same crystal.

    Args:
        structures: one of these or any iterable of them: pymatgen `Structure`, ASE `Atoms`, `Cell` (arrays), or a path
            to a CIF, POSCAR or extended XYZ file or to a folder of them. Each block of a CIF and each frame is a row.
        tolerance: distance (Angstrom) up to which positions count as symmetric. The search may have to lower it for a
            structure that has no consistent group at it; what it ended with is the column `tolerance`.
        angle_tolerance: the same for angles of the lattice, in degrees; None compares lengths alone.
        ids: a name for each structure; by default files are named by their stem and other structures by their place.
        failures: a list that takes what cannot be encoded, so that the rest goes on; None raises at the first one.
        max_atoms: largest input cell.
        max_gap: widest slab (Angstrom) without atoms; None for no limit.

    Returns:
        a table with the column `tolerance` appended; what failed is not in it.

    Raises:
        StructureError: a structure cannot be encoded (partial occupancy, overlapping atoms, no volume, ...) and
            `failures` is None.
        InputError: a path does not exist, an input is of an unknown type, ids do not match, or the tolerance is not
            positive.
    """
    limits = _make_limits(tolerance, max_atoms, max_gap)
    named = _named(structures)
    return encode_cells(named if ids is None else _renamed(named, ids), limits, angle_tolerance, failures)


def encode_arrays(
    lattices: ArrayLike | Sequence[ArrayLike],
    numbers: Sequence[ArrayLike],
    coords: Sequence[ArrayLike],
    *,
    tolerance: float = DEFAULT_TOLERANCE,
    angle_tolerance: float | None = None,
    ids: Sequence[str] | None = None,
    failures: list[Failure] | None = None,
    max_atoms: int = MAX_ATOMS,
    max_gap: float | None = MAX_GAP,
) -> CrystalTable:
    """Encodes structures given as arrays; the fast way in.

    Args:
        lattices: n times (3, 3) row vectors in Angstrom, of either handedness.
        numbers: n times (atoms,) atomic numbers.
        coords: n times (atoms, 3) fractional coordinates, wrapped or not.
        tolerance: distance (Angstrom) up to which positions count as symmetric. The search may have to lower it for a
            structure that has no consistent group at it; what it ended with is the column `tolerance`.
        angle_tolerance: the same for angles of the lattice, in degrees; None compares lengths alone.
        ids: n names; by default the places in the input.
        failures: a list that takes what cannot be encoded, so that the rest goes on; None raises at the first one.
        max_atoms: largest input cell.
        max_gap: widest slab (Angstrom) without atoms; None for no limit.

    Returns:
        a table with the column `tolerance` appended; what failed is not in it.

    Raises:
        StructureError: a structure cannot be encoded and `failures` is None.
        InputError: the arguments differ in length, or the tolerance is not positive.
    """
    names = _check_lengths(lattices, numbers, coords, ids)
    cells = (_as_cell(*parts) for parts in zip(lattices, numbers, coords, strict=True))  # type: ignore[arg-type]
    limits = _make_limits(tolerance, max_atoms, max_gap)
    return encode_cells(zip(names, cells, strict=True), limits, angle_tolerance, failures)


def _make_limits(tolerance: float, max_atoms: int, max_gap: float | None) -> Limits:
    """Checked limits.

    Raises:
        InputError: the tolerance is not positive and finite, or `max_atoms` is less than 1.
    """
    if not 0.0 < tolerance < np.inf:
        raise InputError(
            f"tolerance {tolerance} must be a positive number of Angstrom, for example {DEFAULT_TOLERANCE}"
        )
    if max_atoms < 1:
        raise InputError(f"max_atoms {max_atoms} must be at least 1, for example {MAX_ATOMS}")
    return Limits(tolerance=float(tolerance), min_distance=MIN_DISTANCE, max_atoms=max_atoms, max_gap=max_gap)


def _as_cell(lattice: ArrayLike, numbers: ArrayLike, coords: ArrayLike) -> Cell | str:
    try:
        species = np.asarray(numbers)
        if species.size and not np.issubdtype(species.dtype, np.integer):
            return f"its atomic numbers are {species.dtype}, not whole numbers"
        points = np.asarray(coords, float)
        return Cell(
            lattice=np.asarray(lattice, float),
            numbers=species.reshape(-1).astype(np.int64),
            coords=points.reshape(-1, 3) if points.size % 3 == 0 else points,
        )
    except (TypeError, ValueError) as error:
        return f"its arrays are no numbers or ragged ({error})"


def _check_lengths(
    lattices: Any, numbers: Sequence[Any], coords: Sequence[Any], ids: Sequence[str] | None
) -> list[str]:
    sizes = {"lattices": len(lattices), "numbers": len(numbers), "coords": len(coords)}
    if ids is not None:
        sizes["ids"] = len(ids)
    if len(set(sizes.values())) > 1:
        raise InputError(
            f"one entry a structure is needed in each of {', '.join(f'{k} ({v})' for k, v in sizes.items())}"
        )
    return [str(i) for i in range(len(numbers))] if ids is None else [str(name) for name in ids]


def _named(structures: Any) -> Iterator[Named]:
    """Every structure of the input under its default name."""
    if _is_one(structures):
        structures = [structures]
    elif not isinstance(structures, Iterable):
        raise InputError(f"a {type(structures).__name__} is no structure; {_ACCEPTED}")
    place = 0
    for thing in structures:
        if isinstance(thing, (str, os.PathLike)):
            for row in read_path(thing):
                place += 1
                yield row
        else:
            yield str(place), _convert(thing)
            place += 1


_ACCEPTED = "give pymatgen Structures, ASE Atoms, Cells or paths"


def _is_one(thing: Any) -> bool:
    return isinstance(thing, (str, os.PathLike, Cell)) or is_pymatgen(thing) or is_ase(thing)


def _convert(thing: Any) -> Cell | str:
    if isinstance(thing, Cell):
        return _as_cell(*thing)
    if is_pymatgen(thing):
        return from_pymatgen(thing)
    if is_ase(thing):
        return from_ase(thing)
    raise InputError(f"a {type(thing).__name__} is no structure; {_ACCEPTED}")


def _renamed(named: Iterator[Named], ids: Sequence[str]) -> Iterator[Named]:
    """The same structures under given names."""
    names = [str(name) for name in ids]
    if len(set(names)) != len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise InputError(f"the id {repeated!r} is given more than once; ids must be unique")
    rows = iter(names)
    count = 0
    for _, cell in named:
        name = next(rows, None)
        if name is None:
            raise InputError(f"{len(names)} ids for more structures; give one for each")
        count += 1
        yield name, cell
    if count < len(names):
        raise InputError(f"{len(names)} ids for {count} structures; give one for each")
