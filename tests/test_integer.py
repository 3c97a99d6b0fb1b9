"""The integer program against exact rational arithmetic, and its file against strangers."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelsieve.core.errors import ConfigError, RunError
from pixelsieve.features import FeatureTable
from pixelsieve.hardware.testbench import corner_codes
from pixelsieve.integer.file import read_integer_network, to_document
from pixelsieve.integer.network import from_model
from pixelsieve.networks.fixed_point import FixedPoint, Quantizer
from pixelsieve.networks.precision import MixedPrecision, NamedQuantizer
from tests.tiny_networks import TINY, heterogeneous_network, mixed_network, tiny_model


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.booleans(), st.integers(0, 2**32))
def test_a_whole_network_equals_exact_rational_arithmetic(
    seed: int, mixed: bool, of_codes: int
) -> None:
    network = mixed_network(seed) if mixed else heterogeneous_network(seed)
    rng = np.random.default_rng(of_codes)
    inputs = {
        i.name: rng.integers(i.grid.lowest_code, i.grid.highest_code + 1, (3, i.width))
        for i in network.inputs
    }
    run = network.trace(inputs)
    sums_fit = network.sum_bits()
    for row in range(3):
        values: dict[str, list[Fraction]] = {}
        for i in network.inputs:
            exact = [Fraction(int(c)) * Fraction(i.grid.step) for c in inputs[i.name][row]]
            values[i.name] = exact if i.quantizer is None else on_grids(exact, i.quantizer)
        for layer in network.weighted_layers:
            taken = [v for source in layer.inputs for v in values[source]]
            step, bias_step = Fraction(layer.kernel_grid.step), Fraction(layer.bias_grid.step)
            sums = [
                sum(
                    (x * int(w) * step for x, w in zip(taken, column, strict=True)),
                    start=int(bias) * bias_step,
                )
                for column, bias in zip(layer.kernel.T, layer.bias, strict=True)
            ]
            scale = Fraction(2) ** layer.sum_fraction_bits
            assert all(abs(s * scale) < 2 ** sums_fit[layer.name] for s in sums)
            rectified = [max(s, Fraction(0)) for s in sums]
            activation = layer.activation
            values[layer.name] = on_grids(rectified, activation) if activation else sums
            unit = Fraction(2) ** -layer.output_fraction_bits
            got = [Fraction(int(c)) * unit for c in run.layers[layer.name][row]]
            assert got == values[layer.name]


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.booleans())
def test_a_cluster_has_its_logit_in_every_company(seed: int, mixed: bool) -> None:
    network = mixed_network(seed) if mixed else heterogeneous_network(seed)
    codes = corner_codes(network, 40)
    logits = network.run(codes)
    order = np.random.default_rng(seed).permutation(len(logits))
    np.testing.assert_array_equal(
        network.run({n: c[order] for n, c in codes.items()}), logits[order]
    )
    alone = network.run({n: c[7:8] for n, c in codes.items()})
    assert alone[0] == logits[7]


def test_a_models_logits_are_those_of_its_integers_in_any_order() -> None:
    model = tiny_model(4)
    network = from_model(model)
    table = network.input_values(corner_codes(network, 60))
    expected = network.run(network.input_codes(table)) * 2.0**-network.logit_fraction_bits
    order = np.random.default_rng(0).permutation(len(table))
    shuffled = FeatureTable(
        table.features, {n: v[order] for n, v in table.inputs.items()}, table.labels[order]
    )
    np.testing.assert_array_equal(model.logits(table), expected)
    np.testing.assert_array_equal(model.logits(shuffled), expected[order])


def test_weights_of_too_many_bits_are_refused_not_cut() -> None:
    model = tiny_model(4)
    quantizers = {
        name: NamedQuantizer(name, Quantizer.uniform(FixedPoint(signed=True, bits=8), width))
        for name, width in ((*((f, 1) for f in TINY.features), ("a", 3), ("b", 2)))
    }
    inputs = tuple(quantizers[f] for f in TINY.features)
    precision = MixedPrecision(inputs, (quantizers["a"], quantizers["b"]))
    assert from_model(replace(model, precision=precision)).weighted_layers
    model.weights["a"]["kernel"][0, :2] = (2.0**40, 2.0**-40)
    with pytest.raises(ConfigError, match="a grid of 82 bits; codes have at most 62"):
        from_model(replace(model, precision=precision))


def on_grids(values: list[Fraction], quantizer: Quantizer) -> list[Fraction]:
    """The definition: each value on its element's grid."""
    found = []
    elements = zip(quantizer.signed, quantizer.bits, quantizer.integer_bits, strict=True)
    for value, (signed, bits, integer_bits) in zip(values, elements, strict=True):
        step = Fraction(2) ** (integer_bits + signed - bits)
        n = {
            "RND_CONV": round(value / step),
            "RND": math.floor(value / step + Fraction(1, 2)),
            "TRN": math.floor(value / step),
        }[quantizer.rounding]
        low = -(2 ** (bits - 1)) if signed and bits else 0
        high = low + 2**bits - 1
        wraps = quantizer.overflow == "WRAP"
        n = (n - low) % 2**bits + low if wraps else min(max(n, low), high)
        found.append(n * step if bits else Fraction(0))
    return found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["layers"][0].update(inputs=["y_size"]), "n.json: tiny: layer 'a' does not"),
        (lambda d: d["inputs"][0].update(name="x); endmodule"), "is no name of its features"),
        (lambda d: d["layers"][0].update(name="a;b"), "'a;b' is no name of its features"),
        (lambda d: d["inputs"][0]["grid"].update(bits=10**30), "expected at most 512"),
        (lambda d: d["layers"][0]["kernel_grid"].update(integer_bits=2**40), "at most 512 in size"),
        (lambda d: d["layers"][0]["activation"]["bits"].__setitem__(0, 2**40), "at most 62"),
        (lambda d: d["layers"][0]["activation"]["bits"].__setitem__(0, 63), "at most 62"),
    ],
)
def test_hostile_json_with_the_right_hash_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    path = tmp_path / "n.json"
    document = to_document(from_model(tiny_model(4), "tiny"))
    change(document)
    del document["sha256"]
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    document["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    path.write_text(json.dumps(document))
    with pytest.raises(ConfigError, match=message) as error:
        read_integer_network(path)
    assert str(error.value).startswith(f"{path}: ")
    path.write_text(path.read_text().replace('"logit_bits": ', '"logit_bits": 1e999, "x": '))
    with pytest.raises(RunError, match="1e999 is no finite number"):
        read_integer_network(path)
