from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pixelsieve.core.errors import DataError
from pixelsieve.data.clusters import Clusters, concatenate, hash_pixels
from pixelsieve.data.detector import SMART_PIXEL_LHC
from tests.conftest import make_clusters


def broken(column: str, row: int, value: float) -> dict[str, Any]:
    values = np.array(make_clusters(20).columns()[column], dtype=np.float32)
    values.reshape(20, -1)[row, 0] = value
    return {column: values}


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("pixels_e", np.nan, r"'pixels_e', row 7, pixel \(0, 0\): nan is not a finite number"),
        ("pixels_e", 3e38, r"'pixels_e', row 7, pixel \(0, 0\): 3e\+38 is a charge above 1e\+12 e"),
        ("pixels_e", -1.5, r"'pixels_e', row 7, pixel \(0, 0\): -1.5 is a charge below -1 e"),
        ("z_global_mm", np.inf, "'z_global_mm', row 7: inf is not a finite number"),
        ("hit_time_30ps_ns", np.nan, "'hit_time_30ps_ns', row 7: nan"),
        ("signal", 2, "'signal', row 7: 2 is neither 0"),
    ],
)
def test_bad_values_are_named(column: str, value: float, expected: str) -> None:
    with pytest.raises(DataError, match=expected):
        make_clusters(20, **broken(column, 7, value))


def test_small_negative_charges_are_data() -> None:
    clusters = make_clusters(20, **broken("pixels_e", 3, -0.1))
    assert clusters.pixels_e[3, 0, 0] == np.float32(-0.1)


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(DataError, match=r"shape \(16, 16\) a cluster; expected \(13, 21\)"):
        make_clusters(5, pixels_e=np.zeros((5, 16, 16), np.float32))
    with pytest.raises(DataError, match="column 'z_global_mm' has 4 rows; expected 5"):
        make_clusters(5, z_global_mm=np.zeros(4, np.float32))
    with pytest.raises(DataError, match="holds no clusters"):
        make_clusters(5).select(np.zeros(5, bool))


def test_a_missing_class_is_named() -> None:
    clusters = make_clusters(20, signal=np.ones(20, np.int8))
    with pytest.raises(DataError, match="no BIB clusters"):
        clusters.require_both_classes()


def test_selecting_and_joining_gives_the_table_back(clusters: Clusters) -> None:
    parts = [clusters.select(np.arange(0, 150)), clusters.select(np.arange(150, 400))]
    joined = concatenate(parts)
    assert joined.columns().keys() == clusters.columns().keys()
    for name, values in clusters.columns().items():
        np.testing.assert_array_equal(joined.columns()[name], values)
    assert set(joined.truth) == {"hit_time_ns"}


def test_pixel_hash_sees_charges_alone(clusters: Clusters) -> None:
    hashes = hash_pixels(clusters.pixels_e)
    again = hash_pixels(clusters.pixels_e[::-1].copy())
    np.testing.assert_array_equal(again[::-1], hashes)
    changed = clusters.pixels_e.copy()
    changed[0, 12, 20] += 1
    assert hash_pixels(changed)[0] != hashes[0]
    assert hash_pixels(-np.zeros((1, 13, 21), np.float32)) == hash_pixels(
        np.zeros((1, 13, 21), np.float32)
    )


def test_tables_of_other_detectors_say_what_differs() -> None:
    one = make_clusters(10, origin="a")
    other = make_clusters(10, origin="b", detector=SMART_PIXEL_LHC)
    with pytest.raises(DataError) as caught:
        concatenate([one, other])
    expected = "b: clusters of detector 'smart-pixel-lhc', but a is of 'muon-collider-vxd' "
    expected += "(sensor.pitch_x_um 50.0 instead of 25.0, sensor.pitch_y_um 12.5 instead of 25.0 "
    assert str(caught.value).startswith(expected)
    assert str(caught.value).endswith("more); give files of one detector")
