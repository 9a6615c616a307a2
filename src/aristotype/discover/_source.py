"""A model of crystals as a source of starting geometries for the search in `realize`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from aristotype._files import printable
from aristotype.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from aristotype.crystal import CrystalTable

SITE_DRAWS = 4
"""Draws of a site that overlaps, at most: the search looks at many crystals, so that none is drawn again as a whole."""


@dataclass(frozen=True)
class GeometrySource:
    """Draws geometries for genes: a `Proposal` that worker processes can be given, because it names its model.

    Genes with elements that the model does not know, or with more sites than it writes, get none.
    """

    model: str  # shipped name or checkpoint folder
    sha256: str  # of its configuration, which holds the hash of its weights

    @staticmethod
    def of(model: str | Path) -> GeometrySource:
        """The source of a shipped name or a checkpoint folder.

        Raises:
            UnknownNameError: there is no such model.
            CheckpointError: the checkpoint is damaged.
            InputError: the model gives no geometry to genes of other models.
        """
        source = GeometrySource(str(model), _digest(str(model)))
        _loaded(source)
        return source

    def __call__(self, genes: CrystalTable, *, seed: int) -> CrystalTable:
        """Crystals for those of the genes that the model can write.

        Raises:
            InputError: the seed is not from 0 to 2^63 - 1.
        """
        model = _loaded(self)
        batch = genes.genes()
        known = np.isin(batch.elements, [0, *model.config.elements]).all(axis=1)
        known &= batch.num_sites <= getattr(model.config, "max_sites", np.inf)
        found: CrystalTable = model.realize(genes.filter(known), seed=seed)
        return found


def _digest(model: str) -> str:
    from pathlib import Path

    from aristotype.models import shipped_models

    shipped = shipped_models()
    path = (shipped[model].path if model in shipped else Path(model)) / "config.json"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


@lru_cache(maxsize=2)
def _loaded(source: GeometrySource) -> Any:
    from aristotype.models import load

    model: Any = load(source.model)
    if not hasattr(model, "realize"):
        raise InputError(
            f"{printable(source.model)} gives no geometry to genes of other models; take one that does, such as "
            "crystalformer-mp20"
        )
    model.tries = replace(model.tries, sites=SITE_DRAWS, crystals=1)
    return model
