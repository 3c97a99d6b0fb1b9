"""Feature tables made stretch by stretch are those of clusters held in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pixelsieve.core.errors import DataError
from pixelsieve.data.clusters import Clusters, concatenate
from pixelsieve.data.splits import assign_by_hash
from pixelsieve.features import FeatureSet
from pixelsieve.formats import dataset, parquet
from pixelsieve.formats.dataset import load, open_dataset
from pixelsieve.front_end import FrontEnd
from pixelsieve.studies.jobs import training_data
from tests.conftest import make_clusters

SETS = (
    FeatureSet(("x_profile", "z_global", "y_profile", "y_local"), mirror_x=True),
    FeatureSet(("x_size", "hit_time_30ps")),
)
CHIP = FrontEnd(noise_e=80.0, threshold_e=900.0, window="centroid")


@pytest.fixture(autouse=True)
def small_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "_AT_LEAST", 150)


def three_splits() -> dict[str, Clusters]:
    groups = np.arange(400)
    return {
        name: make_clusters(400, seed, group_id=groups + 1000 * seed)
        for seed, name in enumerate(("train", "val", "test"))
    }


def write(path: Path, clusters: Clusters) -> None:
    parquet.write(clusters, path, row_group=70)


def add_split_column(path: Path) -> None:
    table = pq.read_table(path)
    groups = np.asarray(table.column("group_id")) % 10
    names = np.select([groups < 6, groups < 8], ["train", "val"], "test")
    pq.write_table(table.append_column("split", pa.array(names)), path, row_group_size=70)


@pytest.fixture(params=["hash of ids", "hash of pixels", "column", "name"])
def patterns(request: pytest.FixtureRequest, tmp_path: Path) -> list[Path]:
    """Two or three files, split in each of the ways there are."""
    way, no_ids = request.param, {"group_id": None}
    if way == "name":
        for name, clusters in three_splits().items():
            write(tmp_path / f"a_{name}.parquet", clusters)
        return [tmp_path]
    for seed in (0, 1):
        path = tmp_path / f"{seed}.parquet"
        write(path, make_clusters(400, seed, **(no_ids if way == "hash of pixels" else {})))
        if way == "column":
            add_split_column(path)
    return [tmp_path / "1.parquet", tmp_path / "0.parquet"]


@pytest.mark.parametrize("chip", [None, CHIP])
def test_the_tables_are_those_of_all_clusters_in_memory(
    patterns: list[Path], chip: FrontEnd | None
) -> None:
    held = load(patterns).through(chip)
    streamed = open_dataset(patterns, chip)
    for one in SETS:
        found = training_data(streamed, one, [])
        assert (streamed.window, streamed.detector) == (held.window, held.train.detector)
        assert streamed.identity == held.identity
        assert streamed.summary == held.summary
        np.testing.assert_array_equal(found.groups, held.train.groups())
        for ours, part in ((found.training, held.train), (found.validation, held.validation)):
            theirs = one.table(part)
            assert ours.features == theirs.features
            np.testing.assert_array_equal(ours.labels, theirs.labels)
            for name in one.names:
                assert ours.inputs[name].dtype == np.float32
                np.testing.assert_array_equal(ours.inputs[name], theirs.inputs[name])


@pytest.mark.parametrize("case", ["shared group", "no bib", "no ids in one", "no test"])
def test_what_memory_refuses_is_refused(tmp_path: Path, case: str) -> None:
    parts = three_splits()
    changes: dict[str, Any] = {
        "shared group": {"group_id": parts["val"].group_id},
        "no bib": {"signal": np.ones(400, np.int8)},
        "no ids in one": {"group_id": None},
        "no test": {},
    }
    parts["test"] = parts["test"].replace(**changes[case])
    if case == "no test":
        del parts["test"]
    for name, clusters in parts.items():
        write(tmp_path / f"a_{name}.parquet", clusters)
    with pytest.raises(DataError) as expected:
        load([tmp_path])
    with pytest.raises(DataError) as got:
        training_data(open_dataset([tmp_path]), SETS[0], [])
    if case != "no ids in one":
        assert str(got.value) == str(expected.value)
    what = {"no bib": "'signal': no BIB", "no ids in one": "'group_id' is missing"}.get(case, "")
    assert what in str(got.value)
    assert what in str(expected.value)


@pytest.mark.parametrize("by_name", [True, False])
@pytest.mark.parametrize("left", ["no signal", "nothing"])
def test_what_the_front_end_leaves_too_little_of_is_named_alike(
    tmp_path: Path, by_name: bool, left: str
) -> None:
    parts = three_splits()
    every = concatenate(list(parts.values()))
    if not by_name:
        numbers = assign_by_hash(every.groups())
        parts = {name: every.select(numbers == i) for i, name in enumerate(parts)}
    weak = parts["val"]
    lost = (weak.signal == 1) if left == "no signal" else np.ones(len(weak), np.bool_)
    pixels = np.where(lost[:, None, None], weak.pixels_e.clip(max=100), weak.pixels_e)
    parts["val"] = weak.replace(pixels_e=pixels)
    for name, clusters in parts.items():
        write(tmp_path / (f"a_{name}.parquet" if by_name else f"{name}s.parquet"), clusters)
    chip = FrontEnd(threshold_e=900.0)
    with pytest.raises(DataError) as expected:
        load([tmp_path]).through(chip).hold()
    with pytest.raises(DataError) as got:
        training_data(open_dataset([tmp_path], chip), SETS[0], [])
    what = "no signal clusters" if left == "no signal" else "no cluster is left"
    assert what in str(got.value)
    if by_name:
        assert str(got.value) == str(expected.value)
        assert str(got.value).startswith(f"{tmp_path / 'a_val.parquet'}: ")
    else:  # that of the first file in memory, where the split may have no clusters
        assert str(got.value).startswith(f"{tmp_path / 'vals.parquet'} [validation]: ")


def test_a_stretch_of_which_nothing_is_left_is_no_error(tmp_path: Path) -> None:
    """Only a whole split without a cluster is."""
    one = make_clusters(400)
    pixels = one.pixels_e.copy()
    pixels[:160] = np.where(pixels[:160] > 0, 100, 0)
    write(tmp_path / "a.parquet", one.replace(pixels_e=pixels))
    chip = FrontEnd(threshold_e=900.0)
    streamed = open_dataset([tmp_path / "a.parquet"], chip)
    training_data(streamed, SETS[0], [])
    assert streamed.summary == load([tmp_path]).through(chip).summary
    with pytest.raises(DataError, match="no cluster is left after the front end"):
        open_dataset([tmp_path / "a.parquet"], FrontEnd(threshold_e=1e6)).hold()
