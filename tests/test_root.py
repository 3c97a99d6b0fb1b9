"""ROOT files: the same clusters as from Parquet, whatever the shape of the branches."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pyarrow.parquet as pq
import pytest
import uproot
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from pixelsieve.cli import app
from pixelsieve.core.errors import ConfigError, DataError, ToolError
from pixelsieve.data.clusters import Clusters, concatenate
from pixelsieve.data.detector import MUON_COLLIDER_VXD, SMART_PIXEL_LHC
from pixelsieve.formats import parquet, root
from pixelsieve.formats.convert import convert
from pixelsieve.formats.dataset import load, open_dataset, read_parts
from pixelsieve.formats.sources import ReadOptions, find_files
from tests.conftest import make_clusters
from tests.format_files import assert_same, full_clusters

Branches = dict[str, Any]
KINDS = ("mktree", "mkrntuple")


def branches(clusters: Clusters, *, flat: bool = False) -> Branches:
    """The columns of clusters as branches, images flat or with rows and columns."""
    found = dict(clusters.columns())
    if flat:
        found |= {n: found[n].reshape(len(clusters), -1) for n in ("pixels_e",)}
    return found


def hits(images: np.ndarray) -> Branches:
    """The pixels of images (n, ..., rows, columns) that hold charge, as lists."""
    last = images if images.ndim == 3 else images[:, -1]
    any_charge = (images != 0).reshape(len(images), -1, *last.shape[1:]).any(axis=1)
    n, rows, columns = np.nonzero(any_charge)
    counts = any_charge.sum(axis=(1, 2))
    charges = images[n, ..., rows, columns]
    lists = {"pixel_row": rows, "pixel_column": columns, "pixel_e": charges}
    return {name: ak.unflatten(values, counts) for name, values in lists.items()}


def write(path: Path, columns: Mapping[str, Any], kind: str = "mktree", name: str = "t") -> Path:
    with uproot.recreate(path) as file:
        getattr(file, kind)(name, dict(columns))
    return path


def read(path: Path, **options: Any) -> Clusters:
    return concatenate(list(root.iterate(path, **options)))


def refused(path: Path, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        read(path, **options)
    text = str(caught.value)
    assert text.startswith(str(path).split(".root")[0])
    return text


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("flat", [False, True])
def test_whole_windows_are_read_as_from_parquet(tmp_path: Path, kind: str, flat: bool) -> None:
    clusters = full_clusters(30, slices=3)
    parquet.write(clusters, tmp_path / "a.parquet")
    path = write(tmp_path / "a.root", branches(clusters, flat=flat), kind)
    assert_same(read(path, slices=True), parquet.read(tmp_path / "a.parquet", slices=True))
    assert_same(read(path), parquet.read(tmp_path / "a.parquet"))
    assert read(path).slices_e is None


@pytest.mark.parametrize("kind", KINDS)
def test_lists_of_pixels_are_read_as_from_parquet(tmp_path: Path, kind: str) -> None:
    images = make_clusters(50).pixels_e
    images[7] = 0  # no pixel at all
    clusters = make_clusters(50).replace(pixels_e=images)
    columns = branches(clusters) | hits(clusters.pixels_e)
    del columns["pixels_e"]
    assert_same(read(write(tmp_path / "a.root", columns, kind)), clusters)


@pytest.mark.parametrize("kind", KINDS)
def test_vectors_of_all_pixels_are_read(tmp_path: Path, kind: str) -> None:
    clusters = make_clusters(20)
    columns = branches(clusters, flat=True)
    columns["pixels_e"] = ak.from_regular(columns["pixels_e"])
    path = write(tmp_path / "a.root", columns, kind)
    assert_same(read(path), clusters)


def test_lists_of_pixels_with_time_slices(tmp_path: Path) -> None:
    clusters = full_clusters(12, slices=4)
    assert clusters.slices_e is not None
    columns = branches(clusters) | hits(clusters.slices_e)
    columns = {n: c for n, c in columns.items() if n not in {"pixels_e", "slices_e"}}
    path = write(tmp_path / "a.root", columns, "mkrntuple")
    assert_same(read(path, slices=True), clusters)
    assert_same(read(path), clusters.replace(slices_e=None))


def test_a_pixel_that_is_listed_twice_holds_the_sum(tmp_path: Path) -> None:
    columns = branches(make_clusters(1)) | {
        "pixel_row": ak.Array([[6, 6, 12]]),
        "pixel_column": ak.Array([[10, 10, 20]]),
        "pixel_e": ak.Array([[100.0, 50.0, 7.0]]),
    }
    del columns["pixels_e"]
    (image,) = read(write(tmp_path / "a.root", columns)).pixels_e
    assert (image[6, 10], image[12, 20], image.sum()) == (150, 7, 157)


@pytest.mark.parametrize("kind", KINDS)
def test_stretches_do_not_change_what_is_read(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clusters = make_clusters(100)
    with uproot.recreate(tmp_path / "a.root") as file:
        first = branches(clusters.select(slice(0, 30)))
        tree = getattr(file, kind)("t", first)
        for start in range(30, 100, 35):
            tree.extend(branches(clusters.select(slice(start, start + 35))))
    monkeypatch.setattr(root, "_STRETCH_ROWS", 23)
    parts = list(root.iterate(tmp_path / "a.root"))
    assert [len(part) for part in parts] == [23, 23, 23, 23, 8]
    assert [part.first_row for part in parts] == [0, 23, 46, 69, 92]
    assert_same(concatenate(parts), clusters)
    monkeypatch.setattr(root, "_STRETCH_BYTES", 10 * clusters.pixels_e[0].nbytes)
    assert {len(part) for part in root.iterate(tmp_path / "a.root")} == {10}


def test_the_field_s_names_and_units(tmp_path: Path) -> None:
    clusters = full_clusters(40, slices=1).replace(slices_e=None)
    labels = {
        "z_global": "z_global_mm",
        "y-local": "y_local_mm",
        "PID": "truth_pdg",
        "hit_time": "truth_hit_time_ns",
        "pt": "truth_pt_gev",
        "adjusted_hit_time_30ps_gaussian": "hit_time_30ps_ns",
    }
    columns = {theirs: clusters.columns()[ours] for theirs, ours in labels.items()}
    path = write(tmp_path / "a.root", {**columns, "pixels_e": clusters.pixels_e})
    found = read(path)
    assert (found.signal == clusters.signal).all()  # of the PDG code
    for ours in labels.values():
        np.testing.assert_array_equal(found.columns()[ours], clusters.columns()[ours])
    np.testing.assert_allclose(found.truth["hit_time_ns"], clusters.truth["hit_time_ns"], atol=1e-6)


def test_columns_by_other_names(tmp_path: Path) -> None:
    clusters = make_clusters(300)
    parquet.write(clusters, tmp_path / "a.parquet")
    theirs = {"z_global_mm": "cluster_z", "pixels_e": "adc", "group_id": "track"}
    columns = {theirs.get(n, n): c for n, c in branches(clusters).items()}
    path = write(tmp_path / "a.root", columns)
    given = [x for pair in theirs.items() for x in ("--column", "=".join(pair))]
    run("convert", path, "--out", tmp_path / "b.parquet", *given)
    assert_same(parquet.read(tmp_path / "b.parquet"), clusters)
    named = load([path], columns=theirs)
    assert_same(named.train, load([tmp_path / "a.parquet"]).train)
    assert named.split_by == "hash of group_id"
    assert named.identity["columns"] == theirs
    table = pq.read_table(tmp_path / "a.parquet")
    table = table.rename_columns([theirs.get(n, n) for n in table.column_names])
    pq.write_table(table, tmp_path / "c.parquet")
    assert_same(load([tmp_path / "c.parquet"], columns=theirs).train, named.train)


def test_root_files_are_data_sets(tmp_path: Path) -> None:
    clusters = make_clusters(300)
    parquet.write(clusters, tmp_path / "a.parquet")
    (tmp_path / "root").mkdir()
    path = write(tmp_path / "root" / "a.root", branches(clusters))
    expected = load([tmp_path / "a.parquet"])
    for way in (path, tmp_path / "root", tmp_path / "root" / "*.root", f"{path}:t"):
        found = load([way])
        assert found.split_by == expected.split_by
        for name, part in expected.parts.items():
            assert_same(found.parts[name], part)
    assert [*found.files] == ["a.root:t"]
    shown = json.loads(run("inspect", path, "--json"))
    assert sum(s["clusters"] for s in shown["splits"].values()) == 300


@pytest.mark.parametrize("words", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_a_branch_may_say_the_split(tmp_path: Path, kind: str, words: bool) -> None:
    clusters = make_clusters(90)
    numbers = np.arange(90) // 2 % 3
    split = ak.Array(np.array(["train", "val", "test"])[numbers].tolist()) if words else numbers
    path = write(tmp_path / "a.root", branches(clusters) | {"split": split}, kind)
    found = load([path])
    assert found.split_by == "column 'split'"
    assert_same(found.validation, clusters.select(numbers == 1))
    with pytest.raises(DataError, match="column 'split' would be lost"):
        convert([path], tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"a\.root: column 'split', row 4: '[5x]'; expected train"):
        numbers[4] = 5
        labels = ak.Array(["x" if n == 5 else "train" for n in numbers]) if words else numbers
        load([write(path, branches(clusters) | {"split": labels}, kind)])


def test_names_of_files_say_the_split(tmp_path: Path) -> None:
    clusters = make_clusters(90)
    for number, name in enumerate(("train", "val", "test")):
        part = clusters.select(slice(30 * number, 30 * number + 30))
        write(tmp_path / f"a_{name}.root", branches(part), name="vxd/clusters")
    found = load([f"{tmp_path}/*.root:vxd/clusters"])
    assert found.split_by == "file name"
    assert_same(found.validation, clusters.select(slice(30, 60)))
    with pytest.raises(DataError, match="files of several splits"):
        convert([tmp_path], tmp_path / "all.parquet")


def test_one_of_several_trees(tmp_path: Path) -> None:
    clusters = make_clusters(20)
    path = tmp_path / "a.root"
    with uproot.recreate(path) as file:
        file.mktree("sub/clusters", branches(clusters))
        file.mkrntuple("events", {"a": np.arange(3)})
    text = refused(path)
    assert "several trees: 'sub/clusters' (20 entries), 'events' (3 entries)" in text
    assert f"{path}:sub/clusters" in text
    assert "no tree 'cluster' (did you mean" in refused(Path(f"{path}:cluster"))
    assert_same(read(Path(f"{path}:sub/clusters")), clusters)
    run("convert", path, "--tree", "sub/clusters", "--out", tmp_path / "b.parquet")
    assert_same(parquet.read(tmp_path / "b.parquet"), clusters)
    convert([f"{path}:sub/clusters"], tmp_path / "c.parquet")
    assert_same(parquet.read(tmp_path / "c.parquet"), clusters)


def test_the_window_is_the_data_s(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    base = {n: c for n, c in branches(make_clusters(8)).items() if n != "pixels_e"}
    square = rng.gamma(1, 100, (8, 16, 16)).astype(np.float32)
    path = write(tmp_path / "a.root", base | {"pixels_e": square})
    assert read(path).detector.name == SMART_PIXEL_LHC.name
    assert open_dataset([path]).window == (16, 16)
    odd = write(tmp_path / "b.root", base | {"pixels_e": square[:, :9]})
    assert "144 pixels a cluster; expected 273 (13 x 21)" in refused(odd)
    assert read(odd, detector=MUON_COLLIDER_VXD).window == (9, 16)
    turned = write(tmp_path / "c.root", base | {"pixels_e": np.zeros((8, 21, 13), np.float32)})
    assert "'pixels_e' is 21 x 13; expected 13 x 21, rows (y) by columns (x)" in refused(turned)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"pixel_row": [[1], [13]]}, "column 'pixel_row', row 1: 13 lies outside"),
        ({"pixel_column": [[-1], [2]]}, "column 'pixel_column', row 0: -1 lies outside"),
        ({"pixel_row": [[1], [0.5]]}, "column 'pixel_row', row 1: 0.5 lies outside"),
        ({"pixel_e": [[1.0], [2.0, 3.0]]}, "row 1: 2 pixels in 'pixel_e', 1 in 'pixel_row'"),
        ({"pixel_e": [[1.0], [-5.0]]}, "column 'pixels_e', row 1, pixel (2, 2): -5 is a charge"),
        ({"pixel_e": [1.0, 2.0]}, "column 'pixel_e' holds float64; expected a list"),
        ({"pixel_e": None}, "column is missing: 'pixel_e'"),
    ],
)
def test_bad_lists_of_pixels(tmp_path: Path, change: dict[str, Any], expected: str) -> None:
    columns = {n: c for n, c in branches(make_clusters(2)).items() if n != "pixels_e"}
    lists = {"pixel_row": [[1], [2]], "pixel_column": [[1], [2]], "pixel_e": [[1.0], [2.0]]}
    lists = {n: v for n, v in (lists | change).items() if v is not None}
    columns |= {n: ak.Array(v) for n, v in lists.items()}
    assert expected in refused(write(tmp_path / "a.root", columns))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            {"z_global_mm": None, "z_globl_mm": [1.0, 2.0]},
            "(did you mean 'z_globl_mm'?)",
        ),
        ({"signal": None}, "column is missing: 'signal'"),
        ({"pixels_e": None}, "the tree has signal, z_global_mm"),
        ({"signal": [1.5, 0]}, "column 'signal' holds double; expected whole numbers"),
        ({"signal": [2, 0]}, "column 'signal', row 0: 2 is neither"),
        ({"z_global_mm": [0, np.nan]}, "column 'z_global_mm', row 1: nan is not a finite"),
        ({"z_global_mm": [[0.0], [1.0]]}, "column 'z_global_mm' holds"),
        ({"z_global_mm": ["a", "b"]}, "column 'z_global_mm' holds"),
        (
            {"pixels_e": [[1.0] * 273, [1.0] * 272]},
            "'pixels_e', row 1: 272 pixels; expected 273",
        ),
        ({"pixels_e": [1.0, 2.0]}, "1 pixels a cluster; expected 273"),
    ],
)
def test_bad_columns(tmp_path: Path, change: dict[str, Any], expected: str) -> None:
    columns = branches(make_clusters(2)) | {n: ak.Array(c) for n, c in change.items() if c}
    for name in change.keys() - {n for n, c in change.items() if c}:
        del columns[name]
    assert expected in refused(write(tmp_path / "a.root", columns))


def test_what_is_no_flat_tree(tmp_path: Path) -> None:
    path = tmp_path / "a.root"
    assert "no such file" in refused(path)
    path.write_text("of another kind")
    assert "is no ROOT file" in refused(path)
    whole = write(tmp_path / "b.root", branches(make_clusters(9))).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "not a whole ROOT file" in refused(path)
    with uproot.recreate(path) as file:
        file["h"] = np.histogram(np.arange(3))
    assert "holds no tree (TTree or RNTuple) but TH1D 'h'" in refused(path)
    with uproot.recreate(path) as file:
        file.mktree("t", {"pixels_e": np.dtype((np.float32, (13, 21))), "signal": np.int8})
    assert "columns are missing: 'z_global_mm'" in refused(path)
    empty = {n: c[:0] for n, c in branches(make_clusters(2)).items()}
    assert "holds no clusters; expected at least one" in refused(write(path, empty))


def test_edm4hep_is_no_flat_tree(tmp_path: Path) -> None:
    path = tmp_path / "a.root"
    hits = ak.zip({"cellID": [[1, 2], []], "eDep": [[1.0, 2.0], []]})
    with uproot.recreate(path) as file:
        file.mkrntuple("events", {"VXDTrackerHits": hits})
        file.mkrntuple("podio_metadata", {"version": np.arange(1)})
    assert "is EDM4hep or another model of podio, no flat tree" in refused(path)
    text = refused(Path(f"{path}:events"))
    assert "is no flat tree (e.g. branch 'VXDTrackerHits.cellID'), and has no branch" in text
    assert "docs/formats.md" in text


def test_bad_options(tmp_path: Path) -> None:
    path = write(tmp_path / "a.root", branches(make_clusters(4)))
    for columns, expected in (
        ({"z_globl_mm": "z_global_mm"}, "no column of clusters (did you mean 'z_global_mm'?)"),
        ({"z_global_mm": "z_globl"}, "holds no 'z_globl' for column 'z_global_mm'"),
    ):
        with pytest.raises((ConfigError, DataError)) as caught:
            read(path, columns=columns)
        assert expected in str(caught.value)
    with pytest.raises(DataError, match="'signal' holds the class"):
        read(path, signal=True)
    for arguments, expected in (
        (["--column", "z_global_mm"], "--column: 'z_global_mm'; expected NAME=THEIRS"),
        (["--tree", "other"], "holds no tree 'other'; there is 't' (4 entries)"),
        (["--z-global", "3"], "--z-global: root files hold z"),
    ):
        given = ["convert", str(path), "--out", str(tmp_path / "b.parquet"), *arguments]
        result = CliRunner().invoke(app, given)
        assert result.exit_code == 2
        assert expected in result.output
    parquet.write(make_clusters(4), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="holds Parquet and ROOT files"):
        find_files([tmp_path])
    with pytest.raises(ConfigError, match="--tree: parquet files hold no trees"):
        convert([tmp_path / "a.parquet"], tmp_path / "b.parquet", options=ReadOptions(tree="t"))


def test_uproot_is_optional(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.root", branches(make_clusters(4)))
    monkeypatch.setitem(sys.modules, "uproot", None)
    with pytest.raises(ToolError, match=r"pip install 'pixelsieve\[root\]'"):
        read_parts([path])


def test_no_class_is_made_of_what_a_file_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.root", branches(make_clusters(4)))
    monkeypatch.delitem(uproot.classes, "TTree")  # as for a version that uproot does not know
    monkeypatch.setattr(uproot.deserialization, "_actually_compile", pytest.fail)
    assert "of a version that uproot does not know" in refused(path)


@given(data=st.data())
@settings(max_examples=25)
def test_lists_of_pixels_are_the_image_whatever_their_order(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    n = data.draw(st.integers(1, 4))
    pixel = st.tuples(st.integers(0, 12), st.integers(0, 20), st.integers(0, 1 << 20))
    lists = data.draw(st.lists(st.lists(pixel, max_size=6), min_size=n, max_size=n))
    images = np.zeros((n, 13, 21))
    for image, pixels in zip(images, lists, strict=True):
        for row, column, charge in pixels:
            image[row, column] += charge
    base = {name: c for name, c in branches(make_clusters(n)).items() if name != "pixels_e"}
    for place, name in enumerate(("pixel_row", "pixel_column", "pixel_e")):
        values = np.array([p[place] for pixels in lists for p in pixels], np.int64)
        base[name] = ak.unflatten(values, [len(pixels) for pixels in lists])
    path = write(
        tmp_path_factory.mktemp("root") / "a.root", base, data.draw(st.sampled_from(KINDS))
    )
    np.testing.assert_array_equal(read(path).pixels_e, images.astype(np.float32))
