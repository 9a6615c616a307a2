"""Floor 6: the steps wired to a pipeline.

So far `generate`: sample, filter, realise, top up; `initialize`: many geometries of one composition;
`mutate` and `guide`: Metropolis chains on a model's likelihood, from a given crystal or towards properties;
`explore`: the phases of a space of elements, by energy above hull; `BestOf`: more draws for one crystal;
`score`: how likely known crystals are;
`finetune`: sample, relax, judge, learn; a model of crystals as a source of geometries; and the baselines with what they
need from other floors.
"""

from aristotype.discover._baselines import BASELINES, make_baseline
from aristotype.discover._best import BestOf
from aristotype.discover._chain_result import ChainConfig, ChainsResult
from aristotype.discover._describe import describe_conditions
from aristotype.discover._diffraction import PatternLikeness
from aristotype.discover._explore import ExploreResult, explore, phases
from aristotype.discover._finetune import FinetuneResult, finetune
from aristotype.discover._generate import (
    PATIENCE,
    GenerateResult,
    GenerateSummary,
    Realizer,
    draws_geometry,
    generate,
    with_own_geometry,
)
from aristotype.discover._guide import guide
from aristotype.discover._initialize import StartGenerator, initialize
from aristotype.discover._mutate import mutate
from aristotype.discover._properties import PROPERTIES, Guide, property_named
from aristotype.discover._rewards import EnergyAboveHull, Reward, density, reward_named, rewards_of
from aristotype.discover._score import Scores, score, sized, typicality
from aristotype.discover._score_report import extremes, has_bounds, score_report
from aristotype.discover._source import GeometrySource

__all__ = [
    "BASELINES",
    "PATIENCE",
    "PROPERTIES",
    "BestOf",
    "ChainConfig",
    "ChainsResult",
    "EnergyAboveHull",
    "ExploreResult",
    "FinetuneResult",
    "GenerateResult",
    "GenerateSummary",
    "GeometrySource",
    "Guide",
    "PatternLikeness",
    "Realizer",
    "Reward",
    "Scores",
    "StartGenerator",
    "density",
    "describe_conditions",
    "draws_geometry",
    "explore",
    "extremes",
    "finetune",
    "generate",
    "guide",
    "has_bounds",
    "initialize",
    "make_baseline",
    "mutate",
    "phases",
    "property_named",
    "reward_named",
    "rewards_of",
    "score",
    "score_report",
    "sized",
    "typicality",
    "with_own_geometry",
]
