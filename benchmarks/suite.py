"""All benchmarks by name, in the order of the table."""

from __future__ import annotations

from benchmarks.augen import augen_nll, augen_speed, augen_table
from benchmarks.augen_formulas import augen_formulas
from benchmarks.augen_parts import augen_parts
from benchmarks.baselines import baselines
from benchmarks.best import best_of
from benchmarks.chemistry import chemistry
from benchmarks.core import Benchmark
from benchmarks.crystals import crystals_nll, crystals_speed, crystals_validity
from benchmarks.diffusion import diffusion_nll, diffusion_runs, diffusion_speed, diffusion_steps
from benchmarks.exchanges import exchanges
from benchmarks.figures import figures
from benchmarks.finetuning import finetuning
from benchmarks.gene_distances import gene_distances
from benchmarks.guided import diffraction, guidance
from benchmarks.labels import labels
from benchmarks.novelty import novelty
from benchmarks.properties import beside_chgnet, properties
from benchmarks.quality import ceiling, quality, quality_json
from benchmarks.quality_hull import hull, hull_rest
from benchmarks.quality_mpts import mpts
from benchmarks.quality_nll import nll
from benchmarks.quality_recovery import recovery, recovery_known, recovery_model
from benchmarks.quality_rest import at_rest
from benchmarks.quality_score import scores_by_size
from benchmarks.quality_starts import starts
from benchmarks.quality_temperature import crystal_temperature, temperature
from benchmarks.ranking import ranking
from benchmarks.speed_conditions import exact_formula, given_groups
from benchmarks.speed_encode import encode
from benchmarks.speed_judge import heights, realized, relaxed, relaxed_in_processes
from benchmarks.speed_log_prob import log_prob
from benchmarks.speed_match import match
from benchmarks.speed_metrics import structure_metrics
from benchmarks.speed_sample import sample_default, sample_paper, sampling_memory
from benchmarks.speed_start import help_time, import_time, symmetry_tables
from benchmarks.speed_train import training_steps
from benchmarks.speed_wrap import wrapping
from benchmarks.targets import targets

BENCHMARKS: dict[str, Benchmark] = {
    "import": import_time,
    "help": help_time,
    "symmetry": symmetry_tables,
    "units": wrapping,
    "encode": encode,
    "sample": sample_default,
    "sample-paper": sample_paper,
    "memory": sampling_memory,
    "log-prob": log_prob,
    "train": training_steps,
    "metrics": structure_metrics,
    "groups": given_groups,
    "formula": exact_formula,
    "match": match,
    "crystals": crystals_speed,
    "best-of": best_of,
    "augen": augen_speed,
    "augen-nll": augen_nll,
    "augen-table": augen_table,
    "augen-parts": augen_parts,
    "augen-formulas": augen_formulas,
    "diffusion": diffusion_speed,
    "diffusion-nll": diffusion_nll,
    "diffusion-steps": diffusion_steps,
    "diffusion-runs": diffusion_runs,
    "realize": realized,
    "relax": relaxed,
    "relax-processes": relaxed_in_processes,
    "heights": heights,
    "quality": quality,
    "nll": nll,
    "crystals-nll": crystals_nll,
    "crystals-validity": crystals_validity,
    "scores": scores_by_size,
    "starts": starts,
    "rest-225": at_rest,
    "guidance": guidance,
    "diffraction": diffraction,
    "mpts": mpts,
    "temperature": temperature,
    "crystals-temperature": crystal_temperature,
    "chemistry": chemistry,
    "hull": hull,
    "hull-rest": hull_rest,
    "baselines": baselines,
    "exchanges": exchanges,
    "recovery": recovery,
    "recovery-known": recovery_known,
    "recovery-model": recovery_model,
    "ceiling": ceiling,
    "report": quality_json,
    "figures": figures,
    "finetune": finetuning,
    "frechet-gene": gene_distances,
    "novelty": novelty,
    "labels": labels,
    "properties": properties,
    "properties-chgnet": beside_chgnet,
    "ranking": ranking,
    "targets": targets,
}
ON_REQUEST = frozenset(
    {
        "ceiling",
        "diffraction",
        "guidance",
        "report",
        "figures",
        "finetune",
        "recovery",
        "recovery-known",
        "recovery-model",
        "starts",
        "rest-225",
        "chemistry",
        "crystals-temperature",
        "best-of",
        "augen",
        "augen-nll",
        "augen-table",
        "augen-parts",
        "augen-formulas",
        "diffusion",
        "diffusion-nll",
        "diffusion-steps",
        "diffusion-runs",
        "novelty",
        "labels",
        "properties",
        "properties-chgnet",
        "ranking",
        "targets",
    }
)
"""Run only when named: parts of another one, writing files, or hours."""
