"""What all commands say and how: messages, tables, progress, exit codes."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from aristotype.cli import interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

SOME_FAILED = 1
WRONG = 2
INTERRUPTED = 130
"""Exit codes beside 0; the last one is the shell's own for Ctrl-C (128 + SIGINT)."""
_LISTED = 10
_LINE_EVERY = 30.0  # seconds
_WIDTH = 140
"""Columns of a table that no terminal limits."""


def say(text: str) -> None:
    """Prints text on standard output."""
    typer.echo(_safe(text))


def complain(text: str) -> None:
    """Prints text on standard error."""
    typer.echo(_safe(text), err=True)


def _safe(text: str) -> str:
    """Text that UTF-8 can write: bytes of paths that are not UTF-8 are escaped."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def list_failures(failures: Sequence[tuple[str, str]], where: str) -> None:
    """Prints the first failures (id, reason) on standard error and says where all of them are listed."""
    for name, reason in failures[:_LISTED]:
        complain(f"failed: {name}: {reason}")
    if len(failures) > _LISTED:
        complain(f"... and {len(failures) - _LISTED} more")
    if failures:
        complain(f"{len(failures)} failed; all are listed in {where}")


def show_table(columns: Sequence[tuple[str, str]], rows: Iterable[Sequence[str]]) -> None:
    """Prints a table.

    Args:
        columns: Heading and justification (`left`, `right`) of each.
        rows: The cells as text.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, justify in columns:
        table.add_column(heading, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for row in rows:
        table.add_row(*(Text(_safe(cell)) for cell in row))
    Console(width=None if sys.stdout.isatty() else _WIDTH).print(table)


@contextmanager
def progress(title: str, total: int) -> Iterator[Callable[[int, str], None]]:
    """Yields a function to call with what is done and a remark: a bar on a terminal, a line now and then elsewhere.

    It raises KeyboardInterrupt where Ctrl-C came and got lost: modules that are imported just then may swallow it.
    """
    with _shown(title, total) as update:

        def watched(done: int, text: str) -> None:
            if interrupted():
                raise KeyboardInterrupt
            update(done, text)

        yield watched


@contextmanager
def _shown(title: str, total: int) -> Iterator[Callable[[int, str], None]]:
    if not sys.stderr.isatty():
        yield _lines(title, total)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Any) -> Text:
            return Text(f"{task.speed:.3g}/s" if task.speed else "")

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), Rate())
    remark = TextColumn("{task.fields[remark]}", markup=False)
    with Progress(*columns, TimeRemainingColumn(), remark, console=Console(stderr=True), transient=True) as bar:
        task: Any = bar.add_task(title, total=total, remark="")
        yield lambda done, text: bar.update(task, completed=done, remark=text)


def _lines(title: str, total: int) -> Callable[[int, str], None]:
    begin = last = time.monotonic()
    first: int | None = None

    def update(done: int, text: str) -> None:
        nonlocal last, first
        # What comes at once was done by an earlier run, and says nothing about the rate.
        first = done if first is None else first
        if time.monotonic() - last >= _LINE_EVERY:
            last = time.monotonic()
            rate = (done - first) / (last - begin)
            left = f", {rate:.3g} a second, {seconds_text((total - done) / rate)} left" if rate else ""
            complain(f"{title}: {done:,} of {total:,}{left}  {text}")

    return update


def seconds_text(seconds: float) -> str:
    """A duration for people."""
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
