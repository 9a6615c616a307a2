"""What models of several families do alike: the first rows of a stream, and the checks of a checkpoint's settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from aristotype.crystal import CANONICAL_VERSION, CrystalTable
from aristotype.errors import CheckpointError, ConfigError, InputError
from aristotype.symmetry import tables
from aristotype.training import build_config


def first_rows(blocks: Iterator[CrystalTable], n: int, what: str) -> CrystalTable:
    """The first n rows of an endless stream of blocks; `what` names them in the message.

    Raises:
        InputError: n is negative.
    """
    if n < 0:
        raise InputError(f"{n} {what} were asked for; ask for a number of at least 0")
    parts, have = [], 0
    for table in blocks:
        parts.append(table)
        have += len(table)
        if have >= n:
            break
    return CrystalTable.concatenate(parts)[:n]


def checked_config(kind: type, settings: Mapping[str, Any]) -> Any:
    """The configuration of a checkpoint, an object of the class `kind`.

    Raises:
        CheckpointError: it was made with other symmetry tables, or is not one of this release.
    """
    found = (settings.get("tables_sha256"), settings.get("canonical_version"))
    if found != (tables().sha256, CANONICAL_VERSION):
        raise CheckpointError(
            f"the checkpoint was made for symmetry tables {str(found[0])[:12]} and canonical version {found[1]}, "
            f"this release has {tables().sha256[:12]} and {CANONICAL_VERSION}; "
            "train it again or install the release that made it"
        )
    try:
        return build_config(kind, settings.get("model"))
    except ConfigError as error:
        raise CheckpointError(
            f"the checkpoint's configuration is not one of this release ({error}); "
            "install the release that made it or train it again"
        ) from error
