"""The family WyckoffAUGen: crystals site by site in the asymmetric unit, within a space of elements."""

from aristotype.models.wyckoff_augen._config import WyckoffAugenConfig
from aristotype.models.wyckoff_augen._fit import fit
from aristotype.models.wyckoff_augen._model import FAMILY, WyckoffAugen
from aristotype.models.wyckoff_augen._tries import Tries

__all__ = ["FAMILY", "Tries", "WyckoffAugen", "WyckoffAugenConfig", "fit"]
