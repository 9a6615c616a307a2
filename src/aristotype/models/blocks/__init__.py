"""Parts that at least two model families share."""

from aristotype.models.blocks._embeddings import ElementEmbedding, SiteEmbedding, element_features
from aristotype.models.blocks._streams import philox, uniforms
from aristotype.models.blocks._transformer import KeyValueCache, Layer

__all__ = ["ElementEmbedding", "KeyValueCache", "Layer", "SiteEmbedding", "element_features", "philox", "uniforms"]
