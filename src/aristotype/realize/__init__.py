"""Floor 5: genes to crystals, and crystals to rest.

`realize` gives a gene a first geometry without overlaps, `minima` its best distinct geometries by a fitted potential.
Relaxation: within the symmetry, then without it, for tables of any length.
"""

from aristotype.realize._config import RealizeConfig
from aristotype.realize._minima import best_minimum, minima
from aristotype.realize._minima_config import MinimaConfig
from aristotype.realize._priors import Priors, priors
from aristotype.realize._realize import realize
from aristotype.realize._realize_many import (
    lowest_of_each,
    minima_many,
    realize_many,
    realize_seconds,
    without_geometry,
)
from aristotype.realize._relax import relax_rows
from aristotype.realize._relax_config import RelaxConfig
from aristotype.realize._relax_many import relax, relax_failures, relax_seconds
from aristotype.realize._verify import genes_kept

__all__ = [
    "MinimaConfig",
    "Priors",
    "RealizeConfig",
    "RelaxConfig",
    "best_minimum",
    "genes_kept",
    "lowest_of_each",
    "minima",
    "minima_many",
    "priors",
    "realize",
    "realize_many",
    "realize_seconds",
    "relax",
    "relax_failures",
    "relax_rows",
    "relax_seconds",
    "without_geometry",
]
