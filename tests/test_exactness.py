"""The check that every network in a table passes, and what logic costs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pixelsieve.core.errors import ConstantLogitError
from pixelsieve.features import FeatureSet, FeatureTable
from pixelsieve.hardware.resources import measure
from pixelsieve.integer import logic
from pixelsieve.integer.layers import IntegerPool
from pixelsieve.integer.logic import alkaid, check_exactness, compiled, ebops, larger, traced
from pixelsieve.integer.network import from_model
from pixelsieve.networks.layers import Conv, Dense, Flatten, MaxPool
from pixelsieve.networks.model_file import Model
from pixelsieve.networks.precision import Precision
from pixelsieve.networks.spec import NetworkSpec, initial_weights
from tests.conftest import make_clusters

SPEC = NetworkSpec(
    "small",
    (
        Dense("dense1", 3, ("y_profile", "z_global")),
        Dense("output", 1, ("dense1",), relu=False),
    ),
)


def small_model(spec: NetworkSpec = SPEC) -> tuple[Model, FeatureTable]:
    features = FeatureSet(spec.features)
    precision = Precision(5, activation_bits=4, input_bits=6)
    model = Model(spec, precision, initial_weights(spec, 1), features)
    return model, features.table(make_clusters(300))


def test_all_forms_of_a_network_agree() -> None:
    model, table = small_model()
    checked = check_exactness(model, table)
    assert checked.passed
    network = from_model(model)
    np.testing.assert_array_equal(checked.logits, network.run(network.input_codes(table)))
    assert checked.cost.ebops == ebops(network)


def test_a_search_counts_luts_as_firmware_does() -> None:
    model, table = small_model()
    cost, built = check_exactness(model, table).cost, measure(from_model(model))
    assert (cost.luts, cost.levels) == (built.lut_estimate, built.levels)
    assert cost.luts > 0


def test_a_program_that_differs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    model, table = small_model()
    network = from_model(model)
    last = network.layers[-1]
    assert not isinstance(last, IntegerPool)
    wrong = replace(network, layers=(*network.layers[:-1], replace(last, bias=last.bias + 1)))
    right = traced
    monkeypatch.setattr(logic, "traced", lambda _: right(wrong))
    checked = check_exactness(model, table)
    assert (checked.keras, checked.alkaid) == (0, 300)
    assert not checked.passed


def test_a_network_that_always_says_the_same_is_refused() -> None:
    model, table = small_model()
    for variables in model.weights.values():
        variables["kernel"][:] = 0
    with pytest.raises(ConstantLogitError, match="the same for every input"):
        check_exactness(model, table)


def test_ebops_are_bits_times_bits() -> None:
    model, _ = small_model()
    network = from_model(model)
    by_hand = 0
    for layer, bits in zip(network.weighted_layers, (6, 4), strict=True):
        for code in np.abs(layer.kernel).ravel().tolist():
            by_hand += bits * len(f"{code:b}".strip("0"))
    assert ebops(network) == by_hand


def test_ebops_of_a_convolution_count_every_position() -> None:
    spec = NetworkSpec(
        "image",
        (
            Conv("conv", 2, (2, 2), ("log_charges",), padding="valid"),
            MaxPool("pool", (12, 20), ("conv",)),
            Flatten("flat", ("pool",)),
            Dense("output", 1, ("flat",), relu=False),
        ),
    )
    model, _ = small_model(spec)
    network = from_model(model)
    conv, output = network.weighted_layers

    def digits(codes: np.ndarray) -> int:
        return sum(len(f"{c:b}".strip("0")) for c in np.abs(codes).ravel().tolist())

    expected = 12 * 20 * 6 * digits(conv.kernel) + 4 * digits(output.kernel)
    assert ebops(network) == expected


def test_the_larger_of_a_sum_and_its_term_is_the_sum() -> None:
    trace = alkaid("trace")
    none, integers, fractions = (np.full(2, bits) for bits in (0, 1, 2))
    ports = trace.FVArray.from_kif(none, integers, fractions, trace.HWConfig(1, -1, -1))
    a, b = ports
    every = np.stack(np.meshgrid(*[np.arange(8) / 4] * 2), axis=-1).reshape(-1, 2)
    for one, other, expected in (
        (a + b, b, every.sum(axis=1)),
        (b, a + b, every.sum(axis=1)),
        (a, b, every.max(axis=1)),
    ):
        program = compiled("larger", {"x": ports}, [larger(one, other)])
        np.testing.assert_array_equal(program.predict(every)[:, 0], expected)
