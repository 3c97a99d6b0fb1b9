from __future__ import annotations

import numpy as np
import pytest

from pixelsieve.core.errors import ConfigError
from pixelsieve.features import FeatureTable
from pixelsieve.networks.build import build
from pixelsieve.networks.layers import Dense
from pixelsieve.networks.model_file import Model
from pixelsieve.networks.precision import LayerScale, Precision
from pixelsieve.networks.spec import NetworkSpec, Weights, initial_weights, network
from tests.tiny_networks import read_weights

LAYERS = ["xz_dense1", "yl_dense1", "merged_dense1", "merged_dense2", "merged_dense3", "output"]
BITS = [2, 3, 4, 6, 8, 16]


def test_model2_has_the_fields_layers_and_parameters() -> None:
    spec = network("model2")
    assert spec.n_parameters == 19_905
    assert [layer.name for layer in spec.layers] == LAYERS
    assert list(spec.shapes().values()) == [(32,), (32,), (128,), (64,), (32,), (1,)]
    assert spec.features == ("x_profile", "z_global", "y_profile", "y_local")


def test_time_is_one_more_input() -> None:
    spec = network("model2", "hit_time_30ps")
    assert spec.n_parameters == 19_905 + 32
    assert spec.features[-1] == "hit_time_30ps"


@pytest.mark.parametrize("bits", BITS)
def test_float_and_quantized_models_agree_in_names_shapes_and_order(bits: int) -> None:
    floats = read_weights(build(network("model2")))
    quantized = read_weights(build(network("model2"), Precision(bits)))
    shapes = [(layer, n, v.shape) for layer, vs in floats.items() for n, v in vs.items()]
    assert shapes == [(layer, n, v.shape) for layer, vs in quantized.items() for n, v in vs.items()]
    assert list(floats) == LAYERS
    assert sum(v.size for vs in floats.values() for v in vs.values()) == 19_905


def test_the_seed_decides_the_first_weights() -> None:
    one, same, other = (initial_weights(network("model2"), s) for s in (1, 1, 2))
    for layer in LAYERS:
        np.testing.assert_array_equal(one[layer]["kernel"], same[layer]["kernel"])
        assert np.any(one[layer]["kernel"] != other[layer]["kernel"])


def integer_logits(
    spec: NetworkSpec, precision: Precision, weights: Weights, table: FeatureTable
) -> np.ndarray:
    """The network in int64, with the codes and shifts that hardware would have."""
    grid = precision.input()
    codes = {n: (grid.codes(table.inputs[n]), grid.fraction_bits) for n in spec.features}
    for layer in spec.layers:
        assert isinstance(layer, Dense)
        kernel, bias = precision.weights(layer.name).values()
        fraction = max(codes[s][1] for s in layer.inputs)
        x = np.concatenate([codes[s][0] << (fraction - codes[s][1]) for s in layer.inputs], axis=1)
        total = x @ kernel.codes(weights[layer.name]["kernel"])
        fraction += kernel.fraction_bits
        common = max(fraction, bias.fraction_bits)
        total = (total << (common - fraction)) + (
            bias.codes(weights[layer.name]["bias"]) << (common - bias.fraction_bits)
        )
        if layer.relu:
            out = precision.activation()
            codes[layer.name] = (out.codes(total / 2.0**common), out.fraction_bits)
        else:
            codes[layer.name] = (total, common)
    total, fraction = codes[spec.layers[-1].name]
    return total[:, 0] / 2.0**fraction


@pytest.mark.parametrize("bits", [2, 3, 4, 6, 8])
@pytest.mark.parametrize("scaled", [False, True])
def test_quantized_models_equal_integer_arithmetic(
    bits: int, scaled: bool, table: FeatureTable
) -> None:
    spec = network("model2")
    precision = Precision(bits)
    if scaled:
        scales = tuple(LayerScale(name, i % 3 - 1, -(i % 2)) for i, name in enumerate(LAYERS))
        precision = Precision(bits, scales=scales)
    rng = np.random.default_rng(bits)
    weights: Weights = {
        layer: {n: rng.normal(0, 0.4, v.shape).astype(np.float32) for n, v in vs.items()}
        for layer, vs in initial_weights(spec, 0).items()
    }
    got = Model(spec, precision, weights, table.features).logits(table)
    expected = integer_logits(spec, precision, weights, table)
    np.testing.assert_array_equal(got, expected)
    assert len(np.unique(got)) > 10


def test_unknown_names_are_refused_with_a_hint() -> None:
    with pytest.raises(ConfigError, match=r"unknown network 'modell2' \(did you mean 'model2'\?\)"):
        network("modell2")
    with pytest.raises(ConfigError, match=r"unknown input 'y_locl' \(did you mean 'y_local'\?\)"):
        NetworkSpec("n", (Dense("output", 1, ("y_locl",), relu=False),))
    with pytest.raises(ConfigError, match="must be one logit"):
        NetworkSpec("n", (Dense("output", 1, ("y_local",)),))
    with pytest.raises(ConfigError, match="layer 'a': the name is taken"):
        NetworkSpec("n", (Dense("a", 2, ("y_local",)), Dense("a", 1, ("a",), relu=False)))
    with pytest.raises(ConfigError, match="no layer 'nowhere'"):
        network("model2").with_feature("x_size", "nowhere")


@pytest.mark.parametrize("bits", [1, 17])
def test_bits_out_of_range_are_refused(bits: int) -> None:
    with pytest.raises(ConfigError, match=f"weight_bits is {bits}; expected 2 to 16"):
        Precision(bits)


def test_scales_that_no_grid_has_are_refused() -> None:
    for settings in ({"weight_integer_bits": 10**30}, {"scales": (LayerScale("a", 0, -(10**6)),)}):
        with pytest.raises(ConfigError, match="expected at most 512 in size"):
            Precision(4, **settings)
