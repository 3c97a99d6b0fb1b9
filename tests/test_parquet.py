from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pixelsieve.core.errors import DataError, RunError
from pixelsieve.data.clusters import Clusters, concatenate
from pixelsieve.data.detector import Barrel, Detector, Sensor
from pixelsieve.formats import dataset, parquet
from tests.conftest import make_clusters


@pytest.fixture
def path(tmp_path: Path, clusters: Clusters) -> Path:
    path = tmp_path / "c.parquet"
    parquet.write(clusters, path, row_group=90)
    return path


def test_round_trip(path: Path, clusters: Clusters) -> None:
    again = parquet.read(path)
    assert again.columns().keys() == clusters.columns().keys()
    for name, values in clusters.columns().items():
        np.testing.assert_array_equal(again.columns()[name], values)
        assert again.columns()[name].dtype == values.dtype
    assert set(again.truth) == {"hit_time_ns"}


def test_labels_may_be_true_and_false(path: Path, clusters: Clusters) -> None:
    rewrite(path, set_column("signal", pa.array(clusters.signal > 0)))
    again = parquet.read(path).signal
    assert again.dtype == np.int8
    np.testing.assert_array_equal(again, clusters.signal)


def test_row_groups_come_one_at_a_time(path: Path) -> None:
    parts = list(parquet.iterate(path))
    assert [len(p) for p in parts] == [90, 90, 90, 90, 40]
    assert [p.first_row for p in parts] == [0, 90, 180, 270, 360]


def rewrite(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(change(pq.read_table(path)), path, row_group_size=90)


def set_column(name: str, values: pa.Array) -> Callable[[pa.Table], pa.Table]:
    return lambda t: t.set_column(t.schema.get_field_index(name), name, values)


def pixels_with(row: int, pixel: int, value: float) -> pa.Array:
    pixels = make_clusters().pixels_e.reshape(400, 273).copy()
    pixels[row, pixel] = value
    return pa.FixedSizeListArray.from_arrays(pa.array(pixels.reshape(-1)), 273)


BAD = {
    "missing columns": (
        lambda t: t.drop_columns(["z_global_mm"]).rename_columns(
            ["label" if n == "signal" else n for n in t.column_names if n != "z_global_mm"]
        ),
        "columns are missing: 'signal', 'z_global_mm'; needed are pixels_e, signal, z_global_mm, y",
    ),
    "missing column": (
        lambda t: t.drop_columns(["z_global_mm"]),
        "column is missing: 'z_global_mm'",
    ),
    "misspelt column": (
        lambda t: t.rename_columns([n.replace("pixels_e", "pixel_e") for n in t.column_names]),
        r"missing: 'pixels_e' \(did you mean 'pixel_e'\?\)",
    ),
    "NaN": (set_column("pixels_e", pixels_with(100, 3, np.nan)), r"row 100, pixel \(0, 3\): nan"),
    "charge below -1 e": (set_column("pixels_e", pixels_with(399, 22, -2)), "row 399, .* below -1"),
    "wrong shape": (
        set_column("pixels_e", pa.array([[1.0] * 273] * 200 + [[1.0] * 256] * 200)),
        "row 200: 256 pixels; expected 273",
    ),
    "no list": (set_column("pixels_e", pa.array(np.zeros(400))), "holds double; expected a list"),
    "text": (set_column("y_local_mm", pa.array(["a"] * 400)), "'y_local_mm' holds string"),
    "fractional label": (set_column("signal", pa.array([0.5] * 400)), "expected whole numbers"),
    "label that would wrap": (set_column("signal", pa.array([256] * 400)), "256 is out of range"),
    "column twice": (
        lambda t: t.append_column("signal", t.column("signal")),
        "'signal' is there twice",
    ),
    "no value": (
        set_column("z_global_mm", pa.array([1.0] * 95 + [None] + [1.0] * 304)),
        "'z_global_mm', row 95: no value",
    ),
    "empty file": (lambda t: t.slice(0, 0), "holds no clusters"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_refused_with_the_place(path: Path, case: str) -> None:
    change, expected = BAD[case]
    rewrite(path, change)
    with pytest.raises(DataError, match=expected) as error:
        parquet.read(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("keep", [0, 4, 100, -5])
def test_a_truncated_file_is_refused(path: Path, keep: int) -> None:
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match="not a whole Parquet file"):
        parquet.read(path)


def test_a_position_beyond_float32_is_refused_by_row(path: Path, clusters: Clusters) -> None:
    values = clusters.z_global_mm.astype(np.float64)
    values[7] = 1e300
    rewrite(path, set_column("z_global_mm", pa.array(values)))
    with pytest.raises(DataError, match="column 'z_global_mm', row 7: inf is not a finite number"):
        parquet.read(path)


def test_a_provenance_that_is_no_table_is_refused(path: Path) -> None:
    said = b'{"schema": 1, "provenance": true}'
    rewrite(path, lambda table: table.replace_schema_metadata({b"pixelsieve": said}))
    with pytest.raises(DataError, match="provenance in the schema's metadata is no table"):
        parquet.read_provenance(path)


@pytest.mark.parametrize("value", ["NaN", "1e999", "9" * 5000])
def test_metadata_that_are_no_strict_json_are_one_line(path: Path, value: str) -> None:
    said = f'{{"schema": 1, "provenance": {{"x": {value}}}, "contents_sha256": ""}}'
    rewrite(path, lambda table: table.replace_schema_metadata({b"pixelsieve": said}))
    with pytest.raises(DataError, match=r"c.parquet: the schema's metadata .* not valid JSON"):
        parquet.read(path)


def test_a_list_of_columns_that_are_no_names_says_nothing(path: Path, clusters: Clusters) -> None:
    said = b'{"schema": 1, "columns": [true, 3]}'
    rewrite(path, lambda table: table.replace_schema_metadata({b"pixelsieve": said}))
    assert len(parquet.read(path)) == len(clusters)


def test_a_column_whose_name_is_no_text_is_refused(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"y_local_mm", b"\xff_local_mm"))
    for read in (parquet.read, parquet.read_split_column, parquet.read_provenance):
        with pytest.raises(DataError, match="not a whole Parquet file"):
            read(path)


def test_flipped_bits_are_refused_or_change_nothing(path: Path) -> None:
    """Anywhere in the file: pages, names of columns, what the schema says."""
    whole = path.read_bytes()

    def read() -> Any:
        one = parquet.read(path)
        columns = {name: values.tobytes() for name, values in one.columns().items()}
        return columns, one.detector, parquet.read_provenance(path)

    expected, refused = read(), 0
    footer = int.from_bytes(whole[-8:-4], "little")
    rng = np.random.default_rng(3)
    places = [*rng.integers(0, len(whole), 80), *(len(whole) - 8 - rng.integers(0, footer, 120))]
    for place in places:
        changed = bytearray(whole)
        changed[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        try:
            assert read() == expected
        except DataError as error:
            assert path.name in str(error)  # noqa: PT017 (either outcome is right)
            refused += 1
    assert refused > len(places) / 2


def test_columns_may_be_left_out_and_renamed_but_not_misspelt(path: Path) -> None:
    def renamed(old: str, new: str) -> Callable[[pa.Table], pa.Table]:
        return lambda t: t.rename_columns({old: new}).replace_schema_metadata(t.schema.metadata)

    rewrite(path, lambda t: t.drop_columns(["event_id"]))
    rewrite(path, renamed("hit_time_ns", "my_time"))
    assert parquet.read(path).event_id is None
    rewrite(path, renamed("group_id", "grouq_id"))
    with pytest.raises(DataError, match="column 'group_id' is now 'grouq_id'"):
        parquet.read(path)


def test_a_damaged_row_group_is_refused(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[200:3000] = b"\xff" * 2800
    path.write_bytes(data)
    with pytest.raises(DataError, match="not a whole Parquet file"):
        parquet.read(path)


def test_a_failed_write_leaves_the_old_file(
    path: Path, clusters: Clusters, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_the_disk(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", fill_the_disk)
    before = path.read_bytes()
    with pytest.raises(RunError, match=r"cannot be written .No space left"):
        parquet.write(clusters, path)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    with pytest.raises(RunError, match="cannot be written"):
        parquet.write(clusters, path / "below" / "c.parquet")


def write_named(folder: Path) -> None:
    for i, name in enumerate(("s_train", "s_val", "s_test")):
        part = make_clusters(60, seed=i, group_id=np.arange(60) + 1000 * i)
        parquet.write(part, folder / f"{name}.parquet")


def test_splits_by_file_name(tmp_path: Path) -> None:
    write_named(tmp_path)
    loaded = dataset.load([tmp_path])
    assert loaded.split_by == "file name"
    assert loaded.validation.group_id is not None
    assert loaded.validation.group_id[0] == 1000
    assert set(loaded.files) == {"s_train.parquet", "s_val.parquet", "s_test.parquet"}
    (tmp_path / "s_val.parquet").unlink()
    with pytest.raises(DataError, match="no file for the validation split"):
        dataset.load([str(tmp_path / "s_*.parquet")])


def test_mixed_naming_is_refused(tmp_path: Path, clusters: Clusters) -> None:
    write_named(tmp_path)
    parquet.write(clusters, tmp_path / "more.parquet")
    with pytest.raises(DataError, match=r"more.parquet: names no split"):
        dataset.load([tmp_path])


def test_splits_by_column(path: Path) -> None:
    labels = np.where(np.arange(400) < 300, "train", np.where(np.arange(400) < 350, "val", "test"))
    rewrite(path, lambda t: t.append_column("split", pa.array(labels)))
    loaded = dataset.load([path])
    assert loaded.split_by == "column 'split'"
    assert [len(p) for p in loaded.parts.values()] == [300, 50, 50]
    labels[5] = "tset"
    rewrite(path, set_column("split", pa.array(labels)))
    with pytest.raises(DataError, match="'split', row 5: 'tset'; expected train"):
        dataset.load([path])


def test_splits_by_hash_keep_groups_together(path: Path) -> None:
    loaded = dataset.load([path])
    assert loaded.split_by == "hash of group_id"
    assert sum(len(p) for p in loaded.parts.values()) == 400
    rewrite(path, lambda t: t.drop_columns(["group_id"]))
    assert dataset.load([path]).split_by == "hash of the pixel charges"


def test_what_some_files_have_and_others_lack(tmp_path: Path) -> None:
    parquet.write(make_clusters(60), tmp_path / "a.parquet")
    parquet.write(make_clusters(60, seed=1, group_id=None), tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"b.parquet: column 'group_id' is missing"):
        dataset.load([tmp_path])
    parquet.write(make_clusters(60, seed=1), tmp_path / "b.parquet")
    labels = pa.array(["train"] * 60)
    rewrite(tmp_path / "a.parquet", lambda t: t.append_column("split", labels))
    with pytest.raises(DataError, match=r"b.parquet: column 'split' is missing"):
        dataset.load([tmp_path])


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for i, folder in enumerate(("one", "two")):
        (tmp_path / folder).mkdir()
        parquet.write(
            make_clusters(200, seed=i, group_id=np.arange(200) + 1000 * i),
            tmp_path / folder / "c.parquet",
        )
    loaded = dataset.load([tmp_path / "one", tmp_path / "two"])
    assert set(loaded.files) == {"c.parquet", "c.parquet#2"}
    assert len(set(loaded.files.values())) == 2


def test_paths_that_lead_nowhere(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such Parquet or ROOT file"):
        dataset.load([tmp_path / "nothing_*.parquet"])
    with pytest.raises(DataError, match="no such file"):
        parquet.read(tmp_path / "x.parquet")


def test_the_real_sample(muc_real: Path) -> None:
    loaded = dataset.load([str(muc_real / "simA_*.parquet")])
    counts = {n: (p.n_signal, len(p) - p.n_signal) for n, p in loaded.parts.items()}
    assert counts == {"train": (24914, 22681), "validation": (3909, 3362), "test": (3847, 3294)}
    assert "hit_time_ns" in loaded.train.truth


def test_detector_provenance_and_slices_come_back(tmp_path: Path) -> None:
    n, sensor = 7, Sensor(rows=16, columns=16, pitch_x_um=50, pitch_y_um=12.5)
    detector = Detector("mine", sensor, Barrel(field_T=3.8))
    slices = np.random.default_rng(0).normal(0, 100, (n, 20, 16, 16)).astype(np.float32)
    table = Clusters(
        pixels_e=np.abs(slices[:, -1]),
        slices_e=slices,
        signal=np.ones(n, np.int8),
        z_global_mm=np.zeros(n, np.float32),
        y_local_mm=np.zeros(n, np.float32),
        detector=detector,
    )
    path = tmp_path / "c.parquet"
    parquet.write(table, path, row_group=3, provenance={"seed": 4})
    back = parquet.read(path, slices=True)
    assert back.slices_e is not None
    np.testing.assert_array_equal(back.slices_e, slices)
    assert back.detector == detector
    assert parquet.read(path).slices_e is None
    assert parquet.read_provenance(path) == {"seed": 4}


def test_clusters_of_two_detectors_are_not_mixed(clusters: Clusters) -> None:
    other = clusters.replace(detector=Detector("other", Sensor(thickness_um=100), Barrel()))
    with pytest.raises(DataError, match="clusters of detector 'other'"):
        concatenate([clusters, other])
