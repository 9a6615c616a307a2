"""Roof: the command `aristotype`. Each command parses, wires, calls one function and shows what came of it.

Nothing heavy is imported before a command runs, so that help and mistakes in the arguments are answered at once.
Exit codes: 0 all well; 1 some rows failed, and they are listed; 2 bad input or usage; 130 interrupted by Ctrl-C.
"""

from __future__ import annotations

import signal
from types import FrameType
from typing import NoReturn

__all__ = ["main"]


class _Interrupted(KeyboardInterrupt):
    """Ctrl-C, by a class of its own.

    Once a plain KeyboardInterrupt has passed through `exec` of a text, of which every dataclass is made, `python -m`
    ends by the signal, whatever exit code the program asks for.
    """


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


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise _Interrupted
