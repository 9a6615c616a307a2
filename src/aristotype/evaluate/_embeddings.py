"""Named embeddings of structures, for distances that compare sets of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aristotype.calculators import shared_potential, too_dense
from aristotype.errors import UnknownNameError
from aristotype.evaluate._magpie import magpie_fingerprints

if TYPE_CHECKING:
    from collections.abc import Callable

    from aristotype.crystal import CrystalTable

Floats = NDArray[np.float64]


def embedding_names() -> list[str]:
    """Names that `embed` knows."""
    return sorted(_EMBEDDINGS)


def embed(table: CrystalTable, name: str, *, device: str = "auto") -> Floats:
    """The embedding of each structure of a table.

    `chgnet-crystal` is the crystal feature of CHGNet 0.3.0 over the number of atoms: the package's own is a sum over
    atoms, and would compare cells instead of crystals. `magpie` is the fingerprint of the composition, in the units of
    its properties.

    Args:
        table: n crystals; `magpie` needs no geometry.
        name: `chgnet-crystal` (64 numbers) or `magpie` (132).
        device: `auto`, `cpu` or `cuda`, for networks.

    Returns:
        (n, d); NaN where the embedding does not know an element, or atoms are too dense.

    Raises:
        UnknownNameError: there is no such embedding.
        TableError: a row is a gene, and the embedding needs a geometry.
        MissingDependencyError: smact, which `magpie` needs, is not installed.
    """
    if name not in _EMBEDDINGS:
        raise UnknownNameError(f"there is no embedding {name!r}; give {', '.join(embedding_names())}")
    return _EMBEDDINGS[name](table, device)


def _chgnet(table: CrystalTable, device: str) -> Floats:
    table.check_geometry()
    potential: Any = shared_potential("chgnet", device)  # of all potentials the only one with such features
    known = np.zeros(128, dtype=bool)
    known[[0, *potential.elements]] = True  # 0 where there is no site
    rows = np.flatnonzero(known[table.genes().elements].all(axis=1))
    structures = table.take(rows).to_atoms(primitive=True)
    sound = [place for place, structure in enumerate(structures) if not too_dense(structure)]
    rows, structures = rows[sound], [structures[place] for place in sound]
    # Structures of like size side by side fill the passes; the order is undone below.
    order = np.argsort([len(structure) for structure in structures], kind="stable")
    features = potential.crystal_features([structures[place] for place in order])
    out = np.full((len(table), features.shape[1]), np.nan)
    out[rows[order]] = features / np.array([len(structures[place]) for place in order], dtype=np.float64)[:, None]
    return out


def _magpie(table: CrystalTable, device: str) -> Floats:
    del device
    return magpie_fingerprints(table.genes())


_EMBEDDINGS: dict[str, Callable[[CrystalTable, str], Floats]] = {"chgnet-crystal": _chgnet, "magpie": _magpie}
