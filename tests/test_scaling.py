"""Models that were trained on the field's own features: Keras's logits, and the firmware's."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import pixelsieve as ps
from pixelsieve.core import archives
from pixelsieve.core.errors import ConfigError
from pixelsieve.core.programs import Tool
from pixelsieve.data.clusters import Clusters
from pixelsieve.features import FAMILIES, REGISTRY, FeatureSet, Scale, Statement, statement
from pixelsieve.formats import parquet
from pixelsieve.hardware.job import make_firmware
from pixelsieve.importing import stored
from pixelsieve.importing.convert import ImportOptions, import_model
from pixelsieve.integer.file import read_integer_network
from pixelsieve.integer.network import from_model
from pixelsieve.integer.pixels import PixelNetwork
from pixelsieve.networks.model_file import Model, load_model, save_model
from pixelsieve.training.recipe import recipe
from tests.conftest import make_clusters
from tests.test_cli import pixelsieve

INPUTS = {
    "model1": {"z_global": (1,), "x_size": (1,), "y_size": (1,), "y_local": (1,)},
    "model2": {"x_profile": (21,), "z_global": (1,), "y_profile": (13,), "y_local": (1,)},
    "model3": {"cluster": (13, 21), "nModule": (1,), "x_local": (1,), "y_local": (1,)},
}
OURS = {"cluster": "log_charges", "nModule": "module_number"}
FAMILY = {"field": 1.0, "field-normalized": 0.0, "field-one-log": 1.0}
RELU, ROUNDED = "quantized_relu(8,0)", "quantized_bits(10,0,alpha=1)"

Make = Callable[[str], Any]


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "read_isolated", archives.read_hdf5)


@pytest.fixture(scope="module")
def many() -> Clusters:
    """Clusters of both signs of z; windows at z = 0, of one pixel, and full to the edge."""
    clusters = make_clusters(10_000, 3)
    pixels, z = clusters.pixels_e.copy(), clusters.z_global_mm.copy()
    pixels[:2] = 0
    pixels[0, 6, 10], pixels[1] = 0.1, 150_000
    z[:3] = (0, 65, -65)
    return clusters.replace(pixels_e=pixels, z_global_mm=z)


def field_features(clusters: Clusters, family: str) -> dict[str, np.ndarray]:
    """What the field's programs store in records of that family, as they compute it."""

    def log(values: np.ndarray) -> np.ndarray:
        return np.sign(values) * np.log1p(np.abs(values)) / np.log(2)

    charges = log(clusters.pixels_e.astype(np.float64))
    x, y = charges.sum(axis=1), charges.sum(axis=2)
    z = clusters.z_global_mm.astype(np.float64)
    found = {
        "cluster": charges,
        "x_size": (x != 0).sum(axis=1) / 21,
        "y_size": (y != 0).sum(axis=1) / 13,
        "x_profile": x if family == "field-one-log" else log(x),
        "y_profile": y if family == "field-one-log" else log(y),
        "y_local": clusters.y_local_mm.astype(np.float64) / 8.5,
        "z_global": z / 65,
        "nModule": np.floor(z / 13) / 5,
        "x_local": z % 13 / 13,
    }
    if family == "field-normalized":
        for name, divisor in (("cluster", 18.025), ("x_profile", 8.071), ("y_profile", 8.781)):
            found[name] = np.clip(found[name] / divisor, 0.0, 1.0)
    return {n: v.reshape(len(v), -1).astype(np.float32) for n, v in found.items()}


def network(kind: str, rounded: Make | None = None, relu: Make | None = None) -> Any:
    """A small network of that shape in Keras; `rounded` and `relu` make layers by name."""
    import keras

    layers = keras.layers
    relu = relu or (lambda name: layers.Activation("relu", name=name))
    inputs = {name: keras.Input(shape, name=name) for name, shape in INPUTS[kind].items()}
    seen = {n: rounded(f"rounded_{n}")(x) if rounded else x for n, x in inputs.items()}
    if kind == "model1":
        x = layers.Concatenate(name="joined")(list(seen.values()))
    elif kind == "model2":
        pairs = {"xz": ("x_profile", "z_global"), "yl": ("y_profile", "y_local")}
        halves = [
            relu(f"relu_{n}")(
                layers.Dense(4, name=n)(layers.Concatenate(name=f"in_{n}")([seen[a], seen[b]]))
            )
            for n, (a, b) in pairs.items()
        ]
        x = layers.Concatenate(name="joined")(halves)
    else:
        image = layers.Reshape((13, 21, 1), name="image")(seen.pop("cluster"))
        image = relu("relu_c")(layers.Conv2D(1, (3, 5), padding="valid", name="conv")(image))
        image = layers.Flatten(name="flat")(layers.MaxPooling2D((5, 8), name="pool")(image))
        x = layers.Concatenate(name="joined")([image, *seen.values()])
    x = relu("relu_hidden")(layers.Dense(3, name="hidden")(x))
    return keras.Model(list(inputs.values()), layers.Dense(1, name="output")(x))


def step(name: str, low: float, high: float, bits: int) -> Any:
    """A layer that rounds half to even to so many bits behind the point, low to high."""
    import keras

    ops, factor = keras.ops, 2.0**bits
    return keras.layers.Activation(
        lambda x: ops.clip(ops.round(x * factor) / factor, low, high), name=name
    )


def grid_weights(model: Any, seed: int, bits: int | None) -> list[np.ndarray]:
    """Weights with sums on both sides of 0, on the grid of `quantized_bits(bits, 0)`."""
    rng = np.random.default_rng(seed)
    values = [rng.uniform(-0.9, 0.9, w.shape) for w in model.get_weights()]
    return (
        values
        if bits is None
        else [np.round(v * 2 ** (bits - 1)) / 2 ** (bits - 1) for v in values]
    )


def as_qkeras(path: Path) -> None:
    """Turn the layers of an .h5 of Keras into those that QKeras writes."""
    weights = "quantized_bits(5,0,alpha=1)"
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        for layer in config["config"]["layers"]:
            if layer["class_name"] in {"Dense", "Conv2D"}:
                layer["class_name"] = f"Q{layer['class_name']}"
                layer["config"] |= {"kernel_quantizer": weights, "bias_quantizer": weights}
            elif layer["class_name"] == "Activation":
                layer["class_name"] = "QActivation"
                rounds = layer["config"]["name"].startswith("rounded")
                layer["config"]["activation"] = ROUNDED if rounds else RELU
        file.attrs["model_config"] = json.dumps(config)


def expected(keras_model: Any, kind: str, features: dict[str, np.ndarray]) -> np.ndarray:
    inputs = [features[n].reshape(-1, *shape) for n, shape in INPUTS[kind].items()]
    return np.asarray(keras_model.predict(inputs, batch_size=2000, verbose=0))[:, 0]


def options(kind: str, family: str, input_bits: int | None = None) -> ImportOptions:
    names = tuple(OURS.get(name, name) for name in INPUTS[kind])
    return ImportOptions(names, input_bits=input_bits, scaling=Statement(family))


def quantized(path: Path, kind: str, family: str, *, rounds: bool = True) -> tuple[Model, Any]:
    """A QKeras model imported, and the same in Keras; where it does not round, 10-bit inputs."""
    bits = None if rounds else 10
    plain = network(kind, (lambda name: _linear(name)) if rounds else None)
    weights = grid_weights(plain, 1, 5)
    plain.set_weights(weights)
    plain.save(path)
    as_qkeras(path)

    def rounded(name: str) -> Any:
        integer = 0
        if not rounds:
            integer = {"x_profile": 3, "y_profile": 3, "cluster": 4}.get(
                name.removeprefix("rounded_"), 0
            )
        end, fraction = 2.0**integer, 9 - integer
        return step(name, -end, end - 2.0**-fraction, fraction)

    same = network(kind, rounded, lambda name: step(name, 0, 1 - 2**-8, 8))
    same.set_weights(weights)
    model, _ = import_model(path, options(kind, family, bits))
    return model, same


def _linear(name: str) -> Any:
    import keras

    return keras.layers.Activation("linear", name=name)


@pytest.mark.parametrize("family", list(FAMILIES))
@pytest.mark.parametrize("kind", list(INPUTS))
def test_float_models_of_the_field_give_keras_logits(
    kind: str, family: str, tmp_path: Path, many: Clusters
) -> None:
    keras_model = network(kind)
    keras_model.set_weights(grid_weights(keras_model, 1, None))
    keras_model.save(tmp_path / "m.keras")
    model, report = import_model(tmp_path / "m.keras", options(kind, family))
    assert not report.assumed
    wanted = expected(keras_model, kind, field_features(many, family))
    assert np.ptp(wanted) > 0.1
    save_model(tmp_path / "ours.keras", model)
    again = load_model(tmp_path / "ours.keras")
    for one in (model, again):
        ours = one.logits(one.features.table(many))
        np.testing.assert_allclose(ours, wanted, rtol=0, atol=1e-6 * max(1, np.ptp(wanted)))


@pytest.mark.parametrize("rounds", [True, False])
@pytest.mark.parametrize("family", list(FAMILIES))
@pytest.mark.parametrize("kind", list(INPUTS))
def test_quantized_models_of_the_field_give_keras_logits_to_the_bit(
    kind: str, family: str, rounds: bool, tmp_path: Path, many: Clusters
) -> None:
    if family == "field-normalized" and not rounds:
        pytest.skip("inputs below 1 are rounded the same way")
    model, same = quantized(tmp_path / "m.h5", kind, family, rounds=rounds)
    wanted = expected(same, kind, field_features(many, family))
    assert len(np.unique(wanted)) > 100
    np.testing.assert_array_equal(model.logits(model.features.table(many)), wanted)
    integers = from_model(model)
    codes = integers.run(integers.codes(many))
    np.testing.assert_array_equal(codes * 2.0**-integers.logit_fraction_bits, wanted)
