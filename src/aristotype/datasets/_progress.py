"""What a long preparation shows: a bar on a terminal, lines anywhere else, or whatever the caller does."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[int, int, int], None]
"""Called with rows done, rows in all and rows failed so far."""
_LINE_EVERY = 30.0  # seconds


@contextmanager
def shown(progress: bool | Progress, title: str, total: int) -> Iterator[Progress]:
    """Yields the function to call after each chunk.

    Args:
        progress: True for a bar (lines where standard error is no terminal), False for nothing, or a function.
        title: What is being done.
        total: Rows in all.
    """
    if callable(progress):
        yield progress
        return
    if not progress:
        yield _nothing
        return
    if sys.stderr.isatty():
        try:
            import rich.progress  # noqa: F401 (rich is optional; the lines say the same)
        except ImportError:
            pass
        else:
            with _bar(title, total) as update:
                yield update
            return
    yield _lines(title)


def _nothing(done: int, total: int, failed: int) -> None:
    pass


def _lines(title: str) -> Progress:
    last = time.monotonic()

    def update(done: int, total: int, failed: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _LINE_EVERY:
            last = time.monotonic()
            sys.stderr.write(f"{title}: {done:,} of {total:,} rows, {failed:,} failed\n")
            sys.stderr.flush()

    return update


@contextmanager
def _bar(title: str, total: int) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[failed]} failed"),
    )
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total, failed=0)
        yield lambda done, total, failed: bar.update(task, completed=done, failed=failed)
