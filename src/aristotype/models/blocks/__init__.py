"""Parts that at least two model families share."""

from aristotype.models.blocks._anchors import apart_along_axes, distinct_descriptions, with_anchors
from aristotype.models.blocks._cells import CELL_OUTPUTS, CellBoxes, CellLaw, boxed
from aristotype.models.blocks._embeddings import ElementEmbedding, GroupEmbedding, SiteEmbedding, element_features
from aristotype.models.blocks._formula import Bools, ElementAssignment, FormulaTarget, Words, is_in
from aristotype.models.blocks._images import ImageMaps, image_maps, is_polar, pinned_axes
from aristotype.models.blocks._laws import (
    centres,
    choose,
    draw_inside,
    log_normal_inside,
    log_von_mises,
    widened,
    widths,
)
from aristotype.models.blocks._limits import fewest_atoms, primitive_multiplicities, without_freedom
from aristotype.models.blocks._streams import philox, uniforms
from aristotype.models.blocks._structure_factors import (
    NUM_FEATURES,
    average_table,
    block_features,
    grid_features,
    site_features,
)
from aristotype.models.blocks._transformer import KeyValueCache, Layer

__all__ = [
    "CELL_OUTPUTS",
    "NUM_FEATURES",
    "Bools",
    "CellBoxes",
    "CellLaw",
    "ElementAssignment",
    "ElementEmbedding",
    "FormulaTarget",
    "GroupEmbedding",
    "ImageMaps",
    "KeyValueCache",
    "Layer",
    "SiteEmbedding",
    "Words",
    "apart_along_axes",
    "average_table",
    "block_features",
    "boxed",
    "centres",
    "choose",
    "distinct_descriptions",
    "draw_inside",
    "element_features",
    "fewest_atoms",
    "grid_features",
    "image_maps",
    "is_in",
    "is_polar",
    "log_normal_inside",
    "log_von_mises",
    "philox",
    "pinned_axes",
    "primitive_multiplicities",
    "site_features",
    "uniforms",
    "widened",
    "widths",
    "with_anchors",
    "without_freedom",
]
