"""`NetworkSpec`: a network as data, and the zoo of named ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType

from pixelsieve.errors import ConfigError, nearest
from pixelsieve.features import REGISTRY, WINDOW

__all__ = ["ZOO", "Dense", "NetworkSpec", "network"]


@dataclass(frozen=True, slots=True)
class Dense:
    """A dense layer on the concatenation of `inputs` (features or earlier layers, in order)."""

    name: str
    units: int
    inputs: tuple[str, ...]
    relu: bool = True


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """Layers in order; the last one is the single logit, without an activation.

    `window` are the rows and columns of the clusters, `time_layer` is where an arrival time goes.
    Raises `ConfigError` for unknown inputs, repeated names and a last layer that is no logit.
    """

    name: str
    layers: tuple[Dense, ...]
    window: tuple[int, int] = WINDOW
    time_layer: str | None = None

    def __post_init__(self) -> None:
        if not self.layers:
            msg = f"network '{self.name}': no layers; expected at least the output"
            raise ConfigError(msg)
        known: set[str] = set()
        for layer in self.layers:
            if layer.name in known or layer.name in REGISTRY:
                msg = f"network '{self.name}': the name '{layer.name}' is taken"
                raise ConfigError(msg)
            for source in layer.inputs:
                if source not in known and source not in REGISTRY:
                    hint = nearest(source, known | set(REGISTRY))
                    msg = f"network '{self.name}', layer '{layer.name}': unknown input '{source}'"
                    raise ConfigError(msg + hint)
            known.add(layer.name)
        if len(self.window) != len(WINDOW) or min(self.window) < 1:
            msg = f"network '{self.name}': window is {self.window}; expected rows and columns"
            raise ConfigError(msg)
        if self.time_layer is not None and self.time_layer not in known:
            msg = f"network '{self.name}': no layer '{self.time_layer}' for the time"
            raise ConfigError(msg)
        last = self.layers[-1]
        if last.units != 1 or last.relu:
            msg = f"network '{self.name}': the last layer must be one logit without activation"
            raise ConfigError(msg)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features in order of first use."""
        used = [s for layer in self.layers for s in layer.inputs if s in REGISTRY]
        return tuple(dict.fromkeys(used))

    def width(self, source: str) -> int:
        """Size of a feature or of a layer's output."""
        if source in REGISTRY:
            return REGISTRY[source].size(self.window)
        return next(layer.units for layer in self.layers if layer.name == source)

    def fan_in(self, layer: Dense) -> int:
        """Number of inputs of `layer`."""
        return sum(self.width(s) for s in layer.inputs)

    @property
    def n_parameters(self) -> int:
        """Weights and biases."""
        return sum((self.fan_in(layer) + 1) * layer.units for layer in self.layers)

    def with_feature(self, feature: str, layer_name: str) -> NetworkSpec:
        """The same network with one more feature into the named layer."""
        if feature not in REGISTRY:
            msg = f"unknown feature '{feature}'{nearest(feature, REGISTRY)}"
            raise ConfigError(msg)
        if layer_name not in {layer.name for layer in self.layers}:
            msg = f"network '{self.name}': no layer '{layer_name}'"
            raise ConfigError(msg)
        layers = tuple(
            replace(layer, inputs=(*layer.inputs, feature)) if layer.name == layer_name else layer
            for layer in self.layers
        )
        return replace(self, name=f"{self.name}+{feature}", layers=layers)

    def with_time(self, feature: str) -> NetworkSpec:
        """The same network with an arrival time among its inputs, where it belongs."""
        if self.time_layer is None:
            msg = f"network '{self.name}': takes no arrival time"
            raise ConfigError(msg)
        return self.with_feature(feature, self.time_layer)

    def with_window(self, window: tuple[int, int]) -> NetworkSpec:
        """The same network for clusters of another window (rows, columns)."""
        return replace(self, window=window)


MODEL2 = NetworkSpec(
    "model2",
    (
        Dense("xz_dense1", 32, ("x_profile", "z_global")),
        Dense("yl_dense1", 32, ("y_profile", "y_local")),
        Dense("merged_dense1", 128, ("xz_dense1", "yl_dense1")),
        Dense("merged_dense2", 64, ("merged_dense1",)),
        Dense("merged_dense3", 32, ("merged_dense2",)),
        Dense("output", 1, ("merged_dense3",), relu=False),
    ),
    time_layer="yl_dense1",
)

MODEL2_CODES = replace(
    MODEL2,
    name="model2_codes",
    layers=(
        Dense("xz_dense1", 32, ("x_code_profile", "z_global")),
        Dense("yl_dense1", 32, ("y_code_profile", "y_local")),
        *MODEL2.layers[2:],
    ),
)
"""Model2 on sums of ADC codes, which a chip can make, instead of logarithms."""

ZOO = MappingProxyType({spec.name: spec for spec in (MODEL2, MODEL2_CODES)})
"""Named networks, read-only."""


def network(name: str, time_feature: str | None = None) -> NetworkSpec:
    """A network of the zoo, with an arrival time among its inputs where asked for."""
    if name not in ZOO:
        msg = f"unknown network '{name}'{nearest(name, ZOO)}; known: {', '.join(ZOO)}"
        raise ConfigError(msg)
    return ZOO[name].with_time(time_feature) if time_feature else ZOO[name]
