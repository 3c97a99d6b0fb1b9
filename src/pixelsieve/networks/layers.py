"""Layers of a network as data: what each takes, gives and learns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pixelsieve.core.errors import ConfigError

Shape = tuple[int, ...]
"""Of one cluster: (size,) of a vector, (rows, columns, channels) of an image."""

_NAME = re.compile(r"\w[\w-]*", re.ASCII)
_IMAGE = 3


@dataclass(frozen=True, slots=True)
class Dense:
    """A dense layer on the concatenation of `inputs` (features or earlier layers, in order)."""

    name: str
    units: int
    inputs: tuple[str, ...]
    relu: bool = True
    kind: Literal["dense"] = field(default="dense", kw_only=True)

    def __post_init__(self) -> None:
        _check(self.name, self.inputs, {"units": (self.units,)})

    def output(self, sources: Sequence[Shape]) -> Shape:
        """Shape of the output; raises `ConfigError` where an input is an image."""
        for name, shape in zip(self.inputs, sources, strict=True):
            if len(shape) == _IMAGE:
                msg = f"its input '{name}' is an image of {_times(shape)}; put a flatten between"
                raise ConfigError(msg)
        return (self.units,)

    def variables(self, sources: Sequence[Shape]) -> Mapping[str, Shape]:
        """Shapes of what it learns, by variable name."""
        return {"kernel": (sum(s[0] for s in sources), self.units), "bias": (self.units,)}


@dataclass(frozen=True, slots=True)
class Conv:
    """A convolution over images of equal rows and columns, joined along their channels.

    `kernel_size` are rows and columns. The window moves by one pixel; `same` pads with zeros so
    that the image keeps its size, `valid` takes only windows that lie inside.
    """

    name: str
    filters: int
    kernel_size: tuple[int, int]
    inputs: tuple[str, ...]
    relu: bool = True
    padding: Literal["same", "valid"] = "same"
    kind: Literal["conv"] = field(default="conv", kw_only=True)

    def __post_init__(self) -> None:
        _check(self.name, self.inputs, {"filters": (self.filters,)})
        _check_pair(self.name, "kernel_size", self.kernel_size)

    def output(self, sources: Sequence[Shape]) -> Shape:
        """Shape of the output; raises `ConfigError` for vectors and images that do not fit."""
        rows, columns = _image(self.inputs, sources, self.kernel_size)
        if self.padding == "valid":
            rows, columns = rows - self.kernel_size[0] + 1, columns - self.kernel_size[1] + 1
        return (rows, columns, self.filters)

    def variables(self, sources: Sequence[Shape]) -> Mapping[str, Shape]:
        """Shapes of what it learns, by variable name."""
        channels = sum(s[2] for s in sources)
        return {"kernel": (*self.kernel_size, channels, self.filters), "bias": (self.filters,)}


@dataclass(frozen=True, slots=True)
class MaxPool:
    """The largest of every `pool_size` (rows, columns) pixels, without overlap, in each channel.

    Rows and columns that do not fill a last pool are left out.
    """

    name: str
    pool_size: tuple[int, int]
    inputs: tuple[str, ...]
    kind: Literal["max_pool"] = field(default="max_pool", kw_only=True)

    def __post_init__(self) -> None:
        _check(self.name, self.inputs, {})
        _check_pair(self.name, "pool_size", self.pool_size)

    def output(self, sources: Sequence[Shape]) -> Shape:
        """Shape of the output; raises `ConfigError` for vectors and images that do not fit."""
        rows, columns = _image(self.inputs, sources, self.pool_size)
        channels = sum(s[2] for s in sources)
        return (rows // self.pool_size[0], columns // self.pool_size[1], channels)

    def variables(self, sources: Sequence[Shape]) -> Mapping[str, Shape]:  # noqa: ARG002 (as the others)
        """Nothing: it learns nothing."""
        return {}


@dataclass(frozen=True, slots=True)
class Flatten:
    """Images as one vector: row by row, in each column by column, in each the channels."""

    name: str
    inputs: tuple[str, ...]
    kind: Literal["flatten"] = field(default="flatten", kw_only=True)

    def __post_init__(self) -> None:
        _check(self.name, self.inputs, {})

    def output(self, sources: Sequence[Shape]) -> Shape:
        """Shape of the output; raises `ConfigError` for images that cannot be joined."""
        rows, columns = _image(self.inputs, sources, (1, 1))
        return (rows * columns * sum(s[2] for s in sources),)

    def variables(self, sources: Sequence[Shape]) -> Mapping[str, Shape]:  # noqa: ARG002 (as the others)
        """Nothing: it learns nothing."""
        return {}


Layer = Dense | Conv | MaxPool | Flatten


def _check(name: str, inputs: tuple[str, ...], sizes: Mapping[str, Sequence[int]]) -> None:
    if not _NAME.fullmatch(name):
        msg = f"layer '{name}': expected a name of letters, digits, '_' and '-'"
        raise ConfigError(msg)
    if not inputs:
        msg = f"layer '{name}': inputs is empty; expected features or earlier layers"
        raise ConfigError(msg)
    for what, values in sizes.items():
        if min(values) < 1:
            msg = f"layer '{name}': {what} is {_times(tuple(values))}; expected at least 1"
            raise ConfigError(msg)


def _check_pair(name: str, what: str, values: tuple[int, ...]) -> None:
    if len(values) != 2 or min(values) < 1:  # noqa: PLR2004 (rows and columns)
        msg = f"layer '{name}': {what} is {list(values)}; expected rows and columns, e.g. [3, 5]"
        raise ConfigError(msg)


def _image(
    names: Sequence[str], sources: Sequence[Shape], smallest: tuple[int, int]
) -> tuple[int, int]:
    """Rows and columns that all sources share."""
    for name, shape in zip(names, sources, strict=True):
        if len(shape) != _IMAGE:
            msg = f"its input '{name}' is a vector of {shape[0]}; expected an image"
            raise ConfigError(msg)
        if shape[:2] != sources[0][:2]:
            msg = f"its inputs are images of {_times(sources[0])} and {_times(shape)}"
            raise ConfigError(msg)
    rows, columns = sources[0][:2]
    if rows < smallest[0] or columns < smallest[1]:
        msg = f"{_times(smallest)} pixels do not fit its input of {_times((rows, columns))}"
        raise ConfigError(msg)
    return rows, columns


def _times(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
