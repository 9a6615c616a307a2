"""Floor 5: genes to crystals. A first realisation: random starts from fitted priors, pushed apart in batches."""

from aristotype.realize._config import RealizeConfig
from aristotype.realize._realize import realize

__all__ = ["RealizeConfig", "realize"]
