"""From ADC codes to the keep bit: features that logic makes, and the gate around them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pixelsieve.clusters import Clusters, concatenate
from pixelsieve.errors import DataError
from pixelsieve.features import REGISTRY, FeatureSet, pixel_codes
from pixelsieve.front_end import FrontEnd, read_out
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
