"""WyckoffAUGen with coordinates by diffusion on the orbits of a space group, as `diffusion`."""

from aristotype.models.wyckoff_augen.diffusion._config import DiffusionConfig
from aristotype.models.wyckoff_augen.diffusion._fit import fit_diffusion
from aristotype.models.wyckoff_augen.diffusion._model import WyckoffAugenDiffusion

__all__ = ["DiffusionConfig", "WyckoffAugenDiffusion", "fit_diffusion"]
