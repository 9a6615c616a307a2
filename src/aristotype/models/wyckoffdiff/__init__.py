"""WyckoffDiff: discrete diffusion of genes (Kelvinius et al., arXiv:2502.06485), as published and as our default."""

from aristotype.models.wyckoffdiff._config import WyckoffDiffConfig
from aristotype.models.wyckoffdiff._fit import fit
from aristotype.models.wyckoffdiff._model import WyckoffDiff

__all__ = ["WyckoffDiff", "WyckoffDiffConfig", "fit"]
