"""Floor 2: genes, crystals, tables of them, and what is the same crystal."""

from aristotype.crystal._checks import Cell
from aristotype.crystal._decode import AtomBatch, decode, decode_table
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
from aristotype.crystal._labels import (
    compositions,
    formulas,
    pearson_symbols,
    protostructure_labels,
    prototype_labels,
    reduced_formula,
)
from aristotype.crystal._rows import Crystal, Gene
from aristotype.crystal._schema import SCHEMA_VERSION
from aristotype.crystal._standardise import Failure
from aristotype.crystal._table import CrystalTable

__all__ = [
    "CANONICAL_VERSION",
    "DEFAULT_TOLERANCE",
    "SCHEMA_VERSION",
    "AtomBatch",
    "Cell",
    "Crystal",
    "CrystalTable",
    "Failure",
    "Gene",
    "GeneBatch",
    "canonical_genes",
    "compositions",
    "decode",
    "decode_table",
    "encode",
    "encode_arrays",
    "equivalents",
    "formulas",
    "gene_keys",
    "pearson_symbols",
    "protostructure_labels",
    "prototype_labels",
    "reduced_formula",
    "sorted_genes",
    "template_keys",
]
