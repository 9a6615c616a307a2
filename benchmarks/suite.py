"""All benchmarks by name, in the order of the table."""

from __future__ import annotations

from benchmarks.core import Benchmark
from benchmarks.figures import figures
from benchmarks.quality import ceiling, quality, quality_json
from benchmarks.quality_mpts import mpts
from benchmarks.quality_nll import nll
from benchmarks.quality_recovery import recovery, recovery_known
from benchmarks.speed_conditions import exact_formula, given_groups
from benchmarks.speed_encode import encode
from benchmarks.speed_log_prob import log_prob
from benchmarks.speed_sample import sample_default, sample_paper, sampling_memory
from benchmarks.speed_start import help_time, import_time, symmetry_tables
from benchmarks.speed_train import training_steps

BENCHMARKS: dict[str, Benchmark] = {
    "import": import_time,
    "help": help_time,
    "symmetry": symmetry_tables,
    "encode": encode,
    "sample": sample_default,
    "sample-paper": sample_paper,
    "memory": sampling_memory,
    "log-prob": log_prob,
    "train": training_steps,
    "groups": given_groups,
    "formula": exact_formula,
    "quality": quality,
    "nll": nll,
    "mpts": mpts,
    "recovery": recovery,
    "recovery-known": recovery_known,
    "ceiling": ceiling,
    "report": quality_json,
    "figures": figures,
}
ON_REQUEST = frozenset({"ceiling", "report", "figures", "recovery", "recovery-known"})
"""Run only when named: parts of another one, writing files, or hours."""
