"""Small files of Keras 2, QKeras and tfmot, written as those programs write them."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Arrays = Mapping[str, Mapping[str, Any]]
"""Layer -> name of a variable, in the order in which Keras numbers them -> its values."""

NAMES = ("z_global", "x_size", "y_size", "y_local")
KERNEL = np.array(
    [[0.6, -0.3, 0.2, -0.9, 0.45], [-0.2, 0.71, -0.5, 0.11, 0.9], [0.3, 0.08, 0.77, -0.4, -0.63],
     [-0.8, 0.26, -0.12, 0.52, 0.34]], np.float32
)  # fmt: skip
HEAD = np.array([[0.7], [-0.6], [0.33], [-0.21], [0.84]], np.float32)
BIAS = np.array([0.1, -0.2, 0.35, 0.05, -0.4], np.float32)
SHIFT = np.array([-0.15], np.float32)


def entry(kind: str, name: str, sources: Sequence[str] = (), **settings: Any) -> dict[str, Any]:
    """A layer in Keras's JSON."""
    calls = [[[source, 0, 0, {}] for source in sources]] if sources else []
    config = {"name": name, "dtype": "float32", **settings}
    return {"class_name": kind, "config": config, "name": name, "inbound_nodes": calls}


def chain(*layers: dict[str, Any], names: Sequence[str] = NAMES) -> dict[str, Any]:
    """Inputs of one number each, joined, then one layer behind the other."""
    inputs = [entry("InputLayer", name, batch_input_shape=[None, 1]) for name in names]
    found = [*inputs, entry("Concatenate", "joined", names, axis=-1)]
    for layer in layers:
        layer["inbound_nodes"] = [[[found[-1]["name"], 0, 0, {}]]]
        found.append(layer)
    config = {"name": "model", "layers": found, "input_layers": [[n, 0, 0] for n in names]}
    config["output_layers"] = [[found[-1]["name"], 0, 0]]
    return {"class_name": "Functional", "config": config}


def dense(name: str, units: int, kind: str = "Dense", **settings: Any) -> dict[str, Any]:
    return entry(kind, name, units=units, **{"activation": "linear", **settings})


def bits(**settings: Any) -> dict[str, Any]:
    """A `quantized_bits` of 4 bits."""
    config = {"bits": 4, "integer": 0, "symmetric": 0, "alpha": 1, "keep_negative": True}
    return {"class_name": "quantized_bits", "config": {**config, **settings}}


def rounded(name: str, units: int, **settings: Any) -> dict[str, Any]:
    """A `QDense` of 4 bits."""
    both = {"kernel_quantizer": bits(), "bias_quantizer": bits()}
    return dense(name, units, "QDense", **{**both, **settings})


def activation(name: str, text: Any, kind: str = "QActivation") -> dict[str, Any]:
    return entry(kind, name, activation=text)


def weights(head: Array = HEAD, shift: Array = SHIFT) -> dict[str, dict[str, NDArray[Any]]]:
    return {"d1": {"kernel": KERNEL, "bias": BIAS}, "output": {"kernel": head, "bias": shift}}


def write_h5(path: Path, model: Mapping[str, Any] | None, arrays: Arrays) -> Path:
    """HDF5 of Keras 2: the whole model, or weights alone."""
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = "2.15.0"
        root = file
        if model is not None:
            file.attrs["model_config"] = json.dumps(model)
            root = file.create_group("model_weights")
        root.attrs["layer_names"] = np.array(list(arrays), dtype="S")
        for layer, variables in arrays.items():
            group = root.create_group(layer)
            names = [f"{layer}/{name}:0" for name in variables]
            group.attrs["weight_names"] = np.array(names, dtype="S")
            for name, values in zip(names, variables.values(), strict=True):
                group[name] = values
    return path


def numbered(
    groups: Sequence[str], arrays: Arrays, container: str = "_layer_checkpoint_dependencies"
) -> bytes:
    """`model.weights.h5`: a group for each layer of `arrays`, its variables by number."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_group(container)
        for group, variables in zip(groups, arrays.values(), strict=True):
            inner: dict[str, int] = {}
            place = file.create_group(f"{container}/{group}")
            place.create_group("vars")
            for name, values in variables.items():
                at = name.rsplit("/", 1)[0] + "/vars" if "/" in name else "vars"
                place[f"{at}/{inner.setdefault(at, 0)}"] = values
                inner[at] += 1
    return buffer.getvalue()


def write_archive(path: Path, model: Mapping[str, Any], data: bytes, version: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": version}))
        archive.writestr("config.json", json.dumps(model))
        archive.writestr("model.weights.h5", data)
    return path
