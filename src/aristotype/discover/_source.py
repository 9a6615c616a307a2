"""A model of crystals as a source of geometries for `realize`, or of starts for its search."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from aristotype._files import printable
from aristotype.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from aristotype.crystal import CrystalTable

SITE_DRAWS = 4
"""Draws of a site that overlaps, at most, in a search: it looks at many crystals, so that none is drawn again whole."""


@dataclass(frozen=True)
class GeometrySource:
    """Draws geometries for genes: a `Proposal` that worker processes can be given, because it names its model.

    Genes with elements that the model does not know, or with more sites than it writes, get none.
    """

    model: str  # shipped name or checkpoint folder
    sha256: str  # of its configuration, which holds the hash of its weights
    searched: bool = True  # whether the best of many is searched for; else what overlaps is drawn again as ever

    @staticmethod
    def of(model: str | Path, *, searched: bool = True) -> GeometrySource:
        """The source of a shipped name or a checkpoint folder.

        Args:
            model: that name or folder.
            searched: whether it proposes starts of a search; else each geometry is to be the one of its gene.

        Raises:
            UnknownNameError: there is no such model.
            CheckpointError: the checkpoint is damaged.
            InputError: the model gives no geometry to genes of other models.
        """
        source = GeometrySource(str(model), _digest(str(model)), searched)
        _loaded(source)
        return source

    def __call__(self, genes: CrystalTable, *, seed: int) -> CrystalTable:
        """Crystals for those of the genes that the model can write.

        Raises:
            InputError: the seed is not from 0 to 2^63 - 1.
        """
        model = _loaded(self)
        found: CrystalTable = model.realize(genes.filter(model.writes(genes.genes())), seed=seed)
        return found


def _digest(model: str) -> str:
    from pathlib import Path

    from aristotype.models import shipped_models

    shipped = shipped_models()
    path = (shipped[model].path if model in shipped else Path(model)) / "config.json"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


@lru_cache(maxsize=4)
def _loaded(source: GeometrySource) -> Any:
    from aristotype.models import load

    model: Any = load(source.model)
    if not hasattr(model, "realize"):
        raise InputError(
            f"{printable(source.model)} gives no geometry to genes of other models; take one that does, such as "
            "crystalformer-mp20 or augen-mp20"
        )
    if source.searched:
        model.tries = replace(model.tries, sites=SITE_DRAWS, crystals=1)
    return model
