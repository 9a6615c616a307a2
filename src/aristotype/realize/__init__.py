"""Floor 5: genes to crystals, and crystals to rest.

A first realisation: random starts from fitted priors, pushed apart in batches. Relaxation: within the symmetry, then
without it.
"""

from aristotype.realize._config import RealizeConfig
from aristotype.realize._minima import minima
from aristotype.realize._minima_config import MinimaConfig
from aristotype.realize._realize import realize
from aristotype.realize._relax import relax_rows
from aristotype.realize._relax_config import RelaxConfig

__all__ = ["MinimaConfig", "RealizeConfig", "RelaxConfig", "minima", "realize", "relax_rows"]
