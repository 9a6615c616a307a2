"""Floor 5: what generated genes and crystals are worth, under named definitions.

`evaluate` judges a table under a named protocol, `write_page` shows judged sets side by side, and `gene_report` judges
genes alone. `Matcher` finds equal structures, `novelty_columns` says what of a table is new, `build_hull` and
`stability` give energies above hull, `csp_metrics` judges structure prediction; `METRICS` says what each figure is.
"""

from aristotype.evaluate._arrays import Scaler, has_fingerprint
from aristotype.evaluate._bootstrap import Interval
from aristotype.evaluate._catalogue import METRICS, Definition, described
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
from aristotype.evaluate._csp import CSP_MATCHER, CspDistances, csp_distances, csp_metrics
from aristotype.evaluate._distances import (
    chi_square,
    divergences_of_draws,
    jensen_shannon,
    root_jensen_shannon,
    wasserstein,
)
from aristotype.evaluate._distributions import distribution_metrics, wasserstein_continuous
from aristotype.evaluate._diversity import mean_pairwise_distance, vendi_score
from aristotype.evaluate._draw import crystal_title, draw_crystal, draw_crystals
from aristotype.evaluate._embeddings import embed, embedding_names
from aristotype.evaluate._evaluate import evaluate
from aristotype.evaluate._figures import save_figures
from aristotype.evaluate._fingerprint_metrics import fingerprint_metrics
from aristotype.evaluate._fingerprints import crystalnn_fingerprints
from aristotype.evaluate._frechet import FrechetDistance, frechet_distance, frechet_floor
from aristotype.evaluate._frechet_gene import GeneDistance, frechet_gene, frechet_gene_floor, gene_embedding
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
from aristotype.evaluate._hull import CONFIDENCE, HullEnergies, HullPoints
from aristotype.evaluate._hull_build import Known, build_hull, elemental_references, own_references
from aristotype.evaluate._hull_file import Hull, read_hull
from aristotype.evaluate._magpie import magpie_fingerprints, magpie_labels
from aristotype.evaluate._matching import Matcher, Matches
from aristotype.evaluate._moments import central_moment_discrepancy
from aristotype.evaluate._novelty import gene_novelty, novelty_columns
from aristotype.evaluate._page import write_page
from aristotype.evaluate._protocols import PROTOCOLS, Protocol, protocol_named
from aristotype.evaluate._reference import Reference, load_reference
from aristotype.evaluate._render import GENE_ROWS, Row, metrics_table
from aristotype.evaluate._sets import MAX_SETS
from aristotype.evaluate._smact import charge_balanced, formula_is_charge_balanced
from aristotype.evaluate._stability import heights, stability
from aristotype.evaluate._symmetry import Kept, fidelity_metrics, symmetry_kept, symmetry_metrics
from aristotype.evaluate._validity import Validity, structure_columns, validity, validity_metrics

__all__ = [
    "CONFIDENCE",
    "CSP_MATCHER",
    "GENE_ROWS",
    "MAX_SETS",
    "METRICS",
    "PROTOCOL",
    "PROTOCOLS",
    "Coverage",
    "CspDistances",
    "Definition",
    "FrechetDistance",
    "GeneDistance",
    "Geometry",
    "Hull",
    "HullEnergies",
    "HullPoints",
    "Interval",
    "Kept",
    "Known",
    "KnownKeys",
    "Matcher",
    "Matches",
    "Protocol",
    "Reference",
    "Row",
    "Scaler",
    "Validity",
    "build_hull",
    "central_moment_discrepancy",
    "charge_balanced",
    "chi_square",
    "compositions",
    "conventional_atoms",
    "coverage",
    "crystal_title",
    "crystalnn_fingerprints",
    "csp_distances",
    "csp_metrics",
    "described",
    "distinct_share",
    "distribution_metrics",
    "divergences_of_draws",
    "draw_crystal",
    "draw_crystals",
    "elemental_references",
    "embed",
    "embedding_names",
    "evaluate",
    "fidelity_metrics",
    "fingerprint_metrics",
    "formula_is_charge_balanced",
    "frechet_distance",
    "frechet_floor",
    "frechet_gene",
    "frechet_gene_floor",
    "free_parameters",
    "gene_embedding",
    "gene_novelty",
    "gene_report",
    "geometry",
    "has_fingerprint",
    "heights",
    "jensen_shannon",
    "legal_share",
    "load_reference",
    "magpie_fingerprints",
    "magpie_labels",
    "mean_pairwise_distance",
    "metrics_table",
    "novel_share",
    "novel_templates",
    "novelty_columns",
    "num_elements",
    "own_references",
    "primitive_atoms",
    "protocol_named",
    "read_hull",
    "root_jensen_shannon",
    "save_figures",
    "site_compositions",
    "site_freedoms",
    "special_atoms",
    "stability",
    "structure_columns",
    "symmetry_kept",
    "symmetry_metrics",
    "validity",
    "validity_metrics",
    "vendi_score",
    "wasserstein",
    "wasserstein_continuous",
    "write_page",
]
