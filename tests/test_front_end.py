"""The front end against closed forms, and what its random numbers may depend on."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from pixelsieve.core.config import to_plain
from pixelsieve.core.errors import ConfigError, DataError
from pixelsieve.core.workers import default_workers
from pixelsieve.data.clusters import Clusters, concatenate
from pixelsieve.formats import dataset, parquet
from pixelsieve.front_end import (
    FrontEnd,
    digitise,
    read_front_end,
    read_out,
    readout,
)
from tests.conftest import make_clusters

N = 2000
KEYS = np.arange(N, dtype=np.uint64)
CODES = (400.0, 1600.0, 2400.0)
CHIP = FrontEnd(
    noise_e=60, threshold_e=400, threshold_dispersion_e=90, adc="codes", adc_codes_e=CODES, seed=3
)


def flat(charge: float, **columns: Any) -> Clusters:
    """Windows with the same charge everywhere, told apart by their place."""
    pixels = np.full((N, 13, 21), charge, np.float32)
    return make_clusters(N, pixels_e=pixels, **columns)


def level(front_end: FrontEnd, charge: float) -> NDArray[np.float32]:
    return digitise(front_end, np.full((N, 13, 21), charge, np.float32), KEYS)


def test_the_default_changes_nothing(clusters: Clusters) -> None:
    result = read_out(FrontEnd(), clusters)
    assert (result.lost_signal, result.lost_bib) == (0, 0)
    for name, values in clusters.columns().items():
        np.testing.assert_array_equal(result.clusters.columns()[name], values)


def test_noise_has_its_width_and_no_bias() -> None:
    noisy = level(FrontEnd(noise_e=60), 5000) - 5000
    assert noisy.mean() == pytest.approx(0, abs=5 * 60 / np.sqrt(noisy.size))
    assert noisy.std() == pytest.approx(60, rel=0.005)
    assert stats.kstest(noisy.reshape(-1)[:20_000] / 60, "norm").pvalue > 1e-3
    by_pixel = noisy.reshape(N, -1)
    between = np.corrcoef(by_pixel[:, :40].T) - np.eye(40)
    assert np.abs(between).max() < 5 / np.sqrt(N)


def test_gains_spread_and_streams_are_independent() -> None:
    spread = level(FrontEnd(gain_dispersion=0.03), 5000) / 5000
    assert (spread.mean(), spread.std()) == pytest.approx((1, 0.03), rel=0.005)
    noise = level(FrontEnd(noise_e=60), 5000) - 5000
    assert abs(np.corrcoef(noise.reshape(-1), spread.reshape(-1))[0, 1]) < 0.01


@pytest.mark.parametrize("charge", [150, 300, 400, 450, 600])
def test_turn_on_is_the_error_function(charge: float) -> None:
    front_end = FrontEnd(noise_e=60, threshold_e=400, threshold_dispersion_e=90)
    share = np.mean(level(front_end, charge) > 0)
    expected = stats.norm.cdf((charge - 400) / np.hypot(60, 90))
    assert share == pytest.approx(expected, abs=5 * np.sqrt(0.25 / (N * 273)))


def test_a_threshold_alone_is_sharp() -> None:
    front_end = FrontEnd(threshold_e=400)
    assert not level(front_end, np.nextafter(np.float32(400), np.float32(0))).any()
    np.testing.assert_array_equal(level(front_end, 400), np.float32(400))


def test_codes_are_exact_and_stand_for_the_middle_of_their_step() -> None:
    front_end = FrontEnd(threshold_e=400, adc="codes", adc_codes_e=CODES)
    assert list(front_end.code_values_e) == [0, 1000, 2000, 2800]
    steps = {399: 0, 400: 1000, 1599: 1000, 1600: 2000, 2399: 2000, 2400: 2800, 50_000: 2800}
    assert {q: level(front_end, q).max() for q in steps} == steps
    single = FrontEnd(threshold_e=500, adc="codes", adc_codes_e=(500.0,))
    assert list(single.code_values_e) == [0, 500]
    # A pixel whose own threshold lies below the edge of code 1 still has code 1.
    low = level(FrontEnd(**{**to_fields(front_end), "threshold_dispersion_e": 90.0}), 390)
    assert set(np.unique(low)) == {0, 1000}


def test_linear_steps_and_full_scale() -> None:
    front_end = FrontEnd(adc="linear", adc_bits=4, adc_full_scale_e=16_000)
    charges = np.array([1, 999, 1000, 15_500, 16_000, 90_000], np.float32)
    window = np.zeros((1, 13, 21), np.float32)
    window[0, 0, : len(charges)] = charges
    got = digitise(front_end, window, KEYS[:1])[0, 0]
    assert got[: len(charges)].tolist() == [500, 500, 1500, 15_500, 15_500, 15_500]
    assert not got[len(charges) :].any()


@settings(deadline=None)
@given(
    st.sampled_from(
        [
            FrontEnd(adc="linear", adc_bits=b, adc_full_scale_e=f)
            for b in (1, 3, 8)
            for f in (900.0, 15e3)
        ]
        + [FrontEnd(threshold_e=400, adc="codes", adc_codes_e=CODES), FrontEnd(saturation_e=5e3)]
    ),
    st.lists(st.floats(0, 50_000, width=32), min_size=2, max_size=30),
)
def test_more_charge_never_reads_as_less(front_end: FrontEnd, charges: list[float]) -> None:
    window = np.zeros((1, 13, 21), np.float32)
    window.reshape(-1)[: len(charges)] = np.sort(charges)
    got = digitise(front_end, window, KEYS[:1]).reshape(-1)[: len(charges)]
    assert (np.diff(got) >= 0).all()
    again = digitise(front_end, got.reshape(1, 1, -1), KEYS[:1]).reshape(-1)
    np.testing.assert_array_equal(again, got)


def test_saturation_comes_after_noise() -> None:
    front_end = FrontEnd(noise_e=60, saturation_e=5000)
    assert level(front_end, 5000).max() == 5000
    assert np.mean(level(front_end, 5000) == 5000) == pytest.approx(0.5, abs=0.005)


def test_dead_share_and_lost_clusters() -> None:
    assert np.mean(level(FrontEnd(dead_pixel_share=0.02), 900) == 0) == pytest.approx(
        0.02, abs=0.001
    )
    pixels = np.zeros((N, 13, 21), np.float32)
    pixels[:, 6, 10] = 1000 + np.arange(N)
    result = read_out(FrontEnd(dead_pixel_share=0.1), make_clusters(N, pixels_e=pixels))
    assert len(result.clusters) + result.lost_signal + result.lost_bib == N
    assert result.lost_signal + result.lost_bib == pytest.approx(0.1 * N, abs=5 * np.sqrt(0.09 * N))
    assert result.clusters.pixels_e.any(axis=(1, 2)).all()


def test_measured_time_smears_the_unsmeared_one() -> None:
    true = np.linspace(-1, 5, N)
    clusters = flat(900, truth={"hit_time_ns": true})
    measured = read_out(FrontEnd(time_resolution_ps=50), clusters).clusters.hit_time_measured_ns
    assert measured is not None
    assert measured.dtype == np.float32
    error = measured - true
    assert error.std() == pytest.approx(0.05, rel=0.08)
    assert stats.kstest(error / 0.05, "norm").pvalue > 1e-3
    with pytest.raises(DataError, match=r"'hit_time_ns' is missing; the front end's 'time_resol"):
        read_out(FrontEnd(time_resolution_ps=50), flat(900, truth={}))


def to_fields(front_end: FrontEnd) -> dict[str, Any]:
    return {name: getattr(front_end, name) for name in FrontEnd.__dataclass_fields__}


FULL = FrontEnd(
    **{
        **to_fields(CHIP),
        "gain_dispersion": 0.05,
        "dead_pixel_share": 0.05,
        "time_resolution_ps": 40.0,
        "window": "jitter",
        "window_jitter_px": 2,
    }
)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32), st.integers(1, 299))
def test_neither_order_nor_cutting_changes_a_cluster(seed: int, cut: int) -> None:
    clusters = make_clusters(300)
    whole = read_out(FULL, clusters).clusters
    rows = np.random.default_rng(seed).permutation(300)
    parts = [read_out(FULL, clusters.select(r)).clusters for r in (rows[:cut], rows[cut:])]
    joined = concatenate(parts)
    assert joined.event_id is not None
    back = joined.select(np.argsort(joined.event_id))
    for name, values in whole.columns().items():
        np.testing.assert_array_equal(back.columns()[name], values)


def test_the_seed_decides() -> None:
    clusters = make_clusters(200)
    one, same = read_out(CHIP, clusters).clusters, read_out(CHIP, clusters).clusters
    np.testing.assert_array_equal(one.pixels_e, same.pixels_e)
    other = read_out(FrontEnd(**{**to_fields(CHIP), "seed": 4}), clusters).clusters
    assert one.pixels_e.shape != other.pixels_e.shape or np.any(one.pixels_e != other.pixels_e)


def test_windows_move_with_the_place() -> None:
    clusters = make_clusters(500)
    jittered = read_out(FrontEnd(window="jitter", window_jitter_px=2), clusters).clusters
    steps = np.rint((jittered.z_global_mm - clusters.z_global_mm) / 0.025).astype(int)
    assert set(steps) == {-2, -1, 0, 1, 2}
    centred = read_out(FrontEnd(window="centroid"), jittered).clusters
    columns = centred.pixels_e.sum(axis=1) @ np.arange(21) / centred.pixels_e.sum(axis=(1, 2))
    assert np.abs(columns - 10).max() <= 0.5 + 1e-6


def test_groups_stay_those_of_the_collected_charge() -> None:
    clusters = make_clusters(200, group_id=None)
    result = read_out(CHIP, clusters).clusters
    assert result.group_id is not None
    assert len(np.unique(result.group_id)) == len(result)
    assert set(result.groups()) <= set(clusters.groups())


def test_a_data_set_keeps_its_splits_and_counts(tmp_path: Path) -> None:
    for i, name in enumerate(("s_train", "s_val", "s_test")):
        parquet.write(make_clusters(300, seed=i, group_id=None), tmp_path / f"{name}.parquet")
    loaded = dataset.load([tmp_path])
    # One code for every pixel: clusters of different splits become alike, which is no leak.
    front_end = FrontEnd(threshold_e=2300, adc="codes", adc_codes_e=(2300.0,))
    seen = loaded.through(front_end)
    said = to_plain(seen.summary)
    assert said["settings"]["threshold_e"] == 2300
    for name, part in seen.parts.items():
        counts = said["clusters"][name]
        assert counts["signal"]["read_out"] == part.n_signal
        assert counts["bib"]["read_out"] == len(part) - part.n_signal
        assert sum(c["collected"] for c in counts.values()) == 300
    assert seen.identity == {**loaded.identity, "front_end": said["settings"]}
    assert loaded.through(None) is loaded


def test_what_cannot_be_read_out_is_refused(clusters: Clusters) -> None:
    with pytest.raises(DataError, match=r"no cluster is left .* lower 'threshold_e' \(1e\+09\)"):
        read_out(FrontEnd(threshold_e=1e9), clusters)
    sliced = clusters.replace(slices_e=np.zeros((400, 2, 13, 21), np.float32))
    with pytest.raises(DataError, match="has time slices"):
        read_out(FrontEnd(), sliced)


BAD = {
    "noise_e = -1": r"'noise_e' is -1.0; expected 0 or more electrons",
    "noise_e = nan": "'noise_e' is nan; expected 0 or more",
    "threshold = 400": r"unknown key 'threshold' \(did you mean 'threshold_e'\?\)",
    'threshold_e = "400"': "'threshold_e' is '400'; expected a number",
    "dead_pixel_share = 1": "'dead_pixel_share' is 1.0; expected from 0, below 1",
    "threshold_e = 400\nsaturation_e = 300": r"'saturation_e' is 300.0; expected more than thres",
    "time_resolution_ps = 0": "'time_resolution_ps' is 0.0; expected above 0",
    'adc = "linaer"': r"'adc' is 'linaer' \(did you mean 'linear'\?\)",
    "adc_bits = 4": "'adc_bits' is 4; expected none, since adc is 'none'",
    'adc = "linear"\nadc_bits = 4': "'adc_full_scale_e' is missing; expected a value",
    'adc = "linear"\nadc_bits = 17\nadc_full_scale_e = 9.0': "'adc_bits' is 17; expected 1 to 16",
    'adc = "codes"\nthreshold_e = 400\nadc_codes_e = [400, 300]': "expected rising edges above 0",
    'adc = "codes"\nadc_codes_e = [400]': "expected at least the edge of code 1",
    "window_jitter_px = 1": "expected none, since window is not 'jitter'",
    'window = "jitter"': "'window_jitter_px' is 0; expected 1 to 64 pixels",
    "seed = -1": "'seed' is -1; expected 0 to",
    "noise_e 3": "not valid TOML",
}


@pytest.mark.parametrize("text", BAD)
def test_bad_files_are_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "chip.toml"
    path.write_text(text + "\n")
    with pytest.raises(ConfigError, match=BAD[text]) as error:
        read_front_end(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_the_example_in_the_documentation_is_a_chip() -> None:
    chip = read_front_end(Path(__file__).parents[1] / "docs" / "front_end.toml")
    assert (chip.noise_e, chip.threshold_e, chip.threshold_dispersion_e) == (60, 400, 90)
    assert chip.adc_codes_e == CODES


def test_real_clusters_keep_their_known_pixels_above_threshold(muc_real: Path) -> None:
    clusters = parquet.read(muc_real / "simA_train.parquet")
    result = read_out(FrontEnd(threshold_e=400), clusters)
    assert (result.lost_signal, result.lost_bib) == (0, 0)
    pixels = (result.clusters.pixels_e > 0).sum(axis=(1, 2))
    signal = result.clusters.signal > 0
    assert pixels[signal].mean() == pytest.approx(2.7, abs=0.06)
    assert pixels[~signal].mean() == pytest.approx(3.4, abs=0.06)
    higher = read_out(FrontEnd(threshold_e=800), clusters)
    pixels = (higher.clusters.pixels_e > 0).sum(axis=(1, 2))
    signal = higher.clusters.signal > 0
    assert pixels[signal].mean() == pytest.approx(2.3, abs=0.06)
    assert pixels[~signal].mean() == pytest.approx(2.8, abs=0.06)
    assert (higher.lost_signal + higher.lost_bib) / len(clusters) < 1e-4


def test_no_more_threads_than_cores_that_may_be_used(
    clusters: Clusters, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int | None] = []

    def threads(max_workers: int | None = None) -> ThreadPoolExecutor:
        seen.append(max_workers)
        return ThreadPoolExecutor(max_workers)

    monkeypatch.setattr(readout, "ThreadPoolExecutor", threads)
    read_out(FrontEnd(noise_e=60), clusters)
    assert seen == [default_workers()]
