"""Roof: the command `aristotype`. Each command parses, wires, calls one function and shows what came of it.

Nothing heavy is imported before a command runs, so that help and mistakes in the arguments are answered at once.
Exit codes: 0 all well; 1 some rows failed, and they are listed; 2 bad input or usage; 130 interrupted by Ctrl-C.
"""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command that `sys.argv` names and exit with its code."""
    try:
        from aristotype.cli._app import app

        app()
    except KeyboardInterrupt:
        # While modules are imported; commands turn later ones into the same exit code themselves.
        raise SystemExit(130) from None
