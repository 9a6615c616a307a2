"""The family WyckoffTransformer: genes as a space group, a template and its elements."""

from aristotype.models.wyckoff_transformer._calibration import calibrated
from aristotype.models.wyckoff_transformer._config import WyckoffTransformerConfig
from aristotype.models.wyckoff_transformer._fit import fit
from aristotype.models.wyckoff_transformer._memory import TemplateMemory
from aristotype.models.wyckoff_transformer._model import FAMILY, WyckoffTransformer

__all__ = ["FAMILY", "TemplateMemory", "WyckoffTransformer", "WyckoffTransformerConfig", "calibrated", "fit"]
