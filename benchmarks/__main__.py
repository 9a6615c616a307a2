"""`python -m benchmarks`: runs the named benchmarks, or all, and prints their tables as Markdown."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.core import Benchmark, Context, Measurement, Section, Skipped

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns 0, 1 if a benchmark failed, 2 for a name that does not exist."""
    options = _parser().parse_args(arguments)
    _set_threads(options.threads)
    from benchmarks.suite import BENCHMARKS, ON_REQUEST  # after the threads: numpy and torch read them when imported

    if options.list:
        for name, benchmark in BENCHMARKS.items():
            print(f"{name:16}{(benchmark.__doc__ or '').splitlines()[0]}{' (on request)' * (name in ON_REQUEST)}")
        return 0
    unknown = [name for name in options.names if name not in BENCHMARKS]
    if unknown:
        print(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    names = options.names or [name for name in BENCHMARKS if name not in ON_REQUEST]
    return _run({name: BENCHMARKS[name] for name in names}, _context(options), _command(arguments))


def _run(benchmarks: dict[str, Benchmark], context: Context, command: str) -> int:
    from benchmarks.machine import describe_machine
    from benchmarks.report import document

    outcomes: list[Measurement | Section] = []
    skipped: dict[str, str] = {}
    failed: dict[str, str] = {}
    for name, benchmark in benchmarks.items():
        print(f"benchmark {name} ...", file=sys.stderr, flush=True)
        try:
            outcomes.extend(benchmark(context))
        except Skipped as reason:
            skipped[name] = str(reason)
        except Exception as error:  # noqa: BLE001 (one benchmark that breaks must not lose what the others measured)
            failed[name] = f"{type(error).__name__}: {error}"
    print(document(describe_machine(context.threads, command), outcomes, skipped, failed))
    return 1 if failed else 0


def _set_threads(threads: int) -> None:
    for variable in _THREAD_VARIABLES:
        os.environ[variable] = str(threads)
    import torch

    torch.set_num_threads(threads)


def _context(options: argparse.Namespace) -> Context:
    data = options.data or os.environ.get("ARISTOTYPE_DATA") or None
    return Context(
        data=None if data is None else Path(data),
        model=options.model,
        paper_model=options.paper_model,
        crystal_model=options.crystal_model,
        encoder=options.encoder,
        properties=options.properties,
        mpts_model=options.mpts_model,
        runs=tuple(options.runs),
        run=options.run,
        hull=options.hull,
        seed=options.seed,
        genes=options.genes,
        per_class=options.per_class,
        trials=tuple(options.trials),
        threads=options.threads,
        images=Path(options.images),
    )


def _command(arguments: Sequence[str] | None) -> str:
    return " ".join(["python -m benchmarks", *(sys.argv[1:] if arguments is None else arguments)])


def _parser() -> argparse.ArgumentParser:
    default = Context()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="benchmarks to run; all that write no files by default"
    )
    parser.add_argument("--list", action="store_true", help="list the names and stop")
    parser.add_argument("--data", help="folder with the data files (default: ARISTOTYPE_DATA)")
    parser.add_argument("--model", default=default.model, help="shipped name or checkpoint folder")
    parser.add_argument("--paper-model", default=default.paper_model, help="the same for the configuration `paper`")
    parser.add_argument("--crystal-model", default=default.crystal_model, help="the same for a model of crystals")
    parser.add_argument("--encoder", default=default.encoder, help="the same for a gene encoder")
    parser.add_argument("--properties", help="folder with a run of `aristotype train property` for each property")
    parser.add_argument("--mpts-model", help="checkpoint folder of the MPTS-52 configuration")
    parser.add_argument("--runs", nargs="+", default=[], help="checkpoint folders that are compared with each other")
    parser.add_argument("--run", help="folder of a run of `aristotype finetune`")
    parser.add_argument("--hull", help="a hull with labels, as `aristotype hull build` writes it")
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument("--genes", type=int, default=default.genes, help="unconditional genes for quality and memory")
    parser.add_argument("--per-class", type=int, default=default.per_class, help="known crystals a class for recovery")
    parser.add_argument("--trials", type=int, nargs="+", default=list(default.trials), help="trials for recovery")
    parser.add_argument("--threads", type=int, default=default.threads)
    parser.add_argument("--images", default=str(default.images), help="folder for figures")
    return parser


if __name__ == "__main__":
    sys.exit(main())
