"""One training process of pixelsieve; run by training_speed.py.

Prints `ready` after compiling, waits for a line, trains, prints the seconds that took. An epoch
is what the engine does: reshuffle, one compiled call.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np

from pixelsieve.networks.build import build
from pixelsieve.networks.precision import Precision
from pixelsieve.networks.spec import network
from pixelsieve.training.uniform import StepLimits, uniform_program


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--bits", type=int, help="0: float")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--clusters", type=int)
    parser.add_argument("--epochs", type=int)
    options = parser.parse_args()

    import jax.numpy as jnp

    spec = network("model2")
    model = build(spec, Precision(options.bits) if options.bits else None)
    compiled = uniform_program(spec, options.bits > 0)
    grids = [np.asarray(v.value) for v in model.non_trainable_variables]
    weights = [jnp.array(v.value) for v in model.trainable_variables]
    state = compiled.start(weights)
    rng = np.random.default_rng(0)
    n, batch = options.clusters, options.batch
    inputs = {
        name: jnp.asarray(rng.uniform(-1, 1, (n, spec.width(name))).astype(np.float32))
        for name in spec.features
    }
    labels = jnp.asarray(rng.integers(0, 2, n).astype(np.float32))
    batches = n // batch
    rates = np.full(batches, 1e-3, np.float32)
    count = len(weights)
    limits = StepLimits(1.0, [-np.inf] * count, [np.inf] * count)

    def fit(epochs: int) -> None:
        nonlocal weights, state
        for _ in range(epochs):
            order = rng.permutation(n)[: batches * batch].reshape(batches, batch)
            weights, state, figures = compiled.epoch(
                weights, state, grids, inputs, labels, order.astype(np.int32), rates, limits
            )
        float(figures[0])

    fit(1)
    print("ready", flush=True)
    sys.stdin.readline()
    start = time.perf_counter()
    fit(options.epochs)
    print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
