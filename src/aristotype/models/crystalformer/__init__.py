"""The family CrystalFormer: crystals with their geometry, from genes to cells and coordinates."""

from aristotype.models.crystalformer._config import GeometryConfig
from aristotype.models.crystalformer._fit import fit
from aristotype.models.crystalformer._geometry import GeometryNetwork
from aristotype.models.crystalformer._model import FAMILY, CrystalFormer
from aristotype.models.crystalformer._policy import MOVED, CrystalPolicy, Moved
from aristotype.models.crystalformer._sampler import Tries

__all__ = [
    "FAMILY",
    "MOVED",
    "CrystalFormer",
    "CrystalPolicy",
    "GeometryConfig",
    "GeometryNetwork",
    "Moved",
    "Tries",
    "fit",
]
