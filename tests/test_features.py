from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from pixelsieve.core.errors import ConfigError, DataError
from pixelsieve.data.clusters import Clusters
from pixelsieve.features import REGISTRY, FeatureSet
from tests.conftest import make_clusters

CODE_SUMS = tuple(n for n, f in REGISTRY.items() if f.logic == "code_sum")
ABSENT = ("hit_time_60ps", "hit_time_measured", *CODE_SUMS)
"""Features whose columns the made-up clusters lack, and those of an ADC's codes."""


def one_cluster(**columns: Any) -> Clusters:
    pixels = np.zeros((1, 13, 21), np.float32)
    pixels[0, 6, 10:12] = (1023, 255)
    pixels[0, 7, 10] = 1
    return make_clusters(1, pixels_e=pixels, signal=np.ones(1, np.int8), **columns)


def test_features_by_hand() -> None:
    clusters = one_cluster(z_global_mm=np.array([-13], np.float32))
    got = {n: f.compute(clusters).reshape(-1) for n, f in REGISTRY.items() if n not in ABSENT}
    x_profile = np.zeros(21)
    x_profile[10:12] = (10 + 1, 8)
    y_profile = np.zeros(13)
    y_profile[6:8] = (18, 1)
    np.testing.assert_allclose(got["x_profile"], x_profile, rtol=1e-6)
    np.testing.assert_allclose(got["y_profile"], y_profile, rtol=1e-6)
    scalars = {k: float(got[k][0]) for k in ("x_size", "y_size", "n_pixels", "total_charge")}
    assert scalars == {"x_size": 2, "y_size": 2, "n_pixels": 3, "total_charge": 1279}
    assert (got["z_global"][0], got["abs_z_global"][0]) == (-13, 13)


@pytest.mark.parametrize("name", [n for n in REGISTRY if n not in ABSENT])
def test_inputs_lie_in_range_and_have_their_shape(name: str) -> None:
    clusters = make_clusters(300)
    clusters.pixels_e[0] = 1e9  # saturates instead of leaving the range
    inputs = FeatureSet((name,)).table(clusters).inputs[name]
    assert inputs.shape == (300, REGISTRY[name].size())
    assert inputs.dtype == np.float32
    assert inputs.min() >= -1
    assert inputs.max() < 1


def test_divisors_are_powers_of_two_or_the_barrels() -> None:
    for feature in REGISTRY.values():
        power = np.log2(feature.divisor) % 1 == 0
        barrel = {("z_global", 65), ("abs_z_global", 65), ("y_local", 8.5)}
        assert power or (feature.name, feature.divisor) in barrel


def test_features_depend_on_neither_labels_nor_truth() -> None:
    names = tuple(n for n in REGISTRY if n not in ABSENT)
    clusters = make_clusters(50)
    other = make_clusters(50, signal=1 - clusters.signal, truth={"hit_time_ns": np.ones(50)})
    for name, values in FeatureSet(names).table(clusters).inputs.items():
        np.testing.assert_array_equal(values, FeatureSet(names).table(other).inputs[name])


def test_mirroring_makes_both_ends_alike() -> None:
    clusters = make_clusters(100)
    mirrored = make_clusters(
        100, pixels_e=clusters.pixels_e[:, :, ::-1].copy(), z_global_mm=-clusters.z_global_mm
    )
    features = FeatureSet(("x_profile", "z_global", "y_profile"), mirror_x=True)
    one, other = features.table(clusters).inputs, features.table(mirrored).inputs
    for name in features.names:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-6)
    assert one["z_global"].min() >= 0
    plain = FeatureSet(features.names).table(clusters).inputs
    right = clusters.z_global_mm >= 0
    np.testing.assert_array_equal(one["x_profile"][right], plain["x_profile"][right])
    np.testing.assert_array_equal(one["x_profile"][~right], plain["x_profile"][~right][:, ::-1])


def test_unknown_and_missing_features() -> None:
    with pytest.raises(ConfigError, match=r"unknown feature 'x_profle' \(did you mean 'x_profile'"):
        FeatureSet(("x_profle",))
    with pytest.raises(ConfigError, match="the list is empty"):
        FeatureSet(())
    with pytest.raises(DataError, match="'hit_time_60ps_ns' is missing; the feature"):
        FeatureSet(("hit_time_60ps",)).table(make_clusters(10))


def test_a_saved_set_is_refused_when_the_scaling_changed() -> None:
    features = FeatureSet(("x_profile", "z_global"), mirror_x=True)
    saved = json.loads(json.dumps(features.to_plain()))
    assert FeatureSet.from_plain(saved, "model") == features
    saved["divisors"][0] = 16
    with pytest.raises(ConfigError, match=r"'x_profile' was divided by 16 when .* now .* by 32"):
        FeatureSet.from_plain(saved, "model")


def test_data_made_another_way_are_refused(clusters: Clusters) -> None:
    plain = FeatureSet(("x_profile", "z_global"))
    mirrored = FeatureSet(("x_profile", "z_global"), mirror_x=True)
    assert plain.fingerprint != mirrored.fingerprint
    plain.table(clusters).require(plain, "model")
    with pytest.raises(ConfigError, match="mirror_x False in the data, True in the model"):
        plain.table(clusters).require(mirrored, "model")
