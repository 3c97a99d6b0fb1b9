"""The walk over a foreign graph: every layer and variable becomes ours, or it is an error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.errors import ConfigError
from pixelsieve.features import REGISTRY
from pixelsieve.fixed_point import FixedPoint
from pixelsieve.model_import.graph import Graph, Node
from pixelsieve.model_import.quantizers import Function, WeightGrid, read_function
from pixelsieve.model_import.read_layer import Part, ReadLayer, apply_function, fold_normalization
from pixelsieve.model_import.report import ReportRow
from pixelsieve.model_import.stored import StoredModel, Variable

__all__ = ["Mapped", "input_size", "map_graph"]

_TRAINING_ONLY = ("Dropout", "GaussianNoise", "GaussianDropout")


@dataclass(slots=True)
class Mapped:
    """The network of a file: layers with weights in order, its inputs, and the report."""

    layers: dict[str, ReadLayer] = field(default_factory=dict)
    input_widths: dict[str, int] = field(default_factory=dict)
    input_grids: dict[str, FixedPoint | None] = field(default_factory=dict)
    rows: list[ReportRow] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def map_graph(
    graph: Graph, stored: StoredModel, features: Mapping[str, tuple[str, ...]], where: str
) -> Mapped:
    """Map `graph` with its variables; `features` are those of each input.

    Raises `ConfigError` naming `where` and the layer for whatever has no exact counterpart, and
    for variables that are missing, of another shape, or left over.
    """
    walk = _Walk(stored, features, where)
    for node in graph.nodes:
        walk.take(node)
    walk.finish(graph.output)
    for path, reason in stored.beside.items():
        walk.mapped.rows.append(ReportRow("beside", path, used=False, note=reason))
    return walk.mapped


def input_size(node: Node, where: str) -> int:
    """How many numbers an input layer takes; raises `ConfigError` for other shapes."""
    shape = node.config.get("batch_shape", node.config.get("batch_input_shape"))
    vector = isinstance(shape, (list, tuple)) and len(shape) == 2  # noqa: PLR2004 (clusters, numbers)
    if not vector or not isinstance(shape[1], int) or shape[1] < 1:
        msg = f"{where}: input '{node.name}' has shape {shape}; expected [null, numbers]"
        raise ConfigError(msg)
    return int(shape[1])


class _Walk:
    def __init__(
        self, stored: StoredModel, features: Mapping[str, tuple[str, ...]], where: str
    ) -> None:
        self.where, self.features = where, features
        self.mapped = Mapped()
        self.tensors: dict[str, tuple[Part, ...]] = {}
        self.consumed: list[Part] = []
        self.variables: dict[str, dict[str, Variable]] = {}
        for variable in stored.variables:
            roles = self.variables.setdefault(variable.layer, {})
            if variable.role in roles:
                msg = f"{where}: layer '{variable.layer}' has two variables '{variable.role}'"
                raise ConfigError(msg)
            roles[variable.role] = variable
        self.kinds: dict[str, Callable[[Node], str]] = {
            "InputLayer": self._input,
            "Concatenate": self._concatenate,
            "Dense": self._dense,
            "QDense": self._dense,
            "QDenseBatchnorm": self._dense_with_normalization,
            "BatchNormalization": self._normalization,
            "Activation": self._activation,
            "QActivation": self._activation,
            "ReLU": self._relu,
            "Flatten": self._flatten,
            **dict.fromkeys(_TRAINING_ONLY, self._training_only),
        }

    def take(self, node: Node) -> None:
        """Map one layer, after all that it takes."""
        at = self._at(node)
        if node.kind == "Lambda":
            msg = f"{at}: a Lambda holds code, which is never run; expected plain layers"
            raise ConfigError(msg)
        if node.kind not in self.kinds:
            msg = f"{at}: {node.kind} is not supported; known: {', '.join(self.kinds)}"
            raise ConfigError(msg)
        _require_float32(node, at)
        before = len(self.mapped.rows)
        note = self.kinds[node.kind](node)
        used = node.kind not in _TRAINING_ONLY
        row = ReportRow("layer", f"{node.name} ({node.kind})", used, note)
        self.mapped.rows.insert(before, row)  # above the variables that it took

    def finish(self, output: str) -> None:
        """Check the end of the network, and that nothing is left over."""
        (out, *more) = self.tensors[output]
        logit = self.mapped.layers.get(out.source)
        if more or logit is None or out.state not in {"sum", "head"} or len(logit.bias) != 1:
            msg = f"{self.where}: output '{output}' is no single logit; expected a dense layer of 1"
            raise ConfigError(msg)
        for part in (*self.consumed, out):
            layer = self.mapped.layers.get(part.source)
            if layer is not None and part.step != layer.step:
                msg = (
                    f"{self.where}: the output of layer '{layer.name}' is used with and without "
                    "what follows it; expected one use"
                )
                raise ConfigError(msg)
        for part in self.consumed:
            if part.state == "feature":
                self.mapped.input_widths[part.source] = part.width
                first = self.mapped.input_grids.setdefault(part.source, part.grid)
                if first != part.grid:
                    msg = f"{self.where}: input '{part.source}' is used rounded in two ways"
                    raise ConfigError(msg)
        for layer_name, variables in self.variables.items():
            for variable in variables.values():
                msg = f"{self.where}: variable '{variable.path}' of '{layer_name}' has no use"
                raise ConfigError(msg)

    def _input(self, node: Node) -> str:
        names = self.features[node.name]
        lone = input_size(node, self.where)
        widths = [lone] if len(names) == 1 else [REGISTRY[name].size() for name in names]
        self.tensors[node.name] = tuple(
            Part(name, width, "feature") for name, width in zip(names, widths, strict=True)
        )
        return f"input {' + '.join(names)}"

    def _concatenate(self, node: Node) -> str:
        axis = node.config.get("axis", -1)
        if axis not in {-1, 1}:
            msg = f"{self._at(node)}: joins along axis {axis}; expected the last one"
            raise ConfigError(msg)
        parts = tuple(part for source in node.sources for part in self.tensors[source])
        self.tensors[node.name] = parts
        return f"joins {' + '.join(part.source for part in parts)}"

    def _dense(self, node: Node) -> str:
        layer, note = self._read_dense(node)
        return self._activated(node, layer, note)

    def _dense_with_normalization(self, node: Node) -> str:
        layer, note = self._read_dense(node)
        self._fold(node, layer)
        steps = self.variables.get(node.name, {}).pop("iteration", None)
        if steps is not None:
            self.mapped.rows.append(
                ReportRow("beside", steps.path, used=False, note="counter of steps, for training")
            )
        return self._activated(node, layer, f"{note}, batch normalization folded before rounding")

    def _read_dense(self, node: Node) -> tuple[ReadLayer, str]:
        at, parts = self._at(node), self._one(node)
        if any(part.state == "head" for part in parts):
            msg = f"{at}: stands behind a sigmoid or tanh; expected relu between layers"
            raise ConfigError(msg)
        units, fan_in = node.config.get("units"), sum(part.width for part in parts)
        if not isinstance(units, int) or units < 1:
            msg = f"{at}: units is {units!r}; expected a positive number"
            raise ConfigError(msg)
        has_bias = bool(node.config.get("use_bias", True))
        kernel = self._variable(node, "kernel", (fan_in, units))
        bias = self._variable(node, "bias", (units,)) if has_bias else np.zeros(units, np.float32)
        layer = ReadLayer(
            node.name,
            tuple(part.source for part in parts),
            kernel,
            bias,
            has_bias,
            self._weight_grid(node, "kernel"),
            self._weight_grid(node, "bias"),
        )
        self.consumed += parts
        note = f"dense, {fan_in} x {units}"
        if layer.kernel_grid is not None:
            note += f", kernel {layer.kernel_grid}, bias {layer.bias_grid or 'not rounded'}"
        return layer, note if has_bias else f"{note}, no bias: zeros"

    def _weight_grid(self, node: Node, variable: str) -> WeightGrid | None:
        value = node.config.get(f"{variable}_quantizer")
        function = read_function(value, f"{self._at(node)}: {variable}_quantizer")
        return None if function is None else function.weights(kernel=variable == "kernel")

    def _activated(self, node: Node, layer: ReadLayer, note: str) -> str:
        self.mapped.layers[node.name] = layer
        self.tensors[node.name] = (Part(node.name, len(layer.bias), "sum"),)
        function = read_function(node.config.get("activation"), f"{self._at(node)}: activation")
        if function is None:
            return note
        return f"{note}, {self._apply(node, function, self.tensors[node.name])}"

    def _activation(self, node: Node) -> str:
        function = read_function(node.config.get("activation"), f"{self._at(node)}: activation")
        if function is None:
            self.tensors[node.name] = self._one(node)
            return "linear: nothing to do"
        return self._apply(node, function, self._one(node))

    def _relu(self, node: Node) -> str:
        for name in ("max_value", "negative_slope", "threshold"):
            if node.config.get(name):
                msg = f"{self._at(node)}: {name} is {node.config[name]}; expected a plain relu"
                raise ConfigError(msg)
        return self._apply(node, Function("relu", {}, self._at(node)), self._one(node))

    def _apply(self, node: Node, function: Function, parts: tuple[Part, ...]) -> str:
        at, layers = self._at(node), self.mapped.layers
        done = [apply_function(part, layers.get(part.source), function, at) for part in parts]
        self.tensors[node.name] = tuple(part for part, _ in done)
        if done[0][0].state == "head":
            self.mapped.notes.append(
                f"'{function}' behind the logit is left out: it never falls, so clusters keep "
                "their order; scores here are logits"
            )
        return ", ".join(dict.fromkeys(note for _, note in done))

    def _normalization(self, node: Node) -> str:
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
        self.tensors[node.name] = (Part(layer.name, parts[0].width, "sum", layer.step),)
        return f"folded into '{layer.name}'"

    def _fold(self, node: Node, layer: ReadLayer) -> None:
        shape, config = layer.bias.shape, node.config
        one, zero = np.ones(shape, np.float32), np.zeros(shape, np.float32)
        gamma = self._variable(node, "gamma", shape) if config.get("scale", True) else one
        beta = self._variable(node, "beta", shape) if config.get("center", True) else zero
        mean = self._variable(node, "moving_mean", shape)
        variance = self._variable(node, "moving_variance", shape)
        epsilon: Any = config.get("epsilon", 1e-3)
        if not isinstance(epsilon, (int, float)) or not (variance + np.float32(epsilon) > 0).all():
            msg = f"{self._at(node)}: variance + epsilon is not positive; the file is damaged"
            raise ConfigError(msg)
        fold_normalization(layer, gamma, beta, mean, variance, epsilon)

    def _training_only(self, node: Node) -> str:
        self.tensors[node.name] = self._one(node)
        return "for training alone"

    def _flatten(self, node: Node) -> str:
        self.tensors[node.name] = self._one(node)
        return "of a vector: nothing to do"

    def _one(self, node: Node) -> tuple[Part, ...]:
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
            got = found.values.shape
            msg = f"{self._at(node)}: '{found.path}' has shape {got}; expected {shape}"
            raise ConfigError(msg)
        values = found.values.astype(np.float32)
        if not np.isfinite(values).all():
            msg = f"{self._at(node)}: '{found.path}' holds values that are not finite"
            raise ConfigError(msg)
        self.mapped.rows.append(ReportRow("variable", found.path, used=True, note=role))
        return values

    def _at(self, node: Node) -> str:
        return f"{self.where}: layer '{node.name}'"


def _require_float32(node: Node, at: str) -> None:
    dtype = node.config.get("dtype", "float32")
    if isinstance(dtype, dict):
        inner = dtype.get("config")
        dtype = inner.get("name") if isinstance(inner, dict) else None
    if dtype != "float32":
        msg = f"{at}: computes in {dtype}; expected float32"
        raise ConfigError(msg)
    if node.config.get("quantization_config") is not None or "lora_rank" in node.config:
        msg = f"{at}: quantized or extended by Keras itself; expected plain or QKeras layers"
        raise ConfigError(msg)
