"""Model files of Keras 2, Keras 3 and QKeras with their logits, for tests/test_model_import.py.

Made once, in an environment of its own (QKeras and HGQ2 must not share one):

    python -m venv benchmarks/.envs/qkeras
    benchmarks/.envs/qkeras/bin/pip install tensorflow tf_keras qkeras pyparsing
    benchmarks/.envs/qkeras/bin/python benchmarks/qkeras_reference.py tests/data/models

QKeras 0.9.0 of PyPI has no QDenseBatchnorm: for `asic_4b` put qdense_batchnorm.py of its repository
(main branch) beside its other modules.

Weights are random, off every grid, some out of range and some halfway between two values, which
is harder than what training leaves. Logits are those of the file loaded again.
"""

from __future__ import annotations

import os
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

CLUSTERS = 10_000
MODEL2 = {"x_profile": 21, "z_global": 1, "y_profile": 13, "y_local": 1}
ASIC = {"y_local": 1, "y_profile": 13}
MODEL1 = {"z_global": 1, "x_size": 1, "y_size": 1, "y_local": 1}
MODEL3 = {"cluster": 273, "nModule": 1, "x_local": 1, "y_local": 1}
FLOAT_FORMATS = ("keras2.h5", "keras2.keras", "keras3.h5", "keras3.keras")


def reference_inputs(
    sizes: Mapping[str, int], seed: int, grid_bits: int | None = None
) -> dict[str, Any]:
    """Inputs (CLUSTERS, size) in [-1, 1), float32: even, a quarter of them halfway between codes.

    With `grid_bits` they are on the grid of `quantized_bits(grid_bits, 0)`.
    """
    rng = np.random.default_rng(seed)
    inputs = {}
    for name, size in sizes.items():
        shape = (CLUSTERS, size)
        values = rng.uniform(-1.1, 1.1, shape)
        halfway = (np.floor(values * 128) + 0.5) / 128
        values = np.where(rng.random(shape) < 0.25, halfway, values)
        if grid_bits is not None:
            step = 2.0 ** (1 - grid_bits)
            values = np.clip(np.rint(values / step) * step, -1, 1 - step)
        largest = np.nextafter(np.float32(1), np.float32(0))
        inputs[name] = np.clip(values.astype(np.float32), np.float32(-1), largest)
    return inputs


def hard_weights(model: Any, seed: int) -> None:
    """Random weights off the grids; 2 % far out of range, 5 % halfway between two values."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        arrays = []
        for weight in layer.weights:
            shape, role = tuple(weight.shape), weight.name.rsplit("/", 1)[-1].split(":")[0]
            if role == "kernel":
                values = rng.normal(0, 1.3 / np.sqrt(np.prod(shape[:-1])), shape)
                values += 0.15 / np.sqrt(np.prod(shape[:-1]))
            elif role in {"gamma", "moving_variance"}:
                values = rng.uniform(0.4, 1.6, shape)
            else:
                values = rng.normal(0, 0.15, shape)
            if role in {"kernel", "bias"}:
                values = np.where(rng.random(shape) < 0.02, values * 9, values)
                halfway = (np.floor(values * 8) + 0.5) / 8
                values = np.where(rng.random(shape) < 0.05, halfway, values)
            arrays.append(np.asarray(values, np.float32).astype(weight.dtype.name, copy=False))
        if arrays:
            layer.set_weights(arrays)


def model2_4b() -> Any:
    """The field's 4-bit Model2: inputs as they come, a plain sigmoid at the end."""
    import tf_keras as keras
    from qkeras import QActivation, QDense, quantized_bits

    def dense(units: int, name: str, x: Any) -> Any:
        quantizer = quantized_bits(4, 0, alpha=1)
        layer = QDense(units, kernel_quantizer=quantizer, bias_quantizer=quantizer, name=name)
        return layer(x)

    def relu(x: Any) -> Any:
        return QActivation("quantized_relu(8,0)")(x)

    inputs = {name: keras.Input((size,), name=name) for name, size in MODEL2.items()}
    join = keras.layers.Concatenate
    xz = relu(dense(32, "xz_dense1", join()([inputs["x_profile"], inputs["z_global"]])))
    yl = relu(dense(32, "yl_dense1", join()([inputs["y_profile"], inputs["y_local"]])))
    x = relu(dense(128, "merged_dense1", join()([xz, yl])))
    x = keras.layers.Dropout(0.1)(x)
    x = relu(dense(64, "merged_dense2", x))
    x = relu(dense(32, "merged_dense3", x))
    quantizer = quantized_bits(4, 0, alpha=1)
    out = QDense(1, "sigmoid", kernel_quantizer=quantizer, bias_quantizer=quantizer, name="output")(
        x
    )
    return keras.Model(list(inputs.values()), out)


def model2_mixed() -> Any:
    """A small Model2 with rounded inputs, and the quantizers that the field seldom writes.

    QKeras cannot load a QActivation of an object out of `.keras`: here they are text.
    """
    import tf_keras as keras
    from qkeras import QActivation, QDense, quantized_bits

    def dense(units: int, name: str, x: Any, kernel: Any, bias: Any) -> Any:
        return QDense(units, kernel_quantizer=kernel, bias_quantizer=bias, name=name)(x)

    inputs = {name: keras.Input((size,), name=name) for name, size in MODEL2.items()}
    rounded = {
        name: QActivation("quantized_bits(8, 0, alpha=1)", name=f"{name}_q")(x)
        for name, x in inputs.items()
    }
    join = keras.layers.Concatenate
    plain = quantized_bits(6, 0, alpha=1)
    x1 = join()([rounded["x_profile"], rounded["z_global"]])
    x2 = join()([rounded["y_profile"], rounded["y_local"]])
    x1 = dense(8, "xz_dense1", x1, quantized_bits(6, 0, alpha=0.5), plain)
    x2 = dense(8, "yl_dense1", x2, quantized_bits(6, 0, 1, alpha=1), quantized_bits(6, 1, 1))
    x = join()([QActivation("quantized_relu(8,0)")(x1), QActivation("quantized_relu(8)")(x2)])
    x = dense(64, "merged_dense1", x, quantized_bits(4, 0, alpha=1.0), quantized_bits(8, 0))
    x = keras.layers.Dropout(0.1)(keras.layers.Activation("relu")(x))
    x = QActivation("quantized_bits(9,0,alpha=1)")(x)
    x = dense(32, "merged_dense2", x, plain, "quantized_bits(6,0,alpha=1)")
    x = QActivation("quantized_relu(8,0)")(x)
    x = dense(16, "merged_dense3", x, quantized_bits(6, 1, alpha=1), plain)
    x = QActivation("quantized_relu(8,0)")(x)
    x = dense(1, "output_dense", x, plain, plain)
    return keras.Model(list(inputs.values()), QActivation("quantized_sigmoid(8,0)")(x))


def model1_8b() -> Any:
    """Model1 as late files have it: unnamed layers, relu inside them, quantized_tanh at the end."""
    import tf_keras as keras
    from qkeras import QActivation, QDense, quantized_bits, quantized_relu

    keras.backend.clear_session()
    inputs = [keras.Input((size,), name=name) for name, size in MODEL1.items()]
    x = QActivation(quantized_bits(10, 0))(keras.layers.Concatenate()(inputs))
    quantizer = quantized_bits(8, 0, alpha=1)
    for _ in range(4):
        x = QDense(16, quantized_relu(8, 0), kernel_quantizer=quantizer, bias_quantizer=quantizer)(
            x
        )
    x = QDense(1, kernel_quantizer=quantizer, bias_quantizer=quantizer)(x)
    return keras.Model(inputs, QActivation("quantized_tanh(8,0)")(x))


def model1_mixed() -> Any:
    """Model1 with activations and weights of different bits from layer to layer."""
    import tf_keras as keras
    from qkeras import QActivation, QDense, quantized_bits

    inputs = [keras.Input((size,), name=name) for name, size in MODEL1.items()]
    x = QActivation("quantized_bits(8,0)", name="rounded")(keras.layers.Concatenate()(inputs))
    for number, (bits, relu) in enumerate([(8, "10,1"), (6, "6,0"), (4, "8,2"), (5, "3,1")]):
        kernel, bias = quantized_bits(bits, 0, alpha=1), quantized_bits(bits + 1, 1)
        x = QDense(12, kernel_quantizer=kernel, bias_quantizer=bias, name=f"dense{number}")(x)
        x = QActivation(f"quantized_relu({relu})", name=f"relu{number}")(x)
    last = quantized_bits(8, 0, alpha=1)
    x = QDense(1, kernel_quantizer=last, bias_quantizer=last, name="output")(x)
    return keras.Model(inputs, x)


def model3_6b() -> Any:
    """A small Model3 with the field's names: the image of the pixels, and scalars."""
    import tf_keras as keras
    from qkeras import QActivation, QConv2D, QDense, quantized_bits, quantized_relu

    weights: dict[str, Any] = {
        "kernel_quantizer": quantized_bits(6, 0, alpha=1.0),
        "bias_quantizer": quantized_bits(6, 0, alpha=1.0),
    }

    def relu(x: Any) -> Any:
        return QActivation(quantized_relu(8, 0))(x)

    inputs = {
        name: keras.Input((13, 21) if name == "cluster" else (size,), name=name)
        for name, size in MODEL3.items()
    }
    rounded = {
        name: QActivation(quantized_bits(8, 0), name=f"{name}_rounded")(x)
        for name, x in inputs.items()
    }
    image = keras.layers.Reshape((13, 21, 1), name="add_channel")(rounded["cluster"])
    image = relu(QConv2D(4, (3, 5), padding="same", name="conv2d", **weights)(image))
    image = keras.layers.Flatten(name="flatten")(keras.layers.MaxPooling2D((2, 2))(image))
    scalars = keras.layers.Concatenate()([rounded["nModule"], rounded["x_local"]])
    scalars = keras.layers.Concatenate()([scalars, rounded["y_local"]])
    scalars = relu(QDense(8, name="dense_scalars", **weights)(scalars))
    x = keras.layers.Concatenate()([image, scalars])
    x = relu(QDense(12, name="merged_dense1", **weights)(x))
    x = relu(QDense(8, name="merged_dense2", **weights)(x))
    x = QDense(1, name="output_dense", **weights)(x)
    return keras.Model(list(inputs.values()), QActivation("quantized_tanh", name="output")(x))


def asic_4b() -> Any:
    """The ASIC's network: batch normalization folded before the kernel is rounded."""
    import tf_keras as keras
    from qkeras import QActivation, QDense, quantized_bits
    from qkeras.qdense_batchnorm import QDenseBatchnorm

    inputs = [keras.Input((size,), name=name) for name, size in ASIC.items()]
    quantizer = quantized_bits(4, 0, alpha=1)
    x = QDenseBatchnorm(58, kernel_quantizer=quantizer, bias_quantizer=quantizer, name="dense1")(
        keras.layers.Concatenate()(inputs)
    )
    x = QActivation("quantized_relu(8,0)", name="relu1")(x)
    x = QDense(1, kernel_quantizer=quantizer, bias_quantizer=quantizer, name="output_dense")(x)
    return keras.Model(inputs, x)


def floats(keras: Any) -> Any:
    """A small float Model2 with batch normalization, in the Keras that is given."""
    inputs = {name: keras.Input((size,), name=name) for name, size in MODEL2.items()}
    layers = keras.layers
    xz = layers.Concatenate()([inputs["x_profile"], inputs["z_global"]])
    yl = layers.Concatenate()([inputs["y_profile"], inputs["y_local"]])
    xz = layers.Dense(8, "relu", name="xz_dense1")(xz)
    yl = layers.BatchNormalization(epsilon=1e-2)(layers.Dense(8, name="yl_dense1")(yl))
    x = layers.Concatenate()([xz, layers.Activation("relu")(yl)])
    x = layers.Dropout(0.1)(layers.ReLU()(layers.Dense(16, name="merged_dense1")(x)))
    x = layers.Dense(8, "relu", use_bias=False, name="merged_dense2")(x)
    out = layers.Dense(1, "sigmoid", name="output")(x)
    model = keras.Model(list(inputs.values()), out)
    model.compile("adam", "binary_crossentropy")
    return model


def logits(model: Any, inputs: Mapping[str, Any]) -> Any:
    """What the model computes before the function at its end."""
    import tf_keras as keras

    last = model.layers[-1]
    if hasattr(last, "units"):  # the sigmoid is inside the layer
        last.activation = (lambda x: x) if last.activation is not None else None
        ending = last.output
    else:
        ending = last.input
    if isinstance(model, keras.Model):
        model = keras.Model(model.inputs, ending)
    else:
        import keras as keras3

        model = keras3.Model(model.inputs, ending)
    tensors = zip(inputs.values(), model.inputs, strict=True)
    arrays = [values.reshape(-1, *tensor.shape[1:]) for values, tensor in tensors]
    found = model.predict(arrays, batch_size=CLUSTERS, verbose=0)[:, 0]
    again = model.predict(arrays, batch_size=77, verbose=0)[:, 0]
    print(f"  {len(np.unique(found))} values, {found.min():.4g} to {found.max():.4g};", end=" ")
    print(f"in other batches the largest difference is {np.abs(found - again).max():.2g}")
    return found.astype(np.float32)


def main(folder: Path) -> None:
    import keras
    import qkeras.utils
    import tf_keras

    folder.mkdir(parents=True, exist_ok=True)
    stored: dict[str, Any] = {}
    quantized: dict[str, tuple[Callable[[], Any], dict[str, int], int | None]] = {
        "model2_4b.h5": (model2_4b, MODEL2, 8),
        "model2_mixed.keras": (model2_mixed, MODEL2, None),
        "model1_8b.h5": (model1_8b, MODEL1, None),
        "model1_mixed.h5": (model1_mixed, MODEL1, None),
        "asic_4b.h5": (asic_4b, ASIC, 6),
        "model3_6b.h5": (model3_6b, MODEL3, None),
    }
    more = {}
    try:
        from qkeras.qdense_batchnorm import QDenseBatchnorm

        more["QDenseBatchnorm"] = QDenseBatchnorm
    except ImportError:
        print("asic_4b.h5: left out, this QKeras has no QDenseBatchnorm")
        del quantized["asic_4b.h5"]
    for seed, (name, (make, sizes, bits)) in enumerate(quantized.items()):
        print(name)
        model = make()
        hard_weights(model, seed)
        model.save(folder / name)
        loaded = qkeras.utils.load_qmodel(str(folder / name), custom_objects=more)
        stored[name] = logits(loaded, reference_inputs(sizes, seed, bits))
    inputs = reference_inputs(MODEL2, 9)
    first = floats(tf_keras)
    hard_weights(first, 9)
    first.optimizer.build(first.trainable_variables)
    second = floats(keras)
    for ours, theirs in zip(second.layers, first.layers, strict=True):
        ours.set_weights(theirs.get_weights())
    for name in FLOAT_FORMATS:
        print(name)
        (first if "keras2" in name else second).save(folder / f"float_{name}")
    stored["float"] = logits(tf_keras.models.load_model(folder / "float_keras2.h5"), inputs)
    other = logits(keras.models.load_model(folder / "float_keras3.keras"), inputs)
    print(f"Keras 2 and 3 differ by {np.abs(stored['float'] - other).max():.2g}")
    np.savez_compressed(folder / "logits.npz", **stored)
    for path in folder.glob("*.keras"):
        with zipfile.ZipFile(path) as archive:
            print(path.name, path.stat().st_size, [i.filename for i in archive.infolist()])
    print(sum(p.stat().st_size for p in folder.iterdir()), "bytes in all")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
