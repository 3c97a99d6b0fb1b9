"""Convolutions and pools: Keras = integer program = alkaid = Verilog."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelsieve.core.errors import ConfigError
from pixelsieve.core.programs import Tool
from pixelsieve.features import FeatureSet
from pixelsieve.hardware.ports import Timing
from pixelsieve.hardware.rtl import design, write_verilog
from pixelsieve.hardware.simulators import Answers, simulate_verilog
from pixelsieve.hardware.testbench import Vectors, corner_codes
from pixelsieve.hardware.upsets import stored, with_codes
from pixelsieve.hardware.verify import verify
from pixelsieve.integer import logic
from pixelsieve.integer.file import read_integer_network, write_integer_network
from pixelsieve.integer.layers import Patches
from pixelsieve.integer.network import IntegerNetwork, from_model
from pixelsieve.networks.layers import Conv, Dense, Flatten, MaxPool
from pixelsieve.networks.model_file import Model
from pixelsieve.networks.precision import Precision
from pixelsieve.networks.spec import NetworkSpec, initial_weights
from pixelsieve.training.warm_start import fit_scales

WINDOW = (4, 5)
SPEC = NetworkSpec(
    "images",
    (
        Conv("first", 2, (3, 2), ("log_charges",)),
        Conv("second", 2, (2, 2), ("first", "log_charges"), padding="valid"),
        MaxPool("pool", (2, 2), ("second",)),
        Flatten("flatten", ("pool",)),
        Flatten("both", ("first", "log_charges")),
        Dense("hidden", 3, ("flatten", "y_local")),
        Dense("output", 1, ("hidden", "both"), relu=False),
    ),
    window=WINDOW,
)


GATE = NetworkSpec(
    "gate",
    (
        Conv("conv", 1, (2, 3), ("log_charges",)),
        MaxPool("pool", (2, 2), ("conv",)),
        Flatten("flatten", ("pool",)),
        Dense("hidden", 2, ("flatten", "y_local")),
        Dense("output", 1, ("hidden",), relu=False),
    ),
    window=(3, 4),
)


def image_model(bits: int, seed: int, spec: NetworkSpec = SPEC) -> Model:
    rng = np.random.default_rng(seed)
    weights = {
        layer: {n: rng.normal(0.1, 0.5, v.shape).astype(np.float32) for n, v in vs.items()}
        for layer, vs in initial_weights(spec, 0).items()
    }
    precision = fit_scales(weights, Precision(bits, activation_bits=4, input_bits=4))
    features = FeatureSet(spec.features, window=spec.window)
    return Model(spec, precision, weights, features)


def program_differs(network: IntegerNetwork) -> int:
    codes = corner_codes(network, 200)
    values = np.concatenate([codes[i.name] * i.grid.step for i in network.inputs], axis=1)
    got = logic.traced(network).predict(values, n_threads=1).ravel()
    return int((got * 2.0**network.logit_fraction_bits != network.run(codes)).sum())


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_the_integer_program_equals_keras(bits: int) -> None:
    model = image_model(bits, bits)
    network = from_model(model)
    codes = corner_codes(network, 500, bits)
    run = network.trace(codes)
    keras = model.logits(network.input_values(codes)).astype(np.float64)
    np.testing.assert_array_equal(keras * 2.0**network.logit_fraction_bits, run.logits)
    assert len(np.unique(run.logits)) > 20
    low, high = network.sum_ranges()["output"]
    assert low <= run.logits.min() <= run.logits.max() <= high


def test_counters_of_all_chunks_are_those_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from pixelsieve.integer import network as network_module

    network = from_model(image_model(4, 4))
    codes = corner_codes(network, 100)
    whole = network.trace(codes)
    monkeypatch.setattr(network_module, "_CHUNK_VALUES", 1000)
    assert network.counters(codes) == whole.counters
    np.testing.assert_array_equal(network.run(codes), whole.logits)


@pytest.mark.usefixtures("needs_alkaid")
def test_alkaid_programs_are_exact() -> None:
    for seed in range(4):
        assert program_differs(from_model(image_model(2 + seed, seed))) == 0, seed


def test_the_gate_holds(tmp_path: Path, verilator: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    from pixelsieve.hardware import verify as module

    model = image_model(3, 1, GATE)
    network = from_model(model, "images")
    codes = dict(corner_codes(network, 200))
    threshold = int(np.median(network.run(codes)))
    made = design(network, threshold, timing=Timing(2))
    write_verilog(tmp_path, made)
    vectors = Vectors(codes, len(codes["y_local"]), 0)
    answers: list[Answers] = []

    def remember(*arguments: Any) -> Answers:
        answers.append(simulate_verilog(*arguments))
        return answers[0]

    monkeypatch.setattr(module, "simulate_verilog", remember)
    result = verify(model, network, tmp_path, made, vectors, verilator)
    assert result.passed, result.first
    assert result.mismatches == {"keras": 0, "verilog_logit": 0, "verilog_keep": 0}
    assert len(np.unique(network.run(codes))) > 10

    # A wrong weight is seen, and told layer by layer.
    monkeypatch.setattr(module, "simulate_verilog", lambda *_: answers[0])
    weights, _ = stored(network)
    other = with_codes(network, {**weights, "hidden.kernel": -weights["hidden.kernel"]})
    wrong = verify(model, other, tmp_path, made, vectors, verilator)
    assert wrong.mismatches["keras"] > 0
    assert wrong.first is not None
    assert wrong.first.keras["conv"] == wrong.first.layers["conv"]
    assert len(wrong.first.layers["conv"]) == 3 * 4
    assert wrong.first.keras["hidden"] != wrong.first.layers["hidden"]


def test_json_round_trip(tmp_path: Path) -> None:
    network = from_model(image_model(4, 2))
    path = tmp_path / "images.json"
    digest = write_integer_network(path, network)
    again = read_integer_network(path)
    codes = corner_codes(network, 50)
    np.testing.assert_array_equal(network.run(codes), again.run(codes))
    assert write_integer_network(path, again) == digest


@settings(deadline=None, max_examples=40)
@given(
    rows=st.integers(1, 5),
    columns=st.integers(1, 5),
    channels=st.lists(st.integers(1, 2), min_size=1, max_size=2),
    data=st.data(),
)
def test_patches_are_windows_of_the_joined_images(
    rows: int, columns: int, channels: list[int], data: st.DataObject
) -> None:
    size = (data.draw(st.integers(1, rows)), data.draw(st.integers(1, columns)))
    step = (data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3)))
    patches = Patches(rows, columns, tuple(channels), size, step)
    rng = np.random.default_rng(0)
    images = [rng.integers(1, 100, (rows, columns, c)) for c in channels]
    flat = np.concatenate([*(i.reshape(-1) for i in images), [0]])
    got = flat[patches.table()]
    joined = np.concatenate(images, axis=2)
    expected = [
        joined[r : r + size[0], c : c + size[1]].reshape(-1)
        for r in range(0, rows - size[0] + 1, step[0])
        for c in range(0, columns - size[1] + 1, step[1])
    ]
    np.testing.assert_array_equal(got, expected)


def test_patches_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"patches of \[3, 1\].* do not fit images of 2 x 2"):
        Patches(2, 2, (1,), (3, 1))
    with pytest.raises(ConfigError, match="padding 'same' with step"):
        Patches(2, 2, (1,), (2, 2), (2, 2), "same")
    network = from_model(image_model(4, 2))
    first = network.weighted_layers[0]
    wrong = replace(first, patches=Patches(4, 5, (1,), (2, 2), padding="same"))
    with pytest.raises(ConfigError, match="layer 'first' does not fit its inputs"):
        replace(network, layers=(wrong, *network.layers[1:]))
