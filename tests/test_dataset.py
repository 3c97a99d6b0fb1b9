"""Which files a data set is made of, and in which order."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import pixelsieve as ps
from pixelsieve.core.errors import ConfigError, DataError, PixelsieveWarning
from pixelsieve.core.files import file_hash
from pixelsieve.data.clusters import Clusters, concatenate
from pixelsieve.data.repeats import RepeatedClusters
from pixelsieve.features import FeatureSet
from pixelsieve.formats import parquet, triples
from pixelsieve.formats.convert import convert
from pixelsieve.formats.dataset import Dataset, TestFrom, load, open_dataset, read_parts
from pixelsieve.formats.sources import find_files, find_sources
from pixelsieve.studies.jobs import training_data
from tests.conftest import make_clusters
from tests.format_files import full_clusters


def write(path: Path, seed: int = 0, n: int = 60) -> Path:
    path.parent.mkdir(exist_ok=True)
    parquet.write(make_clusters(n, seed, group_id=np.arange(n) + 1000 * seed), path)
    return path


def test_a_file_is_read_once_by_whatever_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "d" / "a.parquet")
    (tmp_path / "link.parquet").symlink_to(path)
    (tmp_path / "e").symlink_to(tmp_path / "d")
    monkeypatch.chdir(tmp_path)
    names: list[str | Path] = [
        "d/a.parquet",
        "e/../d/a.parquet",
        path,
        "link.parquet",
        "e/a.parquet",
        "e",
        "d/*",
    ]
    for first in names:
        for found in (find_files([first, *names]), [*find_sources([first, *names]).files]):
            assert [f.samefile(path) for f in found] == [True]
    assert sum(len(part) for part in read_parts(names).parts.values()) == 60
    assert convert(names, tmp_path / "o.parquet").clusters == 60


def test_a_triple_is_read_once_by_whatever_names(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    with triples.TripleWriter(folder) as writer:
        writer.write(full_clusters(10, slices=1))
    labels = folder / "bib_labels_0.parquet"
    given = [folder, labels, folder / ".." / "d" / "bib_recon2D_0.parquet"]
    assert len(find_sources(given).files) == 2


def test_links_that_go_round_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").symlink_to("a.parquet")
    with pytest.raises(DataError, match=r"a.parquet: "):
        read_parts([tmp_path / "*.parquet"])


def test_any_name_may_be_there_twice(tmp_path: Path) -> None:
    """Also one that looks like a number of ours."""
    given = [write(tmp_path / d / "a#b.parquet", i) for i, d in enumerate(("x", "y", "z"))]
    found = read_parts(given)
    assert list(found.files) == ["a#b.parquet", "a#b.parquet#2", "a#b.parquet#3"]
    assert list(found.files.values()) == [file_hash(p) for p in given]
    assert list(found.made) == list(found.files)
    assert open_dataset(given).files == found.files
    given = [write(tmp_path / name) for name in ("x/a.parquet", "y/a.parquet", "x/a.parquet#2")]
    assert len(read_parts(given).files) == len(open_dataset(given).files) == 3


def test_the_order_in_which_files_are_given_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("y/b.parquet", "x/c.parquet", "z/a.parquet", "z/c.parquet")
    files = [write(tmp_path / name, i, 200) for i, name in enumerate(names)]
    features = FeatureSet(("z_global",))
    monkeypatch.chdir(tmp_path)
    ways: list[list[str | Path]] = [list(some) for some in permutations(files)]
    ways += [["*/*"], ["z", "x/c.parquet", "y/../y"], sorted(names), ["?/c.parquet", "z/a*", "y"]]
    first = load(files)
    assert list(first.files) == ["a.parquet", "b.parquet", "c.parquet", "c.parquet#2"]
    expected = features.table(first.train).inputs["z_global"]
    for way in ways:
        loaded = load(way)
        assert loaded.identity == first.identity
        np.testing.assert_array_equal(features.table(loaded.train).inputs["z_global"], expected)
    for way in ways[-5:]:
        streamed = open_dataset(way)
        data = training_data(streamed, features, [])
        assert streamed.identity == first.identity
        np.testing.assert_array_equal(data.training.inputs["z_global"], expected)


def test_files_in_other_folders_are_the_same_data_with_the_same_rows(tmp_path: Path) -> None:
    """What tells data apart knows no folders, so these may not decide the order."""
    one, two = write(tmp_path / "x" / "a.parquet"), write(tmp_path / "y" / "b.parquet", 1)
    before = read_parts([one, two])
    moved = [one.rename(tmp_path / "y" / "a.parquet"), two.rename(tmp_path / "x" / "b.parquet")]
    after = read_parts(moved[::-1])
    assert after.identity == before.identity
    np.testing.assert_array_equal(after.parts["train"].pixels_e, before.parts["train"].pixels_e)


def read_by_group(loaded: Dataset) -> dict[str, set[int]]:
    groups = {}
    for name, part in loaded.parts.items():
        assert part.group_id is not None
        groups[name] = set(part.group_id.tolist())
    return groups


def write_splits(folder: Path, *names: str, n: int = 2000) -> list[str | Path]:
    """Files of each split; clusters 2 i and 2 i + 1 are of group i."""
    found: list[str | Path] = []
    for seed, name in enumerate(names):
        path = folder / f"d_{name}.parquet"
        parquet.write(make_clusters(n, seed, group_id=np.arange(n) // 2 + n * seed), path)
        found.append(path)
    return found


@pytest.mark.parametrize(("source", "share"), [("validation", 0.5), ("train", 15 / 85)])
def test_a_test_split_is_taken_by_group(tmp_path: Path, source: TestFrom, share: float) -> None:
    paths = write_splits(tmp_path, "train", "val")
    with pytest.raises(DataError, match=r"no file for the test .*; give one, or --test-from vali"):
        load(paths)
    whole = read_by_group(read_parts(paths))
    taken = open_dataset(paths, test_from=source)
    groups = read_by_group(taken.hold())
    assert taken.split_by == f"file name, test from {source}"
    other = "train" if source == "validation" else "validation"
    assert groups[other] == whole[other]
    assert groups[source] | groups["test"] == whole[source]
    assert not groups[source] & groups["test"]
    assert len(groups["test"]) / len(whole[source]) == pytest.approx(share, abs=0.05)
    assert read_by_group(open_dataset(paths, test_from=source)) == groups
    assert taken.identity != open_dataset(paths, whole=False).identity


def test_a_test_split_is_not_taken_where_there_is_one(tmp_path: Path) -> None:
    paths = write_splits(tmp_path, "train", "val", "test", n=60)
    with pytest.raises(ConfigError, match=r"--test-from: .*d_test.parquet is a test split"):
        open_dataset(paths, test_from="validation").hold()
    lone = write(tmp_path / "lone.parquet")
    with pytest.raises(ConfigError, match="--test-from: the hash of group_id makes a test split"):
        open_dataset([lone], test_from="train")


def test_a_split_of_the_same_hash_as_ours_is_still_divided(tmp_path: Path) -> None:
    parts = load([write(tmp_path / "all.parquet", n=4000)]).parts
    for name in ("train", "validation"):
        parquet.write(parts[name], tmp_path / f"x_{name}.parquet")
    taken = open_dataset([tmp_path / "x_*.parquet"], test_from="validation").hold()
    assert len(taken.test) / len(parts["validation"]) == pytest.approx(0.5, abs=0.1)


def test_partitioned_folders_are_one_table(tmp_path: Path) -> None:
    for seed, split in enumerate(("train", "val", "test")):
        for signal in (0, 1):
            folder = tmp_path / "set" / f"split={split}" / f"signal={signal}" / "run=7"
            folder.mkdir(parents=True)
            ids = np.arange(40) + 1000 * seed + 100 * signal
            clusters = make_clusters(40, 2 * seed + signal, group_id=ids)
            table = clusters.to_arrow().drop_columns(["signal"])
            pq.write_table(table, folder / "part-0.parquet")
    loaded = load([tmp_path / "set"])
    assert loaded.split_by == "column 'split'"
    sizes = {name: (len(part), part.n_signal) for name, part in loaded.parts.items()}
    assert sizes == dict.fromkeys(("train", "validation", "test"), (80, 40))
    one = tmp_path / "set" / "split=train"
    assert len(find_sources([one]).files) == 2
    (one / "signal=1").rename(one / "signal=muon")
    with pytest.raises(DataError, match="'signal' is 'muon' by its folder; expected a number"):
        load([tmp_path / "set"])


def moved(clusters: Clusters) -> Clusters:
    return clusters.replace(pixels_e=np.roll(clusters.pixels_e, (1, -2), axis=(1, 2)))


def test_files_that_hold_the_same_clusters_are_noticed(tmp_path: Path) -> None:
    ids = np.arange(1000)
    bib, muons, others = (
        make_clusters(1000, seed, group_id=ids + 1000 * seed) for seed in (1, 2, 3)
    )
    centred = make_clusters(1000, 1, group_id=ids + 5000)
    parquet.write(concatenate([bib, muons]), tmp_path / "simA.parquet")
    parquet.write(concatenate([others, moved(centred)]), tmp_path / "simB.parquet")
    parquet.write(
        make_clusters(2000, 4, group_id=np.arange(2000) + 9000), tmp_path / "simC.parquet"
    )
    sim_a, sim_b, sim_c = (tmp_path / f"sim{one}.parquet" for one in "ABC")
    twice = open_dataset([sim_a, sim_b]).hold()
    assert twice.repeated.startswith(f"{sim_b}: ")
    assert f" % of its clusters are in {sim_a}, too" in twice.repeated
    with pytest.raises(DataError, match=r"count twice: give one of the files, or --same-clusters"):
        twice.require_different_clusters()
    apart = open_dataset([sim_a, sim_c]).hold()
    assert apart.repeated == ""
    apart.require_different_clusters()
    with pytest.warns(PixelsieveWarning, match=r"are in .*; they count twice") as warned:
        data = ps.load([sim_a, sim_b]).hold()
    assert len(warned) == 1
    with pytest.raises(DataError, match="give one of the files, or same_clusters"):
        ps.compare(data, "model1", seeds=1, progress=False)
    told = ps.load([sim_a, sim_b], same_clusters=True).hold()  # warnings are errors here
    told.require_different_clusters()


def test_equal_codes_are_no_equal_clusters() -> None:
    repeats = RepeatedClusters()
    for seed in (1, 2):
        clusters = make_clusters(3000, seed)
        coded = np.where(clusters.pixels_e > 0, np.float32(1000), np.float32(0))
        repeats.add(f"file {seed}", clusters.replace(pixels_e=coded))
    assert repeats.pairs() == []


def test_the_two_real_samples_share_their_bib(muc_real: Path) -> None:
    loaded = open_dataset(
        [muc_real / "simA_val.parquet", muc_real / "simB_val.parquet"], whole=False
    )
    (pair,) = loaded.hold().repeats.pairs()
    assert pair.share == pytest.approx(0.47, abs=0.05)
