"""Roof: the command `aristotype`. Each command parses, wires, calls one function and shows what came of it.

Nothing heavy is imported before a command runs, so that help and mistakes in the arguments are answered at once.
Exit codes: 0 all well; 1 some rows failed, and they are listed; 2 bad input or usage; 130 interrupted by Ctrl-C.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import NoReturn

__all__ = ["main"]


class _Interrupted(KeyboardInterrupt):
    """Ctrl-C, by a class of its own.

    Once a plain KeyboardInterrupt has passed through `exec` of a text, of which every dataclass is made, `python -m`
    ends by the signal, whatever exit code the program asks for.
    """


_interrupts: list[int] = []
"""Signals of Ctrl-C that came."""


def main() -> None:
    """Run the command that `sys.argv` names and exit with its code."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # it is not where the shell has us ignore it
        signal.signal(signal.SIGINT, _interrupt)
    try:
        from aristotype.cli._app import app

        app()
    except KeyboardInterrupt:
        # While modules are imported; commands turn later ones into the same exit code themselves.
        raise SystemExit(130) from None
    except BaseException as end:
        # Some libraries lose an exception that comes while they compute, and fail in a way of their own.
        if not _interrupts or (isinstance(end, SystemExit) and end.code in (0, None)):
            raise
        if not isinstance(end, SystemExit):
            sys.stderr.write("Interrupted; nothing was left half-written\n")
        raise SystemExit(130) from None


def interrupted() -> bool:
    """Whether Ctrl-C came, even where the exception was lost on its way."""
    return bool(_interrupts)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    _interrupts.append(number)
    raise _Interrupted
