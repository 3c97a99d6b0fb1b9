"""From ADC codes to the keep bit: features that logic makes, and the gate around them."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelsieve.core.errors import ConfigError, DataError
from pixelsieve.core.programs import Tool
from pixelsieve.data.clusters import Clusters, concatenate
from pixelsieve.data.detector import Barrel, Detector, Sensor
from pixelsieve.features import LARGEST_INPUT, REGISTRY, FeatureSet, pixel_codes
from pixelsieve.front_end import FrontEnd, read_out
from pixelsieve.hardware.ports import Timing
from pixelsieve.hardware.readme import readme
from pixelsieve.hardware.rtl import design, write_verilog
from pixelsieve.hardware.testbench import corner_codes, edge_codes, vectors
from pixelsieve.hardware.verify import Verification, verify
from pixelsieve.integer.layers import IntegerInput, IntegerLayer
from pixelsieve.integer.network import IntegerNetwork, from_model
from pixelsieve.integer.pixel_logic import feature_cost, pixel_cost, traced_from_pixels
from pixelsieve.integer.pixels import (
    PixelFeatures,
    PixelNetwork,
    from_pixels,
    largest_code,
    scale_bits,
)
from pixelsieve.metrics.threshold import Threshold
from pixelsieve.networks.fixed_point import FixedPoint, Quantizer
from pixelsieve.networks.layers import Dense
from pixelsieve.networks.model_file import Model
from pixelsieve.networks.precision import Precision
from pixelsieve.networks.spec import NetworkSpec, initial_weights
from tests.conftest import make_clusters

FLASH = FrontEnd(threshold_e=400, adc="codes", adc_codes_e=(400.0, 1600.0, 2400.0))
LINEAR = FrontEnd(threshold_e=500, adc="linear", adc_bits=4, adc_full_scale_e=4000)
NOISY = FrontEnd(
    noise_e=200,
    threshold_e=400,
    threshold_dispersion_e=90,
    adc="codes",
    adc_codes_e=(400.0, 1600.0, 2400.0),
)
SMALL = Detector("small", Sensor(rows=5, columns=7), Barrel())
EIGHT = FixedPoint(signed=True, bits=8)
SUMS = [n for n, f in REGISTRY.items() if f.logic not in {None, "wiring"}]
LOGIC = ("x_code_profile", "y_code_profile", "total_code", "n_pixels", "x_size", "y_size")


def by_hand() -> Clusters:
    """One cluster of codes 1, 3 and 2: a row of two pixels and one below the first."""
    pixels = np.zeros((1, 13, 21), np.float32)
    pixels[0, 6, 10:12] = (500, 9000)
    pixels[0, 7, 10] = 1700
    pixels[0, 0, 0] = 399
    return make_clusters(1, pixels_e=pixels, signal=np.ones(1, np.int8))


# ---- features of codes


def test_code_features_by_hand() -> None:
    clusters = read_out(FLASH, by_hand()).clusters
    assert clusters.adc_bits == 2
    got = {n: REGISTRY[n].compute(clusters).reshape(-1) for n in LOGIC}
    x, y = np.zeros(21), np.zeros(13)
    x[10:12] = (1 + 2, 3)
    y[6:8] = (1 + 3, 2)
    np.testing.assert_array_equal(got["x_code_profile"] * 4, x)
    np.testing.assert_array_equal(got["y_code_profile"] * 4, y)
    assert {n: float(got[n][0]) for n in LOGIC[2:]} == {
        "total_code": 6 / 4,
        "n_pixels": 3,
        "x_size": 2,
        "y_size": 2,
    }
    counts = REGISTRY["x_count_profile"].compute(clusters)[0]
    assert (counts[10], counts[11], counts.sum()) == (2, 1, 3)
    assert REGISTRY["y_count_profile"].compute(clusters)[0, 6:8].tolist() == [2, 1]


@pytest.mark.parametrize("front_end", [FLASH, LINEAR, NOISY])
def test_a_pixel_is_hit_where_its_code_is_above_0(front_end: FrontEnd) -> None:
    clusters = read_out(front_end, make_clusters(300)).clusters
    codes = pixel_codes(clusters, "x_size")
    np.testing.assert_array_equal(codes > 0, clusters.pixels_e > 0)
    np.testing.assert_array_equal(np.array(front_end.code_values_e)[codes] * (codes > 0),
                                  clusters.pixels_e)  # fmt: skip
    assert codes.max() == len(front_end.code_values_e) - 1


def test_codes_survive_selecting_and_joining() -> None:
    clusters = read_out(FLASH, make_clusters(40)).clusters
    parts = [clusters.select(slice(0, 10)), clusters.select(slice(10, None))]
    table = FeatureSet(("x_code_profile",)).table(concatenate(parts))
    np.testing.assert_array_equal(
        table.inputs["x_code_profile"],
        FeatureSet(("x_code_profile",)).table(clusters).inputs["x_code_profile"],
    )
    other = read_out(LINEAR, make_clusters(40)).clusters
    with pytest.raises(DataError, match="charges without ADC codes"):
        FeatureSet(("x_code_profile",)).table(concatenate([clusters, other]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"code_values_e": ()}, "the feature 'total_code' needs a front end with 'adc'"),
        (
            {"code_values_e": (0.0, 17.0)},
            r"row 0, pixel \(6, 10\): 1000 e is the charge of no code",
        ),
    ],
)
def test_charges_that_no_adc_has_seen_are_refused(change: Any, message: str) -> None:
    clusters = read_out(FLASH, by_hand()).clusters.replace(**change)
    with pytest.raises(DataError, match=message):
        FeatureSet(("total_code",)).table(clusters)


def test_mirroring_reverses_every_profile_along_x() -> None:
    names = ("x_code_profile", "x_count_profile", "y_code_profile", "z_global")
    clusters = read_out(LINEAR, make_clusters(100)).clusters
    reversed_ = clusters.replace(
        pixels_e=clusters.pixels_e[:, :, ::-1].copy(), z_global_mm=-clusters.z_global_mm
    )
    one, other = (FeatureSet(names, mirror_x=True).table(c).inputs for c in (clusters, reversed_))
    plain = FeatureSet(names).table(clusters).inputs
    for name in names:
        np.testing.assert_array_equal(one[name], other[name])
        assert (one[name] != plain[name]).any() == (name != "y_code_profile")


def test_what_logic_cannot_make_names_what_it_can() -> None:
    for name, feature in REGISTRY.items():
        assert (feature.logic is None) == (feature.instead is not None), name
        if feature.instead is not None:
            instead = REGISTRY[feature.instead]
            assert instead.logic is not None
            assert instead.along == feature.along


# ---- the integer program of the features


def small_clusters(n: int, front_end: FrontEnd = FLASH, seed: int = 0) -> Clusters:
    pixels = make_clusters(n, seed).pixels_e[:, 4:9, 7:14]
    clusters = make_clusters(n, seed, pixels_e=pixels, detector=SMALL)
    return read_out(front_end, clusters).clusters


def logic_of(
    names: tuple[str, ...], adc_bits: int, grid: FixedPoint = EIGHT, *, mirror_x: bool = False
) -> PixelFeatures:
    features = FeatureSet(names, mirror_x, window=(5, 7))
    inputs = tuple(IntegerInput(n, REGISTRY[n].size((5, 7)), grid) for n in names)
    return PixelFeatures(features, inputs, adc_bits)


@pytest.mark.parametrize(
    "name", [n for n, f in REGISTRY.items() if f.logic not in {None, "wiring"}]
)
@pytest.mark.parametrize("adc_bits", [2, 4, 8])
def test_every_possible_sum_is_scaled_and_rounded_as_in_training(name: str, adc_bits: int) -> None:
    feature = REGISTRY[name]
    largest = 13 * 21 * ((1 << adc_bits) - 1 if feature.logic == "code_sum" else 1)
    sums = np.arange(largest + 1)
    trained = sums.astype(np.float32) / np.float32(feature.steps_per_unit(adc_bits))
    trained = np.clip(trained / np.float32(feature.divisor), -1, np.float32(LARGEST_INPUT))
    for signed, bits, integer in product((True, False), (2, 5, 8, 12), (-2, 0, 1)):
        grid = FixedPoint(signed, bits, integer)
        ours = Quantizer.uniform(grid, 1).codes(
            sums[:, None], scale_bits(feature, adc_bits, feature.divisor)
        )[:, 0]
        np.testing.assert_array_equal(np.minimum(ours, largest_code(grid)), grid.codes(trained))


MIXED = ("x_code_profile", "y_count_profile", "x_count_profile", "z_global", "total_code",
         "x_size", "y_size", "n_pixels", "y_local", "y_code_profile", "hit_time_30ps")  # fmt: skip


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 2**32 - 1),
    mirror_x=st.booleans(),
    bits=st.integers(2, 10),
    front_end=st.sampled_from([FLASH, NOISY, LINEAR]),
)
def test_integer_features_are_those_of_the_clusters(
    seed: int, mirror_x: bool, bits: int, front_end: FrontEnd
) -> None:
    clusters = small_clusters(60, front_end, seed)
    clusters.z_global_mm[:4] = (-1e-6, 0, -65, 65)
    logic = logic_of(MIXED, clusters.adc_bits, FixedPoint(True, bits), mirror_x=mirror_x)  # noqa: FBT003
    made = logic.codes(logic.port_codes(clusters))
    table = logic.features.table(clusters)
    for one in logic.inputs:
        np.testing.assert_array_equal(made[one.name], one.grid.codes(table.inputs[one.name]))


def test_a_pixel_that_fires_with_code_0_is_refused_where_it_is_counted() -> None:
    low = FrontEnd(threshold_e=100, adc="linear", adc_bits=4, adc_full_scale_e=8000)
    clusters = small_clusters(60, low)
    logic_of(("x_code_profile",), 4).port_codes(clusters)
    with pytest.raises(DataError, match=r"pixels fire with code 0, .* raise the front end's 'thr"):
        logic_of(("x_size",), 4).port_codes(clusters)
    with pytest.raises(DataError, match=r"codes of 4 bits; expected 3"):
        logic_of(("x_code_profile",), 3).port_codes(clusters)


def test_places_of_the_mirrored_z_are_refused() -> None:
    with pytest.raises(ConfigError, match="feature 'x_local' of the mirrored z is not built"):
        logic_of(("code_image", "x_local"), 4, mirror_x=True)


# ---- alkaid's program, before Verilog


def one_layer(logic: PixelFeatures, seed: int = 0) -> PixelNetwork:
    """A network of one logit on all features."""
    kernel, bias = FixedPoint(signed=True, bits=4), FixedPoint(signed=True, bits=4)
    fan_in = sum(i.width for i in logic.inputs)
    weights = np.random.default_rng(seed).integers(-8, 8, (fan_in, 1))
    weights[::5] = 0
    fraction = max(i.output_fraction_bits for i in logic.inputs)
    last = IntegerLayer("output", logic.features.names, weights, np.array([3]), kernel, bias, None,
                        fraction)  # fmt: skip
    network = IntegerNetwork("one", logic.features, logic.inputs, (last,))
    return PixelNetwork(network, logic.adc_bits)


@pytest.mark.usefixtures("needs_alkaid")
@pytest.mark.parametrize(
    ("names", "adc_bits", "grid", "mirror_x"),
    [
        (("x_size", "z_global"), 1, EIGHT, True),
        (("n_pixels", "y_size", "y_count_profile"), 2, FixedPoint(signed=True, bits=4), False),
        (MIXED, 3, EIGHT, True),
        (MIXED, 4, FixedPoint(signed=True, bits=3, integer_bits=-1), True),
        (("total_code", "y_code_profile"), 6, FixedPoint(signed=True, bits=5), False),
        (("x_code_profile", "z_global"), 8, FixedPoint(True, 9, 2), True),  # noqa: FBT003
        (("code_image", "z_global"), 3, FixedPoint(signed=True, bits=3), True),
    ],
)
def test_alkaid_makes_the_same_features(
    names: tuple[str, ...], adc_bits: int, grid: FixedPoint, mirror_x: bool
) -> None:
    program = one_layer(logic_of(names, adc_bits, grid, mirror_x=mirror_x))
    codes = corner_codes(program, 200)
    values = np.concatenate([codes[i.name] * i.grid.step for i in program.inputs], axis=1)
    got = traced_from_pixels(program).predict(values, n_threads=1).ravel()
    expected = program.run(codes)
    assert len(np.unique(expected)) > 5
    np.testing.assert_array_equal(got * 2.0**program.logit_fraction_bits, expected)


@pytest.mark.usefixtures("needs_alkaid")
def test_only_what_the_network_uses_costs() -> None:
    profile = logic_of(("x_code_profile", "y_code_profile", "z_global"), 4)
    whole = one_layer(profile)
    layer = whole.network.weighted_layers[0]
    costs = [pixel_cost(whole.network, 4)]
    for last in (7, 1, 0):
        kernel = layer.kernel.copy()
        kernel[last:12] = 0  # all of y, and all but some columns of x
        kernel[12] = 5
        few = IntegerLayer("output", layer.inputs, kernel, layer.bias, layer.kernel_grid,
                           layer.bias_grid, None, layer.input_fraction_bits)  # fmt: skip
        network = IntegerNetwork("few", profile.features, profile.inputs, (few,))
        costs.append(pixel_cost(network, 4))
    features = [c.features for c in costs]
    assert features == sorted(features, reverse=True)
    assert features[-1] == 0  # position alone is wiring
    assert costs[-1].whole == costs[-1].network
    assert all(c.whole < c.features + c.network + 1 for c in costs)


@pytest.mark.usefixtures("needs_alkaid")
def test_cost_of_features_alone() -> None:
    def cost(*names: str, adc_bits: int = 4, mirror_x: bool = False) -> float:
        return feature_cost(FeatureSet(names, mirror_x, window=(5, 7)), adc_bits, EIGHT)

    assert cost("z_global", "y_local", "hit_time_30ps") == 0
    assert cost("z_global", mirror_x=True) > 0
    assert 0 < cost("x_size") < cost("x_size", "y_size") < cost("x_code_profile", "y_code_profile")
    assert cost("x_code_profile") < cost("x_code_profile", adc_bits=8)
    # The window's sum is that of the profile.
    assert cost("total_code", "x_code_profile") < cost("total_code") + cost("x_code_profile") - 90
    with pytest.raises(ConfigError, match=r"'y_profile' is not built .* use 'y_code_profile' inst"):
        cost("x_code_profile", "y_profile")
    with pytest.raises(ConfigError, match=r"an ADC of 9 bits; logic from pixels takes 1 to 8"):
        cost("x_size", adc_bits=9)


# ---- the gate

SPEC = NetworkSpec(
    "windowed",
    (
        Dense("a", 3, ("x_code_profile", "x_size", "z_global")),
        Dense("b", 2, ("a", "n_pixels", "y_local", "hit_time_30ps")),
        Dense("output", 1, ("b",), relu=False),
    ),
    window=(5, 7),
)


class Gate:
    """A small network from pixels as Verilog on disk, and the gate on it."""

    def __init__(
        self, folder: Path, bits: int, seed: int, *, mirror_x: bool, **options: Any
    ) -> None:
        rng = np.random.default_rng(seed)
        weights = {
            layer: {n: rng.normal(0.1, 0.5, v.shape).astype(np.float32) for n, v in vs.items()}
            for layer, vs in initial_weights(SPEC, 0).items()
        }
        features = FeatureSet(SPEC.features, mirror_x, window=SPEC.window)
        self.model = Model(SPEC, Precision(bits), weights, features)
        self.program = from_pixels(from_model(self.model, "windowed"), NOISY)
        clusters = small_clusters(150, NOISY)
        codes = self.program.codes(clusters)
        self.threshold = int(np.sort(self.program.run(codes))[100])
        self.made = design(self.program, self.threshold, timing=Timing(**options))
        edges = edge_codes(self.program, codes, self.threshold)
        self.vectors = vectors(
            self.program, codes, features=features.table(clusters), edges=edges, n_random=200
        )
        self.folder = folder
        write_verilog(folder, self.made)

    def check(self, verilator: Tool) -> Verification:
        return verify(
            self.model,
            self.program,
            self.folder,
            self.made,
            self.vectors,
            verilator,
        )


@pytest.mark.parametrize(("bits", "mirror_x", "stages"), [(4, True, None), (3, False, 3)])
def test_the_gate_holds_from_pixels(
    tmp_path: Path, verilator: Tool, bits: int, mirror_x: bool, stages: int | None
) -> None:
    gate = Gate(tmp_path, bits, 1, mirror_x=mirror_x, stages=stages)
    names = [p.name for p in gate.made.inputs]
    positions = ["z_global", "y_local", "hit_time_30ps"]
    assert names == ["pixels", *positions, *(["z_negative"] if mirror_x else [])]
    pixels = gate.made.inputs[0]
    assert (pixels.elements, pixels.bits, pixels.type) == (35, 2, "ufixed<2,2>")
    result = gate.check(verilator)
    assert result.passed, result.first
    assert result.mismatches == {"keras": 0, "verilog_logit": 0, "verilog_keep": 0}
    assert result.clusters > 100
    assert result.corners >= 3 + 200 + 35  # and the edges of the threshold
    assert result.latency == (stages or 0)
    assert len(np.unique(gate.program.run(gate.vectors.codes))) > 20
    chosen = Threshold(gate.threshold, 0.98, 0.98, 0.7)
    text = readme(gate.program, gate.made, result, chosen)
    assert "| `pixels` | in | 35 | 70 | ufixed<2,2> | ADC codes of the window, row by row |" in text
    assert ("comes with its sign" in text) == mirror_x


def test_the_gate_sees_a_broken_sum_and_features_made_another_way(
    tmp_path: Path, verilator: Tool
) -> None:
    gate = Gate(tmp_path, 4, 1, mirror_x=True)
    core = tmp_path / "windowed_stage0.v"
    # One adder of a feature takes its second operand a bit further up.
    adder = r"(shift_adder #\(1,1,0,0,2,0,)1"
    text = core.read_text()
    assert re.search(adder, text)
    core.write_text(re.sub(adder, r"\g<1>0", text, count=1))
    features = gate.vectors.features
    assert features is not None
    features.inputs["n_pixels"][:50] += 1 / 4
    result = gate.check(verilator)
    assert not result.passed
    assert 0 < result.mismatches["keras"] <= 50
    assert result.mismatches["verilog_logit"] > 0
    assert result.first is not None
    assert set(SPEC.features) < set(result.first.layers)


def test_what_cannot_be_built_from_pixels_is_refused() -> None:
    network = one_layer(logic_of(("x_size",), 2)).network
    for front_end in (None, FrontEnd(threshold_e=400)):
        with pytest.raises(ConfigError, match="one: trained on charges without ADC codes"):
            from_pixels(network, front_end)
    profile = NetworkSpec("log", (Dense("output", 1, ("x_profile",), relu=False),))
    model = Model(profile, Precision(4), initial_weights(profile, 0), FeatureSet(("x_profile",)))
    with pytest.raises(
        ConfigError, match=r"feature 'x_profile' is not built in logic .* 'x_code_pr"
    ):
        from_pixels(from_model(model), FLASH)
