"""Shapes of inputs and images in the settings of foreign layers."""

from __future__ import annotations

from math import prod
from typing import Any

from pixelsieve.errors import ConfigError
from pixelsieve.layers import Shape
from pixelsieve.model_import.graph import Node

__all__ = ["input_shape", "kernel_size", "pool_size", "require_channels_last", "target_shape"]

_PAIR = 2
_LARGEST_RANK = 3


def input_shape(node: Node, where: str) -> Shape:
    """Shape of one cluster at an input layer: numbers, or rows and columns (and one channel)."""
    shape = node.config.get("batch_shape", node.config.get("batch_input_shape"))
    inner = shape[1:] if isinstance(shape, (list, tuple)) else ()
    if not 1 <= len(inner) <= _LARGEST_RANK or not all(_is_size(size) for size in inner):
        msg = (
            f"{where}: input '{node.name}' has shape {shape}; expected [null, numbers] or "
            "[null, rows, columns, 1]"
        )
        raise ConfigError(msg)
    return tuple(inner)


def target_shape(node: Node, source: Shape, at: str) -> Shape:
    """What a `Reshape` makes of a feature; raises `ConfigError` for other numbers of values."""
    wanted = node.config.get("target_shape")
    sizes = list(wanted) if isinstance(wanted, (list, tuple)) else []
    if sizes.count(-1) == 1 and all(_is_size(size) for size in sizes if size != -1):
        rest = prod(size for size in sizes if size != -1)
        sizes[sizes.index(-1)] = prod(source) // rest
    if not all(_is_size(size) for size in sizes) or prod(sizes) != prod(source) or not sizes:
        msg = f"{at}: makes {wanted} of {source}; expected as many numbers"
        raise ConfigError(msg)
    return tuple(sizes)


def kernel_size(node: Node, at: str) -> tuple[int, int]:
    """Rows and columns of a convolution that moves by one pixel, else `ConfigError`."""
    config = node.config
    for name in ("strides", "dilation_rate"):
        if _pair(config.get(name, 1)) != (1, 1):
            msg = f"{at}: {name} is {config[name]}; expected 1"
            raise ConfigError(msg)
    if config.get("groups", 1) != 1 or config.get("mask") is not None:
        msg = f"{at}: groups or a mask; expected a plain convolution"
        raise ConfigError(msg)
    if config.get("padding") not in ("same", "valid"):
        msg = f"{at}: padding is {config.get('padding')!r}; expected 'same' or 'valid'"
        raise ConfigError(msg)
    require_channels_last(node, at)
    return _size(config.get("kernel_size"), "kernel_size", at)


def pool_size(node: Node, at: str) -> tuple[int, int]:
    """Rows and columns of pools that do not overlap, else `ConfigError`."""
    config = node.config
    size = _size(config.get("pool_size"), "pool_size", at)
    if config.get("strides") is not None and _pair(config["strides"]) != size:
        msg = f"{at}: strides are {config['strides']}; expected pools that do not overlap"
        raise ConfigError(msg)
    if config.get("padding", "valid") != "valid":
        msg = f"{at}: padding is {config['padding']!r}; expected 'valid'"
        raise ConfigError(msg)
    require_channels_last(node, at)
    return size


def require_channels_last(node: Node, at: str) -> None:
    """Raise `ConfigError` for a layer that takes the rows of an image for its channels."""
    if node.config.get("data_format") not in (None, "channels_last"):
        msg = f"{at}: data_format is {node.config['data_format']!r}; expected 'channels_last'"
        raise ConfigError(msg)


def _size(value: Any, name: str, at: str) -> tuple[int, int]:
    pair = _pair(value)
    if pair is None:
        msg = f"{at}: {name} is {value!r}; expected rows and columns"
        raise ConfigError(msg)
    return pair


def _pair(value: Any) -> tuple[int, int] | None:
    pair = [value, value] if _is_size(value) else value
    if isinstance(pair, (list, tuple)) and len(pair) == _PAIR and all(map(_is_size, pair)):
        return pair[0], pair[1]
    return None


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value < 1 << 24
