"""Whole clusters: conservation, geometry, seeds, chunks, presets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pixelsieve.core.config import from_mapping, to_plain
from pixelsieve.core.errors import ConfigError
from pixelsieve.data.clusters import Clusters
from pixelsieve.data.detector import MUON_COLLIDER_VXD, SMART_PIXEL_LHC, Detector
from pixelsieve.simulation.bib import SAMPLE_BIB
from pixelsieve.simulation.generate import (
    Sample,
    differences,
    generate,
    sample_from_mapping,
)
from pixelsieve.simulation.ionization import Ionization
from pixelsieve.simulation.sensor_response import Response, respond
from pixelsieve.simulation.streams import start_states
from pixelsieve.simulation.transport import Transport

SAMPLE = Sample(300, 500, seed=7)


def shoot(
    cot_alpha: float,
    cot_beta: float,
    *,
    n: int = 2000,
    detector: Detector = MUON_COLLIDER_VXD,
    ionization: Ionization | None = None,
) -> Response:
    """n muons of 10 GeV with the same slopes."""
    return respond(
        detector,
        ionization or Ionization(),
        Transport(),
        start_states(1, 0, 0, n),
        np.full(n, 13, np.int32),
        np.full(n, 10.0),
        np.full(n, cot_alpha),
        np.full(n, cot_beta),
    )


def sharp(**sensor: float) -> Detector:
    """No diffusion and no Lorentz shift, so that sizes are geometry."""
    values = {"diffusion_um": 1e-3, "lorentz_tangent": 0.0, **sensor}
    return replace(MUON_COLLIDER_VXD, sensor=replace(MUON_COLLIDER_VXD.sensor, **values))  # type: ignore[arg-type]


def size(pixels: NDArray[np.float32], axis: int) -> NDArray[np.int64]:
    return np.asarray((pixels > 0).any(axis=axis).sum(axis=1))


def test_charge_is_whole_electrons_and_conserved() -> None:
    clusters = generate(SAMPLE, 0, 800)
    pixels = clusters.pixels_e
    assert (pixels == np.round(pixels)).all()
    assert pixels.min() >= 0
    share = pixels.sum(axis=(1, 2)) / clusters.truth["total_charge_e"]
    assert share.max() == 1
    assert (share == 1).mean() > 0.97  # the rest leaves the window
    near = np.abs(clusters.truth["truth_cot_alpha"]) < 2
    near &= np.abs(clusters.truth["truth_cot_beta"]) < 1
    assert (share[near] == 1).mean() > 0.99


@pytest.mark.parametrize("cot_alpha", [0.0, 0.5, 1.7, -3.0, 6.0])
def test_cluster_length_against_cot_alpha(cot_alpha: float) -> None:
    """A segment of length L covers 1 + L/pitch columns on average, wherever it starts."""
    response = shoot(cot_alpha, 0.0, detector=sharp(), ionization=Ionization(delta_rays=False))
    columns = size(response.pixels_e, 1)
    expected = 1 + 50 * abs(cot_alpha) / 25
    # A path that only touches a pixel may free no pair in it.
    assert columns.mean() == pytest.approx(expected, abs=0.1)
    assert (size(response.pixels_e, 2) == 1).mean() > 0.998


def test_lorentz_shift_moves_the_charge_along_y() -> None:
    """Mean shift of a vertical track: tangent times half the thickness."""
    detector = sharp(lorentz_tangent=-0.305)
    response = shoot(0.0, 0.0, detector=detector, n=6000)
    rows = np.arange(13) - 6
    charge = response.pixels_e.sum(axis=(1, 2))
    in_window = (response.pixels_e.sum(axis=2) * rows).sum(axis=1) / charge
    # The track crosses its home pixel anywhere: on average in the middle.
    shift = (in_window + response.shifts[:, 0]).mean() * 25
    assert shift == pytest.approx(-0.305 * 25, abs=0.6)


def test_clusters_are_narrowest_along_the_lorentz_angle() -> None:
    slopes = np.arange(-0.6, 0.11, 0.1)
    rows = [size(shoot(0.3, cot_beta).pixels_e, 2).mean() for cot_beta in slopes]
    assert slopes[np.argmin(rows)] == pytest.approx(-0.3, abs=0.051)


def test_charge_grows_with_the_path() -> None:
    straight = np.median(shoot(0.0, 0.0).total_charge_e)
    slanted = np.median(shoot(2.0, 0.0).total_charge_e)
    # The most probable charge grows a little faster than the path.
    assert 1.0 < slanted / straight / 5**0.5 < 1.15


def test_windows_are_centred_on_the_centroid() -> None:
    pixels = generate(SAMPLE, 0, 800).pixels_e.astype(np.float64)
    charge = pixels.sum(axis=(1, 2))
    row = (pixels.sum(axis=2) @ np.arange(13)) / charge
    column = (pixels.sum(axis=1) @ np.arange(21)) / charge
    whole = charge == generate(SAMPLE, 0, 800).truth["total_charge_e"]
    assert np.abs(row - 6)[whole].max() <= 0.5
    assert np.abs(column - 10)[whole].max() <= 0.5


def test_positions_are_on_the_pixel_grid_and_follow_the_track() -> None:
    clusters = generate(SAMPLE, 0, 800)
    for position in (clusters.z_global_mm, clusters.y_local_mm):
        steps = position.astype(np.float64) / 0.025
        np.testing.assert_allclose(steps, np.round(steps), atol=2e-3)
    muon = clusters.signal == 1
    slope = clusters.truth["truth_cot_alpha"][muon]
    distance = clusters.z_global_mm[muon] + 30.165 * slope
    assert np.quantile(np.abs(distance), 0.9) < 0.1


def test_long_drifts_are_in_the_last_columns_at_positive_z() -> None:
    """As in simA: the slope in depth has the sign opposite to z."""
    clusters = generate(Sample(4000, 0, seed=2), 0, 4000)
    ends = {}
    for name, rows in (("plus", clusters.z_global_mm > 20), ("minus", clusters.z_global_mm < -20)):
        profile = clusters.pixels_e[rows].sum(axis=1)
        hit = profile > 0
        n = np.arange(len(profile))
        first, last = hit.argmax(axis=1), 20 - hit[:, ::-1].argmax(axis=1)
        ends[name] = ((profile[n, first] < 50).mean(), (profile[n, last] < 50).mean())
    assert ends["plus"][1] > 1.5 * ends["plus"][0]
    assert ends["minus"][0] > 1.5 * ends["minus"][1]


def same(a: Clusters, b: Clusters) -> None:
    ours, theirs = a.columns(), b.columns()
    assert ours.keys() == theirs.keys()
    for name, column in ours.items():
        np.testing.assert_array_equal(column, theirs[name], err_msg=name)


@settings(max_examples=15, deadline=None)
@given(first=st.integers(0, 700), count=st.integers(1, 100))
def test_any_chunk_holds_the_same_clusters(first: int, count: int) -> None:
    whole = generate(SAMPLE, 0, 800)
    same(generate(SAMPLE, first, count), whole.select(slice(first, first + count)))


def test_another_seed_makes_other_clusters() -> None:
    a, b = generate(SAMPLE, 0, 50), generate(replace(SAMPLE, seed=8), 0, 50)
    assert (a.pixels_e != b.pixels_e).any(axis=(1, 2)).all()


@given(n_signal=st.integers(0, 10**6), n_bib=st.integers(0, 10**6), cuts=st.data())
def test_classes_are_interleaved_and_exact(n_signal: int, n_bib: int, cuts: st.DataObject) -> None:
    if n_signal + n_bib == 0:
        return
    sample = Sample(n_signal, n_bib)
    first = cuts.draw(st.integers(0, len(sample) - 1))
    last = min(len(sample), first + 1000)
    signal = sample.is_signal(np.arange(first, last)).sum()
    assert abs(signal - (last - first) * n_signal / len(sample)) < 1
    ends = sample.is_signal(np.array([0, len(sample) - 1]))
    assert n_bib != 0 or ends.all()
    assert ends[1] == (n_signal > 0)


def test_time_smearing_has_the_widths_that_it_says() -> None:
    clusters = generate(Sample(4000, 0), 0, 4000)
    for name, width in (("hit_time_30ps_ns", 0.03), ("hit_time_60ps_ns", 0.06)):
        measured: NDArray[np.float32] = getattr(clusters, name)
        error = measured - clusters.truth["hit_time_ns"]
        assert error.std() == pytest.approx(width, rel=0.05)
        assert error.mean() == pytest.approx(0, abs=4 * width / 4000**0.5)


def test_time_slices_end_at_the_collected_charge() -> None:
    sample = replace(Sample(0, 400), transport=Transport(n_slices=20))
    clusters = generate(sample, 0, 400)
    slices, pixels = clusters.slices_e, clusters.pixels_e
    assert slices is not None
    assert slices.shape == (400, 20, 13, 21)
    np.testing.assert_array_equal(slices[:, -1], pixels)
    share = slices.sum(axis=(2, 3)).mean(axis=0) / pixels.sum(axis=(1, 2)).mean()
    # The mean pulse of the real sample; a uniform field collects a little faster.
    np.testing.assert_allclose(share[:6], [0.416, 0.724, 0.908, 0.969, 0.994, 1.0], atol=0.04)
    # 2.6 to 3.3 % of all pixels are negative in slices 0 to 4 of the real sample.
    negative = (slices < -0.05).mean(axis=(0, 2, 3))
    assert ((negative[:5] > 0.015) & (negative[:5] < 0.045)).all()
    assert negative[6] == 0


def test_the_lhc_preset_makes_its_own_clusters() -> None:
    clusters = generate(replace(SAMPLE, detector=SMART_PIXEL_LHC), 0, 800)
    assert clusters.detector == SMART_PIXEL_LHC
    muon = clusters.signal == 1
    assert np.median(clusters.truth["total_charge_e"][muon]) > 7000  # 100 um
    assert size(clusters.pixels_e[muon], 2).mean() > 2.5  # 12.5 um pitch and a Lorentz shift


def test_physical_mode_shows_what_the_sample_does_not() -> None:
    physical = replace(Sample(0, 3000), ionization=Ionization("physical"))
    plain = generate(Sample(0, 3000), 0, 3000)
    other = generate(physical, 0, 3000)
    np.testing.assert_array_equal(plain.truth["truth_pdg"], other.truth["truth_pdg"])
    slope = np.hypot(plain.truth["truth_cot_alpha"], plain.truth["truth_cot_beta"])
    path = 50 * np.hypot(1, slope)
    soft = plain.truth["truth_pt_gev"] < 0.0015
    ratio = np.median(other.truth["total_charge_e"][soft] / path[soft])
    assert ratio > 1.05 * np.median(plain.truth["total_charge_e"][soft] / path[soft])


def test_a_part_of_the_background_can_be_changed() -> None:
    sample = sample_from_mapping({"bib": {"positron_share": 0.5}}, "c.toml", n_bib=10)
    assert sample.bib == replace(SAMPLE_BIB, positron_share=0.5)
    assert differences(sample) == {"bib.positron_share": 0.5}
    assert differences(SAMPLE) == {}


def test_classes_are_exact_in_the_largest_samples() -> None:
    sample = Sample(10**9 - 1, 10**9)
    last = np.arange(len(sample) - 1000, len(sample))
    assert abs(sample.is_signal(last).sum() - 500) <= 1


def test_samples_survive_json() -> None:
    sample = replace(SAMPLE, detector=SMART_PIXEL_LHC, transport=Transport(1.7, 20))
    assert from_mapping(Sample, to_plain(sample), "x") == sample


def test_detector_tables_overlay_a_preset() -> None:
    table = {"detector": {"preset": "muon-collider-vxd", "sensor": {"thickness_um": 100.0}}}
    sample = sample_from_mapping(table, "c.toml", n_signal=1)
    assert sample.detector.sensor.thickness_um == 100
    # Measured at 50 um: they do not hold here.
    assert sample.detector.sensor.lorentz_tangent is None
    assert sample.detector.sensor.diffusion_um is None
    assert sample.detector.barrel == MUON_COLLIDER_VXD.barrel
    pitch = {"detector": {"sensor": {"pitch_x_um": 50.0}}}
    kept = sample_from_mapping(pitch, "c.toml", n_signal=1).detector.sensor
    assert kept.lorentz_tangent == -0.305


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"detector": "muon-colider"}, "did you mean 'muon-collider-vxd'"),
        ({"detector": {"sensors": {}}}, "unknown key 'sensors'"),
        ({"detector": {"sensor": {"picth_x_um": 1.0}}}, "did you mean 'pitch_x_um'"),
        ({"detector": {"sensor": {"pitch_x_um": -1.0}}}, "expected 1 to 1000"),
        ({"transports": {}}, "unknown key 'transports'"),
        ({"ionization": {"mode": "exact"}}, "expected 'sample' or 'physical'"),
        ({"transport": {"n_slices": 1.5}}, "expected a whole number"),
        ({"n_signal": 0}, "0 clusters asked for"),
        ({"n_signal": -1}, "expected 0 to"),
        ({"n_signal": 10**23}, "expected 0 to"),
        ({"seed": 2**63}, "expected 0 to"),
        ({"detector": 5}, "expected a table"),
        ({"detector": {"preset": 5}}, "unknown detector '5'"),
        ({"detector": {"sensor": 5}}, "detector.sensor is 5; expected a table"),
        ({"detector": {"sensor": {"slice_ps": 0.0}}}, "'slice_ps' is 0"),
        ({"detector": {"barrel": {"field_T": -3.57}}}, "'field_T' is -3.57"),
        ({"detector": {"sensor": {"bias_V": 0.2}}}, "more than 0.35 of the pitch"),
        ({"transport": {"n_slices": 3}}, "expected at least 6 slices"),
        ({"gun": {"p_min_gev": 0.01, "p_max_gev": 0.02}}, "p_min_gev"),
    ],
)
def test_wrong_settings_are_named(table: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        sample_from_mapping({"n_signal": 1, **table}, "c.toml")
    assert "c.toml" in str(error.value)


def test_simulated_medians_are_those_of_the_real_sample(muc_real: Path) -> None:
    from pixelsieve.formats import parquet

    real = parquet.read(muc_real / "simA_train.parquet")
    ours = generate(Sample(6000, 6000, seed=3), 0, 12000)
    for label in (0, 1):
        a, b = real.select(real.signal == label), ours.select(ours.signal == label)
        real_sizes, our_sizes = _figures(a), _figures(b)
        np.testing.assert_allclose(our_sizes, real_sizes, rtol=0.04)


def _figures(clusters: Clusters) -> list[float]:
    """Mean pixels, median charge, mean sizes."""
    pixels = clusters.pixels_e
    return [
        float((pixels > 0).sum(axis=(1, 2)).mean()),
        float(np.median(pixels.sum(axis=(1, 2)))),
        float(size(pixels, 1).mean()),
        float(size(pixels, 2).mean()),
    ]
