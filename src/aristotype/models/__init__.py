"""Floor 4: generative models of crystals behind one protocol."""

from aristotype.models._protocol import GeneModel
from aristotype.models._registry import DEFAULT_MODEL, ModelInfo, load, load_encoder, predictor_of, shipped_models

__all__ = ["DEFAULT_MODEL", "GeneModel", "ModelInfo", "load", "load_encoder", "predictor_of", "shipped_models"]
