"""What every figure is, in one line, and its unit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from aristotype.evaluate._bootstrap import Interval

_SHARE = "share"
DEFINITIONS: Mapping[str, tuple[str, str]] = {
    "valid": (_SHARE, "distances, volume and charges pass (CDVAE)"),
    "valid_structure": (_SHARE, "no two atoms below 0.5 Angstrom, cell of at least 0.1 cubic Angstrom"),
    "valid_distance": (_SHARE, "no two atoms below 0.5 Angstrom"),
    "valid_volume": (_SHARE, "cell of at least 0.1 cubic Angstrom"),
    "valid_charge": (_SHARE, "charges can balance (SMACT, smact14)"),
    "plausible": (_SHARE, "distances, density and number density within bounds (LeMat-GenBench)"),
    "unique": (_SHARE, "matches no earlier structure of the set"),
    "novel": (_SHARE, "matches no known structure"),
    "unique_novel": (_SHARE, "unique and novel"),
    "unique_gene": (_SHARE, "no earlier structure has its protostructure"),
    "novel_gene": (_SHARE, "its protostructure is not known"),
    "unique_template": (_SHARE, "no earlier structure has its prototype"),
    "novel_template": (_SHARE, "its prototype is not known"),
    "symmetric": (_SHARE, "space group other than P1"),
    "stable": (_SHARE, "energy above hull within the protocol's limit, physical"),
    "metastable": (_SHARE, "energy above hull within the protocol's limit for metastable"),
    "sun": (_SHARE, "stable, unique and novel"),
    "ssun": (_SHARE, "stable, unique, novel and not P1"),
    "msun": (_SHARE, "metastable, unique and novel"),
    "unphysical": (_SHARE, "collapsed under the potential: never stable"),
    "p1": (_SHARE, "space group P1"),
    "group_jsd": ("bits", "Jensen-Shannon divergence of space groups from the reference"),
    "group_chi2": ("", "chi-square of space groups against the reference"),
    "group_root_jsd": ("root nats", "square root of the Jensen-Shannon divergence of space groups"),
    "wyckoff_dimension_jsd": ("bits", "divergence of the free parameters (0 to 3) of sites"),
    "wyckoff_letter_jsd": ("bits", "divergence of Wyckoff letters, canonical on both sides"),
    "wyckoff_position_jsd": ("bits", "divergence of space group and letter together"),
    "special_sites": (_SHARE, "sites on special positions"),
    "special_atoms": (_SHARE, "atoms on special positions"),
    "emd_density": ("g/cm3", "Wasserstein distance of densities"),
    "emd_volume_per_atom": ("A3", "Wasserstein distance of volumes an atom"),
    "emd_elements": ("", "Wasserstein distance of numbers of elements"),
    "emd_sites": ("", "Wasserstein distance of numbers of sites"),
    "emd_primitive_atoms": ("", "Wasserstein distance of atoms in the primitive cell"),
    "emd_conventional_atoms": ("", "Wasserstein distance of atoms in the conventional cell"),
    "element_jsd": ("bits", "divergence of elements, by atoms, each structure weighing the same"),
    "element_root_jsd": ("root nats", "square root of the divergence of elements"),
    "composition_diversity": ("", "mean distance of standardised Magpie fingerprints over all pairs"),
    "vendi_magpie": ("", "Vendi score (effective number) of standardised Magpie fingerprints, at most 132"),
    "frechet_magpie": ("", "Frechet distance on standardised Magpie fingerprints (132 numbers); falls with n"),
    "structure_diversity": ("", "mean distance of CrystalNN fingerprints over all pairs"),
    "cmd_crystalnn": ("", "central moment discrepancy of CrystalNN fingerprints, 50 moments"),
    "vendi_crystalnn": ("", "Vendi score of CrystalNN fingerprints, at most 61"),
    "frechet_crystalnn": ("", "Frechet distance on CrystalNN fingerprints (61 numbers); falls with n"),
    "cov_recall": (_SHARE, "structures of the reference that have a near one in the set"),
    "cov_precision": (_SHARE, "structures of the set that have a near one in the reference"),
    "amsd_recall": ("", "mean smallest structural distance of the reference to the set"),
    "amsd_precision": ("", "mean smallest structural distance of the set to the reference"),
    "amcd_recall": ("", "mean smallest compositional distance of the reference to the set"),
    "amcd_precision": ("", "mean smallest compositional distance of the set to the reference"),
    "rmsd_relaxed": ("A", "mean displacement of atoms (root mean square a structure) by relaxation"),
    "relax_steps_mean": ("", "mean evaluations of the first stage of relaxation"),
    "energy_drop": ("eV/atom", "mean energy lost by relaxation"),
    "gene_kept": (_SHARE, "relaxed structures that kept their protostructure"),
    "group_kept": (_SHARE, "relaxed structures that kept their space group"),
    "e_above_hull_q10": ("eV/atom", "10th percentile of energies above hull, physical structures"),
    "e_above_hull_q50": ("eV/atom", "median of energies above hull, physical structures"),
    "e_above_hull_q90": ("eV/atom", "90th percentile of energies above hull, physical structures"),
}
"""Name to unit and definition."""


def described(metrics: Mapping[str, tuple[Interval, int]], notes: list[str]) -> dict[str, dict[str, Any]]:
    """Figures as plain values with their definitions; one that is no number is left out, and told.

    Args:
        metrics: name to figure and what it is over.
        notes: takes what was left out.
    """
    out: dict[str, dict[str, Any]] = {}
    for name, (interval, count) in metrics.items():
        if not np.isfinite(interval.value):
            notes.append(f"{name} cannot be computed from these structures and is left out.")
            continue
        unit, what = DEFINITIONS[name]
        out[name] = {
            "value": float(interval.value),
            "low": None if interval.low is None else float(interval.low),
            "high": None if interval.high is None else float(interval.high),
            "n": int(count),
            "unit": unit,
            "what": what,
        }
    return out
