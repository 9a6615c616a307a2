"""WyckoffAUGen in our default configuration: coordinates by diffusion on the orbits of a space group."""

from aristotype.models.wyckoff_augen.diffusion._config import WyckoffAugenConfig
from aristotype.models.wyckoff_augen.diffusion._model import WyckoffAugen

__all__ = ["WyckoffAugen", "WyckoffAugenConfig"]
