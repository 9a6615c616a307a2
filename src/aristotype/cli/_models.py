"""`aristotype models`: the checkpoints that ship with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aristotype.cli._console import say, show_table
from aristotype.errors import UnknownNameError

_FIGURES = "key figures"
"""Heading of the part of a model card whose list is shown."""


def models(
    name: Annotated[str | None, typer.Argument(help="Show the model card of this one.", show_default=False)] = None,
) -> None:
    """List the models that ship with the package: description, size, key figures; or show one model card."""
    from aristotype.models import shipped_models

    shipped = shipped_models()
    if name is not None:
        if name not in shipped:
            raise UnknownNameError(f"no model {name!r} is shipped; there are {', '.join(shipped) or 'none'}")
        say(_card(shipped[name].path).rstrip())
        return
    if not shipped:
        say("no model is shipped with this installation; train one with `aristotype train`")
        return
    columns = (("name", "left"), ("size", "right"), ("description", "left"), ("key figures", "left"))
    rows = [
        (info.name, f"{info.megabytes:.1f} MB", info.description, "\n".join(key_figures(_card(info.path))))
        for info in shipped.values()
    ]
    show_table(columns, rows)


def _card(folder: Path) -> str:
    return (folder / "README.md").read_text(encoding="utf-8")


def key_figures(card: str) -> list[str]:
    """The list items under the heading 'Key figures' of a model card."""
    found, inside = [], False
    for line in card.splitlines():
        if line.startswith("#"):
            inside = line.strip("# ").lower() == _FIGURES
        elif inside and line.startswith("- "):
            found.append(line[2:].strip())
    return found
