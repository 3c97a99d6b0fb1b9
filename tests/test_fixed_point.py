from __future__ import annotations

import csv
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixelsieve.core.errors import ConfigError
from pixelsieve.networks.fixed_point import (
    FixedPoint,
    Overflow,
    Quantizer,
    Rounding,
    best_integer_bits,
    exact_grid,
    rounded,
)

GOLDEN = {
    "qbits_4_0": FixedPoint(signed=True, bits=4),
    "qbits_8_0": FixedPoint(signed=True, bits=8),
    "qrelu_4_0": FixedPoint(signed=False, bits=4),
    "qrelu_8_0": FixedPoint(signed=False, bits=8),
}
ROUNDINGS: tuple[Rounding, ...] = ("RND_CONV", "RND", "TRN")
OVERFLOWS: tuple[Overflow, ...] = ("SAT", "WRAP")
GRIDS = st.builds(
    FixedPoint, signed=st.booleans(), bits=st.integers(2, 16), integer_bits=st.integers(-6, 6)
)


def golden_rows(path: Path) -> list[dict[str, float]]:
    with path.open() as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


@pytest.mark.parametrize("column", GOLDEN)
def test_values_equal_qkeras(column: str) -> None:
    rows = golden_rows(Path(__file__).parent / "data" / "qkeras_grid.csv")
    x = np.array([r["x"] for r in rows])
    np.testing.assert_array_equal(GOLDEN[column].quantize(x), [r[column] for r in rows])


@pytest.mark.parametrize("column", GOLDEN)
def test_hgq_quantizer_equals_qkeras(column: str) -> None:
    from hgq.quantizer import Quantizer

    from pixelsieve.networks.precision import quantizer_config

    rows = golden_rows(Path(__file__).parent / "data" / "qkeras_grid.csv")
    x = np.array([[r["x"]] for r in rows], dtype=np.float32)
    got = np.asarray(Quantizer(quantizer_config(GOLDEN[column], "datalane"))(x))[:, 0]
    np.testing.assert_array_equal(got, [r[column] for r in rows])


def test_whole_qkeras_grid_where_it_is_at_hand() -> None:
    path = Path("../shared/reference/qkeras_grid.csv")
    if not path.exists():
        pytest.skip(f"the full golden grid is not at {path}")
    rows = golden_rows(path)
    x = np.array([r["x"] for r in rows])
    for column, grid in GOLDEN.items():
        np.testing.assert_array_equal(grid.quantize(x), [r[column] for r in rows])


@pytest.mark.parametrize("bits", [2, 3, 4, 6, 8, 16])
@pytest.mark.parametrize("integer_bits", [-2, 0, 1])
@pytest.mark.parametrize("signed", [True, False])
def test_hgq_quantizer_equals_grid(bits: int, integer_bits: int, signed: bool) -> None:
    from hgq.quantizer import Quantizer

    from pixelsieve.networks.precision import quantizer_config

    grid = FixedPoint(signed=signed, bits=bits, integer_bits=integer_bits)
    ties = np.arange(grid.lowest_code - 3, grid.highest_code + 4, max(1, 2**bits // 500)) + 0.5
    x = np.concatenate([ties * grid.step, np.linspace(-5, 5, 501)]).astype(np.float32)
    got = np.asarray(Quantizer(quantizer_config(grid, "weight"))(x[:, None]))[:, 0]
    np.testing.assert_array_equal(got, grid.quantize(x))


@given(GRIDS, st.fractions(-200, 200, max_denominator=2**12))
def test_codes_equal_exact_arithmetic(grid: FixedPoint, value: Fraction) -> None:
    x = Fraction(float(value))
    scaled = x / Fraction(grid.step)
    expected = min(max(round(scaled), grid.lowest_code), grid.highest_code)  # half to even
    assert int(grid.codes(float(x))) == expected


@given(
    st.builds(
        FixedPoint, signed=st.booleans(), bits=st.integers(2, 62), integer_bits=st.integers(-90, 90)
    ),
    st.floats(allow_nan=False, width=32) | st.sampled_from([0.0, -0.0, math.inf, -math.inf]),
)
def test_codes_of_all_grids_equal_exact_arithmetic(grid: FixedPoint, value: float) -> None:
    ends = {math.inf: grid.highest_code, -math.inf: grid.lowest_code}
    exact = ends.get(value)
    if exact is None:
        exact = round(Fraction(value) / Fraction(2) ** -grid.fraction_bits)
    expected = min(max(exact, grid.lowest_code), grid.highest_code)
    assert int(grid.codes(value)) == expected
    assert bool(grid.saturates(value)) == (exact != expected or math.isinf(value))


@given(
    st.lists(st.floats(-(2.0**40), 2.0**40, width=32), max_size=5),
)
def test_the_exact_grid_is_the_smallest_that_holds_all_values(values: list[float]) -> None:
    grid = exact_grid(values)
    steps = [Fraction(v) / Fraction(grid.step) for v in values]
    assert all(step.denominator == 1 for step in steps)
    assert all(grid.lowest_code <= step <= grid.highest_code for step in steps)
    some = [step for step in steps if step]
    assert not some or any(step.numerator % 2 for step in some)  # no coarser step would do
    if grid.bits > 2:
        assert max(map(abs, some)) > 2 ** (grid.bits - 2) - 1  # nor a bit less


@given(GRIDS, st.floats(-100, 100))
def test_quantizing_twice_changes_nothing(grid: FixedPoint, value: float) -> None:
    once = grid.quantize(value)
    np.testing.assert_array_equal(grid.quantize(once), once)
    assert not grid.saturates(once)
    assert grid.minimum <= float(once) <= grid.maximum


def test_saturation_is_judged_after_rounding() -> None:
    grid = FixedPoint(signed=True, bits=4)  # -1 to 0.875 in steps of 0.125
    np.testing.assert_array_equal(
        grid.saturates([0.93, 0.94, -1.05, -1.07]), [False, True, False, True]
    )


def exactly(value: Fraction, rounding: Rounding) -> int:
    if rounding == "RND_CONV":
        return round(value)
    return math.floor(value + (Fraction(1, 2) if rounding == "RND" else 0))


@given(
    st.lists(st.integers(-(2**61) + 1, 2**61 - 1), min_size=1),
    st.integers(-1, 64),
    st.sampled_from(ROUNDINGS),
)
def test_codes_are_rounded_in_integers(codes: list[int], shift: int, rounding: Rounding) -> None:
    small = [c % 1000 - 500 if shift < 0 else c for c in codes]
    got = rounded(np.array(small, np.int64), shift, rounding)
    assert got.tolist() == [exactly(Fraction(c) / Fraction(2) ** shift, rounding) for c in small]


ELEMENTS = st.lists(
    st.tuples(st.booleans(), st.integers(0, 6), st.integers(-3, 3)), min_size=1, max_size=4
)


@given(
    ELEMENTS,
    st.sampled_from(ROUNDINGS),
    st.sampled_from(OVERFLOWS),
    st.integers(-400, 400),
    st.integers(-1, 6),
)
def test_each_element_has_its_own_grid(
    elements: list[tuple[bool, int, int]],
    rounding: Rounding,
    overflow: Overflow,
    code: int,
    fraction_bits: int,
) -> None:
    signs, widths, integers = zip(*elements, strict=True)
    quantizer = Quantizer(signs, widths, integers, rounding, overflow)
    got = quantizer.codes(np.full((1, len(elements)), code), fraction_bits)[0]
    value = Fraction(code) / Fraction(2) ** fraction_bits
    for (signed, bits, integer_bits), out in zip(elements, got.tolist(), strict=True):
        step = Fraction(2) ** (integer_bits + signed - bits)
        n = exactly(value / step, rounding)
        low = -(2 ** (bits - 1)) if signed and bits else 0
        high = low + 2**bits - 1
        n = min(max(n, low), high) if overflow == "SAT" else (n - low) % 2**bits + low
        assert out / Fraction(2) ** quantizer.fraction_bits == n * step * (bits > 0)


def test_hgq_wraps_and_rounds_like_our_quantizer() -> None:
    from hgq.quantizer import Quantizer as HgqQuantizer
    from hgq.quantizer import QuantizerConfig

    x = np.arange(-40, 40) / 16
    for rounding in ROUNDINGS:
        for overflow in OVERFLOWS:
            config = QuantizerConfig(
                "kif", "datalane", k0=1, i0=0, f0=2, round_mode=rounding, overflow_mode=overflow,
                trainable=False, heterogeneous_axis=(), homogeneous_axis=None,
            )  # fmt: skip
            ours = Quantizer((True,), (3,), (0,), rounding, overflow)
            codes = ours.codes((x * 16).astype(np.int64)[:, None], 4)
            theirs = HgqQuantizer(config)(x[:, None].astype(np.float32))
            np.testing.assert_array_equal(codes / 4, theirs)


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        (((True,), (1, 2), (0,)), r"lists of lengths \[1, 2\]; expected one number an element"),
        (((True,), (-1,), (0,)), "bits are -1; expected 0"),
    ],
)
def test_quantizers_that_do_not_fit_are_refused(lists: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Quantizer(*lists)


def test_too_few_and_too_many_bits_are_refused() -> None:
    with pytest.raises(ConfigError, match="expected at least 2"):
        FixedPoint(signed=True, bits=1)
    with pytest.raises(ConfigError, match="expected at most 512"):
        FixedPoint(signed=True, bits=513)
    with pytest.raises(ConfigError, match="expected at most 512 in size"):
        FixedPoint(signed=True, bits=4, integer_bits=-513)
    with pytest.raises(ConfigError, match="expected at most 62"):
        Quantizer((True,), (63,), (0,))
    with pytest.raises(ConfigError, match="expected at most 512 in size"):
        Quantizer((True,), (4,), (600,))
    with pytest.raises(ConfigError, match="codes have at most 62"):
        FixedPoint(signed=True, bits=63).codes(0.5)


@pytest.mark.parametrize("scale", [-3, -1, 0, 2])
def test_best_integer_bits_follow_a_power_of_two(scale: int) -> None:
    values = np.random.default_rng(0).uniform(-0.9, 0.9, 1000)
    base = best_integer_bits(values, signed=True, bits=4)
    assert base == 0
    assert best_integer_bits(values * 2.0**scale, signed=True, bits=4) == scale


def test_best_integer_bits_have_the_least_error() -> None:
    values = np.random.default_rng(1).normal(0, 0.2, 500)
    best = best_integer_bits(values, signed=True, bits=3)

    def error(integer_bits: int) -> float:
        grid = FixedPoint(signed=True, bits=3, integer_bits=integer_bits)
        return float(np.mean((grid.quantize(values) - values) ** 2))

    assert error(best) == min(error(i) for i in range(-8, 9))
    assert best_integer_bits(np.zeros(4), signed=True, bits=4) == 0
