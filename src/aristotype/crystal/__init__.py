"""Floor 2: genes, crystals, tables of them, and what is the same crystal."""

from aristotype.crystal._checks import Cell
from aristotype.crystal._encode import DEFAULT_TOLERANCE, encode, encode_arrays
from aristotype.crystal._genes import (
    CANONICAL_VERSION,
    GeneBatch,
    canonical_genes,
    equivalents,
    gene_keys,
    sorted_genes,
    template_keys,
)
from aristotype.crystal._rows import Crystal, Gene
from aristotype.crystal._schema import SCHEMA_VERSION
from aristotype.crystal._standardise import Failure
from aristotype.crystal._table import CrystalTable

__all__ = [
    "CANONICAL_VERSION",
    "DEFAULT_TOLERANCE",
    "SCHEMA_VERSION",
    "Cell",
    "Crystal",
    "CrystalTable",
    "Failure",
    "Gene",
    "GeneBatch",
    "canonical_genes",
    "encode",
    "encode_arrays",
    "equivalents",
    "gene_keys",
    "sorted_genes",
    "template_keys",
]
