from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixelsieve.core.errors import ConfigError, GuaranteeError
from pixelsieve.networks.build import build
from pixelsieve.networks.precision import Precision
from pixelsieve.networks.spec import Weights, initial_weights, network
from pixelsieve.training.job import Job
from pixelsieve.training.recipe import Recipe
from pixelsieve.training.warm_start import fit_scales, warm_start
from tests.tiny_networks import read_weights

NAMES = ("first", "second", "third", "output")


def weights_of(names: tuple[str, ...], seed: int) -> Weights:
    rng = np.random.default_rng(seed)
    return {
        n: {
            "kernel": rng.normal(0, 0.5, (3, 2)).astype(np.float32),
            "bias": np.zeros(2, np.float32),
        }
        for n in names
    }


@pytest.mark.parametrize("bits", [2, 4, 16])
def test_every_layer_is_copied_between_float_and_quantized(bits: int) -> None:
    source = initial_weights(network("model2"), 1)
    target = read_weights(build(network("model2"), Precision(bits)))
    got, rows = warm_start(source, target, Precision(bits))
    assert [row.status for row in rows] == ["copied"] * 6
    for layer, variables in source.items():
        for name, values in variables.items():
            np.testing.assert_array_equal(got[layer][name], values)
            assert got[layer][name] is not values


@given(
    st.sets(st.sampled_from(NAMES), min_size=1),
    st.sets(st.sampled_from(NAMES), min_size=1),
    st.sets(st.sampled_from(NAMES)),
)
def test_total_or_an_error(source: set[str], target: set[str], skip: set[str]) -> None:
    ours, theirs = weights_of(tuple(sorted(source)), 0), weights_of(tuple(sorted(target)), 1)
    if skip - target:
        with pytest.raises(ConfigError, match="skip_layers: no layer"):
            warm_start(ours, theirs, skip_layers=tuple(skip))
    elif (source | skip) != (target | skip) or (source - skip) != (target - skip):
        with pytest.raises(GuaranteeError, match="not total"):
            warm_start(ours, theirs, skip_layers=tuple(skip))
    else:
        got, rows = warm_start(ours, theirs, skip_layers=tuple(skip))
        assert {r.layer for r in rows if r.status == "copied"} == target - skip
        for name in target:
            expected = theirs[name] if name in skip else ours[name]
            np.testing.assert_array_equal(got[name]["kernel"], expected["kernel"])


SHAPES = st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), min_size=4, max_size=4)


@given(SHAPES, SHAPES, st.sampled_from([None, Precision(4)]))
def test_all_shapes_agree_or_nothing_is_copied(
    ours: list[tuple[int, int]], theirs: list[tuple[int, int]], precision: Precision | None
) -> None:
    def made(shapes: list[tuple[int, int]], value: float) -> Weights:
        return {
            name: {
                "kernel": np.full(shape, value, np.float32),
                "bias": np.full(shape[1], value, np.float32),
            }
            for name, shape in zip(NAMES, shapes, strict=True)
        }

    source, target = made(ours, 0.3), made(theirs, 0.7)
    if ours != theirs:
        with pytest.raises(GuaranteeError, match="has shapes"):
            warm_start(source, target, precision)
    else:
        got, rows = warm_start(source, target, precision)
        assert [row.status for row in rows] == ["copied"] * 4
        for name in NAMES:
            got[name]["kernel"][:] = 9  # a copy: neither source nor target may change
        for weights, value in ((source, 0.3), (target, 0.7)):
            assert all((weights[n]["kernel"] == np.float32(value)).all() for n in NAMES)


def test_the_bug_this_project_grew_from_is_an_error() -> None:
    source = weights_of(("hidden", "output"), 0)
    target = weights_of(("hidden", "output_dense"), 1)
    with pytest.raises(GuaranteeError, match=r"\['output_dense'\]; left over .* \['output'\]"):
        warm_start(source, target)


def test_a_layer_to_skip_that_does_not_exist_is_refused_before_training() -> None:
    recipe = Recipe("r", skip_layers=("ouput",))
    with pytest.raises(ConfigError, match=r"no layer 'ouput' \(did you mean 'output'"):
        Job(network("model2"), Precision(4), recipe, 0, "float_seed0")


def test_shapes_must_agree() -> None:
    source = weights_of(("output",), 0)
    source["output"]["kernel"] = np.zeros((4, 2), np.float32)
    with pytest.raises(GuaranteeError, match="layer 'output' has shapes"):
        warm_start(source, weights_of(("output",), 1))


def test_rounding_and_saturation_are_reported() -> None:
    source = weights_of(("output",), 0)
    source["output"]["kernel"][:] = [[0.25, -0.5], [1.5, 0.3], [0.0, -2.0]]
    _, rows = warm_start(source, source, Precision(4))
    row = rows[0]
    assert row.largest_change == pytest.approx(1.0)  # -2 becomes -1
    assert row.saturated_share == pytest.approx(2 / 8)
    assert row.shape == (3, 2)


def test_scales_per_layer_remove_the_saturation() -> None:
    source = weights_of(("first", "output"), 0)
    source["first"]["kernel"] *= 4
    source["output"]["kernel"] /= 16
    fixed = warm_start(source, source, Precision(4))[1]
    fitted = fit_scales(source, Precision(4))
    scaled = warm_start(source, source, fitted)[1]
    first, output = (fitted.weights(name)["kernel"] for name in ("first", "output"))
    assert first.integer_bits > 0 > output.integer_bits
    assert scaled[0].saturated_share < fixed[0].saturated_share
    assert scaled[1].largest_change < fixed[1].largest_change
