"""CrystalNN fingerprints of structures.

CrystalNN: Pan et al., Inorg. Chem. 60, 1590, 2021; fingerprints: Zimmermann & Jain, RSC Adv. 10, 6063, 2020. For each
site they hold the weights of coordination numbers 1 to 24 by CrystalNN, and each weight times the order parameters of
the motifs of its coordination number: the 61 numbers that matminer calls the preset "ops". The fingerprint of a
structure is their mean over all atoms, as in CDVAE. pymatgen computes weights and order parameters; one atom a Wyckoff
site is enough, as symmetry makes the others equal.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import decode_table
from aristotype.errors import MissingDependencyError

if TYPE_CHECKING:
    from pymatgen.core import Structure

    from aristotype.crystal import CrystalTable

Floats = NDArray[np.float64]

COORDINATIONS = range(1, 25)
WIDTH = 61
_SINGLE_BOND = "sgl_bd"
_STEINHARDT = ("q2", "q4", "q6")
_STEINHARDT_COORDINATIONS = range(9, 13)


def site_fingerprints(table: CrystalTable) -> tuple[Floats, NDArray[np.int64], NDArray[np.int64]]:
    """CrystalNN fingerprints of the Wyckoff sites of a table, computed here and now.

    Returns:
        fingerprints (s, 61) of all sites in the order of the table, NaN where CrystalNN fails; the row (s,) of each;
        and the atoms (s,) that each has in the primitive cell.

    Raises:
        TableError: a row is a gene, which has no geometry.
        MissingDependencyError: this pymatgen has other motifs.
    """
    from pymatgen.core import Lattice, Structure

    _tools()  # what is wrong with the installation is said once, and is not a structure's fault
    atoms = decode_table(table, primitive=True)
    out, rows, counts = [], [], []
    for row, cell in enumerate(atoms.cells()):
        sites = atoms.sites[atoms.offsets[row] : atoms.offsets[row + 1]]
        _, first, count = np.unique(sites, return_index=True, return_counts=True)
        structure = Structure(Lattice(cell.lattice), cell.numbers.tolist(), cell.coords)
        out += [_site(structure, index) for index in first.tolist()]
        rows += [row] * len(first)
        counts += count.tolist()
    return np.array(out).reshape(-1, WIDTH), np.array(rows, dtype=np.int64), np.array(counts, dtype=np.int64)


def structure_fingerprints(table: CrystalTable) -> Floats:
    """Means and standard deviations of `site_fingerprints` over the atoms of each structure.

    Returns:
        (n, 122): 61 means, then 61 deviations; NaN where one site has no fingerprint, as no mean is one of some sites.
    """
    sites, rows, counts = site_fingerprints(table)
    weights = counts / np.bincount(rows, weights=counts, minlength=len(table))[rows]
    mean, variance = np.zeros((len(table), WIDTH)), np.zeros((len(table), WIDTH))
    np.add.at(mean, rows, weights[:, None] * sites)
    np.add.at(variance, rows, weights[:, None] * np.square(sites - mean[rows]))
    return np.hstack([mean, np.sqrt(variance)])


def _site(structure: Structure, index: int) -> Floats:
    """(61,) fingerprint of one site; NaN for a geometry that its Voronoi analysis cannot take."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it asks for oxidation states, which the published protocol has not
            return _weighted_orders(structure, index)
    except Exception:  # noqa: BLE001 (it raises many types, and no other row may be lost)
        return np.full(WIDTH, np.nan)


def _weighted_orders(structure: Structure, index: int) -> Floats:
    finder, parameters = _tools()
    found = finder.get_nn_data(structure, index)
    numbers: list[float] = []
    for coordination in COORDINATIONS:
        weight = float(found.cn_weights.get(coordination, 0.0))
        numbers.append(weight)
        motifs = parameters.get(coordination, ())
        if weight == 0.0:
            numbers += [0.0] * len(motifs)
            continue
        sites = [structure[index], *(neighbour["site"] for neighbour in found.cn_nninfo[coordination])]
        others = list(range(1, len(sites)))
        for motif in motifs:
            value = motif.get_order_parameters(sites, 0, indices_neighs=others)[0]
            numbers.append(weight * (value or 0.0))  # None where the motif has no meaning for these neighbours
    return np.array(numbers)


@cache
def _tools() -> tuple[Any, Mapping[int, list[Any]]]:
    """The neighbour finder, and the order parameters of each coordination number, in the order of the fingerprint."""
    try:
        from pymatgen.core import local_env
    except ImportError:  # before it moved there
        from pymatgen.analysis import local_env
    motifs: dict[int, list[tuple[str, Any]]] = {1: [(_SINGLE_BOND, None)]}
    for coordination, named in local_env.CN_OPT_PARAMS.items():
        motifs[coordination] = [(kind, settings[0] if settings else None) for kind, *settings in named.values()]
    for coordination in _STEINHARDT_COORDINATIONS:
        motifs[coordination] = motifs.get(coordination, []) + [(kind, None) for kind in _STEINHARDT]
    width = len(COORDINATIONS) + sum(map(len, motifs.values()))
    if width != WIDTH:
        raise MissingDependencyError(
            f"this pymatgen has motifs for {width} numbers, and the preset ops has {WIDTH}: its fingerprints would not "
            "compare with published ones; install the version in constraints.txt"
        )
    # One object a motif: one for several would be faster, and mixes up the motifs of coordination numbers 4 and 6.
    return local_env.CrystalNN(), {
        coordination: [local_env.LocalStructOrderParams([kind], parameters=[given]) for kind, given in kinds]
        for coordination, kinds in motifs.items()
    }
