"""The walk over a foreign graph: every layer and variable becomes ours, or it is an error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.errors import ConfigError
from pixelsieve.features import REGISTRY
from pixelsieve.importing.graph import Graph, Node
from pixelsieve.importing.hgq import Place, read_elements
from pixelsieve.importing.layers import (
    Mapped,
    Part,
    ReadLayer,
    ReportRow,
    Variables,
    apply_function,
    fold_exactly,
    fold_normalization,
    input_shape,
    kernel_size,
    pool_size,
    require_channels_last,
    target_shape,
    told,
)
from pixelsieve.importing.quantizers import STRICT_HEADS, Function, read_function
from pixelsieve.importing.values import StoredModel, refused
from pixelsieve.networks.fixed_point import Quantizer
from pixelsieve.networks.layers import Conv, Dense, Flatten, Layer, MaxPool, Shape

_NORMALIZING = ("QDenseBatchnorm", "QConv2DBatchnorm")
_WEIGHTED = ("Dense", "QDense", "Conv2D", "QConv2D", *_NORMALIZING)
_NORMALIZATIONS = ("BatchNormalization", "QBatchNormalization")
_HGQ = "hgq>QDense"
_TRAINING_ONLY = ("Dropout", "GaussianNoise", "GaussianDropout")
_IMAGE = 3
_PLACES: tuple[tuple[str, Place], ...] = (("kernel", "kq"), ("bias", "bq"))


def map_graph(
    graph: Graph,
    stored: StoredModel,
    features: Mapping[str, tuple[str, ...]],
    window: tuple[int, int],
    where: str,
) -> Mapped:
    """Map `graph` with its variables; `features` are those of each input, for that window.

    Raises `ConfigError` naming `where` and the layer for whatever has no exact counterpart, and
    for variables that are missing, of another shape, or left over.
    """
    elementwise = any(node.kind == _HGQ for node in graph.nodes)
    walk = _Walk(Variables(stored.variables, where), features, window, where, elementwise)
    for node in graph.nodes:
        walk.take(node)
    walk.finish(graph.output)
    for path, reason in stored.beside.items():
        walk.mapped.rows.append(ReportRow("beside", path, used=False, note=reason))
    return walk.mapped


@dataclass
class _Walk:
    variables: Variables
    features: Mapping[str, tuple[str, ...]]
    window: tuple[int, int]
    where: str
    elementwise: bool
    mapped: Mapped = field(default_factory=Mapped)
    tensors: dict[str, tuple[Part, ...]] = field(default_factory=dict)
    consumed: list[Part] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.kinds: dict[str, Callable[[Node], str]] = {
            "InputLayer": self._input,
            "Concatenate": self._concatenate,
            **dict.fromkeys((*_WEIGHTED, _HGQ), self._weighted),
            **dict.fromkeys(_NORMALIZATIONS, self._normalization),
            **dict.fromkeys(("Activation", "QActivation"), self._activation),
            "ReLU": self._relu,
            "Softmax": self._softmax,
            "MaxPooling2D": self._max_pool,
            "Flatten": self._flatten,
            "Reshape": self._reshape,
            **dict.fromkeys(_TRAINING_ONLY, self._training_only),
        }

    def take(self, node: Node) -> None:
        """Map one layer, after all that it takes."""
        at = self._at(node)
        if node.kind == "Lambda":
            raise refused(at, "a Lambda holds code, which is never run; expected plain layers")
        if node.kind not in self.kinds:
            raise refused(at, f"{node.kind} is not supported; known: {', '.join(self.kinds)}")
        _require_float32(node, at)
        note = self.kinds[node.kind](node)
        used = node.kind not in _TRAINING_ONLY
        self.mapped.rows.append(ReportRow("layer", f"{node.name} ({node.kind})", used, note))
        self.mapped.rows += self.variables.taken()

    def finish(self, output: str) -> None:
        """Check the end of the network, and that nothing is left over."""
        (out, *more) = self.tensors[output]
        logit = self.mapped.weighted_layer(out.source)
        if more or logit is None or out.state not in {"sum", "head"} or out.shape != (1,):
            msg = f"{self.where}: output '{output}' is no single logit; expected a dense layer of 1"
            raise ConfigError(msg)
        for part in (*self.consumed, out):
            layer = self.mapped.weighted_layer(part.source)
            if layer is not None and part.step != layer.step:
                raise refused(
                    self.where,
                    f"the output of layer '{layer.name}' is used with and without "
                    "what follows it; expected one use",
                )
        for part in self.consumed:
            if part.state == "feature":
                self.mapped.input_widths[part.source] = prod(part.shape)
                first = self.mapped.input_grids.setdefault(part.source, part.grid)
                if first != part.grid:
                    raise refused(self.where, f"input '{part.source}' is used rounded in two ways")
        self.variables.require_none_left()

    def _input(self, node: Node) -> str:
        names = self.features[node.name]
        lone = input_shape(node, self.where)
        shapes = [lone] if len(names) == 1 else [(REGISTRY[name].size(),) for name in names]
        self.tensors[node.name] = tuple(
            Part(name, shape, "feature") for name, shape in zip(names, shapes, strict=True)
        )
        return f"input {' + '.join(names)}"

    def _concatenate(self, node: Node) -> str:
        parts = tuple(part for source in node.sources for part in self.tensors[source])
        axis, ranks = node.config.get("axis", -1), {len(part.shape) for part in parts}
        if len(ranks) != 1 or axis not in (-1, *ranks):
            raise refused(self._at(node), f"joins along axis {axis}; expected the last one")
        if ranks == {_IMAGE - 1}:  # whose last axis are the columns, while ours are joined by pixel
            raise refused(
                self._at(node),
                "joins images without channels side by side; expected images of "
                "(rows, columns, 1), joined along their channels",
            )
        self.tensors[node.name] = parts
        return f"joins {' + '.join(part.source for part in parts)}"

    def _weighted(self, node: Node) -> str:
        layer, note = self._read(node)
        if node.kind in _NORMALIZING:
            self._require_last_axis(node, self.tensors[node.sources[0]][0])
            self._fold(node, layer)
            self.variables.pass_over(node, "iteration", "counter of steps, for training")
            note = f"{note}, batch normalization folded before rounding"
        self._round(node, layer)
        if "kernel" in layer.grids:
            bias = layer.grids.get("bias", "not rounded")
            note += f", kernel {layer.grids['kernel']}, bias {bias}"
        self.mapped.layers[node.name] = layer
        shape = self._output(node, layer.layer, self._one(node))
        self.tensors[node.name] = (Part(node.name, shape, "sum"),)
        function = read_function(node.config.get("activation"), f"{self._at(node)}: activation")
        if function is not None:
            note = f"{note}, {self._apply(node, function, self.tensors[node.name])}"
        return note if node.kind != _HGQ else f"{note}{self._given(node, layer)}"

    def _read(self, node: Node) -> tuple[ReadLayer, str]:
        at, parts = self._at(node), self._one(node)
        if self.elementwise:
            self._take(node, parts)
        if any(part.state == "head" for part in parts):
            raise refused(at, "stands behind a sigmoid or tanh; expected relu between layers")
        layer = self._layer(node, tuple(part.source for part in parts))
        self._output(node, layer, parts)
        variables = layer.variables([part.shape for part in parts])
        has_bias = bool(node.config.get("use_bias", True))
        kernel = self.variables.take(node, "kernel", variables["kernel"])
        bias = (
            self.variables.take(node, "bias", variables["bias"])
            if has_bias
            else np.zeros(variables["bias"], np.float32)
        )
        read = ReadLayer(
            layer,
            kernel,
            bias,
            has_bias,
            {},
        )
        self.consumed += parts
        note = f"{layer.kind} {' x '.join(map(str, variables['kernel']))}"
        return read, note if has_bias else f"{note}, no bias: zeros"

    def _layer(self, node: Node, inputs: tuple[str, ...]) -> Dense | Conv:
        at = self._at(node)
        key = "filters" if "Conv" in node.kind else "units"
        units = node.config.get(key)
        if not isinstance(units, int):
            raise refused(at, f"{key} is {units!r}; expected a positive number")
        try:
            if key == "units":
                return Dense(node.name, units, inputs, relu=False)
            padding: Literal["same", "valid"] = node.config.get("padding", "valid")
            size = kernel_size(node, at)
            return Conv(node.name, units, size, inputs, relu=False, padding=padding)
        except ConfigError as error:
            if str(error).startswith(self.where):
                raise
            raise refused(self.where, f"{error}") from error

    def _round(self, node: Node, layer: ReadLayer) -> None:
        """Give the layer the grids of its weights, once what is folded into them is."""
        for variable, place in _PLACES:
            values = layer.kernel if variable == "kernel" else layer.bias
            if node.kind == _HGQ:
                if variable == "bias" and not layer.has_bias:
                    continue
                elements = read_elements(node, place, values.shape, self.variables)
                values, grid = elements.weights(values)
            else:
                key = f"{variable}_quantizer"
                function = read_function(node.config.get(key), f"{self._at(node)}: {key}")
                if function is None:
                    continue
                values, grid = function.rounded(values, kernel=variable == "kernel")
            layer.grids[variable] = grid
            if variable == "kernel":
                layer.kernel = values
            else:
                layer.bias = values

    def _take(self, node: Node, parts: tuple[Part, ...]) -> None:
        """Give features and layers the bits that a layer of HGQ2 takes of each element."""
        elements, at = None, self._at(node)
        width = sum(prod(part.shape) for part in parts)
        if node.kind == _HGQ and node.config.get("enable_iq"):
            if any(len(part.shape) > 1 for part in parts):
                raise refused(at, "a layer of HGQ2 takes an image; expected vectors")
            elements = read_elements(node, "iq", (width,), self.variables)
        start = 0
        for part in parts:
            stop = start + prod(part.shape)
            one = None
            if elements is not None:
                if part.state not in ("feature", "relu") or part.grid is not None:
                    what = "is rounded already" if part.grid is not None else "is not behind a relu"
                    raise refused(at, f"rounds '{part.source}', which {what}; expected neither")
                one = elements.part(slice(start, stop), behind_relu=part.state == "relu")
            self._require_same_taken(part, one, at)
            start = stop

    def _require_same_taken(self, part: Part, one: Quantizer | None, at: str) -> None:
        layer = self.mapped.weighted_layer(part.source)
        if self.mapped.taken.setdefault(part.source, one) != one:
            raise refused(at, f"'{part.source}' is rounded in two ways; expected one")
        if layer is not None and one is not None:
            if layer.activation not in {None, one}:
                raise refused(at, f"'{part.source}' is rounded twice; expected one quantizer")
            layer.activation = one

    def _given(self, node: Node, layer: ReadLayer) -> str:
        """Take the rounding of a layer's outputs, where HGQ2 has one."""
        for name in ("beta", "ebops"):
            self.variables.pass_over(node, name, "of HGQ2's cost, for training")
        if not node.config.get("enable_oq"):
            return ""
        (part,) = self.tensors[node.name]
        elements = read_elements(node, "oq", (prod(part.shape),), self.variables)
        given = elements.part(slice(None), behind_relu=part.state == "relu")
        if part.state == "relu":
            layer.activation = given
            return f", rounded to {told(given)}"
        if prod(part.shape) != 1 or given.overflow == "WRAP":
            raise refused(self._at(node), "rounds outputs that are behind no relu; expected one")
        self.mapped.notes.append(
            "the rounding of the logit is left out: it never falls, so clusters keep their order; "
            "those that it ties are told apart"
        )
        return ", rounding of the logit left out"

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

    def _softmax(self, node: Node) -> str:
        if node.config.get("axis", -1) not in (-1, 1):
            raise refused(self._at(node), f"along axis {node.config['axis']}; expected -1")
        return self._apply(node, Function("softmax", {}, self._at(node)), self._one(node))

    def _apply(self, node: Node, function: Function, parts: tuple[Part, ...]) -> str:
        at, layer_of = self._at(node), self.mapped.weighted_layer
        done = [apply_function(part, layer_of(part.source), function, at) for part in parts]
        self.tensors[node.name] = tuple(part for part, _ in done)
        if done[0][0].state == "head" and function.name == "softmax":
            self.mapped.notes.append(
                "the logit is that of the second class less that of the first, which orders "
                "clusters as the second's probability does; the second is taken for the signal"
            )
        elif done[0][0].state == "head":
            tied = "" if function.name in STRICT_HEADS else "; those that it ties are told apart"
            self.mapped.notes.append(
                f"'{function}' behind the logit is left out: it never falls, so clusters keep "
                f"their order{tied}; scores here are logits"
            )
        return ", ".join(dict.fromkeys(note for _, note in done))

    def _normalization(self, node: Node) -> str:
        at, parts = self._at(node), self._one(node)
        layer = self.mapped.weighted_layer(parts[0].source)
        if len(parts) != 1 or layer is None or parts[0].state != "sum":
            raise refused(at, "batch normalization is folded into a layer right before it alone")
        if parts[0].step != layer.step:
            raise refused(at, f"the output of layer '{layer.name}' is used in two ways")
        self._require_last_axis(node, parts[0])
        self._fold(node, layer)
        layer.step += 1
        self.tensors[node.name] = (replace(parts[0], step=layer.step),)
        return f"folded into '{layer.name}'"

    def _require_last_axis(self, node: Node, part: Part) -> None:
        axis, rank = node.config.get("axis", -1), len(part.shape)
        if (axis if isinstance(axis, list) else [axis]) not in ([-1], [rank]):
            raise refused(self._at(node), f"normalizes along axis {axis}; expected the last one")

    def _fold(self, node: Node, layer: ReadLayer) -> None:
        shape, config, take = layer.bias.shape, node.config, self.variables.take
        one, zero = np.ones(shape, np.float32), np.zeros(shape, np.float32)
        gamma = take(node, "gamma", shape) if config.get("scale", True) else one
        beta = take(node, "beta", shape) if config.get("center", True) else zero
        mean = take(node, "moving_mean", shape)
        variance = take(node, "moving_variance", shape)
        epsilon: Any = config.get("epsilon", 1e-3)
        values = {"gamma": gamma, "beta": beta, "mean": mean, "variance": variance}
        if node.kind == "QBatchNormalization":
            values = self._rounded_statistics(node, values)
        if (
            not isinstance(epsilon, (int, float))
            or not (values["variance"] + np.float32(epsilon) > 0).all()
        ):
            raise refused(self._at(node), "variance + epsilon is not positive; the file is damaged")
        if layer.grids:
            fold_exactly(layer, **values, epsilon=epsilon, at=self._at(node))
        else:
            fold_normalization(layer, **values, epsilon=epsilon)

    def _rounded_statistics(
        self, node: Node, values: dict[str, NDArray[np.float32]]
    ) -> dict[str, NDArray[np.float32]]:
        """Return what QKeras rounds them to; `ConfigError` for other quantizers than ours."""
        found = dict(values)
        if node.config.get("inverse_quantizer") is not None:
            raise refused(self._at(node), "has an inverse_quantizer; expected none")
        learned = {"gamma": "scale", "beta": "center"}
        for name, value in values.items():
            key = f"{name}_quantizer"
            function = read_function(node.config.get(key), f"{self._at(node)}: {key}")
            if function is None or not node.config.get(learned.get(name, ""), True):
                continue
            one, grid = function.rounded(value, kernel=name in ("gamma", "variance"))
            found[name] = grid.used(one)
        return found

    def _max_pool(self, node: Node) -> str:
        parts = self._images(node)
        size = pool_size(node, self._at(node))
        self._move(node, MaxPool(node.name, size, tuple(part.source for part in parts)), parts)
        return f"largest of {size[0]} x {size[1]}"

    def _flatten(self, node: Node) -> str:
        if all(len(part.shape) == 1 for part in self._one(node)):
            self.tensors[node.name] = self._one(node)
            return "of a vector: nothing to do"
        require_channels_last(node, self._at(node))
        parts = self._images(node)
        self._move(node, Flatten(node.name, tuple(part.source for part in parts)), parts)
        return f"{prod(self.tensors[node.name][0].shape)} numbers"

    def _images(self, node: Node) -> tuple[Part, ...]:
        parts = tuple(
            replace(part, shape=(*part.shape, 1)) if len(part.shape) == _IMAGE - 1 else part
            for part in self._one(node)
        )
        if any(len(part.shape) != _IMAGE or part.state in {"sum", "head"} for part in parts):
            raise refused(self._at(node), "takes what is no image behind its relu; expected one")
        return parts

    def _move(self, node: Node, layer: MaxPool | Flatten, parts: tuple[Part, ...]) -> None:
        shape = self._output(node, layer, parts)
        self.mapped.layers[node.name] = layer
        self.consumed += parts
        self.tensors[node.name] = (Part(node.name, shape, "moved"),)

    def _output(self, node: Node, layer: Layer, parts: tuple[Part, ...]) -> Shape:
        try:
            return layer.output([part.shape for part in parts])
        except ConfigError as error:
            raise refused(self._at(node), str(error)) from error

    def _reshape(self, node: Node) -> str:
        (part, *more) = self._one(node)
        if more or part.state != "feature":
            raise refused(self._at(node), "reshapes more than an input; expected Flatten")
        shape = target_shape(node, part.shape, self._at(node))
        if part.source not in REGISTRY:  # not known yet: what else is wrong comes first
            self.tensors[node.name] = (replace(part, shape=shape),)
            return "of an input that is not known"
        image = REGISTRY[part.source].along == "pixels"
        known = [(prod(self.window),), self.window, (*self.window, 1)] if image else [part.shape]
        if shape not in known:
            raise refused(self._at(node), f"makes {shape} of '{part.source}'; expected {known[-1]}")
        self.tensors[node.name] = (replace(part, shape=shape),)
        return f"an image of {' x '.join(map(str, shape))}"

    def _training_only(self, node: Node) -> str:
        self.tensors[node.name] = self._one(node)
        return "for training alone"

    def _one(self, node: Node) -> tuple[Part, ...]:
        if len(node.sources) != 1:
            raise refused(self._at(node), f"takes {len(node.sources)} inputs; expected one")
        return self.tensors[node.sources[0]]

    def _at(self, node: Node) -> str:
        return f"{self.where}: layer '{node.name}'"


def _require_float32(node: Node, at: str) -> None:
    dtype = node.config.get("dtype", "float32")
    if isinstance(dtype, dict):
        inner = dtype.get("config")
        dtype = inner.get("name") if isinstance(inner, dict) else None
    if dtype != "float32":
        raise refused(at, f"computes in {dtype}; expected float32")
    if node.config.get("quantization_config") is not None or "lora_rank" in node.config:
        raise refused(at, "quantized or extended by Keras itself; expected plain or QKeras layers")
