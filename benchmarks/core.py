"""What every benchmark takes and gives: a context, measurements, sections of text, a reason to be skipped, a clock."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Literal, Self


class Skipped(Exception):
    """A benchmark that cannot be run here; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """What the user asked for."""

    data: Path | None = None  # folder with the data files
    model: str = "wyckoff-transformer-mp20"  # shipped name or checkpoint folder
    paper_model: str = "wyckoff-transformer-mp20-paper"  # the same for the paper's configuration
    crystal_model: str = "crystalformer-mp20"  # the same, a model of crystals
    encoder: str = "gene-encoder-mp20"  # the same, a gene encoder
    mpts_model: str | None = None  # a checkpoint folder of the MPTS-52 configuration
    properties: str | None = None  # a folder with a run of `aristotype train property` for each property
    runs: tuple[str, ...] = ()  # checkpoint folders that are compared with each other
    run: str | None = None  # folder of a run of `aristotype finetune`
    hull: str | None = None  # a hull with labels, as `aristotype hull build` writes it
    seed: int = 0
    genes: int = 10_000  # unconditional genes for quality and memory
    per_class: int = 100  # known crystals for each class of recovery
    trials: tuple[int, ...] = (1, 4, 16)  # of recovery
    threads: int = 1
    images: Path = Path("docs/images")  # where figures go


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One line of the table of speed."""

    work: str
    value: float
    unit: str
    count: str  # what was done, as "9,047 structures"
    cpu_seconds: float
    published: float | None = None  # in the same unit
    better: Literal["more", "less"] = "more"
    seed: int | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times better than published."""
        if not self.published or not self.value:
            return None
        return self.value / self.published if self.better == "more" else self.published / self.value


@dataclass(frozen=True, kw_only=True)
class Section:
    """Text and tables that stand for themselves."""

    title: str
    text: str


Outcome = Iterable[Measurement | Section]
Benchmark = Callable[[Context], Outcome]


@dataclass(kw_only=True)
class Clock:
    """CPU seconds (of this process, all its threads, and children it waited for) and wall seconds of a `with` block."""

    cpu: float = field(default=0.0, init=False)
    wall: float = field(default=0.0, init=False)

    def __enter__(self) -> Self:
        self._cpu, self._wall = _cpu_seconds(), time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cpu, self.wall = _cpu_seconds() - self._cpu, time.perf_counter() - self._wall


def _cpu_seconds() -> float:
    children = os.times()
    return time.process_time() + children.children_user + children.children_system


def run_python(code: str, *arguments: str) -> tuple[str, Clock]:
    """Runs code in a fresh interpreter of the same kind and returns what it printed, and its times.

    Raises:
        Skipped: it failed; with the last line of its message.
    """
    package = find_spec("aristotype")
    source = [str(Path(package.origin).parents[1])] if package and package.origin else []
    paths = os.pathsep.join([*source, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"PYTHONPATH": paths}  # the package that is measured here, wherever it was found
    line = [sys.executable, "-c", code, *arguments]
    with Clock() as clock:
        done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no message"]
        raise Skipped(f"a fresh interpreter stopped with code {done.returncode}: {last[0][:200]}")
    return done.stdout, clock
