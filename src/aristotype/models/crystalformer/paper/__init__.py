"""The published CrystalFormer (arXiv:2403.15734) as configuration `paper`."""

from aristotype.models.crystalformer.paper._config import PaperConfig
from aristotype.models.crystalformer.paper._fit import fit_paper
from aristotype.models.crystalformer.paper._model import CrystalFormerPaper

__all__ = ["CrystalFormerPaper", "PaperConfig", "fit_paper"]
