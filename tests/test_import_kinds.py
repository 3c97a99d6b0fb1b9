"""Every row of the table in docs/import.md: what is read exactly, what is refused and why."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from pixelsieve.core import archives
from pixelsieve.core.errors import ConfigError, PixelsieveError
from pixelsieve.features import REGISTRY, FeatureTable
from pixelsieve.importing import stored
from pixelsieve.importing.convert import ImportOptions, import_model
from pixelsieve.importing.scales import auto_po2
from pixelsieve.integer.network import from_model
from pixelsieve.networks.model_file import Model, load_model
from tests import keras_files as files
from tests.keras_files import BIAS, HEAD, KERNEL, NAMES, SHIFT, Array
from tests.test_cli import pixelsieve

PAGE = Path(__file__).parents[1] / "docs" / "import.md"
MODELS = Path(__file__).parent / "data" / "models"
STEPS = 128  # of inputs of 8 bits

Made = tuple[Path, ImportOptions]
EIGHT = ImportOptions(input_bits=8)
FLOAT = ImportOptions()
RELU8 = "quantized_relu(8,0)"


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "read_isolated", archives.read_hdf5)


def inputs(names: tuple[str, ...] = NAMES, rows: int = 500) -> dict[str, Array]:
    rng = np.random.default_rng(7)
    return {
        name: (rng.integers(-STEPS, STEPS, (rows, REGISTRY[name].size())) / STEPS).astype("f4")
        for name in names
    }


def table(model: Model, values: dict[str, Array]) -> FeatureTable:
    return FeatureTable(model.features, values, np.zeros(len(next(iter(values.values()))), "f4"))


def four(values: Any) -> Array:
    """Rounded to 4 bits, as `quantized_bits(4, 0, alpha=1)` does."""
    return np.asarray(np.clip(np.rint(np.asarray(values) * 8), -8, 7) / 8)


def relu8(values: Any) -> Array:
    return np.asarray(np.clip(np.rint(np.maximum(values, 0) * 256), 0, 255) / 256)


def network(
    kernel: Any, bias: Any, head: Any, shift: Any, relu: Callable[[Any], Any] = relu8
) -> Callable[[Array], Any]:
    """Logits of inputs (n, 4) by the definition, in float64."""

    def logits(x: Array) -> Any:
        hidden = relu(x.astype(np.float64) @ kernel + bias)
        return (hidden @ np.asarray(head, np.float64) + shift)[:, 0]

    return logits


def relu(values: Any) -> Any:
    return np.maximum(values, 0)


AS_STORED = network(KERNEL, BIAS, HEAD, SHIFT, relu)
IN_FOUR = network(four(KERNEL), four(BIAS), four(HEAD), four(SHIFT))


@dataclass(frozen=True)
class Read:
    """`make` writes a file, `logits` is what it computes; `exact` to the bit."""

    make: Callable[[Path], Made]
    logits: Callable[[Array], Any]
    exact: bool = True


def plain(**settings: Any) -> dict[str, Any]:
    first = files.dense("d1", 5, activation="relu")
    return files.chain(first, files.dense("output", 1, activation="sigmoid", **settings))


def archive(version: str, *groups: str) -> Callable[[Path], Made]:
    def make(folder: Path) -> Made:
        data = files.numbered(groups, files.weights())
        return files.write_archive(folder / "m.keras", plain(), data, version), FLOAT

    return make


def with_json(folder: Path) -> ImportOptions:
    path = folder / "network.json"
    path.write_text(json.dumps(plain()))
    return ImportOptions(architecture=str(path))


def numbered_weights(folder: Path, groups: tuple[str, ...] = ("dense", "dense_1")) -> Path:
    path = folder / "m.weights.h5"
    path.write_bytes(files.numbered(groups, files.weights(), "layers"))
    return path


def legacy_weights(folder: Path) -> Path:
    return files.write_h5(folder / "m.h5", None, files.weights())


NETWORK = """[[layers]]
kind = "dense"
name = "first"
units = 5
inputs = ["z_global", "x_size", "y_size", "y_local"]

[[layers]]
kind = "dense"
name = "last"
units = 1
inputs = ["first"]
relu = false
"""


def with_network(folder: Path) -> ImportOptions:
    path = folder / "net.toml"
    path.write_text(NETWORK)
    return ImportOptions(network=str(path))


MASK = (np.abs(KERNEL) > 0.3).astype(np.float32)


def pruned(layer: dict[str, Any]) -> dict[str, Any]:
    inner = {"class_name": layer["class_name"], "config": layer["config"]}
    name = f"prune_low_magnitude_{layer['name']}"
    return files.entry("PruneLowMagnitude", name, layer=inner, pruning_schedule={}, block_size=[1])


def pruned_h5(folder: Path) -> Made:
    wrapped = pruned(files.dense("d1", 5, activation="relu"))
    model = files.chain(wrapped, files.dense("output", 1))
    state = {"mask": MASK, "threshold": np.float32(0.3), "pruning_step": np.int64(9)}
    d1: dict[str, Any] = {"kernel": KERNEL, "bias": BIAS, **state}
    arrays: files.Arrays = {wrapped["name"]: d1, "output": files.weights()["output"]}
    return files.write_h5(folder / "m.h5", model, arrays), FLOAT


def pruned_archive(folder: Path) -> Made:
    wrapped = pruned(files.dense("d1", 5, activation="relu"))
    model = files.chain(wrapped, files.dense("output", 1))
    d1: dict[str, Any] = {"layer/kernel": KERNEL, "layer/bias": BIAS}
    d1 |= {"mask": MASK, "threshold": np.float32(0.3), "pruning_step": np.int64(9)}
    arrays = {"d1": d1, "output": files.weights()["output"]}
    data = files.numbered(("prune_low_magnitude", "dense"), arrays, "layers")
    return files.write_archive(folder / "m.keras", model, data, "2.15.0"), FLOAT


def quantized(
    *middle: dict[str, Any], names: tuple[str, ...] = NAMES, head: int = 1, **settings: Any
) -> dict[str, Any]:
    first = files.rounded("d1", 5, **settings)
    last = files.rounded("output", head)
    relu = files.activation("relu", RELU8)
    return files.chain(*middle[:0], first, *middle, relu, last, names=names)


def in_h5(
    model: dict[str, Any], arrays: files.Arrays | None = None, options: ImportOptions = EIGHT
) -> Callable[[Path], Made]:
    return lambda folder: (
        files.write_h5(folder / "m.h5", model, arrays or files.weights()),
        options,
    )


def reference_auto_po2(x: Array, count: int = 4) -> Array:
    """`quantized_bits.__call__` of QKeras 0.9.0 with alpha = "auto_po2", operation by operation."""
    f4, levels, m = np.float32, f4_of(2 * (2 ** (count - 1) - 1)), f4_of(2 ** (count - 1))
    eps, log2 = f4(1e-7), np.log(f4(2))
    scale = np.max(np.abs(x), axis=0, keepdims=True) * f4(2) / levels
    scale = np.power(f4(2), np.rint(np.log(scale + eps) / log2), dtype=f4)
    for _ in range(5):
        v = np.floor(np.abs(x) / scale + f4(0.5))
        z = np.sign(x) * np.where(v < levels / 2, v, levels / 2)
        qx = np.mean(x * z, axis=0, keepdims=True, dtype=f4)
        qq = np.mean(z * z, axis=0, keepdims=True, dtype=f4)
        scale = np.power(f4(2), np.rint(np.log(qx / (qq + eps) + eps) / log2), dtype=f4)
    v = np.floor(np.abs(x) / scale + f4(0.5))
    z = np.sign(x) * np.where(v < levels / 2, v, levels / 2)
    xq = (scale * m) * (z / m)
    return np.asarray(x + (-x + xq))


def f4_of(value: float) -> Any:
    return np.float32(value)


SPREAD = KERNEL * np.array([1, 0.25, 3, 0.06, 1], np.float32)
SPREAD_WEIGHTS = {"d1": {"kernel": SPREAD, "bias": BIAS}, "output": files.weights()["output"]}
PO2 = files.bits(alpha="auto_po2", symmetric=True)
SCALES = [[1.0, 0.25, 4.0, 0.125, 1.0]]


def frozen_values() -> Any:
    own = np.array(SCALES) / 8
    codes = np.clip(np.floor(np.abs(SPREAD) / own + 0.5), None, 7) * np.sign(SPREAD)
    return codes * own


TWO = np.hstack([-HEAD[:, :1] * 0.4, HEAD]).astype(np.float32)
TWO_SHIFT = np.array([0.3, -0.15], np.float32)
TWO_CLASSES = files.weights(TWO, TWO_SHIFT)


def less(values: Any) -> Any:
    return values[..., 1:] - values[..., :1]


GAMMA = np.array([1, -0.5, 2, 0.25, 4], np.float32)
MEAN = np.array([0.5, 0.25, -0.5, 0, 1], np.float32)
BETA = np.array([0.25, -0.5, 0.125, 0.5, -1], np.float32)
ONE = np.full(5, 0.75, np.float32)  # with epsilon 0.25
NORMAL = {"gamma": GAMMA, "beta": BETA, "moving_mean": MEAN, "moving_variance": ONE}


def normalized(kind: str, arrays: Any = None, **settings: Any) -> Callable[[Path], Made]:
    settings = {"axis": [1], "epsilon": 0.25, **settings}
    model = quantized(files.entry(kind, "bn", **settings))
    return in_h5(model, {**files.weights(), "bn": arrays or NORMAL})


FOLDED = network(four(KERNEL) * GAMMA, (four(BIAS) - MEAN) * GAMMA + BETA, four(HEAD), four(SHIFT))

COUNTS = ("x_size", "y_size", "n_pixels", "abs_z_global")
SYMMETRIC = files.activation("rounded", files.bits(bits=8, symmetric=1))


def rounded_inputs(
    names: tuple[str, ...], options: ImportOptions = FLOAT
) -> Callable[[Path], Made]:
    layers = files.rounded("d1", 5), files.activation("relu", RELU8), files.rounded("output", 1)
    return in_h5(files.chain(SYMMETRIC, *layers, names=names), options=options)


def hgq_model() -> Any:
    import keras
    from hgq.config import LayerConfigScope, QuantizerConfigScope
    from hgq.layers import QDense

    data = QuantizerConfigScope(place="datalane", b0=6, i0=0, default_q_type="kbi")
    kept = QuantizerConfigScope(place="weight", b0=5, i0=1, default_q_type="kbi")
    with kept, data, LayerConfigScope(enable_ebops=True):
        ends = [keras.Input((1,), name=name) for name in NAMES]
        x = keras.layers.Concatenate(name="joined")(ends)
        x = QDense(5, activation="relu", name="d1")(x)
        model = keras.Model(ends, QDense(1, name="output")(x))
    rng = np.random.default_rng(0)
    for v in model.variables:
        kinds = {"kernel": (-1, 1), "bias": (-1, 1), "b": (0, 6), "i": (-1, 2), "f": (0, 6)}
        if v.name in kinds:
            v.assign(rng.uniform(*kinds[v.name], v.shape))
    return model


def hgq_logits(x: Array) -> Any:
    outputs = hgq_model()([x[:, i : i + 1] for i in range(4)])
    return np.asarray(outputs)[:, 0]


def hgq_file(name: str) -> Callable[[Path], Made]:
    def make(folder: Path) -> Made:
        hgq_model().save(folder / name)
        return folder / name, EIGHT

    return make


RNG = np.random.default_rng(5)
FILTERS = RNG.normal(0, 0.4, (3, 5, 1, 2)).astype(np.float32)
FILTER_BIAS = np.array([0.3, -0.1], np.float32)
STATISTICS = {
    "gamma": np.array([0.9, 1.3], np.float32),
    "beta": np.array([0.2, -0.3], np.float32),
    "moving_mean": np.array([0.1, -0.2], np.float32),
    "moving_variance": np.array([0.7, 1.9], np.float32),
}
LAST = RNG.normal(0, 0.4, (5 * 8 * 2, 1)).astype(np.float32)


def image(kind: str, arrays: files.Arrays, options: ImportOptions, **settings: Any) -> Any:
    """A convolution, relu, pooling and the logit on the image."""
    conv = files.entry(kind, "conv", filters=2, kernel_size=[3, 5], padding="valid", **settings)
    relu = files.activation("relu", RELU8 if options == EIGHT else "relu", "QActivation")
    pool = files.entry("MaxPooling2D", "pool", pool_size=[2, 2])
    layers = [conv, relu, pool, files.entry("Flatten", "flat")]
    head = files.rounded("output", 1) if options == EIGHT else files.dense("output", 1)
    model = files.chain(*layers, head, names=("log_charges",))
    entries = model["config"]["layers"]
    entries[0]["config"]["batch_input_shape"] = [None, 13, 21]
    entries[1] = files.entry("Reshape", "joined", ("log_charges",), target_shape=[13, 21, 1])
    arrays = {"conv": arrays["conv"], "output": {"kernel": LAST, "bias": SHIFT}}
    return in_h5(model, arrays, options)


def image_logits(kernel: Any, bias: Any, last: Any, shift: Any, relu: Any) -> Any:
    def logits(x: Array) -> Any:
        images = x.astype(np.float64).reshape(-1, 13, 21)
        windows = np.lib.stride_tricks.sliding_window_view(images, (3, 5), (1, 2))
        maps = relu(np.einsum("nrcab,abf->nrcf", windows, kernel[:, :, 0]) + bias)
        pooled = maps[:, :10, :16].reshape(-1, 5, 2, 8, 2, 2).max(axis=(2, 4))
        return (pooled.reshape(len(x), -1) @ np.asarray(last, np.float64) + shift)[:, 0]

    return logits


INVERSE = (
    np.float32(1) / np.sqrt(STATISTICS["moving_variance"] + np.float32(1e-3)) * STATISTICS["gamma"]
)
CONV_FOLDED = image_logits(
    four(INVERSE * FILTERS),
    four(INVERSE * (FILTER_BIAS - STATISTICS["moving_mean"]) + STATISTICS["beta"]),
    four(LAST),
    four(SHIFT),
    relu8,
)


def folded(first: Callable[[Any], Any], relu: Callable[[Any], Any]) -> Callable[[Array], Any]:
    """d1 with the normalization `NORMAL` of another variance folded in, then the output."""
    inverse = np.float32(1) / np.sqrt(ONE + np.float32(1e-3)) * GAMMA
    kernel, bias = first(inverse * KERNEL), first(inverse * (BIAS - MEAN) + BETA)
    rest = (HEAD, SHIFT) if first is np.asarray else (four(HEAD), four(SHIFT))
    return network(kernel, bias, *rest, relu)


def signed5(values: Any) -> Array:
    return np.asarray(np.clip(np.rint(np.maximum(values, 0) * 8), 0, 15) / 8)


def five(text: str) -> Callable[[Path], Made]:
    """With an activation of 4 bits, one of them integer."""
    layers = [files.rounded("d1", 5), files.activation("relu", "relu", "Activation")]
    if text.startswith("quantized_relu"):
        layers.pop()
    return in_h5(files.chain(*layers, files.activation("r", text), files.rounded("output", 1)))


def in_keras(folder: Path) -> Made:
    import keras

    ends = [keras.Input((1,), name=name) for name in NAMES]
    x = keras.layers.Dense(5, activation="relu", name="d1")(keras.layers.Concatenate()(ends))
    model = keras.Model(ends, keras.layers.Dense(1, name="output")(x))
    model.set_weights([KERNEL, BIAS, HEAD, SHIFT])
    model.save(folder / "m.keras")
    return folder / "m.keras", FLOAT


DROPPED = files.chain(
    files.dense("d1", 5, activation="relu"),
    files.entry("Dropout", "drop", rate=0.5),
    files.dense("output", 1),
)
IN_ROUNDED = files.chain(
    files.activation("rounded", "quantized_bits(8,0)"),
    *(files.rounded("d1", 5), files.activation("relu", RELU8), files.rounded("output", 1)),
)
NORMALIZED = files.chain(
    *(files.dense("d1", 5), files.entry("BatchNormalization", "bn", axis=[1], epsilon=1e-3)),
    *(files.activation("relu", "relu", "Activation"), files.dense("output", 1)),
)
DENSE_BATCHNORM = files.chain(
    files.rounded("d1", 5, axis=[1], epsilon=1e-3) | {"class_name": "QDenseBatchnorm"},
    *(files.activation("relu", RELU8), files.rounded("output", 1)),
)
IN_D1 = {"d1": {**files.weights()["d1"], **NORMAL}, "output": files.weights()["output"]}

READ = {
    "`.h5` of Keras 2 and 3": Read(in_h5(plain(), options=FLOAT), AS_STORED, exact=False),
    "`.keras` of Keras 2 and 3": Read(in_keras, AS_STORED, exact=False),
    "`.keras` of Keras 2.13, which skips numbers": Read(
        archive("2.13.1", "dense", "dense_2"), AS_STORED, exact=False
    ),
    "`.keras` of Keras 2.14": Read(archive("2.14.0", "dense", "dense_1"), AS_STORED, exact=False),
    "`.weights.h5` with `--architecture`": Read(
        lambda f: (numbered_weights(f), with_json(f)), AS_STORED, exact=False
    ),
    "weights alone in `.h5` with `--architecture`": Read(
        lambda f: (legacy_weights(f), with_json(f)), AS_STORED, exact=False
    ),
    "`.weights.h5` of a float network with `--network`": Read(
        lambda f: (numbered_weights(f), with_network(f)), AS_STORED, exact=False
    ),
    "weights alone in `.h5` of a float network with `--network`": Read(
        lambda f: (legacy_weights(f), with_network(f)), AS_STORED, exact=False
    ),
    "pruning wrappers in `.h5`": Read(
        pruned_h5, network(KERNEL * MASK, BIAS, HEAD, SHIFT, relu), exact=False
    ),
    "pruning wrappers in `.keras`": Read(
        pruned_archive, network(KERNEL * MASK, BIAS, HEAD, SHIFT, relu), exact=False
    ),
    "`Dense`, `QDense`, `Concatenate`, in functional or sequential models": Read(
        in_h5(quantized()), IN_FOUR
    ),
    "`Conv2D`, `QConv2D`, `MaxPooling2D`, `Flatten`, `Reshape` of the image": Read(
        image("Conv2D", {"conv": {"kernel": FILTERS, "bias": FILTER_BIAS}}, FLOAT),
        image_logits(FILTERS, FILTER_BIAS, LAST, SHIFT, relu),
        exact=False,
    ),
    "relu: inside a layer, `Activation`, `ReLU`, `QActivation`": Read(
        in_h5(
            files.chain(files.dense("d1", 5), files.entry("ReLU", "r"), files.dense("output", 1)),
            options=FLOAT,
        ),
        AS_STORED,
        exact=False,
    ),
    "`quantized_relu(A, I)`": Read(
        five("quantized_relu(4,1)"),
        network(four(KERNEL), four(BIAS), four(HEAD), four(SHIFT), signed5),
    ),
    "relu, then `quantized_bits(A + 1, I)`": Read(
        five("quantized_bits(5,1,alpha=1)"),
        network(four(KERNEL), four(BIAS), four(HEAD), four(SHIFT), signed5),
    ),
    "`quantized_bits(N, 0)` on the inputs": Read(in_h5(IN_ROUNDED, options=FLOAT), IN_FOUR),
    "`BatchNormalization` right behind a float `Dense` or `Conv2D`": Read(
        in_h5(NORMALIZED, {**files.weights(), "bn": NORMAL}, FLOAT),
        folded(np.asarray, relu),
        exact=False,
    ),
    "`QDenseBatchnorm`": Read(in_h5(DENSE_BATCHNORM, IN_D1), folded(four, relu8)),
    "`QConv2DBatchnorm`": Read(
        image(
            "QConv2DBatchnorm",
            {"conv": {"kernel": FILTERS, "bias": FILTER_BIAS, **STATISTICS}},
            EIGHT,
            axis=[3],
            epsilon=1e-3,
            kernel_quantizer=files.bits(),
            bias_quantizer=files.bits(),
        ),
        CONV_FOLDED,
    ),
    "`Dropout`, Gaussian noise": Read(in_h5(DROPPED, options=FLOAT), AS_STORED, exact=False),
    "sigmoid, tanh (also hard, smooth, quantized), `quantized_bits` behind the logit": Read(
        in_h5(
            files.chain(
                *(files.rounded("d1", 5), files.activation("relu", RELU8)),
                *(files.rounded("output", 1), files.activation("s", "quantized_sigmoid(8)")),
            )
        ),
        IN_FOUR,
    ),
    "`quantized_bits` with `alpha` 1 or another power of two": Read(
        in_h5(quantized(kernel_quantizer=files.bits(alpha=0.5))),
        network(four(KERNEL) / 2, four(BIAS), four(HEAD), four(SHIFT)),
    ),
    '`alpha="auto_po2"`, and `QDense` with none': Read(
        in_h5(quantized(kernel_quantizer=files.bits(alpha=None)), SPREAD_WEIGHTS),
        network(reference_auto_po2(SPREAD), four(BIAS), four(HEAD), four(SHIFT)),
    ),
    "`post_training_scale` of powers of two": Read(
        in_h5(
            quantized(kernel_quantizer=files.bits(alpha="auto", post_training_scale=SCALES)),
            SPREAD_WEIGHTS,
        ),
        network(frozen_values(), four(BIAS), four(HEAD), four(SHIFT)),
    ),
    "symmetric weights": Read(
        in_h5(quantized(kernel_quantizer=files.bits(symmetric=1))),
        network(np.maximum(four(KERNEL), -7 / 8), four(BIAS), four(HEAD), four(SHIFT)),
    ),
    "symmetric rounding of inputs that are never negative": Read(rounded_inputs(COUNTS), IN_FOUR),
    "softmax of two classes, float": Read(
        in_h5(
            files.chain(
                files.dense("d1", 5, activation="relu"),
                files.dense("output", 2, activation="softmax"),
            ),
            TWO_CLASSES,
            FLOAT,
        ),
        network(KERNEL, BIAS, less(TWO.astype("f8")), less(TWO_SHIFT.astype("f8")), relu),
        exact=False,
    ),
    "softmax of two classes, quantized": Read(
        in_h5(
            files.chain(
                files.rounded("d1", 5),
                files.activation("relu", RELU8),
                files.rounded("output", 2),
                files.activation("softmax", "softmax", "Activation"),
            ),
            TWO_CLASSES,
        ),
        network(four(KERNEL), four(BIAS), less(four(TWO)), less(four(TWO_SHIFT))),
    ),
    "`BatchNormalization` behind a quantized layer, all scales powers of two": Read(
        normalized("BatchNormalization"), FOLDED
    ),
    "`QBatchNormalization`, all scales powers of two": Read(
        normalized(
            "QBatchNormalization",
            gamma_quantizer=files.bits(bits=8, integer=3),
            beta_quantizer=files.bits(bits=8, integer=3),
            mean_quantizer=None,
            variance_quantizer=None,
        ),
        FOLDED,
    ),
    "HGQ2's `QDense` in `.h5`": Read(hgq_file("m.h5"), hgq_logits),
    "HGQ2's `QDense` in `.keras`": Read(hgq_file("m.keras"), hgq_logits),
}


@pytest.mark.parametrize("row", READ)
def test_what_is_read_computes_what_the_file_says(row: str, tmp_path: Path) -> None:
    case = READ[row]
    path, options = case.make(tmp_path)
    model, report = import_model(path, options)
    values = inputs(model.spec.features)
    if "never negative" in row:
        values = {name: np.abs(one) - np.float32(one == -1) / STEPS for name, one in values.items()}
    got = model.logits(table(model, values))
    expected = case.logits(np.hstack([values[name] for name in model.spec.features]))
    assert len(np.unique(got)) > 100
    if not case.exact:
        assert model.precision is None
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6)
        return
    np.testing.assert_array_equal(got, expected)
    integers = from_model(model)
    codes = integers.run(integers.input_codes(table(model, values)))
    np.testing.assert_array_equal(codes * 2.0**-integers.logit_fraction_bits, expected)
    assert all(row.note for row in report.rows)


def small(
    change: Callable[[dict[str, Any]], None], name: str = "model1_8b.h5"
) -> Callable[[Path], Made]:
    """A reference file with other settings."""

    def make(folder: Path) -> Made:
        path = folder / "m.h5"
        shutil.copy(MODELS / name, path)
        with h5py.File(path, "r+") as file:
            model = json.loads(file.attrs["model_config"])
            change(model["config"])
            file.attrs["model_config"] = json.dumps(model)
        return path, ImportOptions(
            ("log_charges", "module_number", "x_local", "y_local")
        ) if "model3" in name else FLOAT

    return make


def setting(name: str, **settings: Any) -> Callable[[dict[str, Any]], None]:
    def change(config: dict[str, Any]) -> None:
        (one,) = (one for one in config["layers"] if one["config"]["name"] == name)
        one["class_name"] = settings.pop("kind", one["class_name"])
        one["config"].update(settings)

    return change


def kernel(value: Any) -> Callable[[Path], Made]:
    return in_h5(quantized(kernel_quantizer=value))


def behind(*layers: dict[str, Any]) -> Callable[[Path], Made]:
    """A float model with layers between its two."""
    first = files.dense("d1", 5)
    return in_h5(files.chain(first, *layers, files.dense("output", 1)), options=FLOAT)


def unzipped(folder: Path) -> Made:
    path = folder / "m.keras"
    shutil.unpack_archive(MODELS / "float_keras3.keras", path, "zip")
    return path, FLOAT


def text(content: bytes) -> Callable[[Path], Made]:
    def make(folder: Path) -> Made:
        (folder / "m.keras").write_bytes(content)
        return folder / "m.keras", FLOAT

    return make


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 132345\n"


def quantized_weights(folder: Path) -> Made:
    return numbered_weights(folder, ("q_dense", "q_dense_1")), with_network(folder)


def hgq_other(folder: Path) -> Made:
    path, options = hgq_file("m.h5")(folder)
    with h5py.File(path, "r+") as file:
        text = str(file.attrs["model_config"]).replace("hgq>QDense", "hgq>QBatchNormDense")
        file.attrs["model_config"] = text
    return path, options


def hgq_with(old: str, new: str, place: str = "iq_conf") -> Callable[[Path], Made]:
    def make(folder: Path) -> Made:
        path, options = hgq_file("m.h5")(folder)
        with h5py.File(path, "r+") as file:
            model = json.loads(file.attrs["model_config"])
            for layer in model["config"]["layers"]:
                if place in layer["config"]:
                    layer["config"][place]["config"][old] = new
            file.attrs["model_config"] = json.dumps(model)
        return path, options

    return make


def middle() -> files.Arrays:
    """Weights whose scale lies in the middle of two powers of two."""
    kernel = np.full((4, 5), 7 * 2**-0.5, np.float32)
    return {"d1": {"kernel": kernel, "bias": BIAS}, "output": files.weights()["output"]}


CONV1D = files.entry("Conv1D", "conv", filters=2, kernel_size=[3])
NESTED = files.entry("Functional", "inner", layers=[])
THREE = files.weights(np.hstack([TWO, HEAD]), np.zeros(3, np.float32))
OWN = np.array([1, -0.5, 1.5, 0.25, 4], np.float32)
RANGE = files.bits(keep_negative=False)

REFUSED = {
    '`alpha="auto"`': (
        kernel(files.bits(alpha="auto")),
        "a scale that follows the weights, no power of two",
    ),
    "`alpha` another number": (
        kernel(files.bits(alpha=0.3)),
        "alpha = 0.3; expected a power of two",
    ),
    '`alpha="auto_po2"` in the middle of two powers': (
        in_h5(quantized(kernel_quantizer=PO2), middle()),
        "has a scale in the middle of two powers of two",
    ),
    "`post_training_scale` that is no power of two": (
        kernel(files.bits(alpha="auto", post_training_scale=[[1, 2, 3, 4, 8]])),
        "a frozen scale that is no power of two",
    ),
    "`ternary`, `binary`, powers of two as weights": (
        kernel("ternary()"),
        "'ternary' on weights is not supported",
    ),
    "one bit, more than 32": (kernel(files.bits(bits=1)), "expected 2 to 32 bits"),
    "unsigned weights": (kernel(RANGE), "drops negative weights"),
    "stochastic noise (`qnoise_factor`)": (
        kernel(files.bits(qnoise_factor=0.5)),
        "qnoise_factor = 0.5",
    ),
    "symmetric rounding of inputs that reach -1": (
        rounded_inputs(NAMES),
        "is symmetric, without the -1 that this input reaches",
    ),
    "inputs rounded with integer bits": (
        small(setting("q_activation", activation="quantized_bits(10,1)")),
        "inputs are rounded to 10 bits, 1 of them",
    ),
    "quantized in part": (
        small(setting("q_dense_1", bias_quantizer=None)),
        "its bias is not quantized while other",
    ),
    "`BatchNormalization` behind a quantized layer": (
        normalized("BatchNormalization", {**NORMAL, "gamma": OWN}),
        "by 1.5, no power of two, so that",
    ),
    "`QBatchNormalization` with quantizers of powers of two": (
        normalized("QBatchNormalization", gamma_quantizer="quantized_relu_po2(6)"),
        "'quantized_relu_po2' on weights is not supported",
    ),
    "`QBatchNormalization` with `inverse_quantizer`": (
        normalized("QBatchNormalization", inverse_quantizer="quantized_bits(8,0,alpha=1)"),
        "has an inverse_quantizer",
    ),
    "batch normalization elsewhere": (
        behind(files.activation("r", "relu"), files.entry("BatchNormalization", "bn")),
        "folded into a layer right before it alone",
    ),
    "softmax of three classes or more": (
        in_h5(
            files.chain(
                files.dense("d1", 5, activation="relu"),
                files.dense("output", 3, activation="softmax"),
            ),
            THREE,
            FLOAT,
        ),
        "'softmax' on layer 'output'",
    ),
    "several logits, several outputs": (
        in_h5(files.chain(files.dense("d1", 5), files.dense("output", 2)), TWO_CLASSES, FLOAT),
        "output 'output' is no single logit",
    ),
    "leaky relu": (behind(files.entry("LeakyReLU", "l")), "LeakyReLU is not supported"),
    "hidden tanh and sigmoid": (
        behind(files.activation("t", "tanh", "Activation")),
        "'tanh' on layer 'd1' is not supported",
    ),
    "`quantized_bits` behind the logit with an `alpha` that is not positive": (
        small(setting("q_dense_4", activation="quantized_bits(2,0,alpha=-1)")),
        "alpha = -1; expected a positive one",
    ),
    "activations behind a pooling": (
        small(setting("flatten", kind="Activation", activation="relu"), "model3_6b.h5"),
        "stands behind pooling or flattening",
    ),
    "`channels_first`": (
        small(setting("conv2d", data_format="channels_first"), "model3_6b.h5"),
        "data_format is 'channels_first'",
    ),
    "strides, dilation": (
        small(setting("conv2d", strides=[2, 2]), "model3_6b.h5"),
        "strides is [2, 2]; expected 1",
    ),
    "`Conv1D`, recurrent and other layers": (behind(CONV1D), "Conv1D is not supported"),
    "nested models": (behind(NESTED), "Functional is not supported"),
    "Lambda": (behind(files.entry("Lambda", "code")), "a Lambda holds code, which is never run"),
    "half precision": (
        small(setting("q_dense_1", dtype="mixed_float16")),
        "computes in mixed_float16",
    ),
    "HGQ2's other layers": (hgq_other, "hgq>QBatchNormDense is not supported"),
    "HGQ2's floating point": (
        hgq_with("q_type", "float"),
        "is of type 'float'; expected fixed point",
    ),
    "HGQ2's `WRAP_SM` and other overflows": (
        hgq_with("overflow_mode", "WRAP_SM"),
        "expected RND, RND_CONV or TRN, and SAT or WRAP",
    ),
    "HGQ1 (`HDense`)": (behind(files.entry("HGQ>HDense", "h")), "HDense is not supported"),
    "weights alone without a network": (
        lambda f: (numbered_weights(f), FLOAT),
        "holds weights alone; say their network: --architecture",
    ),
    "weights alone of a quantized network with `--network`": (
        quantized_weights,
        "of a quantized network, whose bits no file of weights holds",
    ),
    "a whole model with `--architecture`": (
        lambda f: (MODELS / "model1_8b.h5", with_json(f)),
        "holds its own architecture",
    ),
    "unzipped `.keras` folders": (
        unzipped,
        "a folder, an unzipped .keras archive; zip what is in it again",
    ),
    "Git LFS pointers": (text(POINTER), "a Git LFS pointer, not the file itself"),
    "files of other kinds": (text(b"a model, honestly"), "neither HDF5 (.h5) nor a zip archive"),
}


@pytest.mark.parametrize("row", REFUSED)
def test_what_is_refused_is_refused_in_one_line_with_the_reason(row: str, tmp_path: Path) -> None:
    make, message = REFUSED[row]
    path, options = make(tmp_path)
    with pytest.raises(PixelsieveError) as error:
        import_model(path, options)
    assert message in str(error.value)
    assert str(path) in str(error.value)
    assert str(error.value).isprintable()


def test_the_page_has_a_row_for_each_case_and_no_other() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for heading, cases in (("## Read exactly", READ), ("## Refused", REFUSED)):
        part = text.split(heading + "\n", 1)[1].split("\n## ", 1)[0]
        rows = re.findall(r"^\| (?!-|in the file)(.+?) \|", part, re.MULTILINE)
        assert rows == list(cases)


@pytest.mark.parametrize("row", ['`alpha="auto"`', "Lambda", "softmax of three classes or more"])
def test_the_true_reason_comes_before_any_question(row: str, tmp_path: Path) -> None:
    make, message = REFUSED[row]
    path, _ = make(tmp_path)
    with h5py.File(path, "r+") as file:
        text = str(file.attrs["model_config"])
        file.attrs["model_config"] = text.replace('"x_size"', '"input_2"')
    with pytest.raises(ConfigError) as error:
        import_model(path, ImportOptions())
    assert message in str(error.value)
    assert "--features" not in str(error.value)


def test_a_model_that_can_be_read_asks_for_its_features(tmp_path: Path) -> None:
    path, _ = READ['`alpha="auto_po2"`, and `QDense` with none'].make(tmp_path)
    with h5py.File(path, "r+") as file:
        text = str(file.attrs["model_config"])
        file.attrs["model_config"] = text.replace('"x_size"', '"input_2"')
    with pytest.raises(ConfigError, match="--features NAME,NAME"):
        import_model(path, ImportOptions())


@pytest.mark.parametrize("seed", range(40))
def test_auto_po2_is_what_qkeras_computes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 9))
    x = rng.normal(0, 2.0 ** rng.integers(-4, 4, 7), (int(rng.integers(1, 60)), 7)).astype("f4")
    x[:, 0] *= rng.integers(0, 2)
    np.testing.assert_array_equal(auto_po2(x, count, 0), reference_auto_po2(x, count))


def test_a_mask_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    path, options = pruned_h5(tmp_path)
    with h5py.File(path, "r+") as file:
        file["model_weights/prune_low_magnitude_d1/prune_low_magnitude_d1/mask:0"][0, 0] = 0.5
    with pytest.raises(ConfigError, match="is no mask of zeros and ones"):
        import_model(path, options)


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("m.h5", "hgq>QDense", "hgq>QDense", None),
        ("m.h5", '"RND"', '"RND_ZERO"', "RND_ZERO, SAT_SYM: expected RND"),
    ],
)
def test_bits_of_hgq2_are_named(
    tmp_path: Path, name: str, old: str, new: str, message: str | None
) -> None:
    path, options = hgq_file(name)(tmp_path)
    with h5py.File(path, "r+") as file:
        text = str(file.attrs["model_config"])
        file.attrs["model_config"] = text.replace(old, new)
    if message is None:
        assert "bits by element" in import_model(path, options)[1].precision
        return
    with pytest.raises(ConfigError, match="expected RND, RND_CONV or TRN"):
        import_model(path, options)


@pytest.mark.parametrize("make", [text(POINTER), unzipped, in_h5(plain(), options=FLOAT)])
def test_evaluate_and_inspect_name_what_a_file_is_and_the_next_step(
    make: Callable[[Path], Made], tmp_path: Path, dataset_file: Path
) -> None:
    path, _ = make(tmp_path)
    for arguments in (["evaluate", path, "--data", dataset_file], ["inspect", path]):
        result = pixelsieve(*arguments)
        assert result.exit_code == 2, result.output
        assert len(result.output.strip().splitlines()) == 1
        assert re.search("git lfs pull|zip -r|pixelsieve convert` it first", result.output)


def test_convert_takes_an_architecture(tmp_path: Path) -> None:
    path, options = numbered_weights(tmp_path), with_json(tmp_path)
    shown = pixelsieve(
        "convert", path, "--architecture", options.architecture, "--out", tmp_path / "m.keras"
    )
    assert shown.exit_code == 0, shown.output
    assert "network of" in shown.output
    model = load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(model.weights["d1"]["kernel"], KERNEL)
