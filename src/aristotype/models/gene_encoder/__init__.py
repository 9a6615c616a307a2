"""The gene encoder: properties and embeddings from genes alone."""

from aristotype.models.gene_encoder._config import GeneEncoderConfig
from aristotype.models.gene_encoder._fit import Labelled, calibrated, fit
from aristotype.models.gene_encoder._model import FAMILY, LAYER, GeneEncoder, spread_descriptions

__all__ = [
    "FAMILY",
    "LAYER",
    "GeneEncoder",
    "GeneEncoderConfig",
    "Labelled",
    "calibrated",
    "fit",
    "spread_descriptions",
]
