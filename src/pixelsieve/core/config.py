"""Frozen dataclasses to and from plain data: strict keys, one canonical hash."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pixelsieve.core.errors import ConfigError, nearest

__all__ = ["content_hash", "differences", "fingerprint", "from_mapping", "read_toml", "to_plain"]

T = TypeVar("T")

_LARGEST_TOML = 1 << 22
_MOST_DOTS = 100
_DOT = re.compile(r"""[\w"'-][ \t]*\.(?=[ \t]*[\w"'-])""")
_BETWEEN_KEYS = re.compile(r"[,\n\[\]{}=#]")


def require_between(owner: object, name: str, low: float, high: float) -> None:
    """Raise `ConfigError` where the number `owner.name` is not in [low, high]; None passes."""
    value = getattr(owner, name)
    if value is not None and not low <= value <= high:
        msg = f"'{name}' is {value:g}; expected {low:g} to {high:g}"
        raise ConfigError(msg)


_WORDS = {
    bool: "true or false",
    float: "a number",
    int: "a whole number",
    str: "text",
    tuple: "a list",
    Path: "a path",
    dict: "a table",
    list: "a list",
}


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file; raise `ConfigError` naming the file where it cannot be read.

    Whole numbers have 64 bits, as TOML asks for; larger ones are refused, and so are files above
    4 MiB and keys of over 100 parts, which would take hours.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST_TOML + 1).decode("utf-8")
        _require_readable(text)
        table = tomllib.loads(text)
        _require_64_bits(table)
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror or error}); check the path"
        raise ConfigError(msg) from error
    except (ValueError, RecursionError) as error:
        msg = f"{path}: not valid TOML ({error})"
        raise ConfigError(msg) from error
    return table


def _require_readable(text: str) -> None:
    if len(text) > _LARGEST_TOML:
        msg = f"more than {_LARGEST_TOML} letters"
        raise ValueError(msg)
    if any(len(_DOT.findall(part)) > _MOST_DOTS for part in _BETWEEN_KEYS.split(text)):
        msg = f"a key of more than {_MOST_DOTS} parts"
        raise ValueError(msg)


def _require_64_bits(value: Any) -> None:
    if isinstance(value, (dict, list)):
        for inner in value.values() if isinstance(value, dict) else value:
            _require_64_bits(inner)
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        msg = "a whole number of more than 64 bits"
        raise ValueError(msg)


def from_mapping(cls: type[T], mapping: Any, where: str) -> T:
    """Build the dataclass `cls` from plain data.

    Unknown keys, missing keys and values of the wrong type raise `ConfigError`, which names
    `where`, the key, what was expected and the nearest known key.
    """
    if not isinstance(mapping, Mapping):
        msg = f"{where}: expected a table"
        raise ConfigError(msg)
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}  # type: ignore[arg-type]
    hints = typing.get_type_hints(cls)
    for key in mapping:
        if key not in fields:
            known = ", ".join(sorted(fields))
            msg = f"{where}: unknown key '{key}'{nearest(key, fields)}; known: {known}"
            raise ConfigError(msg)
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name in mapping:
            values[name] = _convert(mapping[name], hints[name], f"{where}: '{name}'")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            msg = f"{where}: missing key '{name}'"
            raise ConfigError(msg)
    try:
        return cls(**values)
    except ConfigError as error:
        msg = f"{where}: {error}"
        raise ConfigError(msg) from error


def _convert(value: Any, hint: Any, where: str) -> Any:  # noqa: C901, PLR0911 (a type, a return)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        if value in args:
            return value
        known = ", ".join(map(repr, args))
        msg = f"{where} is {value!r}{nearest(str(value), map(str, args))}; expected one of {known}"
        raise ConfigError(msg)
    if origin in (types.UnionType, typing.Union):
        if type(None) in args and (value is None or value == "none"):  # TOML has no null
            return None
        inner = [a for a in args if a is not type(None)]
        return _convert(value, _kind(inner, value, where), where)
    if origin is tuple and isinstance(value, (list, tuple)):
        return tuple(_convert(v, args[0], _where_in(where, i, v)) for i, v in enumerate(value))
    if origin is dict and isinstance(value, Mapping):
        return {k: _convert(v, args[1], f"{where}: '{k}'") for k, v in value.items()}
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return from_mapping(typing.cast("type[Any]", hint), value, where)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return _float(value, where)
    if hint is Any or (isinstance(hint, type) and isinstance(value, hint)):
        if hint is int and isinstance(value, bool):
            msg = f"{where} is {value!r}; expected a whole number"
            raise ConfigError(msg)
        return value
    expected = _WORDS.get(origin or hint, "something else")
    msg = f"{where} is {value!r}; expected {expected}"
    raise ConfigError(msg)


def _float(value: int, where: str) -> float:
    try:
        return float(value)
    except OverflowError as error:
        msg = f"{where} is a number of {value.bit_length()} bits; expected a smaller one"
        raise ConfigError(msg) from error


def _where_in(where: str, index: int, value: Any) -> str:
    """Which of a list of tables; a number among numbers needs no name."""
    return f"{where}, number {index + 1}" if isinstance(value, Mapping) else where


def _kind(classes: Sequence[Any], value: Any, where: str) -> Any:
    """Which class of a union `value` is; of dataclasses the one of its `kind` (default: first)."""
    if len(classes) == 1 or not isinstance(value, Mapping):
        return classes[0]
    kinds = {str(f.default): c for c in classes for f in dataclasses.fields(c) if f.name == "kind"}
    kind = str(value.get("kind", next(iter(kinds))))
    if kind not in kinds:
        msg = f"{where}: 'kind' is {kind!r}{nearest(kind, kinds)}; expected {' or '.join(kinds)}"
        raise ConfigError(msg)
    return kinds[kind]


def to_plain(value: Any) -> Any:
    """Turn dataclasses, tuples, paths and NumPy scalars into what JSON can hold."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): to_plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(v) for v in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        return value.item()
    return value


def differences(ours: Any, theirs: Any) -> dict[str, tuple[Any, Any]]:
    """Where two values differ as plain data: dotted key to (ours, theirs), of keys in both."""
    found: dict[str, tuple[Any, Any]] = {}
    one, other = to_plain(ours), to_plain(theirs)
    for key in [k for k in one if k in other]:
        if isinstance(one[key], dict) and isinstance(other[key], dict):
            inner = differences(one[key], other[key])
            found |= {f"{key}.{name}": pair for name, pair in inner.items()}
        elif one[key] != other[key]:
            found[key] = (one[key], other[key])
    return found


def content_hash(document: Any) -> str:
    """SHA-256, in hexadecimal, of the canonical JSON of plain data."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def fingerprint(value: Any) -> str:
    """The first 16 hexadecimal digits of the `content_hash` of `value` as plain data."""
    return content_hash(to_plain(value))[:16]
