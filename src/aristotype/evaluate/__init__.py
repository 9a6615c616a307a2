"""Floor 5: what generated genes are worth, under named definitions.

`gene_report` computes every figure of the protocol for a batch of genes against a reference, `metrics_table` prints
reports side by side, `write_page` shows evaluated sets on a page, and each of the other functions is one figure.
"""

from aristotype.evaluate._counts import (
    compositions,
    conventional_atoms,
    free_parameters,
    num_elements,
    primitive_atoms,
    site_compositions,
    site_freedoms,
    special_atoms,
)
from aristotype.evaluate._distances import chi_square, divergences_of_draws, jensen_shannon, wasserstein
from aristotype.evaluate._draw import crystal_title, draw_crystal, draw_crystals
from aristotype.evaluate._figures import save_figures
from aristotype.evaluate._genes import (
    PROTOCOL,
    KnownKeys,
    distinct_share,
    gene_report,
    legal_share,
    novel_share,
    novel_templates,
)
from aristotype.evaluate._page import write_page
from aristotype.evaluate._render import GENE_ROWS, Row, metrics_table
from aristotype.evaluate._smact import charge_balanced, formula_is_charge_balanced

__all__ = [
    "GENE_ROWS",
    "PROTOCOL",
    "KnownKeys",
    "Row",
    "charge_balanced",
    "chi_square",
    "compositions",
    "conventional_atoms",
    "crystal_title",
    "distinct_share",
    "divergences_of_draws",
    "draw_crystal",
    "draw_crystals",
    "formula_is_charge_balanced",
    "free_parameters",
    "gene_report",
    "jensen_shannon",
    "legal_share",
    "metrics_table",
    "novel_share",
    "novel_templates",
    "num_elements",
    "primitive_atoms",
    "save_figures",
    "site_compositions",
    "site_freedoms",
    "special_atoms",
    "wasserstein",
    "write_page",
]
