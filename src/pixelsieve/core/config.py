"""Frozen dataclasses to and from plain data: strict keys, one canonical hash."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pixelsieve.core.errors import ConfigError, nearest

T = TypeVar("T")

Document = dict[str, Any]
"""A JSON object or TOML table as it is on disk, before its values have types."""

_LARGEST_TOML = 1 << 22
_MOST_DOTS = 100
_DOT = re.compile(r"""[\w"'-][ \t]*\.(?=[ \t]*[\w"'-])""")
_BETWEEN_KEYS = re.compile(r"[,\n\[\]{}=#]")


def require_between(owner: object, name: str, low: float, high: float) -> None:
    """Raise `ConfigError` if the number `owner.name` is not in [low, high]; None passes."""
    value = getattr(owner, name)
    if value is not None and not low <= value <= high:
        msg = f"'{name}' is {value:g}; expected {low:g} to {high:g}"
        raise ConfigError(msg)


def require_above_0(owner: object, *names: str) -> None:
    """Raise `ConfigError` if one of these numbers of `owner` is not above 0, or infinite."""
    for name in names:
        value = getattr(owner, name)
        if not 0 < value < math.inf:
            msg = f"'{name}' is {value:g}; expected a number above 0"
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


_READ_AS: dict[Any, Any] = {tuple: (list, tuple), list: (list, tuple), dict: Mapping}


def read_toml(path: Path) -> Document:
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


def from_mapping(cls: type[T], mapping: Any, where: str, *, strict: bool = True) -> T:
    """Build the dataclass `cls` from plain data.

    Unknown keys, missing keys and values of the wrong type raise `ConfigError`, which names
    `where`, the key, what was expected and the nearest known key. Unless `strict`, unknown keys
    are left out, for files that another version wrote.
    """
    if not isinstance(mapping, Mapping):
        msg = f"{where}: expected a table"
        raise ConfigError(msg)
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}  # type: ignore[arg-type]
    _require_keys(fields, mapping, where, strict=strict)
    hints = typing.get_type_hints(cls)
    values = {
        n: _convert(mapping[n], hints[n], f"{where}: '{n}'", strict) for n in fields if n in mapping
    }
    try:
        return cls(**values)
    except ConfigError as error:
        msg = f"{where}: {error}"
        raise ConfigError(msg) from error


def _require_keys(
    fields: Mapping[str, dataclasses.Field[Any]],
    mapping: Mapping[str, Any],
    where: str,
    *,
    strict: bool,
) -> None:
    for key in mapping if strict else ():
        if key not in fields:
            known = ", ".join(sorted(fields))
            msg = f"{where}: unknown key '{key}'{nearest(key, fields)}; known: {known}"
            raise ConfigError(msg)
    for name, field in fields.items():
        optional = (field.default, field.default_factory) != (dataclasses.MISSING,) * 2
        if name not in mapping and not optional:
            msg = f"{where}: missing key '{name}'"
            raise ConfigError(msg)


def _convert(value: Any, hint: Any, where: str, strict: bool) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return _choice(value, args, where)
    if origin in (types.UnionType, typing.Union):
        if type(None) in args and (value is None or value == "none"):  # TOML has no null
            return None
        inner = [a for a in args if a is not type(None)]
        return _convert(value, _kind(inner, value, where), where, strict)
    if origin in (tuple, list, dict) and isinstance(value, _READ_AS[origin]):
        return _convert_all(value, origin, args, where, strict)
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return from_mapping(typing.cast("type[Any]", hint), value, where, strict=strict)
    return _scalar(value, hint, _WORDS.get(origin or hint, "something else"), where)


def _choice(value: Any, known: tuple[Any, ...], where: str) -> Any:
    if value in known:
        return value
    near, expected = nearest(str(value), map(str, known)), ", ".join(map(repr, known))
    msg = f"{where} is {value!r}{near}; expected one of {expected}"
    raise ConfigError(msg)


def _scalar(value: Any, hint: Any, expected: str, where: str) -> Any:
    boolean = isinstance(value, bool)
    if hint is float and isinstance(value, int) and not boolean:
        return _float(value, where)
    if hint is Any or (
        isinstance(hint, type) and isinstance(value, hint) and not (boolean and hint is int)
    ):
        return value
    msg = f"{where} is {value!r}; expected {expected}"
    raise ConfigError(msg)


def _convert_all(value: Any, kind: Any, args: Sequence[Any], where: str, strict: bool) -> Any:
    if kind is dict:
        return {str(k): _convert(v, args[1], f"{where}, '{k}'", strict) for k, v in value.items()}
    return kind(_convert(v, args[0], _where_in(where, i, v), strict) for i, v in enumerate(value))


def _float(value: int, where: str) -> float:
    try:
        return float(value)
    except OverflowError as error:
        msg = f"{where} is a number of {value.bit_length()} bits; expected a smaller one"
        raise ConfigError(msg) from error


def _where_in(where: str, index: int, value: Any) -> str:
    """Name one of a list of tables; a number among numbers needs no name."""
    return f"{where}, number {index + 1}" if isinstance(value, Mapping) else where


def _kind(classes: Sequence[Any], value: Any, where: str) -> Any:
    """Return which class of a union `value` is; of dataclasses the one of its `kind`.

    The first by default.
    """
    if len(classes) == 1 or not isinstance(value, Mapping):
        return next((c for c in classes if type(value) is c), classes[0])
    kinds = {str(f.default): c for c in classes for f in dataclasses.fields(c) if f.name == "kind"}
    kind = str(value.get("kind", next(iter(kinds))))
    if kind not in kinds:
        msg = f"{where}: 'kind' is {kind!r}{nearest(kind, kinds)}; expected {' or '.join(kinds)}"
        raise ConfigError(msg)
    return kinds[kind]


_FLOATS = {"float", "float | None"}


def to_plain(value: Any) -> Any:
    """Turn dataclasses, tuples, paths and NumPy scalars into what JSON can hold.

    A whole number in a field of floats becomes one, so that 40 and 40.0 have the same hash.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        plain = {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        floats = (f.name for f in dataclasses.fields(value) if f.type in _FLOATS)
        return plain | {name: float(plain[name]) for name in floats if type(plain[name]) is int}
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
    """Return how two values differ as plain data: dotted key to (ours, theirs), of keys in both."""
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
