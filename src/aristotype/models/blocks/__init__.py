"""Parts that at least two model families share."""

from aristotype.models.blocks._embeddings import ElementEmbedding, SiteEmbedding, element_features
from aristotype.models.blocks._formula import Bools, ElementAssignment, FormulaTarget
from aristotype.models.blocks._laws import choose, log_von_mises, widened
from aristotype.models.blocks._limits import fewest_atoms, primitive_multiplicities, without_freedom
from aristotype.models.blocks._streams import philox, uniforms
from aristotype.models.blocks._transformer import KeyValueCache, Layer

__all__ = [
    "Bools",
    "ElementAssignment",
    "ElementEmbedding",
    "FormulaTarget",
    "KeyValueCache",
    "Layer",
    "SiteEmbedding",
    "choose",
    "element_features",
    "fewest_atoms",
    "log_von_mises",
    "philox",
    "primitive_multiplicities",
    "uniforms",
    "widened",
    "without_freedom",
]
