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
from pixelsieve.data.clusters import Clusters
from pixelsieve.features import REGISTRY, FeatureSet, Scale, Statement, statement
from pixelsieve.formats import parquet
from pixelsieve.front_end.readout import read_out
from pixelsieve.hardware.job import make_firmware
from pixelsieve.hardware.readme import port_meaning
from pixelsieve.importing import stored
from pixelsieve.importing.convert import ImportOptions, import_model
from pixelsieve.integer.file import read_integer_network
from pixelsieve.integer.network import from_model
from pixelsieve.integer.pixels import PixelNetwork
from pixelsieve.networks.layers import Dense
from pixelsieve.networks.model_file import Model, load_model, save_model
from pixelsieve.networks.precision import Precision
from pixelsieve.networks.spec import NetworkSpec, initial_weights
from tests.conftest import make_clusters
from tests.test_cli import pixelsieve

INPUTS: dict[str, dict[str, tuple[int, ...]]] = {
    "model1": {"z_global": (1,), "x_size": (1,), "y_size": (1,), "y_local": (1,)},
    "model2": {"x_profile": (21,), "z_global": (1,), "y_profile": (13,), "y_local": (1,)},
    "model3": {"cluster": (13, 21), "nModule": (1,), "x_local": (1,), "y_local": (1,)},
}
OURS = {"cluster": "log_charges", "nModule": "module_number"}
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
        return np.asarray(np.sign(values) * np.log1p(np.abs(values)) / np.log(2))

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
    plain = network(kind, _linear if rounds else None)
    weights = grid_weights(plain, 1, 5)
    plain.set_weights(weights)
    plain.save(path)
    as_qkeras(path)

    def rounded(name: str) -> Any:
        integer = 0
        if not rounds:
            profile = 8 if family == "field-one-log" else 3
            known = {"x_profile": profile, "y_profile": profile, "cluster": 4}
            integer = known.get(name.removeprefix("rounded_"), 0)
        end, fraction = 2.0**integer, 9 - integer
        return step(name, -end, end - 2.0**-fraction, fraction)

    same = network(kind, rounded, lambda name: step(name, 0, 1 - 2**-8, 8))
    same.set_weights(weights)
    model, _ = import_model(path, options(kind, family, bits))
    return model, same


def _linear(name: str) -> Any:
    import keras

    return keras.layers.Activation("linear", name=name)


@pytest.mark.parametrize(
    ("kind", "family"),
    [
        ("model1", "field"),
        ("model2", "field"),
        ("model2", "field-normalized"),
        ("model2", "field-one-log"),
        ("model3", "field"),
        ("model3", "field-normalized"),
    ],
)
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


@pytest.mark.parametrize(
    ("kind", "family", "rounds"),
    [
        ("model1", "field", True),
        ("model2", "field-normalized", True),
        ("model3", "field-normalized", True),
        ("model2", "field", False),
        ("model2", "field-one-log", False),
        ("model3", "field", False),
    ],
)
def test_quantized_models_of_the_field_give_keras_logits_to_the_bit(
    kind: str, family: str, rounds: bool, tmp_path: Path, many: Clusters
) -> None:
    model, same = quantized(tmp_path / "m.h5", kind, family, rounds=rounds)
    wanted = expected(same, kind, field_features(many, family))
    assert len(np.unique(wanted)) > 100
    np.testing.assert_array_equal(model.logits(model.features.table(many)), wanted)
    integers = from_model(model)
    codes = integers.run(integers.codes(many))
    np.testing.assert_array_equal(codes * 2.0**-integers.logit_fraction_bits, wanted)


@pytest.mark.usefixtures("verilator")
def test_their_verilog_passes_the_gate(tmp_path: Path) -> None:
    model, _ = quantized(tmp_path / "m.h5", "model1", "field")
    result = make_firmware(model, make_clusters(200, 1), make_clusters(200, 2), tmp_path / "chip")
    assert result.passed
    readme = (tmp_path / "chip" / "README.md").read_text()
    assert "number of columns (x) with a pixel above 0 e, pixels / 21 |" in readme
    assert read_integer_network(tmp_path / "chip" / "network.json").features == model.features


def test_a_port_says_logarithm_divisor_and_limits() -> None:
    scale = Scale("y_profile", 8.781, logarithm=True, low=0, high=1)
    said = port_meaning("y_profile", FeatureSet(("y_profile",), scales=(scale,)))
    assert said.endswith("by row (y), log2(1 + log2(1 + e)) / 8.781, 0 to 1")


def told_by(call: Callable[[], Any]) -> tuple[Any, list[str]]:
    """What a call returns, and its warnings of ours."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", ps.PixelsieveWarning)
        returned = call()
    return returned, [str(one.message) for one in found]


def stated(tmp_path: Path, names: tuple[str, ...], **how: Any) -> ps.ImportedModel:
    """A dense logit on these features, imported with what is stated."""
    import keras

    inputs = [keras.Input((REGISTRY[n].size(),), name=n) for n in names]
    joined = keras.layers.Concatenate()(inputs) if len(inputs) > 1 else inputs[0]
    keras_model = keras.Model(inputs, keras.layers.Dense(1, name="output")(joined))
    keras_model.set_weights(grid_weights(keras_model, 0, None))
    path = tmp_path / "m.keras"
    keras_model.save(path)
    found: ps.ImportedModel = ps.convert_model(path, **how)
    return found


SIZES = ("x_size", "y_size")


def test_what_nobody_stated_is_warned_of_once_and_named(tmp_path: Path, clusters: Clusters) -> None:
    assumed = "so assumed: x_size / 32, y_size / 16; "
    model, (told,) = told_by(lambda: stated(tmp_path, SIZES))
    assert told.endswith(assumed + "state them with divide or scaling")
    _, (told,) = told_by(lambda: ps.evaluate(model, clusters))
    assert told.endswith(assumed + "convert it again with divide or scaling")
    _, (told,) = told_by(lambda: stated(tmp_path, SIZES, divide={"x_size": 21}))
    assert "so assumed: y_size / 16;" in told
    silent = stated(tmp_path, SIZES, divide="x_size=21,y_size=13")  # warnings are errors
    ps.evaluate(silent, clusters)


def test_the_verbs_take_show_and_use_what_is_stated(tmp_path: Path) -> None:
    told_by(lambda: stated(tmp_path, SIZES))
    parquet.write(make_clusters(300), tmp_path / "c.parquet")
    aucs = {}
    for name, how in {
        "none": (),
        "own": ("--divide", "x_size=21", "--divide", "y_size=13"),
        "family": ("--scaling", "field"),
    }.items():
        out = tmp_path / f"{name}.keras"
        result = pixelsieve("convert", tmp_path / "m.keras", "--out", out, *how)
        assert result.exit_code == 0, result.output
        assert ("inputs, as stated: x_size / 21, y_size / 13" in result.output) == (name != "none")
        assert ("warning" in result.output) == (name == "none")
        shown = json.loads(pixelsieve("inspect", out).output)["features"]
        assert shown["divisors"] == ([32, 16] if name == "none" else [21, 13])
        evaluated = pixelsieve("evaluate", out, "--data", tmp_path / "c.parquet", "--json")
        assert ("with --divide or --scaling" in evaluated.output) == (name == "none")
        aucs[name] = json.loads(evaluated.output[evaluated.output.index("{") :])["figures"]["auc"]
    assert aucs["own"] == aucs["family"] != aucs["none"]


def test_a_warm_start_trains_on_with_the_scaling_of_its_model(tmp_path: Path) -> None:
    model = stated(tmp_path, SIZES, scaling="field")
    data = ps.Dataset.of({n: make_clusters(200, i) for i, n in enumerate(("train", "validation"))})
    trained = ps.train(
        data, bits=6, epochs=1, batch_size=50, start=model, out=tmp_path / "run", progress=False
    )
    assert trained.features == model.features
    assert ps.load_model(str(trained.path)).features.divisors == (21, 13)


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"divide": "x_size"}, "divide: 'x_size'; expected FEATURE=NUMBER"),
        ({"divide": "x_size=0"}, "divide: .*'x_size': divisor is 0; expected above 0"),
        ({"divide": "x_size=2,x_size=3"}, "'x_size' twice"),
        ({"divide": "x_siz=2"}, r"unknown feature 'x_siz' \(did you mean 'x_size'"),
        ({"divide": {"z_global": 65.0}}, "'z_global' is no input of it.*its inputs: x_size, y_siz"),
        ({"scaling": "feld"}, r"scaling: unknown family 'feld' \(did you mean 'field'"),
        ({"scaling": {"x_size": {"divide": 3}}}, "unknown key 'divide'"),
        ({"scaling": {"x_size": {"divisor": 3, "low": 1, "high": 0}}}, "expected low < high"),
    ],
)
def test_bad_statements_are_refused(tmp_path: Path, how: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        stated(tmp_path, SIZES, **how)


def test_a_family_that_says_nothing_of_an_input_asks_for_its_divisor(tmp_path: Path) -> None:
    names = ("x_size", "total_charge")
    with pytest.raises(ConfigError, match="scaling field: says nothing of 'total_charge'; add div"):
        stated(tmp_path, names, scaling="field")
    model = stated(tmp_path, names, scaling="field", divide={"total_charge": 150_000})
    assert model.features.divisors == (21, 150_000)


def test_a_file_says_all_of_it_and_divisors_stand_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "scaling.toml"
    path.write_text(
        'family = "field-normalized"\nx_size = 20\n[z_global]\ndivisor = 70\nlow = -0.5\n'
    )
    found = statement(["z_global=80"], path)
    scales = {one.feature: one for one in found.of(("x_size", "z_global", "x_profile"), "m")}
    assert list(map(str, scales.values())) == [
        "x_size / 20",
        "z_global / 80, from -0.5",
        "log2(1 + x_profile) / 8.071, 0 to 1",
    ]


def test_sets_without_a_statement_are_as_they_were() -> None:
    plain = FeatureSet(SIZES)
    assert plain.to_plain() == {
        "names": ["x_size", "y_size"],
        "mirror_x": False,
        "divisors": [32.0, 16.0],
        "window": [13, 21],
    }
    assert plain.fingerprint == "82bd63b12d0ee35e"
    own = FeatureSet(SIZES, scales=(Scale("x_size", 21),))
    assert own.fingerprint != plain.fingerprint
    saved = json.loads(json.dumps(own.to_plain()))
    assert FeatureSet.from_plain(saved, "m") == own
    saved["scales"][0]["divisor"] = 22
    with pytest.raises(ConfigError, match="m: feature 'x_size': two divisors, 21 and 22"):
        FeatureSet.from_plain(saved, "m")


@pytest.mark.parametrize(
    ("scale", "told"),
    [
        (Scale("x_size", 32), None),
        (Scale("x_size", 64, low=0, high=1), None),
        (Scale("x_size", 21), "'x_size': divided by 21, which is no power of two; no shift makes"),
        (
            Scale("x_size", 4, logarithm=True),
            r"x_size\) / 4 \(stated at import\) is not built",
        ),
        (Scale("z_global", 3, logarithm=True), None),
    ],
)
def test_from_pixels_takes_what_shifts_make_and_says_why_not(
    scale: Scale, told: str | None
) -> None:
    chip = ps.FrontEnd(threshold_e=500, adc="linear", adc_bits=4, adc_full_scale_e=4000)
    read = read_out(chip, make_clusters(200)).clusters
    spec = NetworkSpec("sizes", (Dense("output", 1, ("x_size", "z_global"), relu=False),))
    features = FeatureSet(spec.features, scales=(scale,))
    model = Model(spec, Precision(4), initial_weights(spec, 0), features)
    if told is not None:
        with pytest.raises(ConfigError, match=told):
            PixelNetwork(from_model(model), 4)
        return
    network = from_model(model)
    pixels = PixelNetwork(network, 4)
    wanted = network.run(network.codes(read))
    np.testing.assert_array_equal(pixels.run(pixels.codes(read)), wanted)
