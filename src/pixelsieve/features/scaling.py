"""How an imported model's inputs were scaled: divisors, logarithms and limits of its own."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.config import from_mapping, read_toml, to_plain
from pixelsieve.core.errors import ConfigError, nearest
from pixelsieve.features.registry import REGISTRY

_FAMILY = "family"

_ABOUT = 1.05
"""The registry cuts so near the ends of usual ranges too: y_local reaches 8.525 mm / 8.5."""


@dataclass(frozen=True, slots=True)
class Scale:
    """The way from a feature to an input, as stated: log, / divisor, limits from `low` to `high`.

    With `logarithm` sign(v) log2(1 + |v|) is taken of the feature v, which for a profile is the
    second one. None is no limit. Raise `ConfigError` for numbers that are no scaling.
    """

    feature: str
    divisor: float
    logarithm: bool = False
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if self.feature not in REGISTRY:
            known = f"{nearest(self.feature, REGISTRY)}; known: {', '.join(REGISTRY)}"
            msg = f"unknown feature '{self.feature}'{known}"
            raise ConfigError(msg)
        if not 0 < self.divisor < math.inf:
            msg = f"feature '{self.feature}': divisor is {self.divisor:g}; expected above 0, finite"
            raise ConfigError(msg)
        limits = [one for one in (self.low, self.high) if one is not None]
        if not all(map(math.isfinite, limits)) or limits != sorted(set(limits)):
            msg = f"feature '{self.feature}': low {self.low}, high {self.high}; expected low < high"
            raise ConfigError(msg)

    def __str__(self) -> str:
        """Return e.g. `x_size / 21`, `log2(1 + x_profile) / 8.071, 0 to 1`."""
        return self.of(self.feature)

    def of(self, value: str) -> str:
        """Return the same of a value in words."""
        inner = f"log2(1 + {value})" if self.logarithm else value
        limits = ""
        if self.low is not None or self.high is not None:
            ends = (self.low, self.high)
            low, high = ("" if end is None else _number(end) for end in ends)
            limits = f", {low} to {high}" if low and high else f", from {low}" if low else ""
            limits = limits or f", up to {high}"
        return f"{inner} / {_number(self.divisor)}{limits}"

    def scaled(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Return the inputs of unscaled values, computed in float64 as the field does."""
        values = np.asarray(values, np.float64)
        if self.logarithm:
            values = np.sign(values) * np.log1p(np.abs(values)) / math.log(2)
        values = values / self.divisor
        if self.low is not None or self.high is not None:
            values = np.clip(values, self.low, self.high)
        return values.astype(np.float32)

    def doublings(self) -> int:
        """Return how often the divisor is to be doubled for the usual range to end at about 1."""
        low, high = np.abs(self.scaled(np.array(REGISTRY[self.feature].usual_range)))
        return math.ceil(math.log2(max(float(low), float(high), 1.0) / _ABOUT))

    def times(self, factor: float) -> Scale:
        """Return the scale of inputs that are smaller by this factor."""
        low, high = (None if end is None else end / factor for end in (self.low, self.high))
        return replace(self, divisor=self.divisor * factor, low=low, high=high)


def _number(value: float) -> str:
    return repr(float(value)).removesuffix(".0")


_PLACES = (
    Scale("x_size", 21),
    Scale("y_size", 13),
    Scale("y_local", 8.5),
    Scale("z_global", 65),
    Scale("module_number", 5),
    Scale("x_local", 13),
    Scale("n_pixels", 1),
    Scale("hit_time_30ps", 1),
    Scale("hit_time_60ps", 1),
)

FAMILIES: Mapping[str, tuple[Scale, ...]] = MappingProxyType(
    {
        "field": (
            *_PLACES,
            Scale("log_charges", 1),
            Scale("x_profile", 1, logarithm=True),
            Scale("y_profile", 1, logarithm=True),
        ),
        "field-normalized": (
            *_PLACES,
            Scale("log_charges", 18.025, low=0, high=1),
            Scale("x_profile", 8.071, logarithm=True, low=0, high=1),
            Scale("y_profile", 8.781, logarithm=True, low=0, high=1),
        ),
        "field-one-log": (
            *_PLACES,
            Scale("log_charges", 1),
            Scale("x_profile", 1),
            Scale("y_profile", 1),
        ),
    }
)
"""Scalings of the field's record families by name: OptimizedDataGenerator4* as of 2026, that of
`generate_all_batches_normalized.py`, and profiles of before the second logarithm."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What is said about a model's scaling: that of a family, and features of its own.

    `scales` stand in place of the family's.
    """

    family: str | None = None
    scales: tuple[Scale, ...] = ()

    def __post_init__(self) -> None:
        if self.family is not None and self.family not in FAMILIES:
            known = f"{nearest(self.family, FAMILIES)}; known: {', '.join(FAMILIES)}"
            msg = f"--scaling: unknown family '{self.family}'{known}, or a TOML file"
            raise ConfigError(msg)

    def of(self, names: Sequence[str], where: str) -> tuple[Scale, ...]:
        """Return the scales of a model with these inputs, those that are stated.

        Raise `ConfigError` for a feature that is no input, and for an input of which the family
        says nothing.
        """
        own = {one.feature: one for one in self.scales}
        for name in own:
            if name not in names:
                msg = (
                    f"{where}: --divide or --scaling: '{name}' is no input of it"
                    f"{nearest(name, names)}; its inputs: {', '.join(names)}"
                )
                raise ConfigError(msg)
        family = {one.feature: one for one in FAMILIES.get(self.family or "", ())}
        for name in names if self.family else ():
            if name not in {**family, **own}:
                msg = (
                    f"{where}: --scaling {self.family}: says nothing of '{name}'; add "
                    f"--divide {name}=NUMBER"
                )
                raise ConfigError(msg)
        stated = {**family, **own}
        return tuple(stated[name] for name in names if name in stated)


def statement(
    divide: str | Sequence[str] | Mapping[str, float] | None,
    scaling: str | Path | Mapping[str, Any] | None,
) -> Statement:
    """Return what divisors (`x_size=21,y_size=13`) and a family, a TOML file or its table say.

    A divisor stands in place of the one that `scaling` has. Raise `ConfigError` for what cannot be.
    """
    found = _read(scaling)
    scales = {one.feature: one for one in found.scales}
    family = {one.feature: one for one in FAMILIES.get(found.family or "", ())}
    for name, divisor in _divisors(divide):
        base = scales.get(name, family.get(name))
        settings = {} if base is None else to_plain(base)
        scales[name] = from_mapping(
            Scale, {**settings, "feature": name, "divisor": divisor}, "--divide"
        )
    return replace(found, scales=tuple(scales.values()))


def _divisors(
    divide: str | Sequence[str] | Mapping[str, float] | None,
) -> Iterable[tuple[str, float]]:
    if isinstance(divide, Mapping):
        return divide.items()
    several = [divide] if isinstance(divide, str) else divide or ()
    found = {}
    for part in (part.strip() for one in several for part in one.split(",")):
        name, _, text = (word.strip() for word in part.partition("="))
        try:
            divisor = float(text)
        except ValueError as error:
            msg = f"--divide: '{part}'; expected FEATURE=NUMBER, such as x_size=21"
            raise ConfigError(msg) from error
        if name in found:
            msg = f"--divide: '{name}' twice; expected each feature once"
            raise ConfigError(msg)
        found[name] = divisor
    return found.items()


def _read(scaling: str | Path | Mapping[str, Any] | None) -> Statement:
    if scaling is None:
        return Statement()
    if isinstance(scaling, Mapping):
        return _from_table(scaling, "scaling")
    path = Path(scaling)
    if path.suffix.lower() != ".toml":
        return Statement(str(scaling))
    return _from_table(read_toml(path), str(path))


def _from_table(table: Mapping[str, Any], where: str) -> Statement:
    family = table.get(_FAMILY)
    if not isinstance(family, str | None):
        msg = f"{where}: '{_FAMILY}' is {family!r}; expected one of {', '.join(FAMILIES)}"
        raise ConfigError(msg)
    own = {name: one for name, one in table.items() if name != _FAMILY}
    try:
        return Statement(family, tuple(_scale(name, one, where) for name, one in own.items()))
    except ConfigError as error:
        if str(error).startswith(where):
            raise
        msg = f"{where}: {error}"
        raise ConfigError(msg) from error


def _scale(name: str, settings: Any, where: str) -> Scale:
    """Return the scale of a table, or of a number, which is its divisor."""
    if isinstance(settings, int | float) and not isinstance(settings, bool):
        settings = {"divisor": settings}
    if not isinstance(settings, Mapping):
        msg = f"{where}: '{name}' is {settings!r}; expected a divisor or a table with 'divisor'"
        raise ConfigError(msg)
    if "feature" in settings:
        msg = f"{where}: '{name}': unknown key 'feature'; the table's name says it"
        raise ConfigError(msg)
    return from_mapping(Scale, {"feature": name, **settings}, where)
