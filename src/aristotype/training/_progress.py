"""What a run shows while it works: a bar on a terminal, a line now and then anywhere else."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Protocol, TextIO

if TYPE_CHECKING:
    from collections.abc import Mapping

LINE_EVERY_SECONDS = 30.0


class Display(Protocol):
    """Shows how far a run is."""

    def update(self, step: int, values: Mapping[str, float]) -> None:
        """Show the number of updates made and the latest values."""
        ...

    def message(self, text: str) -> None:
        """Show one line of text."""
        ...

    def close(self) -> None:
        """End the display."""
        ...


def make_display(step: int, total: int, *, rows_per_step: int, visible: bool, stream: TextIO | None = None) -> Display:
    """The display that suits `stream` (default: standard error): nothing, a rich bar, or plain lines.

    Args:
        step: Updates already made.
        total: Updates of the whole run.
        rows_per_step: Rows in one update over all processes, for the rate.
        visible: Whether this process shows anything.
        stream: Where to show it.
    """
    if not visible:
        return _Silent()
    stream = sys.stderr if stream is None else stream
    if stream.isatty():
        try:
            return _Bar(step, total, rows_per_step)
        except ImportError:
            pass  # rich is optional: a GPU node may lack it, and the plain lines say the same
    return _Lines(step, total, rows_per_step, stream)


class _Rate:
    """Rows a second and time left, from the steps of this start."""

    def __init__(self, step: int, total: int, rows_per_step: int) -> None:
        self._first, self._total, self._rows = step, total, rows_per_step
        self._begin = time.monotonic()

    def text(self, step: int) -> str:
        pace = (step - self._first) / max(time.monotonic() - self._begin, 1e-9)
        left = (self._total - step) / pace if pace > 0 else 0.0
        return f"{pace * self._rows:,.0f} rows/s, {_clock(left)} left"


def _clock(seconds: float) -> str:
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}"


def _named(values: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in values.items())


class _Silent:
    def update(self, step: int, values: Mapping[str, float]) -> None:
        pass

    def message(self, text: str) -> None:
        pass

    def close(self) -> None:
        pass


class _Lines:
    """A line at most every `LINE_EVERY_SECONDS`, and messages at once."""

    def __init__(self, step: int, total: int, rows_per_step: int, stream: TextIO) -> None:
        self._rate = _Rate(step, total, rows_per_step)
        self._total, self._stream, self._last = total, stream, time.monotonic()

    def update(self, step: int, values: Mapping[str, float]) -> None:
        now = time.monotonic()
        if now - self._last >= LINE_EVERY_SECONDS:
            self._last = now
            self.message(f"step {step}/{self._total}  {_named(values)}  ({self._rate.text(step)})")

    def message(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()

    def close(self) -> None:
        pass


class _Bar:
    """A rich progress bar on standard error."""

    def __init__(self, step: int, total: int, rows_per_step: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        self._rate = _Rate(step, total, rows_per_step)
        self._progress: Any = Progress(
            BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[shown]}"), console=Console(stderr=True)
        )
        self._task = self._progress.add_task("train", total=total, completed=step, shown="")
        self._progress.start()

    def update(self, step: int, values: Mapping[str, float]) -> None:
        self._progress.update(self._task, completed=step, shown=f"{_named(values)}  {self._rate.text(step)}")

    def message(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        self._progress.stop()
