from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pixelsieve.core.errors import DataError
from pixelsieve.data.clusters import Clusters, concatenate
from pixelsieve.data.detector import MUON_COLLIDER_VXD, SMART_PIXEL_LHC, Sensor
from pixelsieve.formats import triples
from pixelsieve.formats.parquet import schema_metadata
from tests.format_files import assert_same, flat, full_clusters, rewrite, set_value

KINDS = ("labels", "recon2D", "recon3D")


def write(folder: Path, *parts: Clusters) -> Path:
    folder.mkdir()
    with triples.TripleWriter(folder) as writer:
        for part in parts:
            writer.write(part)
    return folder


def read(folder: Path, rows: int = 3, *, slices: bool = True) -> Clusters:
    found = triples.find([folder])
    return concatenate([c for t in found for c in triples.iterate(t, rows=rows, slices=slices)])


def by_class(clusters: Clusters) -> Clusters:
    return clusters.select(np.argsort(clusters.signal, kind="stable"))


def parts() -> tuple[Clusters, Clusters]:
    return full_clusters(9, slices=2), full_clusters(8, seed=1, slices=2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "triples", *parts())


def test_round_trip_by_class_in_blocks_of_any_size(folder: Path) -> None:
    expected = by_class(concatenate(parts()))
    for rows in (1, 3, 100):
        assert_same(read(folder, rows), expected)


def test_names_and_columns_are_the_fields(folder: Path) -> None:
    names = {p.name for p in folder.iterdir()}
    assert names == {f"{c}_{k}_0.parquet" for c in ("signal", "bib") for k in KINDS}
    labels = pq.read_schema(folder / "bib_labels_0.parquet").names
    assert {"x-entry", "number_eh_pairs", "y-local", "z-global", "PID", "cotAlpha"} < set(labels)
    assert {"x-midplane", "adjusted_hit_time_30ps_gaussian"} < set(labels)
    assert pq.read_schema(folder / "bib_recon2D_0.parquet").names == [str(i) for i in range(273)]
    assert len(pq.read_schema(folder / "bib_recon3D_0.parquet").names) == 546


def test_many_clusters_make_several_triples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(triples, "_ROWS_A_FILE", 8)
    clusters = full_clusters(40, slices=1)
    cut = [clusters.select(slice(i, i + 4)) for i in range(0, 40, 4)]
    folder = write(tmp_path / "t", *cut)
    numbers = [int(t.labels.stem.rsplit("_")[-1]) for t in triples.find([folder])]
    assert numbers.count(0) == 2
    assert len(numbers) > 4
    assert_same(read(folder), by_class(clusters))


def test_the_middle_plane_is_that_of_the_detector(folder: Path) -> None:
    table = pq.read_table(folder / "bib_labels_0.parquet").to_pydict()
    expected = np.array(table["x-entry"]) - 25 * np.array(table["cotAlpha"])  # 50 um, entered at 50
    np.testing.assert_allclose(table["x-midplane"], expected, atol=1e-4)


def test_without_slices_the_big_file_is_not_opened(folder: Path) -> None:
    for path in folder.glob("*recon3D*"):
        path.write_bytes(b"damaged")
    clusters = read(folder, slices=False)
    assert clusters.slices_e is None
    assert len(clusters) == 17
    with pytest.raises(DataError, match=r"recon3D_0.parquet: not a whole Parquet file"):
        read(folder)


def test_any_file_and_either_image_is_enough(tmp_path: Path) -> None:
    folder = write(tmp_path / "triples", full_clusters(9))
    one = triples.find([folder / "bib_recon2D_0.parquet"])
    assert one == triples.find([folder / "bib_labels_0.parquet", folder / "bib_recon3D_0.parquet"])
    expected = read(folder)
    for path in folder.glob("*recon2D*"):
        path.unlink()
    assert_same(read(folder), expected)
    (folder / "bib_labels_0.parquet").unlink()
    with pytest.raises(DataError, match=r"bib_labels_0.parquet: no such file; a triple needs"):
        triples.find([folder])


def test_files_come_in_natural_order(tmp_path: Path) -> None:
    for number in (10, 9, 1):
        for kind in KINDS:
            (tmp_path / f"signal_{kind}_{number}.parquet").touch()
    names = [t.labels.name for t in triples.find([tmp_path])]
    assert names == [f"signal_labels_{n}.parquet" for n in (1, 9, 10)]


def lhc(folder: Path, name: str, n: int = 5, **more: np.ndarray) -> None:
    rng = np.random.default_rng(1)
    images = rng.uniform(0, 900, (n, 20, 16, 16)).round()
    labels = {"y-local": rng.uniform(-8, 8, n), "pt": rng.uniform(0, 5, n)}
    labels |= {"n_x": np.full(n, 0.2), "n_y": np.full(n, 0.1), "n_z": np.full(n, 0.5)}
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.table(labels | more), folder / name.replace("*", "labels"))
    pq.write_table(pa.table(flat(images[:, -1])), folder / name.replace("*", "recon2D"))
    pq.write_table(pa.table(flat(images)), folder / name.replace("*", "recon3D"))


def test_lhc_sets_need_the_class_and_z_said(tmp_path: Path) -> None:
    # pandas leaves its index in files that were cut by a mask, as these are upstream.
    lhc(tmp_path / "lhc", "*_d123.parquet", __index_level_0__=np.arange(5))
    (triple,) = triples.find([tmp_path / "lhc"])
    with pytest.raises(DataError, match="'z-global' is missing; give its value by --z-global"):
        next(triples.iterate(triple))
    with pytest.raises(DataError, match="neither signal nor BIB, nor is there a PID; say --signal"):
        next(triples.iterate(triple, z_global_mm=0.0))
    clusters = next(triples.iterate(triple, z_global_mm=0.0, signal=False))
    assert clusters.detector.sensor.pitch_y_um == SMART_PIXEL_LHC.sensor.pitch_y_um
    assert clusters.pixels_e.shape == (5, 16, 16)
    assert clusters.n_signal == 0
    np.testing.assert_allclose(clusters.truth["truth_cot_alpha"], 0.4)


def test_a_named_detector_keeps_the_window_of_the_data(folder: Path) -> None:
    (_, signal) = triples.find([folder])
    clusters = next(triples.iterate(signal, detector=SMART_PIXEL_LHC))
    assert clusters.detector == SMART_PIXEL_LHC
    assert clusters.pixels_e.shape[1:] == (13, 21)


def test_the_detector_of_the_labels_is_taken_where_none_is_said(tmp_path: Path) -> None:
    clusters = full_clusters(9, slices=1).replace(detector=SMART_PIXEL_LHC)
    folder = write(tmp_path / "t", clusters)
    assert read(folder).detector == SMART_PIXEL_LHC
    first = triples.find([folder])[0]
    told = next(triples.iterate(first, detector=MUON_COLLIDER_VXD))
    assert told.detector == MUON_COLLIDER_VXD
    for path in folder.iterdir():
        rewrite(path, lambda table: table.replace_schema_metadata(None))
    assert read(folder).detector == MUON_COLLIDER_VXD


def test_class_from_the_name_the_pid_or_the_user(folder: Path, tmp_path: Path) -> None:
    def renamed(name: str, of: str = "bib") -> triples.Triple:
        for kind in KINDS:
            data = (folder / f"{of}_{kind}_0.parquet").read_bytes()
            (tmp_path / name.replace("*", kind)).write_bytes(data)
        return triples.find([tmp_path / name.replace("*", "labels")])[0]

    for name, expected in (("*bib7.parquet", 0), ("bib_mm_*_3.parquet", 0), ("*_d1.parquet", 0)):
        clusters = next(triples.iterate(renamed(name)))
        assert clusters.n_signal == expected * len(clusters)
    for name in ("*sig7.parquet", "*_d2.parquet"):
        clusters = next(triples.iterate(renamed(name, "signal")))
        assert clusters.n_signal == len(clusters)
    with pytest.raises(DataError, match="says both signal and BIB; say --signal or --bib"):
        next(triples.iterate(renamed("signal_bib_*_1.parquet")))
    with pytest.raises(DataError, match="says signal, but column 'PID', row 0 is 11, no muon"):
        next(triples.iterate(renamed("signal_*_1.parquet")))
    told = next(triples.iterate(renamed("signal_*_1.parquet"), signal=True))
    assert told.n_signal == len(told)


Change = Callable[[pa.Table], pa.Table]
BAD: dict[str, tuple[str, Change, str]] = {
    "NaN in a pixel": ("recon2D", set_value("22", 5, np.nan), "column '22', row 5: nan is not a f"),
    "NaN in the slices": (
        "recon3D",
        set_value("22", 5, np.nan),
        "column '22', row 5: nan is not a f",
    ),
    "no value": ("recon3D", set_value("22", 5, None), "column '22', row 5: no value"),
    "infinite z": ("labels", set_value("z-global", 6, np.inf), "'z-global', row 6: inf is not a"),
    "NaN for pt": ("labels", set_value("pt", 3, np.nan), "'pt', row 3: nan is not a finite"),
    "fraction of a PID": ("labels", set_value("PID", 6, 11.5), "'PID', row 6: 11.5; expected a w"),
    "NaN for charge": ("labels", set_value("number_eh_pairs", 2, np.nan), "pairs', row 2: nan is"),
    "an id above 63 bits": (
        "labels",
        lambda t: t.set_column(
            t.schema.get_field_index("group_id"), "group_id", pa.array([2**63] * 7, pa.uint64())
        ),
        "'group_id', row 0: 9.22337e.18; expected a whole number of 64 bits",
    ),
    "no rows": ("labels", lambda t: t.slice(0, 0), "recon2D_0.parquet: 7 rows; expected 0"),
    "fewer rows": ("recon3D", lambda t: t.slice(0, 5), "recon3D_0.parquet: 5 rows; expected 7"),
    "mixed slices": (
        "recon3D",
        lambda t: t.select([str(i) for i in range(500)]),
        "500 pixel columns; expected whole time slices of 273 pixels",
    ),
    "a pixel is missing": ("recon2D", lambda t: t.drop_columns(["9"]), "column '272'; expected"),
    "unknown window": (
        "recon2D",
        lambda t: t.select([str(i) for i in range(100)]),
        r"recon3D_0.parquet: 546 pixel columns; expected whole time slices of 100 pixels",
    ),
    "no labels": ("labels", lambda t: t.select(["x-midplane"]), "none of the label columns"),
    "text": (
        "labels",
        lambda t: t.set_column(0, "x-entry", pa.array(["a"] * len(t))),
        "column 'x-entry' holds string",
    ),
    "another window than the labels name": (
        "labels",
        lambda t: t.replace_schema_metadata(
            schema_metadata(replace(SMART_PIXEL_LHC, sensor=Sensor(rows=16, columns=16)))
        ),
        "273 pixel columns; expected 256, the window of detector 'smart-pixel-lhc' that",
    ),
    "column twice": (
        "labels",
        lambda t: t.append_column("pt", t.column("pt")),
        "column 'pt' is there twice",
    ),
    "slices of other clusters": (
        "recon2D",
        lambda t: t.take([0, 1, 3, 2, 4, 5, 6]),
        "row 2 is not the last time slice of the recon3D file",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_files_are_one_line(tmp_path: Path, kind: str) -> None:
    clusters = full_clusters(7, slices=2, signal=np.zeros(7, np.int8))
    folder = write(tmp_path / "t", clusters)
    which, change, expected = BAD[kind]
    rewrite(folder / f"bib_{which}_0.parquet", change)
    with pytest.raises(DataError, match=expected) as caught:
        read(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


def test_empty_and_truncated_files(tmp_path: Path) -> None:
    folder = write(tmp_path / "t", full_clusters(7, slices=2, signal=np.zeros(7, np.int8)))
    for kind in KINDS:
        rewrite(folder / f"bib_{kind}_0.parquet", lambda t: t.slice(0, 0))
    with pytest.raises(DataError, match=r"bib_labels_0.parquet: holds no clusters"):
        read(folder)
    path = folder / "bib_recon2D_0.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"recon2D_0.parquet: not a whole Parquet file"):
        read(folder)
    with pytest.raises(DataError, match=r"no triple; expected \*labels\*"):
        triples.find([tmp_path])
