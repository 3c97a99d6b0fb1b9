"""`NetworkSpec`: a network as data, the zoo of named ones, and weights as NumPy arrays."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from math import prod
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.config import from_mapping, read_toml
from pixelsieve.core.errors import ConfigError, nearest
from pixelsieve.display.html import table_html
from pixelsieve.display.shown import one_line
from pixelsieve.features import REGISTRY, WINDOW
from pixelsieve.networks.layers import Conv, Dense, Flatten, Layer, MaxPool, Shape
from pixelsieve.networks.tables import layers_table

_NAME = re.compile(r"\w[\w.+-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """Layers in order; the last one is the single logit, without an activation.

    `window` are the rows and columns of the clusters, `time_layer` is where an arrival time goes.
    Raises `ConfigError` for unknown inputs, repeated names, inputs whose shapes do not fit and a
    last layer that is no logit.

    Examples
    --------
    >>> from pixelsieve.networks.layers import Dense
    >>> hidden = Dense("hidden", 3, ("x_size", "y_size", "z_global"))
    >>> ps.Network("small", (hidden, Dense("output", 1, ("hidden",), relu=False))).n_parameters
    16
    """

    name: str
    layers: tuple[Layer, ...]
    window: tuple[int, int] = WINDOW
    time_layer: str | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            msg = f"network '{self.name}': expected a name of letters, digits, '_', '-', '.', '+'"
            raise ConfigError(msg)
        if not self.layers:
            msg = f"network '{self.name}': no layers; expected at least the output"
            raise ConfigError(msg)
        if len(self.window) != len(WINDOW) or min(self.window) < 1:
            msg = f"network '{self.name}': window is {self.window}; expected rows and columns"
            raise ConfigError(msg)
        self.shapes()
        if self.time_layer is not None:
            self._require_dense(self.time_layer, "time_layer: ")
        last = self.layers[-1]
        if not isinstance(last, Dense) or last.units != 1 or last.relu:
            msg = (
                f"network '{self.name}': the last layer must be one logit without activation "
                "(dense, units = 1, relu = false)"
            )
            raise ConfigError(msg)

    def __repr__(self) -> str:
        widths = " - ".join(" x ".join(map(str, self.shapes()[name])) for name in self.variables())
        inputs = ", ".join(self.features)
        return one_line("Network", self.name, f"{self.n_parameters} parameters", widths, inputs)

    def _repr_html_(self) -> str:
        return table_html(layers_table(self))

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features in order of first use."""
        used = [s for layer in self.layers for s in layer.inputs if s in REGISTRY]
        return tuple(dict.fromkeys(used))

    def _shape(self, source: str, known: Mapping[str, Shape]) -> Shape:
        return known[source] if source in known else REGISTRY[source].shape(self.window)

    def shapes(self) -> dict[str, Shape]:
        """Shape of each layer's output for one cluster, by layer, in order."""
        found: dict[str, Shape] = {}
        for layer in self.layers:
            try:
                found[layer.name] = layer.output(self._sources(layer, found))
            except ConfigError as error:
                msg = f"network '{self.name}', layer '{layer.name}': {error}"
                raise ConfigError(msg) from error
        return found

    def _sources(self, layer: Layer, found: Mapping[str, Shape]) -> list[Shape]:
        """Shapes of the layer's inputs, given those of the layers before it."""
        if layer.name in found or layer.name in REGISTRY:
            msg = "the name is taken"
            raise ConfigError(msg)
        for source in layer.inputs:
            if source not in found and source not in REGISTRY:
                msg = f"unknown input '{source}'{nearest(source, [*found, *REGISTRY])}"
                raise ConfigError(msg)
        return [self._shape(s, found) for s in layer.inputs]

    def shape(self, source: str) -> Shape:
        """Shape of a feature, or of a layer's output, for one cluster."""
        return self._shape(source, self.shapes())

    def width(self, source: str) -> int:
        """Number of values of a feature, or of a layer's output."""
        return prod(self.shape(source))

    def variables(self) -> dict[str, Mapping[str, Shape]]:
        """Shapes of what each layer learns, by layer and variable; only layers that learn."""
        shapes = self.shapes()
        found = {
            layer.name: layer.variables([self._shape(s, shapes) for s in layer.inputs])
            for layer in self.layers
        }
        return {name: variables for name, variables in found.items() if variables}

    @property
    def n_parameters(self) -> int:
        """Weights and biases."""
        return sum(prod(s) for variables in self.variables().values() for s in variables.values())

    def with_feature(self, feature: str, layer_name: str) -> NetworkSpec:
        """The same network with one more feature into the named layer."""
        if feature not in REGISTRY:
            msg = f"unknown feature '{feature}'{nearest(feature, REGISTRY)}"
            raise ConfigError(msg)
        self._require_dense(layer_name)
        layers = tuple(
            replace(layer, inputs=(*layer.inputs, feature)) if layer.name == layer_name else layer
            for layer in self.layers
        )
        return replace(self, name=f"{self.name}+{feature}", layers=layers)

    def _require_dense(self, layer_name: str, what: str = "") -> None:
        dense = [layer.name for layer in self.layers if isinstance(layer, Dense)]
        if layer_name not in dense:
            kind = "dense " if layer_name in {layer.name for layer in self.layers} else ""
            hint = nearest(layer_name, dense)
            msg = f"network '{self.name}': {what}no {kind}layer '{layer_name}'{hint}"
            raise ConfigError(msg)

    def with_time(self, feature: str) -> NetworkSpec:
        """The same network with an arrival time among its inputs, where it belongs."""
        if self.time_layer is None:
            msg = f"network '{self.name}': takes no arrival time (it names no time_layer)"
            raise ConfigError(msg)
        return self.with_feature(feature, self.time_layer)

    def with_window(self, window: tuple[int, int]) -> NetworkSpec:
        """The same network for clusters of another window (rows, columns)."""
        return replace(self, window=window)


def _output(source: str) -> Dense:
    return Dense("output", 1, (source,), relu=False)


def model1(width: int = 16, depth: int = 4) -> NetworkSpec:
    """Four scalars into `depth` layers of `width`."""
    names = [f"dense{i + 1}" for i in range(depth)]
    scalars = ("z_global", "x_size", "y_size", "y_local")
    first = Dense(names[0], width, scalars)
    rest = (Dense(name, width, (before,)) for before, name in pairwise(names))
    return NetworkSpec("model1", (first, *rest, _output(names[-1])), time_layer=first.name)


def model2(xz: int = 32, yl: int = 32, merged: tuple[int, int, int] = (128, 64, 32)) -> NetworkSpec:
    """Profiles and positions: x and y apart, then merged."""
    return NetworkSpec(
        "model2",
        (
            Dense("xz_dense1", xz, ("x_profile", "z_global")),
            Dense("yl_dense1", yl, ("y_profile", "y_local")),
            Dense("merged_dense1", merged[0], ("xz_dense1", "yl_dense1")),
            Dense("merged_dense2", merged[1], ("merged_dense1",)),
            Dense("merged_dense3", merged[2], ("merged_dense2",)),
            _output("merged_dense3"),
        ),
        time_layer="yl_dense1",
    )


def model2_5(
    other: int = 128, module: int = 128, dense2: int = 64, dense3: int = 32
) -> NetworkSpec:
    """Profiles, and the position along the beam as module and place on it."""
    return NetworkSpec(
        "model2_5",
        (
            Dense("other_dense", other, ("x_profile", "y_profile", "y_local")),
            Dense("nmodule_xlocal_dense", module, ("module_number", "x_local")),
            Dense("dense2", dense2, ("other_dense", "nmodule_xlocal_dense")),
            Dense("dense3", dense3, ("dense2",)),
            _output("dense3"),
        ),
        time_layer="other_dense",
    )


def model3(
    filters: int = 32,
    kernel_size: tuple[int, int] = (3, 5),
    scalars: int = 32,
    merged: tuple[int, int] = (200, 100),
) -> NetworkSpec:
    """The image of the pixels through a convolution, and scalars."""
    return NetworkSpec(
        "model3",
        (
            Conv("conv2d", filters, kernel_size, ("log_charges",)),
            MaxPool("max_pooling2d", (2, 2), ("conv2d",)),
            Flatten("flatten", ("max_pooling2d",)),
            Dense("dense_scalars", scalars, ("module_number", "x_local", "y_local")),
            Dense("merged_dense1", merged[0], ("flatten", "dense_scalars")),
            Dense("merged_dense2", merged[1], ("merged_dense1",)),
            _output("merged_dense2"),
        ),
        time_layer="dense_scalars",
    )


def asic(units: int = 58) -> NetworkSpec:
    """The y profile and scalars through one hidden layer.

    The field trains the hidden layer with batch normalization and folds it into kernel and bias;
    this is the folded network, trained as it is.
    """
    inputs = ("z_global", "y_local", "x_size", "y_profile")
    layers = (Dense("dense1", units, inputs), _output("dense1"))
    return NetworkSpec("asic", layers, time_layer="dense1")


def _model2_codes() -> NetworkSpec:
    """Model2 on sums of ADC codes, which a chip can make, instead of logarithms."""
    layers = model2().layers
    first = (
        Dense("xz_dense1", 32, ("x_code_profile", "z_global")),
        Dense("yl_dense1", 32, ("y_code_profile", "y_local")),
    )
    return replace(model2(), name="model2_codes", layers=(*first, *layers[2:]))


def _model2_abs_z() -> NetworkSpec:
    """Model2 on |z|, for data without the sign of z; the x profile stays as it is."""
    layers = model2().layers
    first = Dense("xz_dense1", 32, ("x_profile", "abs_z_global"))
    return replace(model2(), name="model2_abs_z", layers=(first, *layers[1:]))


_SPECS = (model1(), model2(), model2_5(), model3(), asic(), _model2_codes(), _model2_abs_z())
ZOO = MappingProxyType({spec.name: spec for spec in _SPECS})
"""Named networks of the field's sizes, read-only."""


def network(name: str, time_feature: str | None = None) -> NetworkSpec:
    """A network of the zoo or of a TOML file, with an arrival time if asked for."""
    if name.endswith(".toml"):
        spec = read_network(Path(name))
    elif name in ZOO:
        spec = ZOO[name]
    else:
        msg = f"unknown network '{name}'{nearest(name, ZOO)}; known: {', '.join(ZOO)}, FILE.toml"
        raise ConfigError(msg)
    if not time_feature:
        return spec
    try:
        return spec.with_time(time_feature)
    except ConfigError as error:
        if name in ZOO:
            raise
        msg = f"{name}: {error}"
        raise ConfigError(msg) from error


def read_network(path: Path) -> NetworkSpec:
    """Read a network from TOML: `name`, `time_layer` and tables `[[layers]]` (docs/networks.md).

    Raises `ConfigError` naming file, layer and key; the window is that of the data, never the
    file's.
    """
    data = read_toml(path)
    if "window" in data:
        msg = f"{path}: unknown key 'window'; a network takes the window of the data"
        raise ConfigError(msg)
    return from_mapping(NetworkSpec, {"name": path.stem, **data}, str(path))


Weights = dict[str, dict[str, NDArray[np.float32]]]
"""Layer name -> variable name (`kernel`, `bias`) -> float32 array."""


def initial_weights(spec: NetworkSpec, seed: int) -> Weights:
    """Return Glorot-uniform kernels (Glorot and Bengio 2010, Keras's default) and zero biases."""
    weights: Weights = {}
    variables = spec.variables()
    streams = np.random.SeedSequence(seed).spawn(len(variables))
    for (layer, shapes), stream in zip(variables.items(), streams, strict=True):
        *pixels, fan_in, units = shapes["kernel"]
        limit = np.sqrt(6 / (prod(pixels) * (fan_in + units)))
        kernel = np.random.default_rng(stream).uniform(-limit, limit, shapes["kernel"])
        weights[layer] = {
            "kernel": kernel.astype(np.float32),
            "bias": np.zeros(shapes["bias"], np.float32),
        }
    return weights
