"""Floor 5: what generated genes and structures are worth, under named definitions.

Genes: `gene_report` computes every figure of the protocol for a batch against a reference, `metrics_table` prints
reports side by side. Structures: `validity_metrics`, `symmetry_metrics`, `fidelity_metrics`, `distribution_metrics` and
`fingerprint_metrics` give named figures with intervals, `METRICS` says what each is, and `structure_columns` what there
is to say of each structure. Each of the other functions is one figure.
"""

from aristotype.evaluate._arrays import Scaler, has_fingerprint
from aristotype.evaluate._bootstrap import Interval
from aristotype.evaluate._catalogue import METRICS, Definition, summary_entries
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
from aristotype.evaluate._coverage import Coverage, coverage
from aristotype.evaluate._distances import (
    chi_square,
    divergences_of_draws,
    jensen_shannon,
    root_jensen_shannon,
    wasserstein,
)
from aristotype.evaluate._distributions import distribution_metrics, wasserstein_continuous
from aristotype.evaluate._diversity import mean_pairwise_distance, vendi_score
from aristotype.evaluate._embeddings import embed, embedding_names
from aristotype.evaluate._fingerprint_metrics import fingerprint_metrics
from aristotype.evaluate._fingerprints import crystalnn_fingerprints
from aristotype.evaluate._frechet import FrechetDistance, frechet_distance, frechet_floor
from aristotype.evaluate._genes import (
    PROTOCOL,
    KnownKeys,
    distinct_share,
    gene_report,
    legal_share,
    novel_share,
    novel_templates,
)
from aristotype.evaluate._geometry import Geometry, geometry
from aristotype.evaluate._magpie import magpie_fingerprints, magpie_labels
from aristotype.evaluate._moments import central_moment_discrepancy
from aristotype.evaluate._render import GENE_ROWS, Row, metrics_table
from aristotype.evaluate._smact import charge_balanced, formula_is_charge_balanced
from aristotype.evaluate._symmetry import Kept, fidelity_metrics, symmetry_kept, symmetry_metrics
from aristotype.evaluate._validity import Validity, structure_columns, validity, validity_metrics

__all__ = [
    "GENE_ROWS",
    "METRICS",
    "PROTOCOL",
    "Coverage",
    "Definition",
    "FrechetDistance",
    "Geometry",
    "Interval",
    "Kept",
    "KnownKeys",
    "Row",
    "Scaler",
    "Validity",
    "central_moment_discrepancy",
    "charge_balanced",
    "chi_square",
    "compositions",
    "conventional_atoms",
    "coverage",
    "crystalnn_fingerprints",
    "distinct_share",
    "distribution_metrics",
    "divergences_of_draws",
    "embed",
    "embedding_names",
    "fidelity_metrics",
    "fingerprint_metrics",
    "formula_is_charge_balanced",
    "frechet_distance",
    "frechet_floor",
    "free_parameters",
    "gene_report",
    "geometry",
    "has_fingerprint",
    "jensen_shannon",
    "legal_share",
    "magpie_fingerprints",
    "magpie_labels",
    "mean_pairwise_distance",
    "metrics_table",
    "novel_share",
    "novel_templates",
    "num_elements",
    "primitive_atoms",
    "root_jensen_shannon",
    "site_compositions",
    "site_freedoms",
    "special_atoms",
    "structure_columns",
    "summary_entries",
    "symmetry_kept",
    "symmetry_metrics",
    "validity",
    "validity_metrics",
    "vendi_score",
    "wasserstein",
    "wasserstein_continuous",
]
