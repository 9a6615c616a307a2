"""Frozen dataclasses from TOML files and `key=value` pairs, and back.

Any nest of dataclasses serves, whoever owns them; their annotations say what a value may be: `int`, `float`, `bool`,
`str`, `tuple[X, ...]`, `tuple[X, Y]`, `dict[str, X]`, `X | None`, `Literal[...]`, or another dataclass.
"""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from aristotype._files import printable
from aristotype.errors import ConfigError

from ._cast import RawText, cast_value

T = TypeVar("T")


def build_config(
    cls: type[T],
    values: Mapping[str, Any] | None = None,
    overrides: Iterable[str] = (),
    *,
    base: T | None = None,
) -> T:
    """An instance of the dataclass `cls`.

    Args:
        cls: A dataclass, possibly nested.
        values: Field values by name, nested mappings for nested dataclasses; for example the content of a TOML file.
        overrides: Texts `a.b=value`, applied over `values`; a value is written as in TOML, and strings need no quotes.
        base: Where fields come from that neither names; by default the defaults of the class.

    Raises:
        ConfigError: An unknown key (known ones and the closest match are named), a value of the wrong type, a field
            without value, or a value that the class itself refuses.
    """
    tree = _copy_tree(values or {})
    for override in overrides:
        _apply_override(tree, override)
    return _build(cls, tree, base, where="")


def load_config(
    cls: type[T], path: str | Path | None = None, overrides: Iterable[str] = (), *, base: T | None = None
) -> T:
    """An instance of the dataclass `cls` from a TOML file and overrides; see `build_config`.

    Raises:
        ConfigError: The file is missing or not TOML, or what `build_config` raises.
    """
    return build_config(cls, {} if path is None else read_toml(path), overrides, base=base)


def read_toml(path: str | Path) -> dict[str, Any]:
    """Content of a TOML file.

    Raises:
        ConfigError: The file is missing, not readable or not TOML.
    """
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {printable(path)}: {error}; give a TOML file") from error
    except ValueError as error:
        raise ConfigError(f"the configuration {printable(path)} is not TOML: {error}") from error


def to_dict(config: Any) -> dict[str, Any]:
    """A dataclass as JSON values: nested mappings, and lists for tuples."""
    return {field.name: _plain(getattr(config, field.name)) for field in dataclasses.fields(config)}


def to_toml(config: Any) -> str:
    """A dataclass, or a mapping such as `to_dict` gives, as TOML that `load_config` reads back.

    Fields that are None are left out, since TOML has no such value.
    """
    tree = config if isinstance(config, Mapping) else to_dict(config)
    return "\n".join(_toml_lines(tree, ())).strip() + "\n"


def _copy_tree(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: _copy_tree(v) if isinstance(v, Mapping) else v for k, v in values.items()}


def _apply_override(tree: dict[str, Any], override: str) -> None:
    """Put one `a.b=value` into the tree; the text is read once the type of its field is known."""
    key, equals, text = override.partition("=")
    names = [name.strip() for name in key.split(".")]
    if not equals or not all(names):
        raise ConfigError(
            f"override {override!r} is not of the form key=value, for example training.learning_rate=0.001"
        )
    for name in names[:-1]:
        inner = tree.setdefault(name, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"override {override!r}: {name} is the value {inner!r}, it has no keys of its own")
        tree = inner
    tree[names[-1]] = RawText(text.strip())


def _build(cls: type[T], tree: Mapping[str, Any], base: T | None, where: str) -> T:
    if not (isinstance(cls, type) and dataclasses.is_dataclass(cls)):
        raise TypeError(f"{cls!r} is not a dataclass")
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    for key in tree:
        if key not in fields:
            raise ConfigError(_unknown_key(f"{where}{key}", key, fields))
    hints = get_type_hints(cls)
    values: dict[str, Any] = {}
    for name, field in fields.items():
        default = _default(field) if base is None else getattr(base, name)
        if name in tree:
            values[name] = cast_value(hints[name], tree[name], default, f"{where}{name}", _build)
        elif default is not dataclasses.MISSING:
            values[name] = default
        else:
            raise ConfigError(f"configuration key {where}{name} has no value and no default: set it")
    return cls(**values)


def _default(field: dataclasses.Field[Any]) -> Any:
    """The field's default value, or MISSING."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _unknown_key(path: str, key: str, known: Iterable[str]) -> str:
    names = sorted(known)
    close = get_close_matches(key, names, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"unknown configuration key {path}{hint} (known here: {', '.join(names)})"


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_dict(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(inner) for inner in value]
    return value


def _toml_lines(tree: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    """Scalars of a table first, then its subtables, as TOML wants it."""
    lines = [
        f"{_toml_key(k)} = {_toml_value(v)}" for k, v in tree.items() if not isinstance(v, Mapping) and v is not None
    ]
    if path and (lines or not tree):
        lines.insert(0, f"[{'.'.join(_toml_key(name) for name in path)}]")
    if lines:
        lines.append("")
    for name, inner in tree.items():
        if isinstance(inner, Mapping):
            lines += _toml_lines(inner, (*path, name))
    return lines


def _toml_key(name: str) -> str:
    bare = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
    return name if bare else _toml_value(name)


def _toml_value(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_toml_value(inner) for inner in value)}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        # A JSON string is a TOML basic string, except that JSON leaves U+007F bare; with ensure_ascii=False nothing is
        # written as a pair of surrogates, which TOML refuses.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, (int, float)):
        return repr(value)
    raise TypeError(f"{value!r} has no TOML form")
