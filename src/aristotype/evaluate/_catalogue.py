"""What each metric of structures is: its unit, and its definition in one line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from aristotype.errors import UnknownNameError
from aristotype.evaluate._bootstrap import Interval


@dataclass(frozen=True)
class Definition:
    """Unit and definition of a metric."""

    unit: str
    what: str


def _shares(**definitions: str) -> dict[str, Definition]:
    return {name: Definition("share", what) for name, what in definitions.items()}


METRICS: Mapping[str, Definition] = {
    **_shares(
        valid="no two atoms closer than 0.5 A, a cell of at least 0.1 A^3, and a charge-balanced formula",
        valid_structure="no two atoms closer than 0.5 A and a cell of at least 0.1 A^3",
        valid_distance="no two atoms closer than 0.5 A, an atom's own images included",
        valid_volume="a primitive cell of at least 0.1 A^3",
        valid_charge="charge-balanced formula: SMACT with oxidation states smact14, Pauling test and alloys",
        plausible="distances of at least half of the sum of covalent radii, 0.01 to 25 g/cm^3, 1e-5 to 0.5 atoms/A^3",
        p1="space group P1",
        group_realised="requested rows whose realised structure has the requested space group",
        gene_realised="requested rows whose realised structure has the requested protostructure",
        group_relaxed="requested rows whose relaxed structure has the requested space group",
        gene_relaxed="requested rows whose relaxed structure has the requested protostructure",
        p1_requested="P1 among requested rows",
        p1_realised="P1 among realised structures",
        p1_relaxed="P1 among relaxed structures",
        special_sites="Wyckoff sites that are not on the general position",
        special_atoms="atoms that are not on the general position",
        cov_recall="reference structures near a structure, by CrystalNN and by standardised Magpie fingerprints",
        cov_precision="structures near a reference structure, by CrystalNN and by standardised Magpie fingerprints",
        unique="matches no earlier structure of the set",
        novel="matches no known structure",
        unique_novel="unique and novel",
        unique_gene="no earlier structure has its protostructure",
        novel_gene="its protostructure is not known",
        unique_template="no earlier structure has its prototype",
        novel_template="its prototype is not known",
        symmetric="space group other than P1",
        stable="energy above hull within the protocol's limit, physical",
        metastable="energy above hull within the protocol's limit for metastable",
        sun="stable, unique and novel",
        ssun="stable, unique, novel and not P1",
        msun="metastable, unique and novel",
        unphysical="collapsed under the potential: never stable",
        gene_kept="relaxed structures that kept their protostructure",
        group_kept="relaxed structures that kept their space group",
    ),
    "group_jsd": Definition("bits", "Jensen-Shannon divergence of space groups"),
    "group_chi2": Definition("", "sum of (p - q)^2 / q of space groups over those of the reference"),
    "group_root_jsd": Definition("nats^1/2", "root of the Jensen-Shannon divergence of space groups"),
    "wyckoff_dimension_jsd": Definition("bits", "Jensen-Shannon divergence of the free parameters of sites"),
    "wyckoff_dimension_root_jsd": Definition("nats^1/2", "root of the divergence of the free parameters of sites"),
    "site_symmetry_jsd": Definition("bits", "Jensen-Shannon divergence of site symmetries, canonical genes"),
    "wyckoff_letter_jsd": Definition("bits", "Jensen-Shannon divergence of the letters of sites, canonical genes"),
    "wyckoff_position_jsd": Definition("bits", "Jensen-Shannon divergence of group and letter, canonical genes"),
    "element_jsd": Definition("bits", "Jensen-Shannon divergence of elements by atomic fractions"),
    "element_root_jsd": Definition("nats^1/2", "root of the Jensen-Shannon divergence of elements by atomic fractions"),
    "emd_density": Definition("g/cm^3", "first Wasserstein distance of densities"),
    "emd_volume_per_atom": Definition("A^3", "first Wasserstein distance of volumes an atom"),
    "emd_elements": Definition("elements", "first Wasserstein distance of numbers of distinct elements"),
    "emd_sites": Definition("sites", "first Wasserstein distance of numbers of Wyckoff sites"),
    "emd_primitive_atoms": Definition("atoms", "first Wasserstein distance of atoms in the primitive cell"),
    "emd_conventional_atoms": Definition("atoms", "first Wasserstein distance of atoms in the conventional cell"),
    "amsd_recall": Definition("", "mean distance of the reference to the nearest structure, CrystalNN"),
    "amsd_precision": Definition("", "mean distance of structures to the nearest reference, CrystalNN"),
    "amcd_recall": Definition("", "mean distance of the reference to the nearest structure, standardised Magpie"),
    "amcd_precision": Definition(
        "", "mean distance of structures to the nearest of the reference, standardised Magpie"
    ),
    "compositional_diversity": Definition("", "mean distance of standardised Magpie fingerprints over all pairs"),
    "vendi_magpie": Definition("", "Vendi score (effective number) of standardised Magpie fingerprints, at most 132"),
    "frechet_magpie": Definition("", "Fréchet distance of standardised Magpie fingerprints (132); falls with n"),
    "frechet_gene": Definition("", "Fréchet distance of genes on the encoder's embedding (128 numbers); falls with n"),
    "structural_diversity": Definition("", "mean distance of CrystalNN fingerprints over all pairs"),
    "cmd": Definition("", "central moment discrepancy of CrystalNN fingerprints, 50 moments"),
    "vendi_crystalnn": Definition("", "Vendi score of CrystalNN fingerprints, at most 61"),
    "frechet_crystalnn": Definition("", "Fréchet distance on CrystalNN fingerprints (61 numbers); falls with n"),
    "vendi_chgnet": Definition("", "Vendi score of standardised CHGNet crystal features, at most 64"),
    "frechet_chgnet": Definition("", "Fréchet distance on CHGNet crystal features an atom (64 numbers); falls with n"),
    "rmsd_relaxed": Definition("A", "mean displacement of atoms (root mean square a structure) by relaxation"),
    "relax_steps_mean": Definition("", "mean evaluations of the first stage of relaxation"),
    "energy_drop": Definition("eV/atom", "mean energy lost by relaxation"),
    "e_above_hull_q10": Definition("eV/atom", "10th percentile of energies above hull, physical structures"),
    "e_above_hull_q50": Definition("eV/atom", "median of energies above hull, physical structures"),
    "e_above_hull_q90": Definition("eV/atom", "90th percentile of energies above hull, physical structures"),
}
"""Every metric that the functions of this package give for structures."""


def described(metrics: Mapping[str, tuple[Interval, int]], notes: list[str]) -> dict[str, dict[str, Any]]:
    """Metrics as the summary writes them, with what they mean; one that is no number is left out, and told.

    Args:
        metrics: name to figure and how many structures it is over.
        notes: takes what was left out.

    Returns:
        name to `value`, `low`, `high`, `n`, `unit` and `what`.

    Raises:
        UnknownNameError: a metric has no definition.
    """
    unknown = sorted(set(metrics) - set(METRICS))
    if unknown:
        raise UnknownNameError(f"no definition of {', '.join(unknown)}; there are {', '.join(METRICS)}")
    out: dict[str, dict[str, Any]] = {}
    for name, (interval, count) in metrics.items():
        if not isfinite(interval.value):
            notes.append(f"{name} cannot be computed from these structures and is left out.")
            continue
        out[name] = {
            "value": float(interval.value),
            "low": None if interval.low is None else float(interval.low),
            "high": None if interval.high is None else float(interval.high),
            "n": int(count),
            "unit": METRICS[name].unit,
            "what": METRICS[name].what,
        }
    return out
