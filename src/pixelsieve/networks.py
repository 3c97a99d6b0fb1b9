"""`NetworkSpec`: a network as data, and the zoo of named ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType

from pixelsieve.errors import ConfigError, nearest
from pixelsieve.features import REGISTRY

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

    Raises `ConfigError` for unknown inputs, repeated names and a last layer that is no logit.
    """

    name: str
    layers: tuple[Dense, ...]

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
            return REGISTRY[source].size
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
        return NetworkSpec(f"{self.name}+{feature}", layers)


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
)

ZOO = MappingProxyType({spec.name: spec for spec in (MODEL2,)})
"""Named networks, read-only."""

_TIME_LAYER = {"model2": "yl_dense1"}


def network(name: str, time_feature: str | None = None) -> NetworkSpec:
    """A network of the zoo, with an arrival time among its inputs where asked for."""
    if name not in ZOO:
        msg = f"unknown network '{name}'{nearest(name, ZOO)}; known: {', '.join(ZOO)}"
        raise ConfigError(msg)
    spec = ZOO[name]
    return spec.with_feature(time_feature, _TIME_LAYER[name]) if time_feature else spec
