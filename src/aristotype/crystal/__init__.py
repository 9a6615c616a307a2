"""Floor 2: genes, crystals, tables of them, and what is the same crystal."""

from aristotype.crystal._cell_box import MAX_CELL, BoxedCells, CellBox, cell_box, from_box, to_box
from aristotype.crystal._charges import NO_ION, Formula, Ion, can_balance, ions, passes, reduced
from aristotype.crystal._checks import MAX_ATOMS, MAX_GAP, Cell
from aristotype.crystal._cif import cif_text, hermann_mauguin, package_version
from aristotype.crystal._conditions import Conditions, PropertyTarget, atomic_number, element_symbol, parse_formula
from aristotype.crystal._decode import AtomBatch, decode, decode_table, primitive_images, primitive_vectors
from aristotype.crystal._described import described_as
from aristotype.crystal._elements import covalent_radii, element_rows
from aristotype.crystal._encode import DEFAULT_TOLERANCE, encode, encode_arrays
from aristotype.crystal._equivalence import canonical_crystal, crystal_equivalents, site_descriptions
from aristotype.crystal._export import MANIFEST, export, file_names, to_atoms, to_structures, write_files
from aristotype.crystal._frames import Frames, frames_of, into_frames, out_of_frames
from aristotype.crystal._gauge import fix_gauge, floating_dimension
from aristotype.crystal._gene_settings import setting_of, settings_of
from aristotype.crystal._genes import (
    CANONICAL_VERSION,
    GeneBatch,
    canonical_genes,
    equivalents,
    gene_keys,
    sorted_genes,
    template_descriptions,
    template_keys,
    templates_of,
)
from aristotype.crystal._labels import (
    compositions,
    formulas,
    pearson_symbols,
    protostructure_labels,
    prototype_labels,
    reduced_formula,
)
from aristotype.crystal._minkowski import reduce_cells
from aristotype.crystal._parallel import map_table, pack, start_worker, unpack
from aristotype.crystal._partial_crystal import PartialCrystal
from aristotype.crystal._protocols import Energy, Proposal, Score
from aristotype.crystal._prototypes import prototype_keys
from aristotype.crystal._read import is_structure_file
from aristotype.crystal._reduce import reduced_lattices
from aristotype.crystal._rows import Crystal, Gene
from aristotype.crystal._schema import SCHEMA_VERSION, centring_orders
from aristotype.crystal._settled import Settled, settled_descriptions
from aristotype.crystal._sites import read_free
from aristotype.crystal._standardise import Failure
from aristotype.crystal._table import CrystalTable

__all__ = [
    "CANONICAL_VERSION",
    "DEFAULT_TOLERANCE",
    "MANIFEST",
    "MAX_ATOMS",
    "MAX_CELL",
    "MAX_GAP",
    "NO_ION",
    "SCHEMA_VERSION",
    "AtomBatch",
    "BoxedCells",
    "Cell",
    "CellBox",
    "Conditions",
    "Crystal",
    "CrystalTable",
    "Energy",
    "Failure",
    "Formula",
    "Frames",
    "Gene",
    "GeneBatch",
    "Ion",
    "PartialCrystal",
    "PropertyTarget",
    "Proposal",
    "Score",
    "Settled",
    "atomic_number",
    "can_balance",
    "canonical_crystal",
    "canonical_genes",
    "cell_box",
    "centring_orders",
    "cif_text",
    "compositions",
    "covalent_radii",
    "crystal_equivalents",
    "decode",
    "decode_table",
    "described_as",
    "element_rows",
    "element_symbol",
    "encode",
    "encode_arrays",
    "equivalents",
    "export",
    "file_names",
    "fix_gauge",
    "floating_dimension",
    "formulas",
    "frames_of",
    "from_box",
    "gene_keys",
    "hermann_mauguin",
    "into_frames",
    "ions",
    "is_structure_file",
    "map_table",
    "out_of_frames",
    "pack",
    "package_version",
    "parse_formula",
    "passes",
    "pearson_symbols",
    "primitive_images",
    "primitive_vectors",
    "protostructure_labels",
    "prototype_keys",
    "prototype_labels",
    "read_free",
    "reduce_cells",
    "reduced",
    "reduced_formula",
    "reduced_lattices",
    "setting_of",
    "settings_of",
    "settled_descriptions",
    "site_descriptions",
    "sorted_genes",
    "start_worker",
    "template_descriptions",
    "template_keys",
    "templates_of",
    "to_atoms",
    "to_box",
    "to_structures",
    "unpack",
    "write_files",
]
