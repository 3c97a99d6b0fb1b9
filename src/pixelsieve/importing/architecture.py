"""The network of a file that holds weights alone: Keras's JSON from a file, or one of the zoo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pixelsieve.core.errors import RunError
from pixelsieve.features import REGISTRY
from pixelsieve.importing.graph import read_graph
from pixelsieve.importing.values import Architecture, Settings, parse_settings
from pixelsieve.networks.layers import Conv, Dense, Layer, MaxPool
from pixelsieve.networks.spec import NetworkSpec, network

_LARGEST_BYTES = 1 << 24


def find_architecture(file: str | None, name: str | None) -> Architecture | None:
    """Return that of a JSON file (Keras's `to_json`), else of a network by name, else None.

    Raise `RunError` for a file that is missing, too large or no JSON, `ConfigError` for a network
    that is unknown or no graph that can be read.
    """
    if file is not None:
        return Architecture(_read(Path(file)), file, stated=True)
    if name is not None:
        return Architecture(keras_json(network(name)), name, stated=False)
    return None


def _read(path: Path) -> Settings:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_BYTES + 1)
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror or error})"
        raise RunError(msg) from error
    if len(data) > _LARGEST_BYTES:
        msg = f"{path}: more than {_LARGEST_BYTES} bytes; expected the JSON of a Keras model"
        raise RunError(msg)
    model = parse_settings(data, str(path))
    read_graph(model, str(path))
    return model


def keras_json(spec: NetworkSpec) -> dict[str, Any]:
    """Return Keras's JSON of a float network, layer by layer in its order."""
    layers: list[dict[str, Any]] = []
    for name in spec.features:
        shape = [None, *REGISTRY[name].shape(spec.window)]
        layers.append(_entry("InputLayer", name, (), batch_input_shape=shape))
    for layer in spec.layers:
        sources = layer.inputs
        if len(sources) > 1:
            joined = f"{layer.name}_inputs"
            layers.append(_entry("Concatenate", joined, sources, axis=-1))
            sources = (joined,)
        layers.append(_entry(*_kind(layer), sources, **_settings(layer)))
    ends = [[name, 0, 0] for name in spec.features]
    config = {"name": spec.name, "layers": layers, "input_layers": ends}
    config["output_layers"] = [[spec.layers[-1].name, 0, 0]]
    return {"class_name": "Functional", "config": config}


def _entry(kind: str, name: str, sources: tuple[str, ...], **settings: Any) -> dict[str, Any]:
    calls = [[[source, 0, 0, {}] for source in sources]] if sources else []
    config = {"name": name, "dtype": "float32", **settings}
    return {"class_name": kind, "config": config, "name": name, "inbound_nodes": calls}


def _kind(layer: Layer) -> tuple[str, str]:
    kinds = {"dense": "Dense", "conv": "Conv2D", "max_pool": "MaxPooling2D", "flatten": "Flatten"}
    return kinds[layer.kind], layer.name


def _settings(layer: Layer) -> dict[str, Any]:
    if isinstance(layer, MaxPool):
        return {"pool_size": list(layer.pool_size)}
    if not isinstance(layer, Dense | Conv):
        return {}
    activation = {"activation": "relu" if layer.relu else "linear"}
    if isinstance(layer, Dense):
        return {"units": layer.units, **activation}
    size = {"kernel_size": list(layer.kernel_size), "padding": layer.padding}
    return {"filters": layer.filters, **size, **activation}
