"""The walk over a foreign graph: every layer and variable becomes ours, or it is an error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pixelsieve.errors import ConfigError
from pixelsieve.features import REGISTRY
from pixelsieve.fixed_point import FixedPoint
from pixelsieve.model_import.graph import Graph, Node
from pixelsieve.model_import.quantizers import HEADS, Function, WeightGrid, read_function
from pixelsieve.model_import.report import ReportRow
from pixelsieve.model_import.stored import StoredModel, Variable

__all__ = ["DenseLayer", "Mapped", "map_graph"]

State = Literal["feature", "sum", "relu", "head"]


@dataclass(frozen=True, slots=True)
class _Part:
    """A stretch of a tensor: a feature or a layer's output, and what was done to it.

    `step` counts what was done, so that an output used before and after it is seen.
    """

    source: str
    width: int
    state: State
    step: int = 0
    grid: FixedPoint | None = None


@dataclass(slots=True)
class DenseLayer:
    """A dense layer as read: weights as stored (batch normalization folded), and its grids."""

    name: str
    inputs: tuple[str, ...]
    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]
    kernel_grid: WeightGrid | None
    bias_grid: WeightGrid | None
    has_bias: bool
    relu: bool = False
    activation: FixedPoint | None = None
    step: int = 0


@dataclass(slots=True)
class Mapped:
    """The network of a file: dense layers in order, the input grids it has, and the report."""

    layers: dict[str, DenseLayer] = field(default_factory=dict)
    input_grids: dict[str, FixedPoint | None] = field(default_factory=dict)
    rows: list[ReportRow] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def map_graph(
    graph: Graph, stored: StoredModel, features: Mapping[str, tuple[str, ...]], where: str
) -> Mapped:
    """Map `graph` with its variables; `features` are those of each input.

    Raises `ConfigError` naming `where` and the layer for whatever has no exact counterpart.
    """
    walk = _Walk(graph, stored, features, where)
    for node in graph.nodes:
        walk.take(node)
    walk.finish()
    return walk.mapped


class _Walk:
    def __init__(
        self,
        graph: Graph,
        stored: StoredModel,
        features: Mapping[str, tuple[str, ...]],
        where: str,
    ) -> None:
        self.graph, self.features, self.where = graph, features, where
        self.mapped = Mapped()
        self.tensors: dict[str, tuple[_Part, ...]] = {}
        self.consumed: list[_Part] = []
        self.variables: dict[str, dict[str, Variable]] = {}
        for variable in stored.variables:
            roles = self.variables.setdefault(variable.layer, {})
            if variable.role in roles:
                msg = f"{where}: layer '{variable.layer}' has two variables '{variable.role}'"
                raise ConfigError(msg)
            roles[variable.role] = variable
        self.beside = stored.beside

    def take(self, node: Node) -> None:
        kinds: dict[str, Callable[[Node], str]] = {
            "InputLayer": self._input,
            "Concatenate": self._concatenate,
            "Dense": self._dense,
            "QDense": self._dense,
            "BatchNormalization": self._batch_normalization,
            "Activation": self._activation,
            "QActivation": self._activation,
            "ReLU": self._relu,
            "Dropout": self._training_only,
            "GaussianNoise": self._training_only,
            "GaussianDropout": self._training_only,
            "Flatten": self._flatten,
        }
        if node.kind not in kinds:
            why = "holds code, which is never run" if node.kind == "Lambda" else "not supported"
            msg = (
                f"{self._at(node)}: {node.kind} is {why}; known: {', '.join(kinds)}"
                if node.kind != "Lambda"
                else f"{self._at(node)}: a Lambda {why}; write it with plain layers"
            )
            raise ConfigError(msg)
        _require_float32(node, self._at(node))
        note = kinds[node.kind](node)
        used = node.kind not in {"Dropout", "GaussianNoise", "GaussianDropout"}
        self.mapped.rows.append(ReportRow("layer", f"{node.name} ({node.kind})", used, note))

    def finish(self) -> None:
        """Check the end of the network, and that nothing is left over."""
        out = self.tensors[self.graph.output]
        logit = self.mapped.layers.get(out[0].source)
        if len(out) != 1 or logit is None or out[0].state not in {"sum", "head"}:
            msg = f"{self.where}: its output is no dense layer's; expected one logit at the end"
            raise ConfigError(msg)
        if len(logit.bias) != 1:
            msg = (
                f"{self.where}: its last layer '{logit.name}' has {len(logit.bias)} outputs; "
                "expected one logit"
            )
            raise ConfigError(msg)
        for part in (*self.consumed, *out):
            layer = self.mapped.layers.get(part.source)
            if part.state == "head" and part is not out[0]:
                msg = f"{self.where}: layer '{part.source}' ends in a sigmoid or tanh, not in relu"
                raise ConfigError(msg)
            if layer is not None and part.step != layer.step:
                msg = (
                    f"{self.where}: the output of layer '{layer.name}' is used with and without "
                    "what follows it; expected one use"
                )
                raise ConfigError(msg)
        self._input_grids()
        self._nothing_left()

    def _nothing_left(self) -> None:
        for layer, variables in self.variables.items():
            for variable in variables.values():
                msg = f"{self.where}: variable '{variable.path}' of layer '{layer}' has no use"
                raise ConfigError(msg)
        for path, reason in self.beside.items():
            self.mapped.rows.append(ReportRow("beside", path, used=False, note=reason))

    def _input_grids(self) -> None:
        for part in self.consumed:
            if part.state != "feature":
                continue
            before = self.mapped.input_grids.setdefault(part.source, part.grid)
            if before != part.grid:
                msg = f"{self.where}: input '{part.source}' is used with {before} and {part.grid}"
                raise ConfigError(msg)

    def _input(self, node: Node) -> str:
        names = self.features[node.name]
        size = input_size(node, self.where)
        widths = [REGISTRY[n].size() for n in names] if len(names) > 1 else [size]
        self.tensors[node.name] = tuple(
            _Part(n, w, "feature") for n, w in zip(names, widths, strict=True)
        )
        return f"input {' + '.join(names)}"

    def _concatenate(self, node: Node) -> str:
        if node.config.get("axis", -1) not in {-1, 1}:
            msg = f"{self._at(node)}: joins along axis {node.config['axis']}; expected the last one"
            raise ConfigError(msg)
        parts = tuple(p for source in node.sources for p in self.tensors[source])
        self.tensors[node.name] = parts
        return f"joins {' + '.join(p.source for p in parts)}"

    def _dense(self, node: Node) -> str:
        at, parts = self._at(node), self._one(node)
        units, fan_in = node.config.get("units"), sum(p.width for p in parts)
        if not isinstance(units, int) or units < 1:
            msg = f"{at}: units is {units!r}; expected a positive number"
            raise ConfigError(msg)
        has_bias = bool(node.config.get("use_bias", True))
        kernel = self._variable(node, "kernel", (fan_in, units))
        bias = self._variable(node, "bias", (units,)) if has_bias else np.zeros(units, np.float32)
        grids: list[WeightGrid | None] = []
        for name in ("kernel", "bias"):
            function = read_function(node.config.get(f"{name}_quantizer"), f"{at}: {name}")
            grids.append(function.weights(kernel=name == "kernel") if function else None)
        inputs = tuple(p.source for p in parts)
        layer = DenseLayer(node.name, inputs, kernel, bias, *grids, has_bias=has_bias)
        self.mapped.layers[node.name] = layer
        self.consumed += parts
        self.tensors[node.name] = (_Part(node.name, units, "sum"),)
        notes = [f"dense layer, {fan_in} x {units}"]
        if grids[0] is not None:
            notes.append(f"kernel {grids[0]}, bias {grids[1] or 'not rounded'}")
        if not has_bias:
            notes.append("no bias: zeros")
        function = read_function(node.config.get("activation"), f"{at}: activation")
        if function is not None:
            notes.append(self._apply(node, function, self.tensors[node.name]))
        return ", ".join(notes)

    def _activation(self, node: Node) -> str:
        function = read_function(node.config.get("activation"), f"{self._at(node)}: activation")
        if function is None:
            self.tensors[node.name] = self._one(node)
            return "linear: nothing to do"
        return self._apply(node, function, self._one(node))

    def _relu(self, node: Node) -> str:
        for name in ("max_value", "negative_slope", "threshold"):
            if node.config.get(name):
                value = node.config[name]
                msg = f"{self._at(node)}: {name} is {value}; expected a plain relu"
                raise ConfigError(msg)
        return self._apply(node, Function("relu", {}, self._at(node)), self._one(node))

    def _apply(self, node: Node, function: Function, parts: tuple[_Part, ...]) -> str:
        """Put an activation or quantizer on each part; what was done, in words."""
        done = [self._apply_to(part, function, self._at(node)) for part in parts]
        self.tensors[node.name] = tuple(part for part, _ in done)
        return ", ".join(dict.fromkeys(note for _, note in done))

    def _apply_to(self, part: _Part, function: Function, at: str) -> tuple[_Part, str]:
        if part.state == "feature":
            if part.grid is not None:
                msg = f"{at}: input '{part.source}' is rounded twice; expected one quantizer"
                raise ConfigError(msg)
            grid = function.input()
            return _Part(part.source, part.width, "feature", 0, grid), f"rounds inputs to {grid}"
        layer = self.mapped.layers[part.source]
        if part.step != layer.step:
            msg = f"{at}: the output of layer '{layer.name}' has another activation already"
            raise ConfigError(msg)
        if part.state == "sum" and function.name in {"relu", "quantized_relu"}:
            layer.relu = True
        elif part.state != "relu" or function.name in HEADS:
            return self._head(part, function, layer, at)
        note = f"relu of '{layer.name}'"
        if function.name != "relu":
            grid = self._rounding(function, layer, at)
            note = f"relu of '{layer.name}', rounded to {grid}"
        layer.step += 1
        return _Part(part.source, part.width, "relu", layer.step), note

    @staticmethod
    def _rounding(function: Function, layer: DenseLayer, at: str) -> FixedPoint:
        """Grid of a hidden activation; after a relu, a signed grid has only its upper half."""
        if function.name == "quantized_bits":
            signed = function.weights(kernel=False)
            if signed.factor != 1 or signed.grid.bits < 2:  # noqa: PLR2004 (the sign and one more)
                msg = f"{at}: {function} on a hidden activation; expected alpha = 1"
                raise ConfigError(msg)
            grid = FixedPoint(False, signed.grid.bits - 1, signed.grid.integer_bits)  # noqa: FBT003
        else:
            grid = function.activation()
        if layer.activation not in (None, grid):
            msg = f"{at}: layer '{layer.name}' is rounded to {layer.activation}, then to {grid}"
            raise ConfigError(msg)
        layer.activation = grid
        return grid

    def _head(
        self, part: _Part, function: Function, layer: DenseLayer, at: str
    ) -> tuple[_Part, str]:
        last = len(layer.bias) == 1
        rounding = function.name in {"quantized_bits", "quantized_relu"} and part.state == "head"
        if not last or not (function.name in HEADS or function.name == "quantized_bits" or rounding):
            msg = (
                f"{at}: '{function.name}' on layer '{layer.name}' is not supported; expected relu "
                "or quantized_relu, and sigmoid or tanh at the end alone"
            )
            raise ConfigError(msg)
        note = (
            f"'{function}' behind the logit is left out: it never falls, so clusters keep their "
            "order; scores here are logits"
        )
        self.mapped.notes.append(note)
        return _Part(part.source, part.width, "head", part.step), "left out: the logit is kept"

    def _batch_normalization(self, node: Node) -> str:
        at, parts = self._at(node), self._one(node)
        layer = self.mapped.layers.get(parts[0].source)
        if len(parts) != 1 or layer is None or parts[0].state != "sum":
            msg = f"{at}: batch normalization is folded into a dense layer right before it alone"
            raise ConfigError(msg)
        if layer.kernel_grid is not None or layer.bias_grid is not None:
            msg = (
                f"{at}: batch normalization behind the quantized layer '{layer.name}' cannot be "
                "folded exactly; expected QDenseBatchnorm"
            )
            raise ConfigError(msg)
        if parts[0].step != layer.step:
            msg = f"{at}: the output of layer '{layer.name}' is used in two ways"
            raise ConfigError(msg)
        self._fold(node, layer)
        layer.step += 1
        self.tensors[node.name] = (_Part(layer.name, parts[0].width, "sum", layer.step),)
        return f"folded into '{layer.name}'"

    def _fold(self, node: Node, layer: DenseLayer) -> None:
        """Kernel and bias with the normalization in them, in float32 as QKeras folds."""
        shape, config = layer.bias.shape, node.config
        one, zero = np.ones(shape, np.float32), np.zeros(shape, np.float32)
        gamma = self._variable(node, "gamma", shape) if config.get("scale", True) else one
        beta = self._variable(node, "beta", shape) if config.get("center", True) else zero
        mean = self._variable(node, "moving_mean", shape)
        variance = self._variable(node, "moving_variance", shape)
        epsilon = config.get("epsilon", 1e-3)
        if not isinstance(epsilon, float) or (variance + np.float32(epsilon) <= 0).any():
            msg = f"{self._at(node)}: variance + epsilon is not positive; the file is damaged"
            raise ConfigError(msg)
        inverse = (np.float32(1) / np.sqrt(variance + np.float32(epsilon))) * gamma
        layer.kernel = inverse * layer.kernel
        layer.bias = inverse * (layer.bias - mean) + beta

    def _training_only(self, node: Node) -> str:
        self.tensors[node.name] = self._one(node)
        return "for training alone"

    def _flatten(self, node: Node) -> str:
        self.tensors[node.name] = self._one(node)
        return "of a vector: nothing to do"

    def _one(self, node: Node) -> tuple[_Part, ...]:
        if len(node.sources) != 1:
            msg = f"{self._at(node)}: takes {len(node.sources)} inputs; expected one"
            raise ConfigError(msg)
        return self.tensors[node.sources[0]]

    def _variable(self, node: Node, role: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        found = self.variables.get(node.name, {}).pop(role, None)
        if found is None:
            msg = f"{self._at(node)}: its variable '{role}' is missing; expected shape {shape}"
            raise ConfigError(msg)
        if found.values.shape != shape:
            msg = (
                f"{self._at(node)}: '{found.path}' has shape {found.values.shape}; expected {shape}"
            )
            raise ConfigError(msg)
        values = found.values.astype(np.float32)
        if not np.isfinite(values).all():
            msg = f"{self._at(node)}: '{found.path}' holds values that are not finite"
            raise ConfigError(msg)
        self.mapped.rows.append(ReportRow("variable", found.path, used=True, note=f"{role} {shape}"))
        return values

    def _at(self, node: Node) -> str:
        return f"{self.where}: layer '{node.name}'"


def input_size(node: Node, where: str) -> int:
    """How many numbers an input layer takes; raises `ConfigError` for images."""
    shape = node.config.get("batch_shape", node.config.get("batch_input_shape"))
    if not isinstance(shape, (list, tuple)) or len(shape) != 2 or not isinstance(shape[1], int):  # noqa: PLR2004 (clusters and numbers)
        msg = f"{where}: input '{node.name}' has shape {shape}; expected [null, numbers]"
        raise ConfigError(msg)
    return shape[1]


def _require_float32(node: Node, at: str) -> None:
    dtype = node.config.get("dtype", "float32")
    if isinstance(dtype, dict):
        inner = dtype.get("config")
        dtype = inner.get("name") if isinstance(inner, dict) else None
    if dtype not in {"float32", None}:
        msg = f"{at}: computes in {dtype}; expected float32"
        raise ConfigError(msg)
    if node.config.get("quantization_config") is not None or "lora_rank" in node.config:
        msg = f"{at}: quantized or extended by Keras itself; expected plain or QKeras layers"
        raise ConfigError(msg)
