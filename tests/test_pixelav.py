from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pixelsieve.core.errors import DataError
from pixelsieve.data.clusters import Clusters, concatenate
from pixelsieve.data.detector import MUON_COLLIDER_VXD, SMART_PIXEL_LHC
from pixelsieve.formats import pixelav, tracklist
from pixelsieve.formats.tracklist import TrackList
from tests.format_files import HEADER, assert_same, full_clusters, pixelav_text

LHC_HEADER = "dot1_50x12.5\n50.000000  12.500000  100.000000  200.000000\n"


def read(path: Path, rows: int = 2, *, tracks: TrackList | None = None) -> Clusters:
    return concatenate(list(pixelav.iterate(path, rows=rows, tracks=tracks)))


@pytest.fixture
def clusters() -> Clusters:
    drop = ("group_id", "event_id", "hit_time_30ps_ns", "hit_time_60ps_ns")
    return full_clusters(5, slices=4).replace(**dict.fromkeys(drop))


@pytest.fixture
def path(tmp_path: Path, clusters: Clusters) -> Path:
    path = tmp_path / "pixelav_0.out"
    path.write_text(pixelav_text(clusters))
    return path


def test_every_number_is_read(path: Path, clusters: Clusters) -> None:
    for rows in (1, 2, 100):
        found = read(path, rows)
        np.testing.assert_array_equal(found.slices_e, clusters.slices_e)
        np.testing.assert_array_equal(found.pixels_e, clusters.pixels_e)
        assert_same(found, clusters, rtol=2e-5, atol=2e-6)  # six decimals
    without = next(pixelav.iterate(path, slices=False))
    assert without.slices_e is None


def test_a_slice_that_repeats_another_is_not_mistaken_for_it(tmp_path: Path) -> None:
    clusters = full_clusters(2, slices=6)
    assert clusters.slices_e is not None
    slices = clusters.slices_e.copy()
    slices[:, 3] = slices[:, 1]
    path = tmp_path / "p.out"
    path.write_text(pixelav_text(clusters.replace(slices_e=slices)))
    np.testing.assert_array_equal(read(path).slices_e, slices)


def test_minus_zero_is_zero(path: Path) -> None:
    path.write_text(path.read_text().replace(" 0.0 ", " -0.0 "))
    assert not np.signbit(read(path).pixels_e).any()


def test_the_header_decides_the_detector(path: Path, clusters: Clusters) -> None:
    assert read(path).detector == MUON_COLLIDER_VXD
    path.write_text(pixelav_text(clusters, LHC_HEADER))
    assert read(path).detector == SMART_PIXEL_LHC
    path.write_text(pixelav_text(clusters, "x@-80V,4.1T@90deg,233K\n30 30 40 100\n"))
    other = read(path).detector
    assert (other.name, other.sensor.pitch_x_um, other.sensor.slice_ps) == ("pixelav", 30, 100)
    assert (other.sensor.bias_V, other.sensor.temperature_K) == (80, 233)
    assert other.barrel.field_T == 4.1
    with pytest.raises(DataError, match="line 2: a sensor of 30 x 30 x 40 um, which is not 'muon"):
        next(pixelav.iterate(path, detector=MUON_COLLIDER_VXD))


def test_the_window_is_that_of_the_file(path: Path, clusters: Clusters) -> None:
    assert clusters.slices_e is not None
    small = clusters.slices_e[:, :, :5, :7]
    sensor = replace(MUON_COLLIDER_VXD.sensor, rows=5, columns=7)
    detector = replace(MUON_COLLIDER_VXD, sensor=sensor)
    changed = clusters.replace(pixels_e=small[:, -1], slices_e=small, detector=detector)
    path.write_text(pixelav_text(changed))
    assert read(path).pixels_e.shape == (5, 5, 7)


def track_list(clusters: Clusters, extra_at: int) -> TrackList:
    """The clusters' tracks, and one more before `extra_at` that PixelAV left out."""
    t = clusters.truth

    def column(values: np.ndarray, extra: float) -> np.ndarray:
        return np.insert(values.astype(np.float64), extra_at, extra)

    n = len(clusters) + 1
    return TrackList(
        cot_alpha=column(t["truth_cot_alpha"], 11.0),
        cot_beta=column(t["truth_cot_beta"], 0.1),
        momentum_gev=np.ones(n),
        flipped=np.zeros(n, np.int8),
        y_local_mm=column(clusters.y_local_mm + 1, 0.0),
        z_global_mm=column(clusters.z_global_mm, 0.0),
        pt_gev=column(t["truth_pt_gev"], 0.0),
        hit_time_ns=column(t["truth_hit_time_ns"], 0.0),
        pdg=column(t["truth_pdg"], 99).astype(np.int32),
        ladder=np.arange(1, n + 1, dtype=np.int8),
    )


def test_tracks_join_by_their_slopes(path: Path, clusters: Clusters, tmp_path: Path) -> None:
    for extra_at in (0, 3, 5):
        tracklist.write(track_list(clusters, extra_at), tmp_path / "t.txt")
        found = read(path, tracks=tracklist.read(tmp_path / "t.txt"))
        np.testing.assert_allclose(found.y_local_mm, clusters.y_local_mm + 1, atol=1e-5)
        ladders = np.delete(np.arange(1, 7), extra_at)
        np.testing.assert_array_equal(found.truth["truth_ladder"], ladders)


def test_tracks_of_other_clusters_are_refused(path: Path, clusters: Clusters) -> None:
    tracks = track_list(clusters.select(np.array([0, 1, 3, 2, 4])), 0)
    with pytest.raises(DataError, match="cluster 3 is of no track of tracks after track 4; the"):
        read(path, tracks=tracks)


def old(path: Path) -> None:
    """Leave 9 of the 12 truth numbers, as PixelAV did before it passed z, time and PDG code."""
    lines = path.read_text().splitlines()
    for i, line in enumerate(lines):
        if line == "<cluster>":
            words = lines[i + 1].split()
            lines[i + 1] = " ".join([*words[:8], words[9]])
    path.write_text("\n".join(lines) + "\n")


def test_old_files_need_tracks_or_z(path: Path, clusters: Clusters) -> None:
    old(path)
    with pytest.raises(DataError, match="'z-global' is missing; give its value by --z-global"):
        read(path)
    found = read(path, tracks=track_list(clusters, 2))
    np.testing.assert_allclose(found.z_global_mm, clusters.z_global_mm, atol=1e-5)
    np.testing.assert_array_equal(found.signal, clusters.signal)
    (given,) = pixelav.iterate(path, z_global_mm=1.5, signal=True)
    assert given.n_signal == len(given)
    assert (given.z_global_mm == 1.5).all()
    np.testing.assert_allclose(given.truth["truth_pt_gev"], clusters.truth["truth_pt_gev"], 1e-5)


def test_a_file_of_signal_with_another_particle(path: Path) -> None:
    named = path.with_name("signal_pixelav_0.out")
    named.write_text(path.read_text())
    with pytest.raises(DataError, match="says signal, but column 'PID', row 0 is 11, no muon"):
        read(named)


ROW = " ".join(["0.0"] * 21)
# A cluster has its mark, its truth, and 4 slices of 14 lines each; the header is 2 lines.
BAD: dict[str, tuple[Callable[[str], str], str]] = {
    "empty": (lambda _: "", "line 2: expected pitch x, y and thickness"),
    "no header": (lambda t: t[len(HEADER) :], "line 2: expected pitch x, y and thickness"),
    "zero pitch": (lambda t: t.replace("25.000000", "0.0", 1), "line 2: expected pitch"),
    "more header": (lambda t: t.replace("<clus", "hello\n<clus", 1), "line 3: 'hello'; expected"),
    "no clusters": (lambda _: HEADER, "holds no clusters"),
    "truth short": (lambda t: t.replace(" 11 \n", "\n", 1), "cluster 0: its truth is not 12 num"),
    "truth text": (lambda t: t.replace(" 11 \n", " e- \n", 1), "cluster 0: its truth is not 12"),
    "a huge time step": (
        lambda t: t.replace("200.000000\n", "1e30\n", 1),
        "line 2: 'slice_ps' is 1e.30; expected 1 to",
    ),
    "no slices": (lambda t: t + "<cluster>\n" + "1 " * 12 + "\n", "cluster 5 has no time slices"),
    "a number less": (
        lambda t: t.replace(ROW, ROW[4:], 2).replace(ROW[4:], ROW, 1),
        r"line \d+: 20 charges in cluster 0; expected 21, as in the rows before",
    ),
    "a row less": (lambda t: t.replace(ROW + "\n", "", 1), "slice 2 of 4 is cut"),
    "a row more": (lambda t: t + ROW + "\n", "slice 4 of 4 is cut"),
    "text": (lambda t: t.replace(ROW, ROW[:-3] + "x.0", 1), r"line \d+: 'x.0' in cluster 0"),
    "underscores": (lambda t: t.replace(ROW, ROW[:-3] + "1_0", 1), "21 charges in cluster 0; exp"),
    "an empty row": (lambda t: t.replace(ROW, "", 1), "0 charges in cluster 0; expected 1 to 64"),
    "NaN": (lambda t: t.replace(ROW, ROW[:-3] + "nan", 1), "'slices_e', row 0, .*nan is not a f"),
    "huge": (lambda t: t.replace(ROW, ROW[:-3] + "1e99", 1), "'slices_e', row 0, .*inf is not a f"),
    "a slice less": (
        lambda t: t[: t.rindex("<time")],
        "cluster 4 has 12 truth numbers and 3 slices of 13 x 21; expected 12 truth numbers and 4",
    ),
    "cut in a number": (lambda t: t[:-3], "a slice of cluster 4 ends too early or late"),
    "cut in a row": (lambda t: t[:-30] + "\n", r"charges in cluster 4; expected 21"),
    "cut in a mark": (
        lambda t: t[: t.rindex("<time") + 3],
        "a slice of cluster 4 ends too early or late",
    ),
    "cut in the truth": (lambda t: t[: t.rindex("<cluster>") + 40], "cluster 4: its truth is not"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_files_are_one_line(path: Path, kind: str) -> None:
    change, expected = BAD[kind]
    path.write_text(change(path.read_text()))
    with pytest.raises(DataError, match=expected) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_damaged_line_is_named(path: Path) -> None:
    lines = path.read_text().splitlines()
    line = 2 + 58 * 2 + 1 + 1 + 14 + 4  # cluster 2, slice 1, row 3, counted from 1
    lines[line] = lines[line].replace("0.0", "oops", 1)
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match=f"line {line + 1}: 'oops' in cluster 2"):
        read(path)


def test_what_is_no_pixelav_stops_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "zeros.out"
    path.write_bytes(HEADER.encode() + bytes(5000))
    monkeypatch.setattr(pixelav, "_CHUNK", 100)
    monkeypatch.setattr(pixelav, "_LONGEST", 1000)
    with pytest.raises(DataError, match=r"no <cluster> in .* not PixelAV"):
        read(path)
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path / "nothing.out")


def test_chunks_may_end_anywhere(
    path: Path, clusters: Clusters, monkeypatch: pytest.MonkeyPatch
) -> None:
    for size in (7, 1001, 5000):
        monkeypatch.setattr(pixelav, "_CHUNK", size)
        np.testing.assert_array_equal(read(path).slices_e, clusters.slices_e)


tiny = pixelav_text(full_clusters(2, slices=2)).encode()


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.one_of(
        st.binary(max_size=300),
        st.tuples(st.integers(0, len(tiny)), st.binary(max_size=20), st.integers(0, 40)).map(
            lambda m: tiny[: m[0]] + m[1] + tiny[m[0] + m[2] :]
        ),
    )
)
def test_any_bytes_give_clusters_or_one_line(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "any.out"
    path.write_bytes(data)
    try:
        read(path)
    except DataError as error:
        assert "\n" not in str(error)  # noqa: PT017 (a valid mutation raises nothing)
