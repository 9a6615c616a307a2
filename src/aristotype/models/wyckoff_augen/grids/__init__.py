"""WyckoffAUGen with coordinates from grids and exact scores, as `grids`."""

from aristotype.models.wyckoff_augen.grids._config import GridsConfig
from aristotype.models.wyckoff_augen.grids._model import WyckoffAugenGrids

__all__ = ["GridsConfig", "WyckoffAugenGrids"]
