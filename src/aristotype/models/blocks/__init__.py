"""Parts that at least two model families share."""

from aristotype.models.blocks._embeddings import ElementEmbedding, SiteEmbedding, element_features
from aristotype.models.blocks._formula import Bools, ElementAssignment, FormulaTarget
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
    "element_features",
    "fewest_atoms",
    "philox",
    "primitive_multiplicities",
    "uniforms",
    "without_freedom",
]
