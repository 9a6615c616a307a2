"""Unconditional sampling: how fast, how much memory."""

from __future__ import annotations

from statistics import median

from benchmarks import published
from benchmarks.core import Clock, Context, Measurement, Outcome, Skipped, run_python
from benchmarks.data import model

GENES = 2_000
RUNS = 5
# The largest resident set since the interpreter started. Linux hands the parent's peak down through getrusage, so there
# the kernel's own mark for this address space is read; elsewhere getrusage, in bytes on macOS.
PEAK = """
import sys, resource
try:
    lines = open("/proc/self/status").read().splitlines()
    peak = 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
except OSError:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(peak)
"""
_SAMPLE = """
import sys, torch
from aristotype.models import load
torch.set_num_threads(int(sys.argv[4]))
load(sys.argv[1]).sample(int(sys.argv[2]), None, seed=int(sys.argv[3]), score=False)
"""


def sample_default(context: Context) -> Outcome:
    """The shipped default."""
    yield _rate(context, context.model, "genes sampled, shipped default")


def sample_paper(context: Context) -> Outcome:
    """The paper's configuration."""
    yield _rate(context, context.paper_model, "genes sampled, configuration `paper`")


def _rate(context: Context, name: str, work: str) -> Measurement:
    """The median of `RUNS` runs with seeds of their own, after one block that fills caches."""
    generator = model(name)
    generator.sample(64, None, seed=context.seed + RUNS, score=False)
    rates, legal, returned, total = [], 0, 0, 0.0
    for run in range(RUNS):
        with Clock() as clock:
            table = generator.sample(GENES, None, seed=context.seed + run, score=False)
        right = int(table.genes().legal().sum())
        rates.append(right / clock.cpu)
        legal, returned, total = legal + right, returned + len(table), total + clock.cpu
    return Measurement(
        work=work,
        value=median(rates),
        unit="legal genes a CPU second",
        count=f"{RUNS} times {GENES:,} asked for, {returned:,} returned, {legal:,} legal",
        cpu_seconds=total,
        published=published.SAMPLED_PER_SECOND,
        seed=context.seed,
        note=f"median of {RUNS}, {min(rates):,.0f} to {max(rates):,.0f}; {legal / max(1, returned):.1%} legal "
        f"(published {published.SAMPLED_VALID:.1%}); not scored",
    )


def sampling_memory(context: Context) -> Outcome:
    """Largest resident set of a fresh process that loads the model and samples."""
    try:
        import resource  # noqa: F401
    except ImportError as error:
        raise Skipped("this system has no module resource, which measures memory") from error
    model(context.model)
    arguments = (context.model, str(context.genes), str(context.seed), str(context.threads))
    printed, clock = run_python(_SAMPLE + PEAK, *arguments)
    yield Measurement(
        work=f"peak memory while sampling {context.genes:,} genes",
        value=int(printed.split()[-1]) / 1e9,
        unit="GB",
        count=f"{context.genes:,} genes",
        cpu_seconds=clock.cpu,
        published=published.SAMPLING_GB,
        better="less",
        seed=context.seed,
        note="a fresh process, imports and model included",
    )
