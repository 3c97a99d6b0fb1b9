"""Layers and variables of foreign models: as they are read, their shapes, what each became."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.errors import ConfigError
from pixelsieve.features import REGISTRY
from pixelsieve.importing.graph import Node
from pixelsieve.importing.quantizers import HEADS, Function, WeightGrid
from pixelsieve.importing.values import Variable, refused
from pixelsieve.networks.fixed_point import FixedPoint, Quantizer, exact_grid
from pixelsieve.networks.layers import Conv, Dense, Flatten, Layer, MaxPool, Shape

_CLASSES = 2
_POSITIVE = ("abs_z_global",)
_WITH_ROUNDING = frozenset({"quantized_bits", "quantized_relu"})


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a tensor: a feature or a layer's output, and what was done to it.

    `shape` is that of one cluster. `step` counts what was done, so that an output that is used
    before and after it is seen. `grid` is that of a rounded feature. What a pool or a flatten
    gives is `moved`.
    """

    source: str
    shape: Shape
    state: Literal["feature", "sum", "relu", "head", "moved"]
    step: int = 0
    grid: FixedPoint | None = None


Rounded = FixedPoint | Quantizer
"""A grid of all values of a layer, or one of each."""


@dataclass(slots=True)
class ReadLayer:
    """A layer with weights as stored (normalization folded in), its grids and its activation.

    `grids` are those of the kernel and the bias that are rounded. Without `has_bias` the biases
    are zeros; a fold gives it one.
    """

    layer: Dense | Conv
    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]
    has_bias: bool
    grids: dict[str, WeightGrid]
    relu: bool = False
    activation: Rounded | None = None
    step: int = 0

    @property
    def name(self) -> str:
        """The layer's name in the file."""
        return self.layer.name


@dataclass(frozen=True, slots=True)
class ReportRow:
    """A layer or a variable of the file: what it became, or why nobody needs it."""

    what: Literal["layer", "variable", "beside"]
    name: str
    used: bool
    note: str


@dataclass(slots=True)
class Mapped:
    """Layers of the network in order, its inputs with their grids, and the report.

    `taken` are the elements' own bits by feature or layer, of those that layers of HGQ2 take.
    """

    layers: dict[str, ReadLayer | MaxPool | Flatten] = field(default_factory=dict)
    input_widths: dict[str, int] = field(default_factory=dict)
    input_grids: dict[str, FixedPoint | None] = field(default_factory=dict)
    taken: dict[str, Quantizer | None] = field(default_factory=dict)
    rows: list[ReportRow] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def weighted(self) -> list[ReadLayer]:
        """The layers that have weights."""
        return [layer for layer in self.layers.values() if isinstance(layer, ReadLayer)]

    @property
    def grids(self) -> dict[str, WeightGrid]:
        """The file's own grids of weights by layer and variable."""
        return {
            f"{la.name} {what}": grid for la in self.weighted for what, grid in la.grids.items()
        }

    def weighted_layer(self, name: str) -> ReadLayer | None:
        """That layer, if it is one with weights."""
        found = self.layers.get(name)
        return found if isinstance(found, ReadLayer) else None

    def spec_layers(self) -> tuple[Layer, ...]:
        """Our layers."""
        return tuple(
            replace(layer.layer, relu=layer.relu) if isinstance(layer, ReadLayer) else layer
            for layer in self.layers.values()
        )


class Variables:
    """The variables of a file by layer and role; each may be taken once, and must be."""

    def __init__(self, variables: Sequence[Variable], where: str) -> None:
        self.where = where
        self.rows: list[ReportRow] = []
        self._left: dict[str, dict[str, Variable]] = {}
        for variable in variables:
            roles = self._left.setdefault(variable.layer, {})
            if variable.role in roles:
                msg = f"{where}: layer '{variable.layer}' has two variables '{variable.role}'"
                raise ConfigError(msg)
            roles[variable.role] = variable

    def take(self, node: Node, role: str, shape: Shape) -> NDArray[np.float32]:
        """The values, float32; raises `ConfigError` for what is missing, misshapen, not finite."""
        at = f"{self.where}: layer '{node.name}'"
        found = self._left.get(node.name, {}).pop(role, None)
        if found is None:
            raise refused(at, f"its variable '{role}' is missing; expected shape {shape}")
        if found.values.shape != shape:
            raise refused(at, f"'{found.path}' has shape {found.values.shape}; expected {shape}")
        values = found.values.astype(np.float32)
        if not np.isfinite(values).all():
            raise refused(at, f"'{found.path}' holds values that are not finite")
        self.rows.append(ReportRow("variable", found.path, used=True, note=role))
        return values

    def take_spread(self, node: Node, role: str, shape: Shape) -> NDArray[np.float32]:
        """The values spread to `shape` along axes of length 1; raise as `take` does."""
        found = self._left.get(node.name, {}).get(role)
        if found is None:
            return self.take(node, role, shape)
        own = found.values.shape
        values = self.take(node, role, own)
        own = own[len(own) - len(shape) :] if set(own[: -len(shape)]) <= {1} else own
        if len(own) != len(shape) or any(n not in (1, m) for n, m in zip(own, shape, strict=True)):
            at = f"{self.where}: layer '{node.name}'"
            raise refused(at, f"'{found.path}' has shape {found.values.shape}; expected {shape}")
        return np.broadcast_to(values.reshape(own), shape)

    def pass_over(self, node: Node, role: str, reason: str) -> None:
        """Name a variable that nobody needs, if it is there."""
        found = self._left.get(node.name, {}).pop(role, None)
        if found is not None:
            self.rows.append(ReportRow("beside", found.path, used=False, note=reason))

    def taken(self) -> list[ReportRow]:
        """Rows of what was taken since the last call."""
        rows, self.rows = self.rows, []
        return rows

    def require_none_left(self) -> None:
        """Raise `ConfigError` for a variable that was not taken."""
        for layer, roles in self._left.items():
            for variable in roles.values():
                raise refused(self.where, f"variable '{variable.path}' of '{layer}' has no use")


def apply_function(
    part: Part, layer: ReadLayer | None, function: Function, at: str
) -> tuple[Part, str]:
    """An activation or quantizer on `part`, the output of `layer` (None: a feature).

    Returns the new part and what was done, in words; the layer takes its relu and its rounding.
    Raises `ConfigError` naming `at` for what has no counterpart.
    """
    if part.state == "moved":
        msg = f"{at}: stands behind pooling or flattening; expected activations right after layers"
        raise ConfigError(msg)
    if layer is None:
        if part.grid is not None:
            raise refused(at, f"input '{part.source}' is rounded twice; expected one quantizer")
        grid = function.input(reaches_lowest=_reaches_lowest(part.source))
        return replace(part, grid=grid), f"rounds inputs to {grid}"
    if part.step != layer.step:
        raise refused(at, f"the output of layer '{layer.name}' has another activation already")
    if part.state == "sum" and function.name == "softmax" and part.shape == (_CLASSES,):
        _difference(layer)
        done = replace(part, shape=(1,), state="head")
        return done, "two classes: the logit is that of the second less that of the first"
    if part.state == "sum" and function.name in {"relu", "quantized_relu"}:
        layer.relu = True
    elif part.state != "relu" or function.name not in {"relu", *_WITH_ROUNDING}:
        return _head(part, layer, function, at), "left out: the logit is kept"
    note = f"relu of '{layer.name}'"
    if function.name != "relu":
        layer.activation = _rounding(layer, function, at)
        note = f"{note}, rounded to {told(layer.activation)}"
    layer.step += 1
    return replace(part, state="relu", step=layer.step), note


def _reaches_lowest(name: str) -> bool:
    """Return if a feature may be -1; of one that is not known yet, that is no reason."""
    feature = REGISTRY.get(name)
    return feature is not None and feature.logic in (None, "wiring") and name not in _POSITIVE


def _difference(layer: ReadLayer) -> None:
    """Make one logit of two; the softmax of the second is its sigmoid."""
    stored = {"kernel": layer.kernel, "bias": layer.bias}
    made = {}
    for name, values in stored.items():
        grid = layer.grids.get(name)
        used = values if grid is None else grid.used(values)
        made[name] = np.asarray(used[..., 1:].astype(np.float64) - used[..., :1], np.float32)
        if grid is not None:
            layer.grids[name] = WeightGrid(exact_grid(made[name]), shared=False)
    layer.kernel, layer.bias = made["kernel"], made["bias"]
    assert isinstance(layer.layer, Dense)
    layer.layer = replace(layer.layer, units=1)


def _rounding(layer: ReadLayer, function: Function, at: str) -> FixedPoint:
    """Grid of a hidden activation; behind a relu a signed grid has only its upper half."""
    if function.name == "quantized_bits":
        signed = function.weights(kernel=False)
        if signed.factor != 1 or signed.grid.bits - 1 < 1:
            raise refused(at, f"{function} on a hidden activation; expected alpha = 1")
        grid = FixedPoint(
            signed=False, bits=signed.grid.bits - 1, integer_bits=signed.grid.integer_bits
        )
    else:
        grid = function.activation()
    if layer.activation not in {None, grid}:
        raise refused(at, f"layer '{layer.name}' is rounded to {layer.activation}, then to {grid}")
    return grid


def _head(part: Part, layer: ReadLayer, function: Function, at: str) -> Part:
    known = HEADS | {"quantized_bits"} | (_WITH_ROUNDING if part.state == "head" else set())
    if len(layer.bias) != 1 or part.state == "relu" or function.name not in known:
        raise refused(
            at,
            f"'{function.name}' on layer '{layer.name}' is not supported; expected relu or "
            "quantized_relu, behind the logit at the end a sigmoid or tanh, or a softmax of two",
        )
    function.require_never_falls()
    return replace(part, state="head")


def fold_normalization(
    layer: ReadLayer,
    gamma: NDArray[np.float32],
    beta: NDArray[np.float32],
    mean: NDArray[np.float32],
    variance: NDArray[np.float32],
    epsilon: float,
) -> None:
    """Put batch normalization (each (units,)) into kernel and bias, in float32 as QKeras does.

    The layer has a bias from then on, which stays a float one if `grids` has none for it.
    """
    inverse = np.float32(1) / np.sqrt(variance + np.float32(epsilon)) * gamma
    layer.kernel = inverse * layer.kernel
    layer.bias = inverse * (layer.bias - mean) + beta
    layer.has_bias = True


@np.errstate(all="ignore")
def fold_exactly(
    layer: ReadLayer,
    gamma: NDArray[np.float32],
    beta: NDArray[np.float32],
    mean: NDArray[np.float32],
    variance: NDArray[np.float32],
    epsilon: float,
    at: str,
) -> None:
    """Put batch normalization into the rounded weights of a layer, behind their rounding.

    Raise `ConfigError` naming `at` unless each scale is a power of two and each offset short.
    """
    deviation = np.sqrt((variance + np.float32(epsilon)).astype(np.float64))
    scale = gamma.astype(np.float64) / deviation
    powers = np.isin(np.abs(np.frexp(scale)[0]), (0, 0.5))
    if not powers.all():
        wrong = scale[~powers][0]
        raise refused(
            at,
            f"scales the quantized layer '{layer.name}' by {wrong:.6g}, no power of two, so that "
            "its weights leave every grid; train with QDenseBatchnorm or QConv2DBatchnorm, or "
            "without normalization",
        )
    stored = {"kernel": layer.kernel, "bias": layer.bias}
    used = {n: layer.grids[n].used(v) if n in layer.grids else v for n, v in stored.items()}
    offset = (beta - mean * scale.astype(np.float32)).astype(np.float64)
    made = {"kernel": used["kernel"] * scale, "bias": used["bias"] * scale + offset}
    for name, values in made.items():
        if not np.isfinite(values).all():
            raise refused(at, f"gives the layer '{layer.name}' a {name} that is not finite")
        grid = exact_grid(values)
        if grid.bits > _EXACT_BITS:
            raise refused(
                at,
                f"gives the quantized layer '{layer.name}' a {name} of {grid.bits} bits, which "
                f"float32 rounds; expected at most {_EXACT_BITS}",
            )
        layer.grids[name] = WeightGrid(grid, shared=False)
    layer.kernel, layer.bias = (made[n].astype(np.float32) for n in ("kernel", "bias"))
    layer.has_bias = True


def told(one: Rounded) -> str:
    """Return a grid, or the bits of several, in words."""
    if isinstance(one, FixedPoint):
        return str(one)
    return f"{min(one.bits)} to {max(one.bits)} bits by element"


_EXACT_BITS = 24
_PAIR = 2
_LARGEST_RANK = 3


def input_shape(node: Node, where: str) -> Shape:
    """Shape of one cluster at an input layer: numbers, or rows and columns (and one channel)."""
    shape = node.config.get("batch_shape", node.config.get("batch_input_shape"))
    inner = shape[1:] if isinstance(shape, (list, tuple)) else ()
    if not 1 <= len(inner) <= _LARGEST_RANK or not all(_is_size(size) for size in inner):
        raise refused(
            where,
            f"input '{node.name}' has shape {shape}; expected [null, numbers] or "
            "[null, rows, columns, 1]",
        )
    return tuple(inner)


def target_shape(node: Node, source: Shape, at: str) -> Shape:
    """Return the shape after a `Reshape`; raise `ConfigError` for another number of values."""
    wanted = node.config.get("target_shape")
    sizes = list(wanted) if isinstance(wanted, (list, tuple)) else []
    if sizes.count(-1) == 1 and all(_is_size(size) for size in sizes if size != -1):
        rest = prod(size for size in sizes if size != -1)
        sizes[sizes.index(-1)] = prod(source) // rest
    if not all(_is_size(size) for size in sizes) or prod(sizes) != prod(source) or not sizes:
        raise refused(at, f"makes {wanted} of {source}; expected as many numbers")
    return tuple(sizes)


def kernel_size(node: Node, at: str) -> tuple[int, int]:
    """Rows and columns of a convolution that moves by one pixel, else `ConfigError`."""
    config = node.config
    for name in ("strides", "dilation_rate"):
        if _pair(config.get(name, 1)) != (1, 1):
            raise refused(at, f"{name} is {config[name]}; expected 1")
    if config.get("groups", 1) != 1 or config.get("mask") is not None:
        raise refused(at, "groups or a mask; expected a plain convolution")
    if config.get("padding") not in ("same", "valid"):
        raise refused(at, f"padding is {config.get('padding')!r}; expected 'same' or 'valid'")
    require_channels_last(node, at)
    return _size(config.get("kernel_size"), "kernel_size", at)


def pool_size(node: Node, at: str) -> tuple[int, int]:
    """Rows and columns of pools that do not overlap, else `ConfigError`."""
    config = node.config
    size = _size(config.get("pool_size"), "pool_size", at)
    if config.get("strides") is not None and _pair(config["strides"]) != size:
        raise refused(at, f"strides are {config['strides']}; expected pools that do not overlap")
    if config.get("padding", "valid") != "valid":
        raise refused(at, f"padding is {config['padding']!r}; expected 'valid'")
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
        raise refused(at, f"{name} is {value!r}; expected rows and columns")
    return pair


def _pair(value: Any) -> tuple[int, int] | None:
    pair = [value, value] if _is_size(value) else value
    if isinstance(pair, (list, tuple)) and len(pair) == _PAIR and all(map(_is_size, pair)):
        return pair[0], pair[1]
    return None


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value < 1 << 24
