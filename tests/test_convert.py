from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from pixelsieve.cli import app
from pixelsieve.core.errors import DataError, RunError
from pixelsieve.data.clusters import Clusters, concatenate
from pixelsieve.data.detector import SMART_PIXEL_LHC
from pixelsieve.data.windows import recenter
from pixelsieve.formats import convert as module
from pixelsieve.formats import dataset, parquet, tfrecord, tracklist, triples
from pixelsieve.formats.convert import Target, convert
from pixelsieve.formats.sources import ReadOptions, find_sources
from tests.conftest import make_clusters
from tests.format_files import assert_same, full_clusters, pixelav_text


def pixelsieve(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def refused(*arguments: object) -> str:
    """The one line that `pixelsieve convert` refuses with."""
    result = pixelsieve("convert", *arguments)
    assert result.exit_code == 2, result.output
    lines = result.output.strip().splitlines()
    assert len(lines) == 1, result.output
    return lines[0]


def ordered(clusters: Clusters) -> Clusters:
    assert clusters.event_id is not None
    return clusters.select(np.argsort(clusters.event_id))


def test_there_and_back(tmp_path: Path) -> None:
    clusters = full_clusters(30, slices=2)
    parquet.write(clusters, tmp_path / "a.parquet", row_group=7)
    there = convert([tmp_path / "a.parquet"], tmp_path / "t", to="triples")
    back = convert([tmp_path / "t"], tmp_path / "b.parquet")
    assert (there.source_format, back.source_format) == ("parquet", "triples")
    assert (back.signal, back.bib) == (clusters.n_signal, 30 - clusters.n_signal)
    assert (back.time_slices, back.has_group_id, back.window) == (2, True, (13, 21))
    assert_same(ordered(parquet.read(tmp_path / "b.parquet", slices=True)), ordered(clusters))
    said = parquet.read_provenance(tmp_path / "b.parquet")["conversion"]
    assert said["from"] == "triples"
    assert said["files"] == ["bib_labels_0.parquet", "signal_labels_0.parquet"]


def test_what_parquet_files_say_of_their_making_is_kept(tmp_path: Path) -> None:
    parquet.write(make_clusters(20), tmp_path / "a.parquet", provenance={"seed": 7})
    convert([tmp_path / "a.parquet"], tmp_path / "b.parquet", centered=True)
    said = parquet.read_provenance(tmp_path / "b.parquet")
    assert said["seed"] == 7
    assert said["conversion"]["centered"] is True
    assert_same(parquet.read(tmp_path / "b.parquet"), recenter(make_clusters(20)))


def test_a_folder_of_tfrecords_loads_as_a_data_set(tmp_path: Path) -> None:
    for number in (10, 9):
        part = make_clusters(100, seed=number).replace(group_id=None, event_id=None)
        tfrecord.write([part], tmp_path / f"batch_{number}.tfrecord")
    (tmp_path / "x_features.txt").write_text("cluster y_local\n")
    out = tmp_path / "c.parquet"
    result = pixelsieve("convert", tmp_path, "--out", out)
    assert result.exit_code == 0, result.output
    assert "200 clusters" in result.output
    assert "no group_id: splits will go by a hash of the pixel charges" in result.output
    assert (parquet.read(out).pixels_e[:100] == make_clusters(100, seed=9).pixels_e).all()
    assert dataset.load([out]).split_by == "hash of the pixel charges"
    summary = json.loads(pixelsieve("inspect", out, "--json").output)
    assert sum(s["clusters"] for s in summary["splits"].values()) == 200


def test_pixelav_with_tracks_by_the_command_line(tmp_path: Path) -> None:
    sources, lists = [], []
    for number in (0, 1):
        clusters = full_clusters(4, seed=number, slices=2)
        sources.append(tmp_path / f"pixelav_{number}.out")
        sources[-1].write_text(pixelav_text(clusters))
        t = {name: values.astype(np.float64) for name, values in clusters.truth.items()}
        tracks = tracklist.TrackList(
            *(t["truth_cot_alpha"], t["truth_cot_beta"], np.ones(4), np.zeros(4, np.int8)),
            *(np.full(4, 2.0), clusters.z_global_mm.astype(np.float64), t["truth_pt_gev"]),
            *(t["truth_hit_time_ns"], t["truth_pdg"].astype(np.int32)),
        )
        lists.append(tmp_path / f"tracks_{number}.txt")
        tracklist.write(tracks, lists[-1])
    given = [x for path in lists for x in ("--tracks", path)]
    out = tmp_path / "new folder" / "c.parquet"
    result = pixelsieve("convert", *sources, "--out", out, *given, "--no-slices", "--json")
    shown = json.loads(result.output)
    assert (shown["clusters"], shown["sources"], shown["time_slices"]) == (8, 2, 0)
    assert shown["signal"] + shown["bib"] == 8
    assert (parquet.read(out).y_local_mm == 2).all()
    line = refused(*sources, "--out", tmp_path / "other.parquet", *given[:2])
    assert "--tracks: 1 track lists for 2 PixelAV files; give one each" in line


def test_smeared_times_depend_on_the_seed_alone(tmp_path: Path) -> None:
    clusters = full_clusters(300, slices=1)
    bare = clusters.replace(hit_time_30ps_ns=None, hit_time_60ps_ns=None)
    parquet.write(bare, tmp_path / "a.parquet")
    parquet.write(bare, tmp_path / "b.parquet", row_group=17)

    def times(name: str, seed: int) -> np.ndarray:
        out = tmp_path / f"{name}_{seed}_{len(list(tmp_path.iterdir()))}.parquet"
        convert([tmp_path / f"{name}.parquet"], out, smear_seed=seed)
        found = parquet.read(out).hit_time_60ps_ns
        assert found is not None
        return found

    first = times("a", 3)
    np.testing.assert_array_equal(first, times("a", 3))
    np.testing.assert_array_equal(first, times("b", 3))
    assert (first != times("a", 4)).any()
    assert np.std(first - bare.truth["hit_time_ns"]) == pytest.approx(0.06, rel=0.15)
    same = convert([tmp_path / "a.parquet"], tmp_path / "t", to="triples")
    assert same.clusters == 300
    parquet.write(clusters, tmp_path / "c.parquet")
    np.testing.assert_array_equal(times("c", 3), clusters.hit_time_60ps_ns)  # measured already


@pytest.mark.parametrize("rows", [1, 3, 7, 20, 60])
@pytest.mark.parametrize("parts", [3, 20, 47])
def test_parts_of_any_size_share_row_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: int, rows: int
) -> None:
    clusters = full_clusters(47, slices=1)
    parquet.write(clusters, tmp_path / "a.parquet", row_group=parts)
    monkeypatch.setattr(module, "_GROUP_ROWS", rows)
    convert([tmp_path / "a.parquet"], tmp_path / "b.parquet")
    sizes = [len(p) for p in parquet.iterate(tmp_path / "b.parquet")]
    assert all(size == rows for size in sizes[:-1])
    assert_same(parquet.read(tmp_path / "b.parquet", slices=True), clusters)


def test_formats_are_told_by_names(tmp_path: Path) -> None:
    for name in ("a.parquet", "bib_labels_1.parquet", "b.tfrecord", "c.out", "d.txt"):
        (tmp_path / name).touch()
    for name, expected in (
        ("a.parquet", "parquet"),
        ("*.tfrecord", "tfrecord"),
        ("c.*", "pixelav"),
    ):
        assert find_sources([tmp_path / name]).format == expected
    assert find_sources([tmp_path], "pixelav").files == (tmp_path / "c.out",)
    assert find_sources([tmp_path / "d.txt"], "pixelav").files == (tmp_path / "d.txt",)
    with pytest.raises(DataError, match=r"d.txt: cannot tell its format by the name; say --format"):
        find_sources([tmp_path / "d.txt"])
    with pytest.raises(DataError, match="convert one format at a time"):
        find_sources([tmp_path])
    with pytest.raises(DataError, match="no file of a known format"):
        find_sources([tmp_path / "nothing*"])
    with pytest.raises(DataError, match=r"nothing.parquet: no such file or folder; check the path"):
        find_sources([tmp_path / "nothing.parquet"])


def test_bad_sources_are_one_line_and_nothing_is_left(tmp_path: Path) -> None:
    good = tmp_path / "good.parquet"
    parquet.write(make_clusters(20), good)
    without = tmp_path / "without.parquet"
    parquet.write(make_clusters(20).replace(group_id=None), without)
    sliced = tmp_path / "sliced.parquet"
    parquet.write(full_clusters(5, slices=2), sliced)
    other = tmp_path / "other.parquet"
    parquet.write(full_clusters(5, slices=3), other)
    narrow = make_clusters(20)
    kept = {"hit_time_ns": narrow.truth["hit_time_ns"].astype(np.float64)}
    parquet.write(narrow.replace(truth=kept), tmp_path / "wide.parquet")
    for split in ("train", "val"):
        parquet.write(make_clusters(20), tmp_path / f"s_{split}.parquet")
    cut = tmp_path / "cut.tfrecord"
    tfrecord.write([make_clusters(20), make_clusters(20)], cut)
    cut.write_bytes(cut.read_bytes()[:-5])
    text = tmp_path / "cut.out"
    text.write_text(pixelav_text(full_clusters(3, slices=2))[:-100])
    bad: dict[str, list[object]] = {
        "cut.tfrecord: record 1: 22474 bytes, but the file ends": [cut],
        "cut.out: line": [text],
        "without.parquet: column 'group_id' is missing, but": [good, without],
        "other.parquet: 3 time slices; expected 2, as": [sliced, other],
        "'hit_time_ns' holds float64; expected float32, as": [good, tmp_path / "wide.parquet"],
        "files of several splits (train, val); convert one": [tmp_path / "s_*.parquet"],
        "--tracks: parquet files have no track lists": [good, "--tracks", good],
        "--signal, --bib: tfrecord files hold the class": [cut, "--bib"],
        "--z-global: tfrecord files hold z": [cut, "--z-global", "3"],
        "--detector: parquet files name their detector": [good, "--detector", "smart-pixel-lhc"],
        "unknown detector 'smart-pixel'": [cut, "--detector", "smart-pixel"],
    }
    before = set(tmp_path.iterdir())
    for to in ("parquet", "triples"):
        for expected, arguments in bad.items():
            line = refused(*arguments, "--out", tmp_path / "out", "--to", to)
            assert expected in line
            assert line.startswith("pixelsieve: ")
            assert set(tmp_path.iterdir()) == before, expected


def test_what_is_there_is_not_lost(tmp_path: Path) -> None:
    good = tmp_path / "good.parquet"
    parquet.write(make_clusters(20), good)
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    assert "kept: is a folder that holds files; expected a new folder, name another --out" in (
        refused(good, "--out", kept, "--to", "triples")
    )
    assert "kept: is a folder; expected a file, e.g." in refused(good, "--out", kept)
    assert "cannot be written" in refused(good, "--out", kept / "file" / "x.parquet")
    before = good.read_bytes()
    link = tmp_path / "link.parquet"
    link.symlink_to(tmp_path / "nowhere")
    for out, to in ((good, "parquet"), (good, "triples"), (link, "parquet")):
        line = refused(good, "--out", out, "--to", to)
        assert f"{out}: exists and would be overwritten; name another --out or remove it" in line
    assert good.read_bytes() == before
    empty = tmp_path / "empty"
    empty.mkdir()
    convert([good], empty, to="triples")
    assert triples.find([empty])


def test_a_column_split_would_be_lost(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "a.parquet"
    parquet.write(make_clusters(20), path)
    table = pq.read_table(path).append_column("split", pa.array(["train"] * 20))
    pq.write_table(table, path)
    assert "column 'split' would be lost" in refused(path, "--out", tmp_path / "b.parquet")


def test_progress_is_reported(tmp_path: Path) -> None:
    for number in (0, 1):
        tfrecord.write([make_clusters(10)] * 2, tmp_path / f"b_{number}.tfrecord")
    heard: list[tuple[int, int, int]] = []
    convert([tmp_path], tmp_path / "o.parquet", on_part=lambda *seen: heard.append(seen))
    assert heard == [(1, 2, 10), (1, 2, 20), (2, 2, 30), (2, 2, 40)]


def test_the_options_of_a_triple_reach_its_reader(tmp_path: Path) -> None:
    with triples.TripleWriter(tmp_path) as writer:
        writer.write(full_clusters(10, slices=1))
    options = ReadOptions(signal=False, slices=False)
    result = convert([tmp_path], tmp_path / "o.parquet", options=options)
    assert (result.signal, result.bib, result.time_slices) == (0, 10, 0)
    parts = [parquet.read(tmp_path / "o.parquet")]
    assert concatenate(parts).n_signal == 0


def test_triples_keep_ids_of_63_bits_and_the_detector(tmp_path: Path) -> None:
    ids = np.random.default_rng(0).integers(2**53, 2**63 - 1, 30, dtype=np.int64) | 1
    clusters = full_clusters(30, slices=2, group_id=ids, event_id=ids[::-1] - 1)
    clusters = clusters.replace(detector=SMART_PIXEL_LHC)
    parquet.write(clusters, tmp_path / "a.parquet")
    convert([tmp_path / "a.parquet"], tmp_path / "t", to="triples")
    convert([tmp_path / "t"], tmp_path / "b.parquet")
    back = ordered(parquet.read(tmp_path / "b.parquet", slices=True))
    assert_same(back, ordered(clusters))
    assert back.group_id is not None
    assert set(back.group_id.tolist()) == set(ids.tolist())


def test_a_seed_out_of_range_is_one_line(tmp_path: Path) -> None:
    parquet.write(make_clusters(20), tmp_path / "a.parquet")
    for seed in (-1, 2**63):
        line = refused(tmp_path / "a.parquet", "--out", tmp_path / "b.parquet", "--smear", seed)
        assert line.startswith("pixelsieve convert: invalid value for '--smear': ")
    arguments = ("--out", tmp_path / "b.parquet", "--smear", 2**63 - 1)
    assert pixelsieve("convert", tmp_path / "a.parquet", *arguments).exit_code == 0


def test_an_interrupted_conversion_promises_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: object, **more: object) -> None:
        raise KeyboardInterrupt

    parquet.write(make_clusters(20), tmp_path / "a.parquet")
    monkeypatch.setattr(module, "_grouped", interrupted)
    result = pixelsieve("convert", tmp_path / "a.parquet", "--out", tmp_path / "b.parquet")
    assert result.exit_code == 130
    assert result.output.strip() == "pixelsieve: interrupted; nothing was written"
    assert [p.name for p in tmp_path.iterdir()] == ["a.parquet"]


@pytest.mark.parametrize(("to", "name"), [("triples", "t"), ("parquet", "t.parquet")])
def test_the_next_run_removes_what_a_killed_one_left(tmp_path: Path, to: Target, name: str) -> None:
    for number in (0, 1):
        tfrecord.write([make_clusters(10)], tmp_path / f"b_{number}.tfrecord")
    code = (
        "import os, sys; from pathlib import Path; from pixelsieve.formats import convert\n"
        "convert._GROUP_ROWS = 5\n"  # so that the first file is written when the second begins
        "def heard(begun, files, clusters):\n"
        "    if begun == 2: os.kill(os.getpid(), 9)\n"
        "convert.convert([sys.argv[1]], Path(sys.argv[2]), to=sys.argv[3], on_part=heard)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "*.tfrecord"), str(tmp_path / name), to]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    (left,) = tmp_path.glob(".*")
    if to == "triples":
        assert any(left.iterdir())
    kept = tmp_path / f".{name}-notes"
    kept.mkdir()
    heard: list[list[str]] = []
    convert(
        [tmp_path / "*.tfrecord"],
        tmp_path / name,
        to=to,
        on_part=lambda *_: heard.append([p.name for p in tmp_path.glob(".*")]),
    )
    assert len(heard[0]) == 2
    assert left.name not in heard[0]
    expected = {kept.name, name, "b_0.tfrecord", "b_1.tfrecord"}
    assert {p.name for p in tmp_path.iterdir()} == expected
    assert not stat.S_IMODE((tmp_path / name).stat().st_mode) & 0o022


def test_a_living_conversion_keeps_its_folder(tmp_path: Path) -> None:
    parquet.write(make_clusters(20), tmp_path / "a.parquet")
    sources, out = [tmp_path / "a.parquet"], tmp_path / "t"

    def again(begun: int, files: int, clusters: int) -> None:
        convert(sources, out, to="triples")

    with pytest.raises(RunError, match=r"t: cannot be written \(Directory not empty\)"):
        convert(sources, out, to="triples", on_part=again)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.parquet", "t"]
    assert len(triples.find([out])) == 2  # a class each
