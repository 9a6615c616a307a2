"""Floor 2: genes, crystals, tables of them, and what is the same crystal."""

from aristotype.crystal._genes import (
    CANONICAL_VERSION,
    GeneBatch,
    canonical_genes,
    equivalents,
    gene_keys,
    sorted_genes,
    template_keys,
)

__all__ = [
    "CANONICAL_VERSION",
    "GeneBatch",
    "canonical_genes",
    "equivalents",
    "gene_keys",
    "sorted_genes",
    "template_keys",
]
