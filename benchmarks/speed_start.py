"""How long a user waits before anything happens: import, command help, symmetry tables, each in fresh interpreters."""

from __future__ import annotations

from statistics import median

from benchmarks import published
from benchmarks.core import Context, Measurement, Outcome, run_python

REPEATS = 7
_HELP = "import sys\nfrom aristotype.cli import main\nsys.exit(main())"
_TABLES = (
    "import time\nimport numpy, safetensors\nfrom aristotype.symmetry import tables\n"
    "begin = time.process_time()\ntables()\nprint(time.process_time() - begin)"
)


def import_time(context: Context) -> Outcome:
    """`import aristotype`, interpreter included."""
    yield _fresh("`import aristotype`", "import aristotype")


def help_time(context: Context) -> Outcome:
    """`aristotype --help`, interpreter included."""
    yield _fresh("`aristotype --help`", _HELP, "--help")


def _fresh(work: str, code: str, *arguments: str) -> Measurement:
    run_python(code, *arguments)  # byte code is written, files are in the system's cache
    clocks = [run_python(code, *arguments)[1] for _ in range(REPEATS)]
    bare = median(run_python("pass")[1].cpu for _ in range(REPEATS))
    return Measurement(
        work=work,
        value=median(clock.cpu for clock in clocks),
        unit="CPU s",
        count=f"median of {REPEATS} runs",
        cpu_seconds=sum(clock.cpu for clock in clocks),
        published=published.IMPORT_SECONDS,
        better="less",
        note=f"wall {median(clock.wall for clock in clocks):.2f} s; a bare interpreter {bare:.3f} CPU s",
    )


def symmetry_tables(context: Context) -> Outcome:
    """Reading and checking the shipped tables of the 230 groups."""
    run_python(_TABLES)
    seconds = [float(run_python(_TABLES)[0]) for _ in range(REPEATS)]
    yield Measurement(
        work="symmetry tables loaded",
        value=1000 * median(seconds),
        unit="CPU ms",
        count=f"median of {REPEATS} runs",
        cpu_seconds=sum(seconds),
        better="less",
    )
