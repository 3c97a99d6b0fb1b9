from __future__ import annotations

import csv
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixelsieve.errors import ConfigError
from pixelsieve.fixed_point import FixedPoint, best_integer_bits

GOLDEN = {
    "qbits_4_0": FixedPoint(signed=True, bits=4),
    "qbits_8_0": FixedPoint(signed=True, bits=8),
    "qrelu_4_0": FixedPoint(signed=False, bits=4),
    "qrelu_8_0": FixedPoint(signed=False, bits=8),
}
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

    from pixelsieve.precision import quantizer_config

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

    from pixelsieve.precision import quantizer_config

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


def test_too_few_bits_are_refused() -> None:
    with pytest.raises(ConfigError, match="expected at least 2"):
        FixedPoint(signed=True, bits=1)


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
