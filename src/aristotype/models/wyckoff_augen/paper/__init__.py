"""The published WyckoffAUGen (R. Chang and others, likelihoods of crystals on asymmetric units), as `paper`."""

from aristotype.models.wyckoff_augen.paper._config import PaperConfig
from aristotype.models.wyckoff_augen.paper._model import WyckoffAugenPaper

__all__ = ["PaperConfig", "WyckoffAugenPaper"]
