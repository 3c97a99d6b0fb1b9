from __future__ import annotations

import importlib.util
import io
import json
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from pixelsieve.cli import app
from pixelsieve.core import archives
from pixelsieve.core.errors import ConfigError, PixelsieveError, RunError
from pixelsieve.features import FeatureTable
from pixelsieve.importing import stored
from pixelsieve.importing.convert import ImportOptions, import_model
from pixelsieve.importing.graph import read_graph
from pixelsieve.importing.inputs import recognized
from pixelsieve.importing.quantizers import read_function
from pixelsieve.integer.network import from_model
from pixelsieve.networks.model_file import Model, load_model, pick_model, save_model
from pixelsieve.networks.precision import Precision
from pixelsieve.networks.spec import network
from tests.conftest import make_clusters

FOLDER = Path(__file__).parent / "data" / "models"
QUANTIZED = {
    "model2_4b.h5": (0, 8),
    "model2_mixed.keras": (1, None),
    "model1_8b.h5": (2, None),
    "model1_mixed.h5": (3, None),
    "asic_4b.h5": (4, 6),
    "model3_6b.h5": (5, None),
}
"""Seed of the inputs, and their bits where the file does not round them."""

ORDER = {  # of the inputs, as the script has them
    "model1": ("z_global", "x_size", "y_size", "y_local"),
    "model2": ("x_profile", "z_global", "y_profile", "y_local"),
    "asic": ("y_local", "y_profile"),
    "model3": ("log_charges", "module_number", "x_local", "y_local"),
}


def options_of(name: str) -> ImportOptions:
    """What must be said of a reference file."""
    features = ORDER["model3"] if name.startswith("model3") else None
    return ImportOptions(features, input_bits=QUANTIZED.get(name, (0, None))[1])


FLOATS = ["float_keras2.h5", "float_keras2.keras", "float_keras3.h5", "float_keras3.keras"]
SMALL = FOLDER / "model1_8b.h5"

Tree = dict[str, Any]


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """HDF5 is read here, to save a process for each file; `archives` has tests of its own."""
    monkeypatch.setattr(stored, "read_isolated", archives.read_hdf5)


def reference_inputs(sizes: dict[str, int], seed: int, bits: int | None) -> dict[str, Any]:
    """The inputs that the reference logits were made of, by the script that made them."""
    path = Path(__file__).parents[1] / "benchmarks" / "qkeras_reference.py"
    spec = importlib.util.spec_from_file_location("qkeras_reference", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    inputs: dict[str, Any] = module.reference_inputs(sizes, seed, bits)
    return inputs


def reference_table(model: Model, name: str, seed: int, bits: int | None) -> FeatureTable:
    order = ORDER[name.split("_", maxsplit=1)[0].replace("float", "model2")]
    inputs = reference_inputs({f: model.spec.width(f) for f in order}, seed, bits)
    return FeatureTable(model.features, inputs, np.zeros(10_000, np.float32))


def reference_logits(name: str) -> np.ndarray:
    with np.load(FOLDER / "logits.npz") as file:
        return np.asarray(file[name])


@pytest.mark.parametrize("name", list(QUANTIZED))
def test_qkeras_models_give_qkeras_logits_to_the_last_bit(name: str) -> None:
    seed, bits = QUANTIZED[name]
    model, _ = import_model(FOLDER / name, options_of(name))
    table, expected = reference_table(model, name, seed, bits), reference_logits(name)
    assert len(np.unique(expected)) > 500
    np.testing.assert_array_equal(model.logits(table), expected)
    integers = from_model(model)
    assert max(integers.sum_bits().values()) <= 25  # float32 holds 24 and the sign: exact there
    codes = integers.run(integers.input_codes(table))
    np.testing.assert_array_equal(codes * 2.0**-integers.logit_fraction_bits, expected)


def test_float_models_of_four_formats_are_one() -> None:
    models = [import_model(FOLDER / name, ImportOptions())[0] for name in FLOATS]
    table = reference_table(models[0], "float", 9, None)
    logits = models[0].logits(table)
    np.testing.assert_allclose(logits, reference_logits("float"), rtol=0, atol=1e-5)
    for model in models[1:]:
        one, other = (
            [replace(d, inputs=("x_size",)) for d in m.spec.layers] for m in (model, models[0])
        )
        assert one == other
        for layer, variables in models[0].weights.items():
            for name, values in variables.items():
                np.testing.assert_array_equal(model.weights[layer][name], values)


def stored_names(path: Path) -> tuple[list[str], list[str]]:
    """Names of all layers and paths of all arrays in a file."""
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))
            weights: Any = io.BytesIO(archive.read("model.weights.h5"))
    else:
        weights = path
    arrays: list[str] = []
    with h5py.File(weights) as file:
        file.visititems(lambda n, item: arrays.append(n) if hasattr(item, "shape") else None)
        if path.suffix != ".keras":
            config = json.loads(file.attrs["model_config"])
    return [layer["config"]["name"] for layer in config["config"]["layers"]], arrays


@pytest.mark.parametrize("name", [*QUANTIZED, *FLOATS])
def test_the_report_names_every_layer_and_every_array_once(name: str) -> None:
    model, report = import_model(FOLDER / name, options_of(name))
    layers, arrays = stored_names(FOLDER / name)
    said = [row.name.rsplit(" (", 1)[0] for row in report.rows if row.what == "layer"]
    assert sorted(said) == sorted(layers)
    assert sorted(row.name for row in report.rows if row.what != "layer") == sorted(arrays)
    assert all(row.note for row in report.rows)
    headed = name not in {"model1_mixed.h5", "asic_4b.h5"}  # the others end in a sigmoid or tanh
    assert any("scores here are logits" in note for note in report.notes) == headed
    assert model.card.others["imported"]["sha256"] == report.sha256


def test_a_float_network_with_images_computes_what_keras_computes(tmp_path: Path) -> None:
    import keras

    image = keras.Input((13, 21, 1), name="log_charges")
    place = keras.Input((1,), name="y_local")
    x = keras.layers.Conv2D(2, (3, 5), padding="valid", name="conv")(image)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.MaxPooling2D((3, 2))(keras.layers.ReLU()(x))
    x = keras.layers.Concatenate()([keras.layers.Flatten()(x), place])
    keras_model = keras.Model([image, place], keras.layers.Dense(1)(x))
    rng = np.random.default_rng(0)
    weights = [rng.uniform(0.1, 0.9, w.shape) for w in keras_model.get_weights()]
    keras_model.set_weights(weights)
    keras_model.save(tmp_path / "m.keras")
    model, report = import_model(tmp_path / "m.keras", ImportOptions())
    assert "folded into 'conv'" in {row.note for row in report.rows}
    inputs = {
        n: rng.uniform(-1, 1, (20, s)).astype("f4")
        for n, s in (("log_charges", 273), ("y_local", 1))
    }
    table = FeatureTable(model.features, inputs, np.zeros(20, np.float32))
    expected = keras_model([inputs["log_charges"].reshape(-1, 13, 21, 1), inputs["y_local"]])
    np.testing.assert_allclose(model.logits(table), np.asarray(expected)[:, 0], rtol=1e-5)


def without_bias(**quantizers: Any) -> tuple[Callable[[Tree], None], Callable[[h5py.File], None]]:
    """Changes of `asic_4b.h5`: its QDenseBatchnorm has no bias of its own, and `quantizers`."""
    settings = {"use_bias": False, **quantizers}

    def spoil(file: h5py.File) -> None:
        group = file["model_weights/dense1"]
        names = list(group.attrs["weight_names"])
        del group["dense1/bias:0"]
        group.attrs["weight_names"] = [n for n in names if "bias" not in str(n)]

    return lambda c: layer(c, "dense1")["config"].update(settings), spoil


def test_a_fold_makes_a_bias_that_must_be_quantized_too(tmp_path: Path) -> None:
    asic, options = FOLDER / "asic_4b.h5", ImportOptions(input_bits=6)
    path = changed_file(tmp_path / "bare.h5", *without_bias(bias_quantizer=None), source=asic)
    with pytest.raises(ConfigError, match="layer 'dense1': its bias is not quantized while other"):
        import_model(path, options)
    path = changed_file(tmp_path / "rounded.h5", *without_bias(), source=asic)
    model, _ = import_model(path, options)
    with h5py.File(path) as file:
        stored_values = file["model_weights/dense1/dense1/batch_normalization"]
        gamma, beta, mean, variance = (
            np.asarray(stored_values[f"{n}:0"])
            for n in ("gamma", "beta", "moving_mean", "moving_variance")
        )
    folded = beta - gamma / np.sqrt(variance + np.float32(1e-3)) * mean
    assert isinstance(model.precision, Precision)
    used = model.precision.weights("dense1")["bias"].quantize(model.weights["dense1"]["bias"])
    np.testing.assert_array_equal(used, np.clip(np.rint(folded * 8), -8, 7) / 8)
    assert used.any()


def test_a_float_network_may_fold_without_a_bias(tmp_path: Path) -> None:
    def floats(config: Tree) -> None:
        without_bias(kernel_quantizer=None, bias_quantizer=None)[0](config)
        layer(config, "relu1")["config"]["activation"] = "relu"
        layer(config, "output_dense")["config"].update(kernel_quantizer=None, bias_quantizer=None)

    path = changed_file(tmp_path / "m.h5", floats, without_bias()[1], FOLDER / "asic_4b.h5")
    model, _ = import_model(path, ImportOptions())
    assert model.precision is None
    assert model.weights["dense1"]["bias"].any()


@pytest.mark.parametrize(
    ("heads", "refused"),
    [
        (["sigmoid"], None),
        (["quantized_tanh(8,0)"], None),
        (["quantized_bits(2,0)"], None),
        (["quantized_bits(6,1,alpha=0.3)"], None),
        (["tanh", "quantized_bits(6,1,1,keep_negative=False)"], None),
        (["quantized_bits(2,0,alpha=-1)"], "quantized_bits(2,0) has alpha = -1; expected a posit"),
        (["quantized_bits(2,0,alpha=0.0)"], "has alpha = 0.0; expected a positive one"),
        (["quantized_bits(2,0,alpha='auto')"], "has alpha = 'auto'; expected a positive one"),
        (["tanh", "quantized_bits(2,0,alpha=-1)"], "has alpha = -1; expected a positive one"),
        (["tanh", "quantized_relu(8,0,negative_slope=-0.5)"], "has negative_slope = -0.5; expec"),
    ],
)
def test_what_is_left_out_behind_the_logit_never_falls(
    tmp_path: Path, heads: list[str], refused: str | None
) -> None:
    def end(config: Tree) -> None:
        first, *more = heads
        name = config["output_layers"][0][0]
        layer(config, name)["config"]["activation"] = first
        for number, head in enumerate(more):
            late = json.loads(json.dumps(layer(config, "q_activation")))
            late["config"].update(name=f"late_{number}", activation=head)
            late |= {"name": f"late_{number}", "inbound_nodes": [[[name, 0, 0, {}]]]}
            config["layers"].append(late)
            config["output_layers"] = [[f"late_{number}", 0, 0]]

    path = changed_file(tmp_path / "m.h5", end)
    if refused is not None:
        with pytest.raises(ConfigError) as error:
            import_model(path, ImportOptions())
        assert refused in str(error.value)
        assert str(error.value).count(str(path)) == 1
        return
    model, report = import_model(path, ImportOptions())
    plain, _ = import_model(SMALL, ImportOptions())
    for name, variables in plain.weights.items():
        for key, values in variables.items():
            np.testing.assert_array_equal(model.weights[name][key], values)
    for head in heads:
        (note,) = (n for n in report.notes if n.startswith(f"'{head.split('(')[0]}"))
        assert ("those that it ties are told apart" in note) == (head not in {"sigmoid", "tanh"})


# What may be wrong with a file: `change` edits the JSON of a small one, `spoil` its arrays.


def changed_file(
    path: Path,
    change: Callable[[Tree], None] = lambda _: None,
    spoil: Callable[[h5py.File], None] = lambda _: None,
    source: Path = SMALL,
) -> Path:
    path.write_bytes(source.read_bytes())
    with h5py.File(path, "r+") as file:
        model = json.loads(file.attrs["model_config"])
        change(model["config"])
        file.attrs["model_config"] = json.dumps(model)
        spoil(file)
    return path


def layer(config: Tree, name: str) -> Tree:
    return next(entry for entry in config["layers"] if entry["config"]["name"] == name)


def kernel_quantizer(**settings: Any) -> Callable[[Tree], None]:
    return lambda c: layer(c, "q_dense_1")["config"]["kernel_quantizer"]["config"].update(settings)


def setting(name: str, key: str, value: Any) -> Callable[[Tree], None]:
    return lambda c: layer(c, name)["config"].update({key: value})


def kind(name: str, value: str) -> Callable[[Tree], None]:
    return lambda c: layer(c, name).update({"class_name": value})


def no_input_quantizer(config: Tree) -> None:
    layer(config, "q_activation")["config"]["activation"] = "linear"


def second_output(config: Tree) -> None:
    config["output_layers"].append(["q_dense", 0, 0])


def side_use(config: Tree) -> None:
    """The logit takes a layer's output both through a relu of its own and as it is."""
    layer(config, "q_dense_3")["config"]["activation"] = "linear"
    relu = json.loads(json.dumps(layer(config, "q_activation")))
    relu["config"].update({"name": "late", "activation": "quantized_relu(8,0)"})
    relu |= {"name": "late", "inbound_nodes": [[["q_dense_3", 0, 0, {}]]]}
    join: Tree = {"class_name": "Concatenate", "config": {"name": "j"}, "name": "j"}
    join["inbound_nodes"] = [[["late", 0, 0, {}], ["q_dense_3", 0, 0, {}]]]
    config["layers"] += [relu, join]
    layer(config, "q_dense_4")["inbound_nodes"] = [[["j", 0, 0, {}]]]


def wide_kernel(file: h5py.File) -> None:
    group = file["model_weights/q_dense_4/q_dense_4"]
    del group["kernel:0"]
    group["kernel:0"] = np.zeros((32, 1), np.float32)


def shared(config: Tree) -> None:
    calls = layer(config, "q_dense_1")["inbound_nodes"]
    calls.append([["q_dense_1", 0, 0, {}]])


def circle(config: Tree) -> None:
    calls: Any = [[["q_dense", 0, 0, {}], ["q_dense_2", 0, 0, {}]]]
    layer(config, "q_dense_1")["inbound_nodes"] = calls


RELU = {"class_name": "quantized_relu", "config": {"bits": 8, "integer": 0}}


def relu_with(**settings: Any) -> Callable[[Tree], None]:
    value = {"class_name": "quantized_relu", "config": {**RELU["config"], **settings}}  # type: ignore[dict-item]
    return setting("q_dense_1", "activation", value)


def called_with(keywords: Any) -> Callable[[Tree], None]:
    def change(config: Tree) -> None:
        (layer,) = (one for one in config["layers"] if one["config"]["name"] == "q_dense_1")
        layer["inbound_nodes"][0][0][3] = keywords

    return change


@pytest.mark.parametrize("class_name", [["Functional"], {}, None, "Lambda"])
def test_a_model_of_another_class_is_refused(class_name: Any) -> None:
    with pytest.raises(ConfigError, match=r"m\.h5: a model of class '.*'; expected a f"):
        read_graph({"class_name": class_name, "config": {}}, "m.h5")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (kind("q_dense_1", "Lambda"), "layer 'q_dense_1': a Lambda holds code"),
        (kind("q_dense_1", "QLSTM"), "QLSTM is not supported; known: "),
        (kernel_quantizer(alpha="auto"), "alpha = 'auto': a scale that follows the weights"),
        (kernel_quantizer(alpha=0.3), "alpha = 0.3; expected a power of two"),
        (kernel_quantizer(alpha=[[1.0, 2.0]]), "alpha = [[1.0, 2.0]]; expected one number"),
        (kernel_quantizer(keep_negative=False), "drops negative weights"),
        (kernel_quantizer(qnoise_factor=0.5), "qnoise_factor = 0.5"),
        (kernel_quantizer(bits=1), "expected 2 to 32 bits"),
        (kernel_quantizer(bits=10**9), "expected 2 to 32 bits"),
        (kernel_quantizer(bits=20), "weight_bits is 20; expected 2 to 16"),
        (kernel_quantizer(bits="8"), "bits is '8'; expected a whole number"),
        (kernel_quantizer(post_training_scale=2.0), "post_training_scale = 2.0"),
        (setting("q_dense_1", "kernel_quantizer", "ternary()"), "'ternary' on weights"),
        (setting("q_dense_1", "kernel_quantizer", "binary(alpha=1)"), "'binary' on weights"),
        (setting("q_dense_1", "kernel_quantizer", "open('/etc/passwd')"), "'open' on weights"),
        (setting("q_dense_1", "kernel_quantizer", "quantized_bits(4,0,"), "cannot read"),
        (setting("q_dense_1", "kernel_quantizer", "quantized_bits(print(1))"), "cannot read"),
        (setting("q_dense_1", "kernel_quantizer", None), "its kernel is not quantized"),
        (setting("q_dense_1", "bias_quantizer", None), "its bias is not quantized"),
        (setting("q_dense_1", "activation", "relu"), "its relu is not quantized"),
        (setting("q_dense_1", "activation", "tanh"), "'tanh' on layer 'q_dense_1'"),
        (setting("q_dense_1", "units", 17), "has shape (16, 16); expected (16, 17)"),
        (setting("q_dense_1", "units", None), "units is None"),
        (setting("q_dense_1", "dtype", "mixed_float16"), "computes in mixed_float16"),
        (relu_with(negative_slope=0.25), "negative_slope = 0.25; expected a plain relu"),
        (relu_with(relu_upper_bound=0.5), "is cut at 0.5, inside its range"),
        (setting("q_activation", "activation", "quantized_bits(10,1)"), "inputs are rounded to"),
        (setting("q_activation", "activation", "quantized_relu(10,0)"), "on inputs"),
        (setting("q_activation", "activation", "quantized_bits(10,0,1)"), "is symmetric"),
        (no_input_quantizer, "nothing rounds its inputs; hardware must: say --input-bits N"),
        (setting("concatenate", "axis", 0), "joins along axis 0"),
        (setting("concatenate", "axis", [[]]), "joins along axis [[]]"),
        (called_with(7), "called with 7; expected plain layers"),
        (called_with([["mask"]]), "called with [['mask']]; expected plain layers"),
        (second_output, "2 outputs; expected one"),
        (shared, "is used more than once"),
        (circle, "feed each other in a circle"),
        (lambda c: c["layers"].pop(5), "'q_activation' is used but not there"),
        (lambda c: c.update(layers=None), "no list 'layers'"),
        (lambda c: c["layers"][0].pop("class_name"), "a layer without class_name"),
        (lambda c: c.pop("output_layers"), "output_layers: missing"),
    ],
)
def test_what_has_no_counterpart_is_refused(
    tmp_path: Path, change: Callable[[Tree], None], message: str
) -> None:
    path = changed_file(tmp_path / "m.h5", change)
    with pytest.raises(PixelsieveError) as error:
        import_model(path, ImportOptions())
    assert message in str(error.value)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)
    assert str(error.value).count(str(path)) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (setting("conv2d", "strides", [2, 2]), "strides is [2, 2]; expected 1"),
        (setting("conv2d", "padding", "causal"), "padding is 'causal'"),
        (setting("conv2d", "padding", ["same"]), "padding is ['same']"),
        (setting("conv2d", "data_format", {}), "data_format is {}"),
        (setting("conv2d", "data_format", "channels_first"), "data_format is 'channels_first'"),
        (setting("conv2d", "kernel_size", [3, 99]), "3 x 99 pixels do not fit"),
        (setting("conv2d", "kernel_size", [3, 3]), "has shape (3, 5, 1, 4); expected (3, 3, 1, 4)"),
        (setting("max_pooling2d", "strides", [1, 1]), "expected pools that do not overlap"),
        (setting("add_channel", "target_shape", [21, 13, 1]), "expected (13, 21, 1)"),
        (setting("add_channel", "target_shape", [13, 20, 1]), "expected as many numbers"),
        (kind("flatten", "Reshape"), "reshapes more than an input"),
        (kind("max_pooling2d", "AveragePooling2D"), "AveragePooling2D is not supported"),
        (kind("add_channel", "Flatten"), "is a vector of 273; expected an image"),
    ],
)
def test_images_that_do_not_fit_are_refused(
    tmp_path: Path, change: Callable[[Tree], None], message: str
) -> None:
    path = changed_file(tmp_path / "m.h5", change, source=FOLDER / "model3_6b.h5")
    with pytest.raises(ConfigError) as error:
        import_model(path, options_of("model3"))
    assert message in str(error.value)
    assert str(error.value).count(str(path)) == 1


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: f["model_weights/q_dense_1/q_dense_1"].pop("bias:0"), "is named but not there"),
        (lambda f: f.pop("model_weights/q_dense_1"), "group 'model_weights/q_dense_1' is missing"),
        (lambda f: f.pop("model_weights"), "group 'model_weights' is missing"),
        (
            lambda f: f["model_weights/q_dense_1"].attrs.update(
                weight_names=[b"q_dense_1/kernel:0"]
            ),
            "'model_weights/q_dense_1/q_dense_1/bias:0' belongs to no layer",
        ),
        (wide_kernel, "has shape (32, 1); expected (16, 1)"),
        (
            lambda f: f["model_weights/q_dense_1/q_dense_1/bias:0"].write_direct(
                np.full(16, np.nan, np.float32)
            ),
            "values that are not finite",
        ),
        (lambda f: f.create_dataset("more", data=[1.0]), "'more' belongs to no layer"),
        (lambda f: f.create_dataset("text", data="x"), "'text': is no plain array of numbers"),
        (
            lambda f: f.__setitem__("out", h5py.ExternalLink("/etc/hostname", "/")),
            "'out': is a link",
        ),
        (lambda f: f.__setitem__("in", h5py.SoftLink("/model_weights")), "'in': is a link"),
        (
            lambda f: f.create_dataset("huge", shape=(1 << 40,), dtype="f4", chunks=(1024,)),
            "numbers in all",
        ),
        (lambda f: f.attrs.pop("model_config"), "holds no model_config and no weights"),
        (lambda f: f.attrs.update(model_config="{"), "not valid JSON"),
        (lambda f: f.attrs.update(model_config="[" * 50_000), "not valid JSON"),
        (lambda f: f.attrs.update(model_config="[]"), "expected a JSON object"),
        (lambda f: f.attrs.update(model_config='{"config": {}}'), "a model of class 'None'"),
    ],
)
def test_arrays_that_are_missing_left_over_or_not_plain_are_refused(
    tmp_path: Path, spoil: Callable[[h5py.File], None], message: str
) -> None:
    path = changed_file(tmp_path / "m.h5", spoil=spoil)
    with pytest.raises(PixelsieveError) as error:
        import_model(path, ImportOptions())
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_an_output_may_not_be_used_with_and_without_its_relu(tmp_path: Path) -> None:
    path = changed_file(tmp_path / "m.h5", side_use, wide_kernel)
    with pytest.raises(ConfigError, match="output of layer 'q_dense_3' is used with and without"):
        import_model(path, ImportOptions())


def refusal(path: Path) -> str | None:
    """What an import is refused with; None where it goes well."""
    try:
        import_model(path, ImportOptions())
    except PixelsieveError as error:
        return str(error)
    return None


def damaged() -> Iterator[tuple[str, bytes]]:
    """Files cut short, with bytes turned over, and things that are no model at all."""
    rng = np.random.default_rng(3)
    for name in ("model1_8b.h5", "float_keras3.keras"):
        whole = (FOLDER / name).read_bytes()
        for length in [0, 1, 8, 100, 511, 2048, *rng.integers(0, len(whole), 2)]:
            yield f"{name} of {length} bytes", whole[:length]
        for _ in range(8):
            turned = bytearray(whole)
            for place in rng.integers(0, len(whole), 30):
                turned[place] ^= 1 << int(rng.integers(8))
            yield f"{name} turned", bytes(turned)
    yield "text", b"a model, honestly"
    yield "HDF5 in name alone", b"\x89HDF\r\n\x1a\n" + bytes(4000)


@pytest.mark.parametrize("name", ["model1_8b.h5", "float_keras3.keras"])
def test_another_process_reads_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    here, _ = import_model(FOLDER / name, ImportOptions())
    monkeypatch.setattr(stored, "read_isolated", archives.read_isolated)
    there, _ = import_model(FOLDER / name, ImportOptions())
    assert there.spec == here.spec
    assert there.precision == here.precision
    assert there.card == here.card
    for layer_name, variables in here.weights.items():
        for key, values in variables.items():
            np.testing.assert_array_equal(there.weights[layer_name][key], values)


def test_a_file_that_breaks_the_library_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "read_isolated", archives.read_isolated)
    (tmp_path / "cut.h5").write_bytes(SMALL.read_bytes()[:3000])
    assert "not a whole HDF5 file" in str(refusal(tmp_path / "cut.h5"))
    program = (sys.executable, "-c", "import os; os.kill(os.getpid(), 11)")
    monkeypatch.setattr(archives, "_PROGRAM", program)
    assert "HDF5 library breaks down on it" in str(refusal(SMALL))
    monkeypatch.setattr(archives, "_PROGRAM", (sys.executable, "-c", "while True: pass"))
    monkeypatch.setattr(archives, "_SECONDS", 1)
    assert "takes more than 1 s" in str(refusal(SMALL))


def test_damaged_files_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "read_isolated", archives.read_isolated)
    refused = 0
    for number, (what, data) in enumerate(damaged()):
        path = tmp_path / f"{number}{'.keras' if data.startswith(b'PK') else '.h5'}"
        path.write_bytes(data)
        message = refusal(path)
        if message is not None:
            refused += 1
            assert message.startswith(f"{path}: "), what
            assert "\n" not in message, what
    assert refused > 20  # a turned bit in a float or in padding is no damage that shows


def archive(path: Path, **members: bytes | None) -> Path:
    """A copy of a Keras 3 archive with members replaced (None: left out)."""
    with zipfile.ZipFile(FOLDER / "float_keras3.keras") as source:
        content: dict[str, bytes | None] = {n: source.read(n) for n in source.namelist()}
    content |= {name.replace("__", "."): data for name, data in members.items()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name, data in content.items():
            if data is not None:
                target.writestr(name, data)
    return path


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"config__json": None}, "holds no config.json"),
        ({"model__weights__h5": b"no"}, "model.weights.h5: not a whole HDF5 file"),
        ({"config__json": b"\xff\xfe"}, "config.json: is no text"),
        ({"config__json": b'{"class_name": "Mine", "config": {}}'}, "no list of layers"),
        ({"extra__pkl": b"cos\nsystem\n"}, "'extra.pkl' belongs to no layer"),
        ({"pixelsieve__json": b"{}"}, "is a model file of pixelsieve already"),
    ],
)
def test_archives_that_are_no_models_are_refused(
    tmp_path: Path, members: dict[str, bytes | None], message: str
) -> None:
    path = archive(tmp_path / "m.keras", **members)
    with pytest.raises(PixelsieveError, match=message) as error:
        import_model(path, ImportOptions())
    assert "\n" not in str(error.value)


def test_layers_of_an_archive_must_stand_where_their_names_say(tmp_path: Path) -> None:
    with zipfile.ZipFile(FOLDER / "float_keras3.keras") as source:
        config = json.loads(source.read("config.json"))
    dense = [e for e in config["config"]["layers"] if e["class_name"] == "Dense"]
    dense[0]["config"]["name"], dense[1]["config"]["name"] = "b", "a"
    path = archive(tmp_path / "m.keras", config__json=json.dumps(config).encode())
    with pytest.raises(RunError, match="is of layer"):
        import_model(path, ImportOptions())


def test_a_file_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "_LARGEST_BYTES", 70_000)
    path = archive(tmp_path / "m.keras", config__json=b" " * 100_000)
    with pytest.raises(RunError, match="unpacks to more than 70000 bytes"):
        import_model(path, ImportOptions())
    monkeypatch.setattr(stored, "_LARGEST_BYTES", 1000)
    with pytest.raises(RunError, match="expected a model file of at most 1000"):
        import_model(SMALL, ImportOptions())
    monkeypatch.setattr(stored, "_LARGEST_BYTES", 1 << 29)
    monkeypatch.setattr(archives, "_MOST_NUMBERS", 100)
    with pytest.raises(RunError, match="numbers in all"):
        import_model(SMALL, ImportOptions())


def renamed_inputs(path: Path) -> Path:
    """The small model with inputs that bear no features' names."""
    text = SMALL.read_bytes()
    path.write_bytes(text)
    names = {"z_global": "in_a", "x_size": "in_b", "y_size": "in_c", "y_local": "in_d"}
    with h5py.File(path, "r+") as file:
        config = str(file.attrs["model_config"])
        for old, new in names.items():
            config = config.replace(f'"{old}"', f'"{new}"')
            file["model_weights"].move(old, new)
        file.attrs["model_config"] = config
        layers = [
            names.get(n.decode(), n.decode())
            for n in np.char.encode(file["model_weights"].attrs["layer_names"].astype(str))
        ]
        file["model_weights"].attrs["layer_names"] = np.array(layers, dtype="S")
    return path


def test_inputs_without_a_features_name_must_be_stated(tmp_path: Path) -> None:
    path = renamed_inputs(tmp_path / "m.h5")
    with pytest.raises(ConfigError, match=r"in_a \(1\), in_b \(1\), in_c \(1\), in_d \(1\) are"):
        import_model(path, ImportOptions())
    stated = ("z_global", "x_size", "y_size", "y_local")
    model, _ = import_model(path, ImportOptions(stated))
    assert model.spec.layers[0].inputs == stated
    seed, bits = QUANTIZED["model1_8b.h5"]
    table = reference_table(model, "model1", seed, bits)
    np.testing.assert_array_equal(model.logits(table), reference_logits("model1_8b.h5"))


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (("x_size", "z_global", "y_size", "y_local"), "input 'z_global' is stated to be x_size"),
        (("z_global", "x_size", "y_size"), "input 'y_local' is stated to be nothing"),
        (("z_global", "x_size", "y_size", "y_local", "n_pixels"), "no input is left for n_pixels"),
        (("z_global", "x_size", "y_size", "y_lokal"), "unknown feature 'y_lokal'"),
    ],
)
def test_wrong_statements_about_inputs_are_refused(features: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        import_model(SMALL, ImportOptions(features))


def one_layer(path: Path) -> tuple[Path, np.ndarray]:
    """A float logit of one input of 16 numbers, and its kernel."""
    rng = np.random.default_rng(0)
    kernel, bias = rng.normal(size=(16, 1)).astype("f4"), np.ones(1, "f4")
    config = {
        "class_name": "Sequential",
        "config": {
            "name": "s",
            "layers": [
                {
                    "class_name": "Dense",
                    "config": {"name": "only", "units": 1, "batch_input_shape": [None, 16]},
                }
            ],
        },
    }
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(config)
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = np.array(["only"], dtype="S")
        inner = group.create_group("only")
        inner.attrs["weight_names"] = np.array(["only/kernel:0", "only/bias:0"], dtype="S")
        inner["only/kernel:0"], inner["only/bias:0"] = kernel, bias
    return path, kernel


def test_one_input_may_hold_several_features(tmp_path: Path) -> None:
    path, kernel = one_layer(tmp_path / "asic.h5")
    stated = ("z_global", "y_local", "x_size", "y_profile")
    model, _ = import_model(path, ImportOptions(stated))
    assert model.spec.features == stated
    np.testing.assert_array_equal(model.weights["only"]["kernel"], kernel)
    twice = ("z_global", "z_global", "y_local", "y_profile")
    with pytest.raises(ConfigError, match="feature 'z_global' is named twice"):
        import_model(path, ImportOptions(twice))
    with pytest.raises(ConfigError, match=r"holds 16 numbers, z_global\+y_profile\+y_local\+x_"):
        import_model(path, ImportOptions(("z_global", "y_profile", "y_local", "x_profile")))


def test_networks_of_the_zoo_are_recognized(tmp_path: Path) -> None:
    options = ImportOptions(input_bits=8)
    model, report = import_model(FOLDER / "model2_4b.h5", options)
    assert model.spec == network("model2")
    assert report.network == "model2 of the zoo"

    def rename(config: Tree) -> None:
        text = json.dumps(config).replace("merged_dense2", "second").replace("yl_dense1", "other")
        config.update(json.loads(text))

    def move(file: h5py.File) -> None:
        weights = file["model_weights"]
        names = [n.decode() if isinstance(n, bytes) else n for n in weights.attrs["layer_names"]]
        for old, new in (("merged_dense2", "second"), ("yl_dense1", "other")):
            weights.move(old, new)
            names[names.index(old)] = new
        weights.attrs["layer_names"] = np.array(names, dtype="S")

    path = changed_file(tmp_path / "m.h5", rename, move, FOLDER / "model2_4b.h5")
    own, report = import_model(path, options)
    assert list(own.weights) == [d.name for d in own.spec.layers]
    assert "model2 in shape" in report.network
    taken, report = import_model(path, ImportOptions(input_bits=8, network="model2"))
    assert taken.spec == network("model2")
    for name, variables in model.weights.items():
        for key, values in variables.items():
            np.testing.assert_array_equal(taken.weights[name][key], values)
    with pytest.raises(ConfigError, match="is no model2: it has z_global"):
        import_model(SMALL, ImportOptions(network="model2"))
    assert recognized(network("model2", "hit_time_30ps"))[1] == "model2+hit_time_30ps of the zoo"


@given(
    bits=st.integers(2, 10),
    integer=st.integers(-2, 3),
    log_alpha=st.integers(-4, 6),
    symmetric=st.booleans(),
    kernel=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_weights_have_the_values_of_qkeras_formula(
    bits: int, integer: int, log_alpha: int, symmetric: bool, kernel: bool, seed: int
) -> None:
    """`quantized_bits.__call__` of QKeras 0.9.0, operation by operation in float32."""
    alpha, f4 = 2.0**log_alpha, np.float32
    text = f"quantized_bits({bits},{integer},{int(symmetric)},alpha={alpha})"
    function = read_function(text, "here")
    assert function is not None
    grid = function.weights(kernel=kernel)
    x = np.random.default_rng(seed).normal(0, 2.0**integer, 200).astype(f4)
    x[:20] = np.round(x[:20] * 2) * f4(2.0 ** (integer - bits))
    m, m_i = f4(2.0 ** (bits - 1)), f4(2.0**integer)
    xq = m_i * np.clip(np.rint(x * m / m_i), -m + f4(symmetric), m - f4(1)) / m
    expected = x + (-x + f4(alpha) * xq)
    np.testing.assert_array_equal(grid.grid.quantize(grid.latent(x)).astype(f4), expected)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('touch ran')",
        "quantized_bits(__import__('os').system('touch ran'))",
        "quantized_bits(4,0)+1",
        "(lambda: 1)()",
        "quantized_bits(*[4])",
        "quantized_bits(" + "(" * 5000,
    ],
)
def test_text_is_parsed_never_run(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="here: cannot read"):
        read_function(text, "here")
    assert not list(tmp_path.iterdir())


def pixelsieve(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_from_convert_on_evaluate_and_firmware_take_it(tmp_path: Path, dataset_file: Path) -> None:
    run, lone = tmp_path / "run", tmp_path / "lone.keras"
    shown = pixelsieve("convert", SMALL, "--out", run)
    assert shown.exit_code == 0, shown.output
    assert "all of 12 layers and 10 variables accounted for" in shown.output
    again = pixelsieve("convert", SMALL, "--out", run, "--json")
    assert json.loads(again.stdout)["model"] == str(run / "models" / "model1_8b.keras")
    assert json.loads((run / "import.json").read_text())["parameters"] == 913
    assert pixelsieve("convert", SMALL, "--out", lone).exit_code == 0
    model = pick_model(run, None)
    seed, bits = QUANTIZED["model1_8b.h5"]
    table = reference_table(model, "model1", seed, bits)
    np.testing.assert_array_equal(model.logits(table), reference_logits("model1_8b.h5"))
    np.testing.assert_array_equal(load_model(lone).logits(table), model.logits(table))
    integers = from_model(model)
    codes = integers.input_codes(model.features.table(make_clusters(50)))
    assert integers.run(codes).shape == (50,)
    scored = pixelsieve("evaluate", lone, "--data", dataset_file, "--json")
    assert scored.exit_code == 0, scored.output
    assert 0 <= json.loads(scored.stdout)["figures"]["auc"] <= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([SMALL, "--smear", "1"], "--smear: for clusters, not for models"),
        ([SMALL, FOLDER / "model2_4b.h5"], "models are converted one at a time"),
        ([FOLDER / "absent.h5"], "cannot be read (No such file or directory)"),
        (["clusters.parquet", "--network", "model2"], "--network: for models"),
        ([SMALL, "--input-bits", "6"], "inputs are rounded to 10 bits"),
        ([FOLDER / "float_keras3.h5", "--input-bits", "6"], "a float network; --input-bits is for"),
        ([FOLDER / "model2_4b.h5", "--input-bits", "40"], "input_bits is 40; expected 2 to 16"),
    ],
)
def test_wrong_calls_are_one_line_and_write_nothing(
    tmp_path: Path, arguments: list[Any], message: str
) -> None:
    result = pixelsieve("convert", *arguments, "--out", tmp_path / "out")
    assert result.exit_code == 2, result.output
    lines = result.output.strip().splitlines()
    assert len(lines) == 1, result.output
    assert message in lines[0]
    assert not list(tmp_path.iterdir())


def test_models_are_written_as_keras_files_alone(tmp_path: Path) -> None:
    result = pixelsieve("convert", SMALL, "--out", tmp_path / "mine.h5")
    assert result.exit_code == 2
    assert "models are written as .keras" in result.output


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "mine.keras"
    out.write_text("precious")
    result = pixelsieve("convert", SMALL, "--out", out)
    assert result.exit_code == 2
    assert "exists and would be overwritten" in result.output
    assert out.read_text() == "precious"


def test_our_own_model_is_told_from_a_foreign_one(tmp_path: Path) -> None:
    model, _ = import_model(SMALL, ImportOptions())
    save_model(tmp_path / "ours.keras", model)
    with pytest.raises(ConfigError, match="is a model file of pixelsieve already"):
        import_model(tmp_path / "ours.keras", ImportOptions())
    with pytest.raises(RunError, match="pixelsieve convert it first"):
        load_model(FOLDER / "float_keras3.keras")


def test_training_starts_from_an_imported_model(tmp_path: Path, dataset_file: Path) -> None:
    start, run = tmp_path / "start.keras", tmp_path / "run"
    file, _ = one_layer(tmp_path / "one.h5")
    model, _ = import_model(file, ImportOptions(("z_global", "y_local", "x_size", "y_profile")))
    save_model(start, model)
    wanted = ["train", "--data", dataset_file, "--start", start, "--out", run, "--json"]
    quick = ["--bits", 4, "--epochs", 1, "--batch-size", 256]
    trained = pixelsieve(*wanted, *quick)
    assert trained.exit_code == 0, trained.output
    (result,) = json.loads(trained.stdout)
    assert [row["status"] for row in result["warm_start"]] == ["copied"] * len(model.spec.layers)
    made = load_model(run / "models" / "sieve_4b_seed0.keras")
    assert made.spec == model.spec
    assert load_model(run / "models" / "start.keras").spec == model.spec
    for more, message in (
        (["--bits", 4, "--network", "other"], "--network: the network of --start"),
        (["--bits", 4, "--recipe", "original"], "give a recipe that warm-starts or distills"),
        ([], "--start: training takes nothing from it; give --bits"),
    ):
        refused = pixelsieve(*wanted, *more)
        assert refused.exit_code == 2, refused.output
        assert message in refused.output
