"""The shipped table of the 230 groups: arrays, loaded once and read only.

Coordinates are fractional in the conventional cell of the standard setting (ITA A: origin choice 2, hexagonal axes for
R, unique axis b). Translations are integers in units of 1/24. Space groups are numbered from 1, positions from 0
(letter a). The file is made by `tools/build_symmetry.py`; nothing in it is typed by hand.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from functools import cache, cached_property
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aristotype.errors import SymmetryError

if TYPE_CHECKING:
    from pathlib import Path

GRID = 24
"""Denominator of every translation in the tables."""
NUM_GROUPS = 230
MAX_POSITIONS = 27
"""Positions of the richest group (47, Pmmm): letters a to z, then A."""
LETTERS = "abcdefghijklmnopqrstuvwxyzA"
CRYSTAL_SYSTEMS = ("triclinic", "monoclinic", "orthorhombic", "tetragonal", "trigonal", "hexagonal", "cubic")
CENTRINGS = "PACFIR"
_FORMAT = {"format": "aristotype-symmetry", "version": "1"}

Ints = NDArray[np.integer]


@dataclass(frozen=True, kw_only=True)
class Tables:
    """Raw arrays. G = 230 groups, P = 1731 positions, ragged arrays have an `_offset` array of starts beside them."""

    symbol: Ints  # UTF-8 bytes, newline separated, G short Hermann-Mauguin symbols
    crystal_system: Ints  # (G,) index in CRYSTAL_SYSTEMS
    centring: Ints  # (G,) index in CENTRINGS
    operation_offset: Ints  # (G + 1,)
    operation_rotation: Ints  # (., 3, 3) identity first, centring translations outermost
    operation_translation: Ints  # (., 3)
    position_offset: Ints  # (G + 1,)
    multiplicity: Ints  # (P,) in the conventional cell
    freedom: Ints  # (P,) 0 to 3
    site_symmetry: Ints  # (P,) index in site_symmetry_symbols
    site_symmetry_symbols: Ints  # UTF-8 bytes, newline separated
    site_symmetry_index: Ints  # (P,) index among positions of the group that share the symbol
    representative_linear: Ints  # (P, 3, 3) coordinates = linear[:, :freedom] @ free + origin / 24
    representative_origin: Ints  # (P, 3)
    representative_inverse: Ints  # (P, 3, 3) unimodular: first `freedom` rows read `free`, the rest read integers
    orbit_offset: Ints  # (P + 1,)
    orbit_linear: Ints  # (., 3, 3) maps from free parameters to every image in the cell
    orbit_origin: Ints  # (., 3)
    stabiliser_offset: Ints  # (P + 1,)
    stabiliser: Ints  # indices of operations that fix the representative
    affine_count: Ints  # (G,) relabellings by the affine normalizer
    affine_offset: Ints  # (G + 1,)
    affine_relabelling: Ints
    euclidean_count: Ints  # (G,) by the Euclidean normalizer of a generic metric
    euclidean_offset: Ints
    euclidean_relabelling: Ints
    normalizer_offset: Ints  # (G + 1,) coset representatives of the normalizer (see `SpaceGroup.normalizer`)
    normalizer_linear: Ints
    normalizer_translation: Ints
    polar_axes: Ints  # (G, 3) 1 where the origin floats
    enantiomorph: Ints  # (G,) number of the mirror image, the group's own where there is none
    enantiomorph_letter: Ints  # (P,) index of the position's image there
    enantiomorph_linear: Ints  # (G, 3, 3)
    enantiomorph_translation: Ints  # (G, 3)
    group_features: NDArray[np.float32]  # (G, 96)
    position_features: NDArray[np.float32]  # (P, 40)
    sha256: str

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """Short Hermann-Mauguin symbols of groups 1 to 230."""
        return tuple(bytes(self.symbol).decode().split("\n"))

    @cached_property
    def site_symmetries(self) -> tuple[str, ...]:
        """The 78 oriented site-symmetry symbols."""
        return tuple(bytes(self.site_symmetry_symbols).decode().split("\n"))

    @cached_property
    def num_positions(self) -> Ints:
        """(231,) number of positions of each group, zero for the index 0 that is no group."""
        return np.concatenate([[0], np.diff(self.position_offset)]).astype(np.int64)

    def padded(self, name: str, fill: float = 0) -> NDArray[np.generic]:
        """A per-position array as (231, 27, ...), by group number and letter index, `fill` where there is none."""
        flat = getattr(self, name)
        out = np.full((NUM_GROUPS + 1, MAX_POSITIONS, *flat.shape[1:]), fill, dtype=flat.dtype)
        out[self._group_of_position, self._letter_of_position] = flat
        return out

    @cached_property
    def _group_of_position(self) -> Ints:
        return np.repeat(np.arange(1, NUM_GROUPS + 1), np.diff(self.position_offset))

    @cached_property
    def _letter_of_position(self) -> Ints:
        return np.arange(len(self.freedom)) - np.repeat(self.position_offset[:-1], np.diff(self.position_offset))

    def ragged(self, name: str, row: int) -> NDArray[np.generic]:
        """Row `row` of an array whose starts are in `<prefix>_offset` (prefix: up to the first underscore)."""
        start = getattr(self, f"{name.split('_')[0]}_offset")
        return getattr(self, name)[start[row] : start[row + 1]]


@cache
def tables() -> Tables:
    """The shipped tables, read at the first call (a few milliseconds).

    Raises:
        SymmetryError: the file is not one that this release can read, or its content does not match its checksum.
    """
    with as_file(files("aristotype.symmetry") / "spacegroups.safetensors") as path:
        return read_tables(path)


def read_tables(path: Path) -> Tables:
    """Reads a table file and checks it.

    Raises:
        SymmetryError: as in `tables`.
    """
    names = [field.name for field in fields(Tables) if field.name != "sha256"]
    arrays, digest = read_arrays(path, names, _FORMAT)
    return Tables(**arrays, sha256=digest)


def read_arrays(path: Path, names: list[str], layout: dict[str, str]) -> tuple[dict[str, NDArray[Any]], str]:
    """Arrays of a shipped file, read only, and their checksum.

    Args:
        path: the file.
        names: of all its arrays.
        layout: the keys `format` and `version` that its header has to have.

    Raises:
        SymmetryError: as in `tables`.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
            if any(metadata.get(key) != value for key, value in layout.items()):
                raise SymmetryError(
                    f"{path} has the format {metadata}, this release reads {layout}; reinstall aristotype"
                )
            arrays = {name: file.get_tensor(name) for name in names}
    except (OSError, SafetensorError) as error:
        raise SymmetryError(
            f"{path} is not a readable table of the space groups ({error}); reinstall aristotype"
        ) from None
    digest = _digest(arrays)
    if digest != metadata.get("sha256"):
        raise SymmetryError(
            f"{path} has the checksum {digest}, its header says {metadata.get('sha256')}: the file was changed or "
            "damaged; reinstall aristotype"
        )
    for array in arrays.values():
        array.setflags(write=False)
    return arrays, digest


def _digest(arrays: dict[str, NDArray[Any]]) -> str:
    """SHA-256 over names, types and bytes in the order of names, as the builders in tools/ write it."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(name.encode() + str(arrays[name].dtype).encode() + arrays[name].tobytes())
    return digest.hexdigest()


def check_group(number: int) -> int:
    """Returns a space-group number as an int.

    Raises:
        SymmetryError: it is not one of 1 to 230.
    """
    if not 1 <= int(number) <= NUM_GROUPS or int(number) != number:
        raise SymmetryError(f"space group {number} does not exist; numbers go from 1 to {NUM_GROUPS}")
    return int(number)
