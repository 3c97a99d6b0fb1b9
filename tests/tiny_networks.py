"""Small networks for the firmware's tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pixelsieve.features import FeatureSet
from pixelsieve.integer.layers import IntegerInput, IntegerLayer
from pixelsieve.integer.network import IntegerNetwork
from pixelsieve.networks.fixed_point import FixedPoint, Overflow, Quantizer, Rounding
from pixelsieve.networks.layers import Dense
from pixelsieve.networks.model_file import Model
from pixelsieve.networks.precision import LayerScale, Precision
from pixelsieve.networks.spec import NetworkSpec, Weights, initial_weights

if TYPE_CHECKING:
    import keras

TINY = NetworkSpec(
    "tiny",
    (
        Dense("a", 3, ("y_size", "z_global")),
        Dense("b", 2, ("a", "y_local")),
        Dense("output", 1, ("b",), relu=False),
    ),
)
SCALAR = ("z_global", "y_local", "x_size", "y_size")


def tiny_model(bits: int | None, seed: int = 0, activation_bits: int = 8, **more: Any) -> Model:
    rng = np.random.default_rng(seed)
    weights = {
        layer: {n: rng.normal(0.2, 0.6, v.shape).astype(np.float32) for n, v in vs.items()}
        for layer, vs in initial_weights(TINY, 0).items()
    }
    precision = None
    if bits is not None:
        scales = (LayerScale("a", 1, -1), LayerScale("b", 0, 0), LayerScale("output", -1, 1))
        precision = Precision(bits, activation_bits=activation_bits, scales=scales)
    return Model(TINY, precision, weights, FeatureSet(TINY.features), **more)


def mixed_network(seed: int) -> IntegerNetwork:
    """Few neurons with grids of 1 to 3 bits that differ from layer to layer."""
    rng = np.random.default_rng(seed)

    def grid(signed: int, fewest: int, most: int, integer: int) -> FixedPoint:
        bits = int(rng.integers(fewest, most + 1))
        return FixedPoint(bool(signed), bits, int(rng.integers(-1, integer + 1)))

    inputs = tuple(IntegerInput(f, 1, grid(int(rng.integers(2)), 2, 3, 2)) for f in SCALAR)
    widths = {i.name: (1, i.grid.fraction_bits) for i in inputs}
    layers: list[IntegerLayer] = []
    sources: tuple[str, ...] = SCALAR
    for name, units in (("h1", 3), ("h2", 2), ("output", 1)):
        activation = grid(0, 1, 2, 2) if name != "output" else None
        kernel, bias = grid(1, 2, 3, 1), grid(1, 2, 3, 1)
        fan_in = sum(widths[s][0] for s in sources)
        one = IntegerLayer(
            name,
            sources,
            rng.integers(kernel.lowest_code, kernel.highest_code + 1, (fan_in, units)),
            rng.integers(bias.lowest_code, bias.highest_code + 1, units),
            kernel,
            bias,
            Quantizer.uniform(activation, units) if activation else None,
            max(widths[s][1] for s in sources),
        )
        layers.append(one)
        widths[name] = (units, one.output_fraction_bits)
        sources = (name,)
    return IntegerNetwork("mixed", FeatureSet(SCALAR), inputs, tuple(layers))


def heterogeneous_network(seed: int) -> IntegerNetwork:
    """Few neurons; every input and every activation with bits of its own, some with none."""
    rng = np.random.default_rng(seed)
    overflow: Overflow = ("WRAP", "SAT")[seed % 2]
    rounding: Rounding = ("TRN", "RND", "RND_CONV")[seed // 2 % 3]

    def quantizer(width: int, *, signed: bool) -> Quantizer:
        return Quantizer(
            tuple(signed and bool(rng.integers(2)) for _ in range(width)),
            tuple(rng.integers(0, 6, width).tolist()),
            tuple(rng.integers(-2, 3, width).tolist()),
            rounding,
            overflow,
        )

    port, grid = FixedPoint(signed=True, bits=5), FixedPoint(signed=True, bits=5, integer_bits=2)
    inputs = tuple(IntegerInput(f, 1, port, quantizer(1, signed=True)) for f in SCALAR)
    fractions = {i.name: i.output_fraction_bits for i in inputs}
    layers: list[IntegerLayer] = []
    sources: tuple[str, ...] = SCALAR
    for name, fan_in, units in (("h1", 4, 3), ("h2", 3, 2), ("output", 2, 1)):
        one = IntegerLayer(
            name,
            sources,
            rng.integers(-8, 9, (fan_in, units)) << rng.integers(0, 2, (fan_in, units)),
            rng.integers(-16, 16, units),
            grid,
            grid,
            None if name == "output" else quantizer(units, signed=False),
            max(fractions[s] for s in sources),
        )
        layers.append(one)
        fractions[name] = one.output_fraction_bits
        sources = (name,)
    return IntegerNetwork("mixed", FeatureSet(SCALAR), inputs, tuple(layers))


def one_bit_network(seed: int) -> IntegerNetwork:
    """A sum of 21 inputs of one bit, about half of them signed: 0 or minus one step."""
    rng = np.random.default_rng(seed)
    signed = rng.integers(0, 2, 21).astype(bool)
    taken = Quantizer(
        tuple(signed.tolist()),
        (1,) * 21,
        tuple(rng.integers(-2, 1, 21).tolist()),
        "TRN",
        "WRAP",
    )
    port, grid = FixedPoint(signed=True, bits=6), FixedPoint(signed=True, bits=6, integer_bits=2)
    profile = IntegerInput("x_profile", 21, port, taken)
    kernel = rng.integers(1, 16, (21, 1)) * rng.choice([-1, 1], (21, 1))
    bias = np.array([3])
    layer = IntegerLayer(
        "output", ("x_profile",), kernel, bias, grid, grid, None, profile.output_fraction_bits
    )
    return IntegerNetwork("one_bit", FeatureSet(("x_profile",)), (profile,), (layer,))


def read_weights(model: keras.Model) -> Weights:
    """Copies of all trainable variables, in the model's order."""
    weights: Weights = {}
    for variable in model.trainable_variables:
        layer, name = variable.path.split("/")
        weights.setdefault(layer, {})[name] = np.array(variable.value)
    return weights
