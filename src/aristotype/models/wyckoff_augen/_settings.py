"""Checks of settings that configurations have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aristotype.errors import ConfigError
from aristotype.models._settings import HEAVIEST, check_counted


def check(config: Any, sizes: Sequence[str], calibrated: Sequence[str], dropouts: Sequence[str]) -> None:
    """Refuses widths that heads do not divide, and these settings where they are out of range.

    Raises:
        ConfigError: a setting out of range.
    """
    if config.width % config.heads:
        raise ConfigError(f"width is {config.width}, which {config.heads} heads do not divide; change one of them")
    for name in sizes:
        if getattr(config, name) < 1:
            raise ConfigError(f"{name} is {getattr(config, name)}; it must be at least 1")
    for name in calibrated:
        if not 0.1 <= getattr(config, name) <= 10.0:
            raise ConfigError(f"{name} is {getattr(config, name)}; it must be from 0.1 to 10")
    if config.max_sites < 0:
        raise ConfigError(f"max_sites is {config.max_sites}; it must be at least 0, which stands for that of the data")
    for name in dropouts:
        if not 0 <= getattr(config, name) < 1:
            raise ConfigError(f"{name} is {getattr(config, name)}; it must be at least 0 and below 1")
    check_counted(config.elements, config.group_smoothing, heaviest=HEAVIEST)
