"""The two sources of the symmetry table, read into one form and compared."""

from __future__ import annotations

import re

import moyopy
import numpy as np
from cctbx import sgtbx

Operations = tuple[np.ndarray, np.ndarray]
SYSTEMS = ("triclinic", "monoclinic", "orthorhombic", "tetragonal", "trigonal", "hexagonal", "cubic")
_LAST = (2, 15, 74, 142, 167, 194, 230)
# cctbx exchanges these two letters; moyopy, spglib and pyxtal all follow ITA (origin choice 2 of Pn-3m).
_CCTBX_EXCHANGES = {224: {"i": "j", "j": "i"}}


def crystal_system(number: int) -> int:
    """Index of the crystal system of a space group in `SYSTEMS` (ITA A, Table 2.1.1.1)."""
    return next(i for i, last in enumerate(_LAST) if number <= last)


def symbol(number: int) -> str:
    """Short Hermann-Mauguin symbol without spaces, as moyopy and cctbx both give it."""
    return moyopy.SpaceGroupType(number).hm_short.replace(" ", "")


def operations(number: int) -> Operations:
    """All operations of the conventional cell, identity first, centring translations outermost.

    Returns rotations (n, 3, 3) and translations (n, 3) in 24ths, the same set in both sources.
    """
    from_moyopy = moyopy.operations_from_number(number, setting=moyopy.Setting.standard())
    rotations = np.array(from_moyopy.rotations, dtype=np.int64)
    translations = np.rint(np.array(from_moyopy.translations) * 24).astype(np.int64) % 24
    theirs = {
        (tuple(op.r().num()), tuple(int(v) * (24 // op.t().den()) % 24 for v in op.t().num()))
        for op in sgtbx.space_group_info(number=number).group().all_ops()
    }
    ours = {(tuple(r.ravel().tolist()), tuple(t.tolist())) for r, t in zip(rotations, translations, strict=True)}
    if ours != theirs or len(ours) != len(rotations):
        raise SystemExit(f"group {number}: moyopy and cctbx give different operations")
    return centring_outermost(rotations, translations)


def centring_outermost(rotations: np.ndarray, translations: np.ndarray) -> Operations:
    """Sorts operations by centring vector, then by rotation in the source's order, identity first."""
    identity = (rotations == np.eye(3, dtype=np.int64)).all(axis=(1, 2))
    centring = translations[identity]
    centring = centring[np.lexsort(centring.T[::-1])]
    _, first = np.unique(rotations.reshape(-1, 9), axis=0, return_index=True)
    first = sorted(first, key=lambda i: (not identity[i], i))
    base_r, base_t = rotations[first], translations[first].copy()
    base_t[0] = 0
    all_t = (centring[:, None, :] + base_t[None]) % 24
    return np.tile(base_r, (len(centring), 1, 1)), all_t.reshape(-1, 3)


def random_metric(number: int, rng: np.random.Generator) -> np.ndarray:
    """A generic cell (row vectors, Angstrom) that the crystal family of the group allows."""
    a, b, c = rng.uniform(9.0, 14.0, 3)
    alpha, beta, gamma = np.radians(rng.uniform(80.0, 100.0, 3))
    system = crystal_system(number)
    right = np.pi / 2
    if system == 1:
        alpha = gamma = right
    elif system >= 2:
        alpha = beta = gamma = right
    if system in (3, 4, 5):
        b = a
    if system in (4, 5):
        gamma = 2 * np.pi / 3
    if system == 6:
        b = c = a
    cx, cy = np.cos(beta), (np.cos(alpha) - np.cos(beta) * np.cos(gamma)) / np.sin(gamma)
    return np.array(
        [
            [a, 0, 0],
            [b * np.cos(gamma), b * np.sin(gamma), 0],
            [c * cx, c * cy, c * np.sqrt(1 - cx**2 - cy**2)],
        ]
    )


def parse_coordinates(expression: str) -> tuple[np.ndarray, np.ndarray]:
    """Reads 'x,2x,z+1/4' into (linear (3, 3) over x, y, z, translation (3,) in 24ths)."""
    linear, origin = np.zeros((3, 3), np.int64), np.zeros(3, np.int64)
    for row, part in enumerate(expression.replace(" ", "").split(",")):
        for sign, number, denominator, variable in re.findall(r"([+-]?)(\d*)(?:/(\d+))?([xyz]?)", part):
            if not number and not variable:
                continue
            value = (int(number) if number else 1) * (-1 if sign == "-" else 1)
            if variable:
                linear[row, "xyz".index(variable)] += value
            else:
                origin[row] += value * 24 // int(denominator or 1)
    return linear, origin % 24


def moyopy_positions(number: int, crystals: list[moyopy.Cell]) -> dict[str, moyopy.WyckoffPosition]:
    """Positions of a group as moyopy lists them, gathered from crystals that occupy each of them."""
    found: dict[str, moyopy.WyckoffPosition] = {}
    for cell in crystals:
        data = moyopy.MoyoDataset(cell, symprec=1e-4, setting=moyopy.Setting.standard())
        if data.number != number:
            raise SystemExit(f"group {number}: moyopy sees {data.number} in a crystal built in it")
        for _, sequence in data.normalizer_wyckoff_positions().coset_representatives:
            for position in sequence:
                found.setdefault(position.letter, position)
    return found


def cctbx_positions(number: int) -> list[tuple[str, int, np.ndarray, np.ndarray]]:
    """(letter, multiplicity, special operation's linear part and translation as floats) from 'a' on."""
    table = sgtbx.space_group_info(number=number).wyckoff_table()
    exchanged = _CCTBX_EXCHANGES.get(number, {}) | {"@": "A"}
    rows = []
    for i in range(table.size()):
        position = table.position(i)
        special = position.special_op()
        linear = np.array(special.r().as_double()).reshape(3, 3)
        letter = exchanged.get(position.letter(), position.letter())
        rows.append((letter, position.multiplicity(), linear, np.array(special.t().as_double())))
    return sorted(rows, key=lambda row: letter_index(row[0]))


def letter_index(letter: str) -> int:
    """0 for a, 25 for z, 26 for A."""
    return 26 if letter == "A" else ord(letter) - ord("a")
