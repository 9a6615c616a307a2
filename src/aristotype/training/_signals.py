"""Ctrl-C and SIGTERM as a request to stop after the step in progress."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


@dataclass
class StopRequest:
    """Whether somebody asked the run to stop.

    Attributes:
        signal_name: The signal that asked, empty as long as none did.
    """

    signal_name: str = ""


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Within the context, SIGINT and SIGTERM set the request instead of ending the process; the second one ends it.

    Outside the main thread Python allows no handlers: signals then act as usual.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, frame: FrameType | None) -> None:
        request.signal_name = signal.Signals(number).name
        for other, handler in previous.items():
            signal.signal(other, handler)

    for number in previous:
        signal.signal(number, ask)
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
