"""Floor 5: what generated genes and crystals are worth, under named definitions.

`gene_report` computes every figure of the protocol for a batch of genes against a reference, `metrics_table` prints
reports side by side. `Matcher` finds equal structures, `novelty_columns` says what of a table is new, `csp_distances`
and `csp_metrics` judge structure prediction. Each of the other functions is one figure.
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
from aristotype.evaluate._csp import CSP_MATCHER, CspDistances, csp_distances, csp_metrics
from aristotype.evaluate._distances import chi_square, divergences_of_draws, jensen_shannon, wasserstein
from aristotype.evaluate._genes import (
    PROTOCOL,
    KnownKeys,
    distinct_share,
    gene_report,
    legal_share,
    novel_share,
    novel_templates,
)
from aristotype.evaluate._matching import Matcher, Matches
from aristotype.evaluate._novelty import gene_novelty, novelty_columns
from aristotype.evaluate._render import GENE_ROWS, Row, metrics_table
from aristotype.evaluate._smact import charge_balanced, formula_is_charge_balanced

__all__ = [
    "CSP_MATCHER",
    "GENE_ROWS",
    "PROTOCOL",
    "CspDistances",
    "KnownKeys",
    "Matcher",
    "Matches",
    "Row",
    "charge_balanced",
    "chi_square",
    "compositions",
    "conventional_atoms",
    "csp_distances",
    "csp_metrics",
    "distinct_share",
    "divergences_of_draws",
    "formula_is_charge_balanced",
    "free_parameters",
    "gene_novelty",
    "gene_report",
    "jensen_shannon",
    "legal_share",
    "metrics_table",
    "novel_share",
    "novel_templates",
    "novelty_columns",
    "num_elements",
    "primitive_atoms",
    "site_compositions",
    "site_freedoms",
    "special_atoms",
    "wasserstein",
]
