"""Crystals of templates that are well known, and random ones of many groups."""

import numpy as np

from aristotype.crystal import Crystal, CrystalTable, GeneBatch, primitive_vectors
from aristotype.realize import RealizeConfig
from aristotype.realize._atoms import Atoms, flatten
from aristotype.realize._random import row_keys
from aristotype.realize._solve import Geometry, draw
from aristotype.symmetry import space_group

GROUPS = (1, 2, 5, 15, 38, 62, 70, 88, 142, 148, 166, 186, 194, 205, 216, 227)


def free_positions(volume: float) -> tuple[Atoms, Geometry]:
    """Two elements on free positions of `GROUPS`, placed at random; `volume` is in cubic Angstrom an atom."""
    rows = []
    for number in GROUPS:
        free = [p.index for p in space_group(number).positions if p.freedom and p.multiplicity <= 48]
        rows.append((number, [14, 8, 8], [free[0], free[-1], free[-1]]))
    genes = GeneBatch.from_lists(*map(list, zip(*rows, strict=True)))
    atoms = flatten(genes)
    order = [abs(np.linalg.det(primitive_vectors(number))) for number in GROUPS]
    volumes = volume * np.bincount(atoms.atom_row) / np.array(order)
    keys = row_keys([str(n) for n in GROUPS], genes, 0)
    return atoms, draw(atoms, keys, 0, volumes, RealizeConfig(trials=1, screened=1))


def perovskite(name: str, large: int, small: int) -> CrystalTable:
    """A tilted perovskite oxide: Pnma, tilts about those of gadolinium ferrite."""
    crystal = Crystal(
        space_group=62,
        elements=(small, 8, large, 8),
        wyckoffs=(0, 2, 2, 3),
        free=(0.467, 0.601, 0.063, 0.484, 0.302, 0.051, 0.198),
        lattice=(5.60, 7.67, 5.35, 90.0, 90.0, 90.0),
        id=name,
    )
    ordered = sorted(zip(crystal.wyckoffs, crystal.elements, crystal.site_free, strict=True))
    return CrystalTable.from_crystals(
        [
            Crystal(
                space_group=62,
                elements=tuple(element for _, element, _ in ordered),
                wyckoffs=tuple(letter for letter, _, _ in ordered),
                free=tuple(value for _, _, free in ordered for value in free),
                lattice=crystal.lattice,
                id=name,
            )
        ]
    )


def rutile(name: str, metal: int, anion: int) -> CrystalTable:
    """P4_2/mnm, 2a and 4f."""
    return _one(136, (metal, anion), (0, 5), (0.305,), (4.59, 4.59, 2.96), name)


def pyrite(name: str) -> CrystalTable:
    """FeS2, Pa-3, 4a and 8c."""
    return _one(205, (26, 16), (0, 2), (0.385,), (5.42,) * 3, name)


def spinel(name: str) -> CrystalTable:
    """MgAl2O4, Fd-3m, 8a, 16d and 32e."""
    return _one(227, (12, 13, 8), (0, 3, 4), (0.2624,), (8.08,) * 3, name)


def _one(
    number: int,
    elements: tuple[int, ...],
    wyckoffs: tuple[int, ...],
    free: tuple[float, ...],
    lengths: tuple[float, ...],
    name: str,
) -> CrystalTable:
    a, b, c = lengths
    crystal = Crystal(
        space_group=number,
        elements=elements,
        wyckoffs=wyckoffs,
        free=free,
        lattice=(a, b, c, 90.0, 90.0, 90.0),
        id=name,
    )
    return CrystalTable.from_crystals([crystal])
