"""Networks with bits of their own for every value: Keras, integers, alkaid and the file agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixelsieve.core.errors import ConfigError
from pixelsieve.features import FeatureSet
from pixelsieve.hardware.testbench import corner_codes
from pixelsieve.integer import logic
from pixelsieve.integer.network import from_model
from pixelsieve.networks.fixed_point import (
    Overflow,
    Quantizer,
    Rounding,
    exact_fractions,
    exact_grid,
)
from pixelsieve.networks.layers import Dense
from pixelsieve.networks.model_file import Model, load_model, save_model
from pixelsieve.networks.precision import (
    LearnedPrecision,
    MixedPrecision,
    NamedQuantizer,
)
from pixelsieve.networks.spec import NetworkSpec, initial_weights

TINY = NetworkSpec(
    "tiny",
    (
        Dense("a", 3, ("y_size", "z_global")),
        Dense("b", 2, ("a", "y_local")),
        Dense("output", 1, ("b",), relu=False),
    ),
)


def mixed_model(seed: int, rounding: Rounding = "TRN", overflow: Overflow = "WRAP") -> Model:
    rng = np.random.default_rng(seed)

    def quantizer(name: str, width: int, *, signed: bool) -> NamedQuantizer:
        bits = rng.integers(1, 6, width) * (rng.random(width) < 0.9)
        return NamedQuantizer(
            name,
            Quantizer(
                tuple(signed and bool(rng.integers(2)) for _ in range(width)),
                tuple(bits.tolist()),
                tuple(rng.integers(-2, 2, width).tolist()),
                rounding,
                overflow,
            ),
        )

    precision = MixedPrecision(
        tuple(quantizer(f, 1, signed=True) for f in TINY.features),
        (quantizer("a", 3, signed=False), quantizer("b", 2, signed=False)),
    )
    weights = {
        layer: {
            name: (rng.integers(-16, 17, v.shape) * 2.0 ** rng.integers(-5, -2, v.shape)).astype(
                np.float32
            )
            for name, v in variables.items()
        }
        for layer, variables in initial_weights(TINY, 0).items()
    }
    return Model(TINY, precision, weights, FeatureSet(TINY.features))


@pytest.mark.parametrize(("rounding", "overflow"), [("TRN", "WRAP"), ("RND", "SAT")])
def test_the_integers_equal_keras_and_alkaid(rounding: Rounding, overflow: Overflow) -> None:
    pytest.importorskip("alkaid", reason="alkaid is not installed")
    varied = 0
    for seed in range(12):
        model = mixed_model(seed, rounding, overflow)
        network = from_model(model)
        codes = corner_codes(network, 200, seed)
        logits = network.run(codes)
        values = network.input_values(codes)
        scale = 2.0**network.logit_fraction_bits
        np.testing.assert_array_equal(model.logits(values).astype(np.float64) * scale, logits)
        varied += len(np.unique(logits)) > 5
        try:
            program = logic.traced(network)
        except ConfigError as error:
            assert "the same for every input" in str(error)  # noqa: PT017 (either is right)
            continue
        inputs = np.concatenate([values.inputs[i.name] for i in network.inputs], axis=1)
        got = program.predict(inputs.astype(np.float64), n_threads=1).ravel()
        np.testing.assert_array_equal(got * scale, logits)
    assert varied > 2


def test_a_model_file_keeps_every_bit(tmp_path: Path) -> None:
    import jax
    import keras

    model = mixed_model(6)
    network = from_model(model)
    codes = corner_codes(network, 200)
    path = tmp_path / "mixed.keras"
    save_model(path, model)
    again = load_model(path)
    assert again.precision == model.precision
    np.testing.assert_array_equal(from_model(again).run(codes), network.run(codes))
    plain = keras.saving.load_model(path)
    got = np.asarray(jax.jit(plain)(network.input_values(codes).inputs))[:, 0]
    np.testing.assert_array_equal(got * 2.0**network.logit_fraction_bits, network.run(codes))


@given(st.lists(st.integers(-(2**23), 2**23), min_size=1), st.integers(-30, 6))
def test_the_exact_grid_is_the_coarsest(whole: list[int], shift: int) -> None:
    values = np.array(whole, np.float64) * 2.0**shift
    grid = exact_grid(values.astype(np.float32))
    np.testing.assert_array_equal(grid.quantize(values), values)
    fractions = exact_fractions(values)
    scaled = values * 2.0**fractions
    np.testing.assert_array_equal(scaled, np.rint(scaled))
    assert all(n % 2 for n in scaled[values != 0].astype(int))
    if values.any():
        assert grid.fraction_bits == fractions[values != 0].max()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"budget_ebops": 0}, "budget_ebops is 0; expected above 0"),
        ({"budget_ebops": 100, "hold": 1.0}, "hold is 1.0; expected from 0, below 1"),
        ({"budget_ebops": 100, "input_bits": 1}, "input_bits is 1; expected 2 to 16"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LearnedPrecision(**settings)
