"""The family WyckoffAUGen: crystals in the asymmetric unit, within a space of elements."""

from aristotype.models.wyckoff_augen._base import FAMILY
from aristotype.models.wyckoff_augen._fit import fit
from aristotype.models.wyckoff_augen._tries import Tries
from aristotype.models.wyckoff_augen.diffusion import WyckoffAugen, WyckoffAugenConfig
from aristotype.models.wyckoff_augen.grids import GridsConfig, WyckoffAugenGrids
from aristotype.models.wyckoff_augen.paper import PaperConfig, WyckoffAugenPaper

__all__ = [
    "FAMILY",
    "GridsConfig",
    "PaperConfig",
    "Tries",
    "WyckoffAugen",
    "WyckoffAugenConfig",
    "WyckoffAugenGrids",
    "WyckoffAugenPaper",
    "fit",
]
