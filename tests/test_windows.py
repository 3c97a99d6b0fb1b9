from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pixelsieve.data.clusters import Clusters
from pixelsieve.data.detector import MUON_COLLIDER_VXD, SMART_PIXEL_LHC, Sensor
from pixelsieve.data.windows import centroid, recenter, shift_images, shift_window
from tests.conftest import make_clusters


def images(*hits: tuple[int, int, float], rows: int = 13, columns: int = 21) -> NDArray[np.float32]:
    pixels = np.zeros((1, rows, columns), np.float32)
    for row, column, charge in hits:
        pixels[0, row, column] = charge
    return pixels


def clusters_of(pixels: NDArray[np.float32], sensor: Sensor | None = None) -> Clusters:
    n = len(pixels)
    detector = MUON_COLLIDER_VXD
    if sensor:
        detector = replace(detector, sensor=sensor)
    return make_clusters(
        n,
        pixels_e=pixels,
        slices_e=np.stack([pixels * share for share in (0.4, 1.0)], axis=1),
        y_local_mm=np.zeros(n, np.float32),
        z_global_mm=np.full(n, 10, np.float32),
        detector=detector,
    )


def test_a_pixel_goes_to_the_middle_and_the_position_with_it() -> None:
    for row, column in ((0, 0), (12, 20), (12, 0), (0, 20), (6, 10), (3, 15)):
        moved = recenter(clusters_of(images((row, column, 900.0))))
        np.testing.assert_array_equal(moved.pixels_e, images((6, 10, 900.0)))
        assert moved.slices_e is not None
        np.testing.assert_allclose(moved.slices_e[0, 0], images((6, 10, 360.0))[0])
        assert moved.y_local_mm[0] == pytest.approx((row - 6) * 0.025)
        assert moved.z_global_mm[0] == pytest.approx(10 + (column - 10) * 0.025)


def test_the_pitches_are_the_detectors() -> None:
    sensor = replace(SMART_PIXEL_LHC.sensor, rows=16, columns=16)
    pixels = images((9, 7, 500.0), rows=16, columns=16)
    moved = recenter(clusters_of(pixels, sensor))
    assert moved.pixels_e[0, 8, 8] == 500
    assert moved.y_local_mm[0] == pytest.approx(0.0125)
    assert moved.z_global_mm[0] == pytest.approx(10 - 0.05)


def test_a_row_sum_ends_with_its_row() -> None:
    # Counting the first pixel of the next row as well gives the centroid 6.67, not 7.
    row, _ = centroid(images((7, 0, 1000.0), (7, 5, 1000.0)))
    assert row[0] == 7
    moved = recenter(clusters_of(images((7, 0, 1000.0), (7, 1, 900.0))))
    assert moved.pixels_e[0, 6].sum() == 1900


def test_the_last_column_moves_like_the_others() -> None:
    pixels = images(*((6, c, 1000.0) for c in range(14, 21)))
    moved = recenter(clusters_of(pixels))
    np.testing.assert_array_equal(np.flatnonzero(moved.pixels_e[0, 6]), np.arange(7, 14))
    assert (moved.pixels_e[0, :, 20] == 0).all()


def test_a_cluster_without_charge_stays() -> None:
    clusters = clusters_of(np.concatenate([images(), images((2, 2, 5.0))]))
    moved = recenter(clusters)
    assert moved.pixels_e[0].sum() == 0
    assert (moved.y_local_mm[0], moved.z_global_mm[0]) == (0, 10)
    assert moved.pixels_e[1, 6, 10] == 5
    assert np.isnan(centroid(images())[0][0])


def test_induced_negative_charge_does_not_pull_the_centroid() -> None:
    row, column = centroid(images((6, 10, 1000.0), (0, 0, -0.5)))
    assert (row[0], column[0]) == (6, 10)


def test_truth_and_labels_stay(clusters: Clusters) -> None:
    moved = shift_window(clusters, np.arange(len(clusters)) % 3 - 1, 1)
    for name in ("signal", "group_id", "event_id", "hit_time_ns", "hit_time_30ps_ns"):
        np.testing.assert_array_equal(moved.columns()[name], clusters.columns()[name])
    assert moved.detector == clusters.detector
    assert shift_window(clusters, 0, 0) is clusters


def test_what_leaves_the_window_is_lost_and_nothing_comes_back() -> None:
    ones = np.ones((3, 4, 5))
    moved = shift_images(ones, [1, -9, 0], [0, 0, -2])
    assert [m.sum() for m in moved] == [15, 0, 12]
    assert (moved[0, 3] == 0).all()
    assert (moved[2, :, :2] == 0).all()


shape = st.tuples(st.integers(1, 17), st.integers(1, 22))
shift = st.integers(-25, 25)


@settings(deadline=None)
@given(shape, st.lists(st.tuples(shift, shift), min_size=1, max_size=5), st.integers(0, 2**32 - 1))
def test_shifting_is_numpy_indexing(
    shape: tuple[int, int], shifts: list[tuple[int, int]], seed: int
) -> None:
    data = np.random.default_rng(seed).normal(size=(len(shifts), 2, *shape))
    moved = shift_images(data, [s[0] for s in shifts], [s[1] for s in shifts])
    padded = np.pad(data, ((0, 0), (0, 0), (25, 25), (25, 25)))
    for i, (row, column) in enumerate(shifts):
        expected = padded[i][:, 25 + row :, 25 + column :][:, : shape[0], : shape[1]]
        np.testing.assert_array_equal(moved[i], expected)


@settings(deadline=None)
@given(
    st.integers(3, 8),
    st.integers(3, 8),
    st.lists(st.sampled_from([0.1, 1.0, 2.0, 700.3, 5e4]), min_size=1, max_size=9),
    st.tuples(st.integers(-2, 2), st.integers(-2, 2)),
    st.booleans(),
)
def test_centering_repeats_itself_and_keeps_charge_inside_the_window(
    high: int, wide: int, charges: list[float], place: tuple[int, int], swap: bool
) -> None:
    # A 3 x 3 patch around the middle of a window of odd or even size that has room to move.
    sensor = Sensor(rows=2 * high + 4 + swap, columns=2 * wide + 4)
    pixels = np.zeros((1, sensor.rows, sensor.columns), np.float32)
    row, column = (m + p for m, p in zip(sensor.center, place, strict=True))
    for i, charge in enumerate(charges):
        pixels[0, row - 1 + i // 3, column - 1 + i % 3] = charge
    clusters = clusters_of(pixels, sensor)
    once = recenter(clusters)
    assert once.pixels_e.sum() == pytest.approx(pixels.sum())
    assert np.array_equal(np.sort(once.pixels_e, axis=None), np.sort(pixels, axis=None))
    found = centroid(once.pixels_e)
    assert all(abs(f[0] - m) <= 0.5 + 1e-9 for f, m in zip(found, sensor.center, strict=True))
    assert recenter(once) is once
