"""A layer as it stands in a foreign file, and the stretches of tensors between layers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pixelsieve.errors import ConfigError
from pixelsieve.fixed_point import FixedPoint
from pixelsieve.layers import Conv, Dense, Shape
from pixelsieve.model_import.quantizers import HEADS, Function, WeightGrid

__all__ = ["Part", "ReadLayer", "apply_function", "fold_normalization"]

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


@dataclass(slots=True)
class ReadLayer:
    """A layer with weights as stored (normalization folded in), its grids and its activation.

    Without `has_bias` the biases are zeros; a fold gives it one.
    """

    layer: Dense | Conv
    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]
    has_bias: bool
    kernel_grid: WeightGrid | None
    bias_grid: WeightGrid | None
    relu: bool = False
    activation: FixedPoint | None = None
    step: int = 0

    @property
    def name(self) -> str:
        """The layer's name in the file."""
        return self.layer.name


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
            msg = f"{at}: input '{part.source}' is rounded twice; expected one quantizer"
            raise ConfigError(msg)
        grid = function.input()
        return replace(part, grid=grid), f"rounds inputs to {grid}"
    if part.step != layer.step:
        msg = f"{at}: the output of layer '{layer.name}' has another activation already"
        raise ConfigError(msg)
    if part.state == "sum" and function.name in {"relu", "quantized_relu"}:
        layer.relu = True
    elif part.state != "relu" or function.name not in {"relu", *_WITH_ROUNDING}:
        return _head(part, layer, function, at), "left out: the logit is kept"
    note = f"relu of '{layer.name}'"
    if function.name != "relu":
        layer.activation = _rounding(layer, function, at)
        note = f"{note}, rounded to {layer.activation}"
    layer.step += 1
    return replace(part, state="relu", step=layer.step), note


def _rounding(layer: ReadLayer, function: Function, at: str) -> FixedPoint:
    """Grid of a hidden activation; behind a relu a signed grid has only its upper half."""
    if function.name == "quantized_bits":
        signed = function.weights(kernel=False)
        if signed.factor != 1 or signed.grid.bits - 1 < 1:
            msg = f"{at}: {function} on a hidden activation; expected alpha = 1"
            raise ConfigError(msg)
        grid = FixedPoint(
            signed=False, bits=signed.grid.bits - 1, integer_bits=signed.grid.integer_bits
        )
    else:
        grid = function.activation()
    if layer.activation not in {None, grid}:
        msg = f"{at}: layer '{layer.name}' is rounded to {layer.activation}, then to {grid}"
        raise ConfigError(msg)
    return grid


def _head(part: Part, layer: ReadLayer, function: Function, at: str) -> Part:
    known = HEADS | {"quantized_bits"} | (_WITH_ROUNDING if part.state == "head" else set())
    if len(layer.bias) != 1 or part.state == "relu" or function.name not in known:
        msg = (
            f"{at}: '{function.name}' on layer '{layer.name}' is not supported; expected relu or "
            "quantized_relu, and a sigmoid or tanh behind the one logit at the end"
        )
        raise ConfigError(msg)
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

    The layer has a bias from then on, which stays a float one where `bias_grid` is None.
    """
    inverse = np.float32(1) / np.sqrt(variance + np.float32(epsilon)) * gamma
    layer.kernel = inverse * layer.kernel
    layer.bias = inverse * (layer.bias - mean) + beta
    layer.has_bias = True
