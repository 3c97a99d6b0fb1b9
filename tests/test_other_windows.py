"""Sensors whose window is not 13 x 21, and models from before windows were saved."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixelsieve.core.errors import ConfigError, DataError
from pixelsieve.data.clusters import Clusters
from pixelsieve.data.detector import MUON_COLLIDER_VXD, Barrel, Detector, Sensor
from pixelsieve.features import FeatureSet
from pixelsieve.formats import parquet
from pixelsieve.formats.dataset import Dataset
from pixelsieve.networks.model_file import load_model
from pixelsieve.networks.spec import network
from tests.conftest import make_clusters
from tests.test_cli import QUICK, pixelsieve, refused

SQUARE = Detector("square", Sensor(rows=16, columns=16), Barrel())


def square_clusters(n: int, seed: int = 0, **columns: Any) -> Clusters:
    pixels = np.zeros((n, 16, 16), np.float32)
    pixels[:, 2:15, :] = make_clusters(n, seed).pixels_e[:, :, 3:19]
    return make_clusters(n, seed, pixels_e=pixels, detector=SQUARE, **columns)


@pytest.fixture(scope="module")
def square_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("square") / "square.parquet"
    parquet.write(square_clusters(1200), path)
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, square_file: Path) -> Path:
    out = tmp_path_factory.mktemp("runs") / "square"
    result = pixelsieve(
        *("train", "--data", square_file, "--out", out, "--bits", 4, *QUICK[:-2]),
        *("--time", "30ps", "--mirror-x"),
    )
    assert result.exit_code == 0, result.output
    return out / "models" / "sieve_4b_seed0.keras"


def test_features_and_networks_follow_the_window() -> None:
    spec = network("model2").with_window((16, 16))
    assert [spec.width(n) for n in ("x_profile", "y_profile", "z_global")] == [16, 16, 1]
    assert spec.n_parameters == network("model2").n_parameters + 32 * (16 - 21 + 16 - 13)
    features = FeatureSet(spec.features, window=(16, 16))
    inputs = features.table(square_clusters(50)).inputs
    assert {n: v.shape for n, v in inputs.items()} == {n: (50, spec.width(n)) for n in inputs}
    assert FeatureSet.from_plain(json.loads(json.dumps(features.to_plain())), "m") == features
    with pytest.raises(DataError, match=r"windows of 13 rows x 21 columns; .* takes 16 x 16"):
        features.table(make_clusters(5))


def test_a_model_says_its_window_and_refuses_another(
    trained: Path, square_file: Path, dataset_file: Path
) -> None:
    model = load_model(trained)
    assert model.spec.window == model.features.window == (16, 16)
    assert model.keras_model().count_params() > 0
    result = pixelsieve("evaluate", trained, "--data", square_file, "--json")
    assert json.loads(result.stdout)["figures"]["auc"] > 0.5
    line = refused(pixelsieve("evaluate", trained, "--data", dataset_file))
    assert "windows of 13 rows x 21 columns; the network takes 16 x 16" in line


def test_a_model_from_before_windows_were_saved(
    dataset_file: Path, tmp_path: Path, table: Any
) -> None:
    result = pixelsieve(
        *("train", "--data", dataset_file, "--out", tmp_path / "r", "--float-epochs", 2),
        *("--batch-size", 128),
    )
    assert result.exit_code == 0, result.output
    path, old = tmp_path / "r/models/float_seed0.keras", tmp_path / "old.keras"
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(old, "w") as copy:
        for name in archive.namelist():
            data = archive.read(name)
            if name == "pixelsieve.json":
                head = json.loads(data)
                for key in ("window", "time_layer"):
                    del head["network"][key]
                del head["features"]["window"], head["card"]["front_end"]
                data = json.dumps(head).encode()
            copy.writestr(name, data)
    again = load_model(old)
    assert again.spec.window == (13, 21)
    np.testing.assert_array_equal(again.logits(table), load_model(path).logits(table))
    assert pixelsieve("evaluate", old, "--data", dataset_file).exit_code == 0


def test_splits_are_of_one_detector() -> None:
    def ids(first: int) -> np.ndarray:
        return np.arange(first, first + 60)

    one, two = (make_clusters(60, i, group_id=ids(100 * i)) for i in range(2))
    odd = square_clusters(60, 2, group_id=ids(200))
    with pytest.raises(DataError, match="clusters of detector 'square', but clusters is of 'muon"):
        Dataset.of({"train": one, "validation": two, "test": odd}, whole=True).hold()


def test_the_time_goes_where_the_network_says(tmp_path: Path) -> None:
    spec = network("model2", "hit_time_measured")
    assert spec.layers[1].inputs[-1] == "hit_time_measured"
    with pytest.raises(ConfigError, match="time_layer: no layer 'nowhere'"):
        type(spec)("n", spec.layers, time_layer="nowhere")
    timeless = type(spec)("n", network("model2").layers)
    with pytest.raises(ConfigError, match="'n': takes no arrival time"):
        timeless.with_time("hit_time_30ps")
    file = tmp_path / "mine.toml"
    layer = '{ name = "output", units = 1, inputs = ["z_global"], relu = false }'
    file.write_text(f"layers = [{layer}]")
    with pytest.raises(ConfigError, match=r"mine\.toml: network 'mine': takes no arrival time"):
        network(str(file), "hit_time_30ps")
    assert MUON_COLLIDER_VXD.sensor.rows == spec.window[0]
