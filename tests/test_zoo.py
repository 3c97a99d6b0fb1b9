from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from pixelsieve.core.config import from_mapping, to_plain
from pixelsieve.core.errors import ConfigError
from pixelsieve.data.clusters import Clusters
from pixelsieve.features import FeatureSet
from pixelsieve.networks.build import build
from pixelsieve.networks.layers import Conv, Dense, Flatten, MaxPool
from pixelsieve.networks.model_file import Model, load_model, save_model
from pixelsieve.networks.precision import Precision
from pixelsieve.networks.spec import (
    ZOO,
    NetworkSpec,
    Weights,
    asic,
    initial_weights,
    model1,
    model2,
    model2_5,
    model3,
    network,
)
from pixelsieve.training.warm_start import fit_scales, warm_start
from tests.conftest import make_clusters
from tests.tiny_networks import read_weights

SMALL_CONV = NetworkSpec(
    "small",
    (
        Conv("conv", 2, (3, 2), ("log_charges",)),
        MaxPool("pool", (4, 5), ("conv",)),
        Flatten("flatten", ("pool",)),
        Dense("hidden", 3, ("flatten", "y_local")),
        Dense("output", 1, ("hidden",), relu=False),
    ),
)


@pytest.mark.parametrize(
    ("spec", "parameters"),
    [
        (model1(), 913),
        (model1(2, 2), 19),
        (model1(6, 3), 121),
        (model1(8, 4), 265),
        (model1(10, 4), 391),
        (model2(), 19_905),
        (model2(8, 8, (64, 32, 16)), 4_017),
        (model2_5(), 23_553),
        (model2_5(96, 8, 40, 12), 8_185),
        (model2_5(8, 12, 8, 4), 533),
        (model3(), 411_441),
        (model3(8, (3, 3), 24, (72, 36)), 39_201),
        (model3(6, (3, 3), 24, (40, 32)), 16_901),
        (asic(), 1_045),
    ],
)
def test_the_zoo_has_the_fields_parameters(spec: NetworkSpec, parameters: int) -> None:
    assert spec.n_parameters == parameters
    assert sum(v.size for layer in initial_weights(spec, 0).values() for v in layer.values()) == (
        parameters
    )


@pytest.mark.parametrize("name", ZOO)
def test_float_and_quantized_models_have_the_variables_of_the_spec(name: str) -> None:
    spec = network(name)
    expected = [
        (layer, variable, shape)
        for layer, variables in spec.variables().items()
        for variable, shape in variables.items()
    ]
    for precision in (None, Precision(4)):
        weights = read_weights(build(spec, precision))
        got = [(layer, n, v.shape) for layer, vs in weights.items() for n, v in vs.items()]
        assert got == expected


@pytest.mark.parametrize("name", ZOO)
def test_time_is_one_more_input(name: str) -> None:
    plain, timed = network(name), network(name, "hit_time_30ps")
    units = timed.shapes()[timed.time_layer or ""][0]
    assert set(timed.features) - set(plain.features) == {"hit_time_30ps"}
    assert timed.n_parameters == plain.n_parameters + units


def random_weights(spec: NetworkSpec, seed: int) -> Weights:
    rng = np.random.default_rng(seed)
    return {
        layer: {n: rng.normal(0, 0.4, v.shape).astype(np.float32) for n, v in vs.items()}
        for layer, vs in initial_weights(spec, 0).items()
    }


def convolved(image: np.ndarray, kernel: np.ndarray, padding: str) -> np.ndarray:
    """Convolution of integers (n, rows, columns, channels) by its definition, as Keras pads."""
    high, wide = kernel.shape[:2]
    if padding == "same":
        above, left = (high - 1) // 2, (wide - 1) // 2
        image = np.pad(image, ((0, 0), (above, high - 1 - above), (left, wide - 1 - left), (0, 0)))
    rows, columns = image.shape[1] - high + 1, image.shape[2] - wide + 1
    total = np.zeros((len(image), rows, columns, kernel.shape[3]), np.int64)
    for r, c in product(range(rows), range(columns)):
        total[:, r, c] = np.einsum("nijk,ijkf->nf", image[:, r : r + high, c : c + wide], kernel)
    return total


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_a_quantized_convolution_equals_integer_arithmetic(
    padding: str, clusters: Clusters
) -> None:
    conv = replace(SMALL_CONV.layers[0], padding=padding)  # type: ignore[arg-type]
    spec = replace(SMALL_CONV, layers=(conv, *SMALL_CONV.layers[1:]))
    table = FeatureSet(spec.features).table(clusters)
    weights = random_weights(spec, 3)
    precision = fit_scales(weights, Precision(4))
    got = Model(spec, precision, weights, table.features).logits(table)

    def dense(name: str, codes: np.ndarray, fraction: int) -> tuple[np.ndarray, int]:
        kernel, bias = precision.weights(name).values()
        kernel_codes = kernel.codes(weights[name]["kernel"])
        total = convolved(codes, kernel_codes, padding) if name == "conv" else codes @ kernel_codes
        scale = 2.0 ** -(fraction + kernel.fraction_bits)
        return total * scale + bias.quantize(weights[name]["bias"]), fraction

    inputs, out = precision.input(), precision.activation()
    image = inputs.codes(table.inputs["log_charges"]).reshape(-1, 13, 21, 1)
    values = out.codes(dense("conv", image, inputs.fraction_bits)[0])
    n, rows, columns, channels = values.shape
    down, across = rows // 4, columns // 5
    values = values[:, : 4 * down, : 5 * across]
    pooled = values.reshape(n, down, 4, across, 5, channels).max((2, 4)).reshape(n, -1)
    fine = max(inputs.fraction_bits, out.fraction_bits)
    joined = np.concatenate(
        [
            pooled << (fine - out.fraction_bits),
            inputs.codes(table.inputs["y_local"]) << (fine - inputs.fraction_bits),
        ],
        axis=1,
    )
    hidden = out.codes(dense("hidden", joined, fine)[0])
    expected = dense("output", hidden, out.fraction_bits)[0][:, 0]
    np.testing.assert_array_equal(got, expected.astype(np.float32))
    assert len(np.unique(got)) > 10


def test_the_saved_keras_model_computes_what_training_does(
    tmp_path: Path, clusters: Clusters
) -> None:
    import jax

    table = FeatureSet(SMALL_CONV.features).table(clusters)
    weights = random_weights(SMALL_CONV, 4)
    model = Model(SMALL_CONV, fit_scales(weights, Precision(4)), weights, table.features)
    path = tmp_path / "model.keras"
    save_model(path, model)
    loaded = load_model(path)
    assert loaded.spec == SMALL_CONV
    import keras

    plain = keras.models.load_model(path)
    logits = np.asarray(jax.jit(plain)(table.inputs))[:, 0]
    np.testing.assert_array_equal(logits, model.logits(table))
    np.testing.assert_array_equal(loaded.logits(table), model.logits(table))


@pytest.mark.parametrize("name", ZOO)
def test_warm_starts_are_total(name: str) -> None:
    spec = network(name)
    floats = initial_weights(spec, 1)
    precision = fit_scales(floats, Precision(4))
    started, report = warm_start(floats, initial_weights(spec, 0), precision)
    assert [row.status for row in report] == ["copied"] * len(spec.variables())
    for layer, variables in floats.items():
        for variable, values in variables.items():
            np.testing.assert_array_equal(started[layer][variable], values)


def test_modules_and_places_on_them_follow_from_z() -> None:
    z = np.array([-65.025, -13.0, -0.025, 0.0, 12.975, 13.0, 64.9], np.float32)
    clusters = make_clusters(len(z), z_global_mm=z)
    inputs = FeatureSet(("module_number", "x_local")).table(clusters).inputs
    np.testing.assert_array_equal(inputs["module_number"][:, 0] * 8, [-6, -1, -1, 0, 0, 1, 4])
    np.testing.assert_allclose(
        inputs["x_local"][:, 0] * 16, [12.975, 0, 12.975, 0, 12.975, 0, 12.9], atol=1e-5
    )


def test_mirrored_images_are_reversed_along_x() -> None:
    clusters = make_clusters(50)
    plain = FeatureSet(("log_charges",)).table(clusters).inputs["log_charges"]
    mirrored = FeatureSet(("log_charges",), mirror_x=True).table(clusters).inputs["log_charges"]
    back = clusters.z_global_mm < 0
    assert back.any()
    images = plain.reshape(-1, 13, 21)
    expected = np.where(back[:, None, None], images[:, :, ::-1], images)
    np.testing.assert_array_equal(mirrored.reshape(-1, 13, 21), expected)


@pytest.mark.parametrize("spec", [*ZOO.values(), SMALL_CONV])
def test_specs_survive_plain_data(spec: NetworkSpec) -> None:
    assert from_mapping(NetworkSpec, to_plain(spec), "here") == spec


def test_layers_saved_before_there_were_kinds_are_dense() -> None:
    plain = to_plain(model2())
    for layer in plain["layers"]:
        del layer["kind"]
    assert from_mapping(NetworkSpec, plain, "here") == model2()


MINE = """
time_layer = "hidden"

[[layers]]
kind = "conv"
name = "conv2d"
filters = 4
kernel_size = [3, 3]
inputs = ["log_charges"]

[[layers]]
kind = "flatten"
name = "flatten"
inputs = ["conv2d"]

[[layers]]
name = "hidden"
units = 8
inputs = ["flatten", "y_local"]

[[layers]]
name = "output"
units = 1
relu = false
inputs = ["hidden"]
"""


def test_a_network_from_toml(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(MINE)
    spec = network(str(path), "hit_time_30ps")
    assert spec.name == "mine+hit_time_30ps"
    assert spec.shapes() == {
        "conv2d": (13, 21, 4),
        "flatten": (1092,),
        "hidden": (8,),
        "output": (1,),
    }
    assert spec.n_parameters == 40 + (1092 + 2) * 8 + 8 + 9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("units = 8", "unit = 8"), r"number 3: unknown key 'unit' \(did you mean 'units'\?\)"),
        (('"conv"', '"cnv"'), r"'kind' is 'cnv' \(did you mean 'conv'\?\); expected dense or conv"),
        (("[3, 3]", "[3]"), r"kernel_size is \[3\]; expected rows and columns"),
        (("[3, 3]", "[14, 3]"), "14 x 3 pixels do not fit its input of 13 x 21"),
        (("filters = 4", "filters = 0"), "filters is 0; expected at least 1"),
        (('["flatten", "y_local"]', '["conv2d"]'), "is an image of 13 x 21 x 4; put a flatten"),
        (('["log_charges"]', '["y_local"]'), "'y_local' is a vector of 1; expected an image"),
        (('["log_charges"]', '["log_charge"]'), r"unknown input 'log_charge' \(did you mean 'log"),
        (('["hidden"]', "[]"), "inputs is empty"),
        (('time_layer = "hidden"', 'time_layer = "conv2d"'), "time_layer: no dense layer 'conv2d'"),
        (('time_layer = "hidden"', "window = [9, 9]"), "takes the window of the data"),
        (('name = "hidden"', 'name = "a/b"'), "expected a name of letters"),
    ],
)
def test_bad_networks_are_one_clear_line(
    change: tuple[str, str], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.toml"
    assert change[0] in MINE
    path.write_text(MINE.replace(*change, 1))
    with pytest.raises(ConfigError, match=message) as error:
        network(str(path))
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
