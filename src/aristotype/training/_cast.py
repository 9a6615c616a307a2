"""A configuration value checked against, and brought to, the type that a dataclass field is annotated with."""

from __future__ import annotations

import dataclasses
import tomllib
import types
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, Literal, Union, get_args, get_origin

from aristotype.errors import ConfigError

# Builds a nested dataclass: (class, values, base or None, prefix of its keys in messages).
Builder = Callable[[Any, Mapping[str, Any], Any, str], Any]


@dataclasses.dataclass(frozen=True)
class RawText:
    """A value as typed on a command line, not read yet: whether `1` is a number or a name is for the field to say."""

    text: str


def cast_value(annotation: Any, value: Any, default: Any, where: str, build: Builder) -> Any:
    """`value` as `annotation` wants it.

    Args:
        annotation: A resolved type annotation.
        value: Plain value, mapping, or `RawText`.
        default: What the field holds otherwise; the base of a nested dataclass that is given in part.
        where: The key, for messages.
        build: Builds nested dataclasses.

    Raises:
        ConfigError: The value does not fit.
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is Any:
        return _read(value.text) if isinstance(value, RawText) else value
    if origin in (Union, types.UnionType):
        return _cast_union(annotation, value, default, where, build)
    if dataclasses.is_dataclass(annotation):
        return _cast_dataclass(annotation, value, default, where, build)
    if annotation is str or (origin is Literal and all(isinstance(choice, str) for choice in arguments)):
        value = _unquoted(value.text) if isinstance(value, RawText) else value
    elif isinstance(value, RawText):
        value = _read(value.text)
    if origin is Literal:
        return _cast_literal(arguments, value, where)
    if origin is tuple:
        return _cast_tuple(annotation, value, where, build)
    if origin is dict and isinstance(value, Mapping):
        return {str(k): cast_value(arguments[1], v, None, f"{where}.{k}", build) for k, v in value.items()}
    return _cast_scalar(annotation, value, where)


def _read(text: str) -> Any:
    """A TOML value; what is not one stands for itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _unquoted(text: str) -> str:
    value = _read(text) if text[:1] in ('"', "'") else text
    return value if isinstance(value, str) else text


def _cast_scalar(annotation: Any, value: Any, where: str) -> Any:
    """int, float, bool and str; a float field takes integers, an int field whole floats such as 1e6."""
    if annotation is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if annotation is int and isinstance(value, float) and value.is_integer():
        return int(value)
    truth_as_number = annotation is int and isinstance(value, bool)
    if isinstance(annotation, type) and isinstance(value, annotation) and not truth_as_number:
        return value
    raise ConfigError(f"configuration key {where} is {value!r}; it must be {_type_name(annotation)}")


def _cast_union(annotation: Any, value: Any, default: Any, where: str, build: Builder) -> Any:
    members = get_args(annotation)
    text = value.text if isinstance(value, RawText) else None
    if type(None) in members and (value is None or text in ("none", "None", "null")):
        return None
    members = tuple(member for member in members if member is not type(None))
    if len(members) == 1:
        return cast_value(members[0], value, default, where, build)
    for member in members:
        try:
            return cast_value(member, value, default, where, build)
        except ConfigError:
            continue
    shown = value.text if isinstance(value, RawText) else value
    raise ConfigError(f"configuration key {where} is {shown!r}; it must be {_type_name(annotation)}")


def _cast_dataclass(annotation: Any, value: Any, default: Any, where: str, build: Builder) -> Any:
    if isinstance(value, annotation):
        return value
    if not isinstance(value, Mapping):
        shown = value.text if isinstance(value, RawText) else value
        names = ", ".join(field.name for field in dataclasses.fields(annotation))
        raise ConfigError(f"configuration key {where} is {shown!r}; it is a table with the keys {names}")
    return build(annotation, value, default if isinstance(default, annotation) else None, f"{where}.")


def _cast_literal(choices: tuple[Any, ...], value: Any, where: str) -> Any:
    if value in choices and type(value) in {type(choice) for choice in choices}:
        return value
    close = get_close_matches(str(value), [str(choice) for choice in choices], n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    known = ", ".join(str(choice) for choice in choices)
    raise ConfigError(f"configuration key {where} is {value!r}; it must be one of {known}{hint}")


def _cast_tuple(annotation: Any, value: Any, where: str, build: Builder) -> tuple[Any, ...]:
    members = get_args(annotation)
    if not isinstance(value, (list, tuple)):
        raise ConfigError(f"configuration key {where} is {value!r}; it must be a list of {_type_name(members[0])}")
    if len(members) == 2 and members[1] is Ellipsis:
        members = (members[0],) * len(value)
    if len(members) != len(value):
        raise ConfigError(f"configuration key {where} has {len(value)} values; it must have {len(members)}")
    return tuple(cast_value(m, v, None, f"{where}[{i}]", build) for i, (m, v) in enumerate(zip(members, value)))


def _type_name(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")
