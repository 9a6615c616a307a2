"""The published WyckoffTransformer (arXiv:2503.02407) as configuration `paper`."""

from aristotype.models.wyckoff_transformer.paper._calibrate import IllegalMass, calibrate, illegal_mass, order_bound
from aristotype.models.wyckoff_transformer.paper._config import PaperConfig
from aristotype.models.wyckoff_transformer.paper._fit import fit_paper
from aristotype.models.wyckoff_transformer.paper._model import WyckoffTransformerPaper
from aristotype.models.wyckoff_transformer.paper._sampler import first_tokens_of
from aristotype.models.wyckoff_transformer.paper._score import PaperScores, ScoringLimits

__all__ = [
    "IllegalMass",
    "PaperConfig",
    "PaperScores",
    "ScoringLimits",
    "WyckoffTransformerPaper",
    "calibrate",
    "first_tokens_of",
    "fit_paper",
    "illegal_mass",
    "order_bound",
]
