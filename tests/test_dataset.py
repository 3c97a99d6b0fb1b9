"""Which files a data set is made of, and in which order."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from pixelsieve.core.errors import DataError
from pixelsieve.core.files import file_hash
from pixelsieve.features import FeatureSet
from pixelsieve.formats import parquet, triples
from pixelsieve.formats.convert import convert
from pixelsieve.formats.dataset import load, open_dataset, read_parts
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
