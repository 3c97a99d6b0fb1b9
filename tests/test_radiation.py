from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pixelsieve.core.errors import ConfigError
from pixelsieve.hardware.upsets import (
    Flip,
    Widths,
    every_flip,
    flip,
    flip_codes,
    loss_by_layer_and_bit,
    sample_flips,
)
from pixelsieve.metrics.metrics import rejection_at

CODES = {
    "hidden": np.array([[3, -4], [0, 1]], dtype=np.int64),
    "output": np.array([5, -8], dtype=np.int64),
}
WIDTHS = {"hidden": 3, "output": 4}


@pytest.mark.parametrize(
    ("code", "width", "bit", "flipped"),
    [
        (0, 4, 0, 1),
        (0, 4, 3, -8),
        (7, 4, 3, -1),
        (-1, 4, 3, 7),
        (-8, 4, 3, 0),
        (-8, 4, 0, -7),
        (5, 4, 2, 1),
        (-1, 1, 0, 0),
        (0, 1, 0, -1),
        (1, 8, 7, -127),
        (0, 63, 62, -(2**62)),
    ],
)
def test_flips_are_exact(code: int, width: int, bit: int, flipped: int) -> None:
    got = flip_codes(np.array([code], dtype=np.int64), width, bit)
    assert got.dtype == np.int64
    assert got.tolist() == [flipped]


@given(st.integers(1, 16), st.data())
def test_a_flip_stays_in_the_width_changes_one_bit_and_undoes_itself(
    width: int, data: st.DataObject
) -> None:
    code = data.draw(st.integers(-(2 ** (width - 1)), 2 ** (width - 1) - 1))
    bit = data.draw(st.integers(0, width - 1))
    codes = np.array([code], dtype=np.int64)
    hurt = flip_codes(codes, width, bit)
    mask = 2**width - 1
    assert (int(codes[0]) & mask) ^ (int(hurt[0]) & mask) == 1 << bit
    assert -(2 ** (width - 1)) <= hurt[0] < 2 ** (width - 1)
    np.testing.assert_array_equal(flip_codes(hurt, width, bit), codes)


def test_flip_touches_one_weight_and_not_its_argument() -> None:
    before = {name: array.copy() for name, array in CODES.items()}
    hurt = flip(CODES, WIDTHS, Flip("hidden", 1, 2))
    assert hurt["hidden"].tolist() == [[3, 0], [0, 1]]
    assert hurt["output"] is CODES["output"]
    for name, array in before.items():
        np.testing.assert_array_equal(CODES[name], array)


def test_every_stored_bit_is_flipped_once() -> None:
    flips = list(every_flip(CODES, WIDTHS))
    assert len(flips) == len(set(flips)) == 4 * 3 + 2 * 4
    assert flips[:5] == [*(Flip("hidden", i, 0) for i in range(4)), Flip("hidden", 0, 1)]


def test_weights_may_have_widths_of_their_own_and_none() -> None:
    widths: Widths = {"hidden": np.array([[3, 3], [0, 2]]), "output": 4}
    flips = [f for f in every_flip(CODES, widths) if f.layer == "hidden"]
    assert [(f.index, f.bit) for f in flips] == [
        (0, 0), (1, 0), (3, 0), (0, 1), (1, 1), (3, 1), (0, 2), (1, 2),
    ]  # fmt: skip


def test_a_sample_is_seeded_and_even_over_bits() -> None:
    codes = {"a": np.zeros((10, 10), dtype=np.int64), "b": np.zeros(2, dtype=np.int64)}
    widths = {"a": 4, "b": 3}
    flips = sample_flips(codes, widths, 5, seed=1)
    assert flips == sample_flips(codes, widths, 5, seed=1)
    assert flips != sample_flips(codes, widths, 5, seed=2)
    assert len(flips) == len(set(flips)) == 4 * 5 + 3 * 2
    assert set(sample_flips(codes, widths, 1000, seed=0)) == set(every_flip(codes, widths))


@pytest.mark.parametrize(
    ("where", "says"),
    [
        (Flip("hiden", 0, 0), "layer 'hiden'"),
        (Flip("hidden", 4, 0), "no weight 4"),
        (Flip("hidden", -1, 0), "no weight -1"),
        (Flip("hidden", 0, 3), "bit 3"),
        (Flip("hidden", 0, -1), "bit -1"),
    ],
)
def test_flips_that_are_not_there(where: Flip, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        flip(CODES, WIDTHS, where)


def test_codes_outside_their_width_and_missing_widths() -> None:
    with pytest.raises(ConfigError, match="outside 3 bits"):
        flip_codes(np.array([4], dtype=np.int64), 3, 0)
    with pytest.raises(ConfigError, match="no width"):
        list(every_flip(CODES, {"hidden": 3}))
    with pytest.raises(ConfigError, match="widths of shape"):
        list(every_flip(CODES, {**WIDTHS, "output": np.array([1, 2, 3])}))
    with pytest.raises(ConfigError, match="at least 1"):
        sample_flips(CODES, WIDTHS, 0, seed=0)


def test_losses_equal_those_found_by_hand() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 2
    inputs = np.stack([4 * labels + rng.integers(0, 7, 400), rng.integers(-9, 9, 400)], axis=1)
    codes = {"w": np.array([3, 0], dtype=np.int64)}

    def run(weights: dict[str, NDArray[np.int64]]) -> NDArray[np.int64]:
        return np.asarray(inputs @ weights["w"])

    told = []
    study = loss_by_layer_and_bit(
        run, codes, {"w": 3}, labels, efficiency=0.9, progress=lambda *at: told.append(at)
    )
    nominal, _, threshold = rejection_at(run(codes), labels, 0.9)
    assert (study.rejection, study.threshold, study.exhaustive) == (nominal, threshold, True)
    assert told == [(i, 6) for i in range(1, 7)]
    assert [(r.layer, r.bit, r.flips, r.stored_bits) for r in study.rows] == [
        ("w", bit, 2, 2) for bit in range(3)
    ]
    signal = labels > 0
    for row in study.rows:
        rejections, kept = [], []
        for index in range(2):
            hurt = run(flip(codes, {"w": 3}, Flip("w", index, row.bit)))
            rejections.append(nominal - rejection_at(hurt, labels, 0.9)[0])
            kept.append(np.mean(run(codes)[signal] >= threshold))
            kept[-1] -= np.mean(hurt[signal] >= threshold)
        assert row.mean_rejection_loss == pytest.approx(np.mean(rejections))
        assert row.worst_rejection_loss == max(rejections)
        assert row.worst_index == int(np.argmax(rejections))
        assert row.mean_efficiency_loss == pytest.approx(np.mean(kept))
        assert row.worst_efficiency_loss == pytest.approx(max(kept))
    assert study.rows[2].worst_rejection_loss > 0.5  # the sign of the one weight that counts


def test_a_subset_is_not_called_exhaustive() -> None:
    labels = np.array([0, 1, 0, 1])

    def run(weights: dict[str, NDArray[np.int64]]) -> NDArray[np.int64]:
        return np.asarray(labels * weights["w"][0])

    codes = {"w": np.array([1], dtype=np.int64)}
    study = loss_by_layer_and_bit(run, codes, {"w": 2}, labels, flips=[Flip("w", 0, 1)])
    assert not study.exhaustive
    assert [row.bit for row in study.rows] == [1]
    with pytest.raises(ConfigError, match="none to try"):
        loss_by_layer_and_bit(run, codes, {"w": 2}, labels, flips=[])
    with pytest.raises(ConfigError, match="efficiency"):
        loss_by_layer_and_bit(run, codes, {"w": 2}, labels, efficiency=0)
