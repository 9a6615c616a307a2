"""Floor 5: genes to crystals, and crystals to rest.

A first realisation: random starts from fitted priors, pushed apart in batches. Relaxation: within the symmetry, then
without it.
"""

from aristotype.realize._config import RealizeConfig
from aristotype.realize._priors import Priors, priors
from aristotype.realize._realize import realize
from aristotype.realize._relax import relax_rows
from aristotype.realize._relax_config import RelaxConfig

__all__ = ["Priors", "RealizeConfig", "RelaxConfig", "priors", "realize", "relax_rows"]
