"""One training process of the peer, QKeras on TensorFlow; training_speed.py runs it.

Prints `ready` after compiling, waits for a line, trains, prints the seconds that took.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--bits", type=int, help="0: float")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--clusters", type=int)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--mode", choices=["numpy", "tf.data", "jit"])
    parser.add_argument("--threads", type=int, help="0: as many as TensorFlow likes")
    options = parser.parse_args()

    import numpy as np
    import tensorflow as tf
    import tf_keras as keras
    from qkeras import QActivation, QDense, quantized_bits, quantized_relu

    if options.threads:
        tf.config.threading.set_intra_op_parallelism_threads(options.threads)
        tf.config.threading.set_inter_op_parallelism_threads(options.threads)

    def dense(units: int, name: str, x: object, relu: bool = True) -> object:
        if options.bits == 0:
            return keras.layers.Dense(units, "relu" if relu else None, name=name)(x)
        weights = quantized_bits(options.bits, 0, alpha=1)
        x = QDense(units, kernel_quantizer=weights, bias_quantizer=weights, name=name)(x)
        return QActivation(quantized_relu(8, 0))(x) if relu else x

    sizes = {"x_profile": 21, "z_global": 1, "y_profile": 13, "y_local": 1}
    inputs = {n: keras.Input((s,), name=n) for n, s in sizes.items()}
    join = keras.layers.Concatenate()
    xz = dense(32, "xz_dense1", join([inputs["x_profile"], inputs["z_global"]]))
    yl = dense(
        32, "yl_dense1", keras.layers.Concatenate()([inputs["y_profile"], inputs["y_local"]])
    )
    merged = keras.layers.Concatenate()([xz, yl])
    for units, name in ((128, "merged_dense1"), (64, "merged_dense2"), (32, "merged_dense3")):
        merged = dense(units, name, merged)
    model = keras.Model(inputs, dense(1, "output", merged, relu=False))
    model.compile(
        keras.optimizers.Adam(1e-3),
        keras.losses.BinaryCrossentropy(from_logits=True),
        jit_compile=options.mode == "jit",
    )
    rng = np.random.default_rng(0)
    n = options.clusters
    x = {k: rng.uniform(-1, 1, (n, s)).astype("float32") for k, s in sizes.items()}
    y = rng.integers(0, 2, (n, 1)).astype("float32")

    def fit(epochs: int) -> None:
        if options.mode == "numpy":
            model.fit(x, y, batch_size=options.batch, epochs=epochs, verbose=0)
        else:
            model.fit(data, epochs=epochs, verbose=0)

    if options.mode != "numpy":
        data = tf.data.Dataset.from_tensor_slices((x, y)).batch(options.batch, drop_remainder=True)
        data = data.cache().prefetch(tf.data.AUTOTUNE)
    fit(1)
    print("ready", flush=True)
    sys.stdin.readline()
    start = time.perf_counter()
    fit(options.epochs)
    print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
