"""Data rate and slices against counts by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from pixelsieve.core.errors import ConfigError
from pixelsieve.data.detector import MUON_COLLIDER_VXD, SMART_PIXEL_LHC
from pixelsieve.evaluation.data_rate import OCCUPANCIES, Occupancy, data_rates, slices
from pixelsieve.features import FeatureSet
from pixelsieve.formats import parquet
from pixelsieve.metrics.metrics import rejection_at
from pixelsieve.networks.model_file import Model, save_model
from pixelsieve.networks.spec import initial_weights, network
from pixelsieve.studies.evaluate import occupancy_of
from tests.conftest import make_clusters
from tests.test_cli import pixelsieve, refused

OCCUPANCY = Occupancy(100.0, 1000.0, 10.0)


def test_rates_are_counts_of_what_is_kept() -> None:
    clusters = make_clusters(1000)
    scores = np.random.default_rng(0).normal(size=1000) + clusters.signal
    rates = data_rates(scores, clusters, OCCUPANCY)
    bib = clusters.signal == 0
    pixels = (clusters.pixels_e > 0).sum(axis=(1, 2))
    assert [r.efficiency for r in rates] == [1.0, 0.99, 0.98, 0.95, 0.90]
    before = rates[0]
    assert (before.bib_clusters, before.bib_pixels, before.signal_efficiency) == (1, 1, 1)
    assert before.clusters_per_cm2 == 100
    assert before.pixels_per_cm2 == pytest.approx(100 * pixels[bib].mean())
    # 2 pi 3 cm 13 cm, 1000 crossings a second, 10 bits a pixel
    area = 2 * np.pi * 3 * 13
    assert before.gbit_per_s == pytest.approx(100 * pixels[bib].mean() * area * 1e4 / 1e9)
    for rate in rates[1:]:
        rejection, achieved, threshold = rejection_at(scores, clusters.signal, rate.efficiency)
        kept = scores >= threshold
        assert rate.signal_efficiency == achieved >= rate.efficiency
        assert rate.bib_clusters == pytest.approx(1 - rejection)
        assert rate.bib_pixels == pytest.approx(pixels[bib & kept].sum() / pixels[bib].sum())
        assert rate.clusters_per_cm2 == pytest.approx(100 * rate.bib_clusters)
        assert rate.gbit_per_s == pytest.approx((before.gbit_per_s or 0) * (rate.bib_pixels or 0))


def test_what_the_front_end_drops_is_not_read_out() -> None:
    clusters = make_clusters(300)
    scores = clusters.signal + np.arange(300) / 1000
    whole = data_rates(scores, clusters, OCCUPANCY)
    half = data_rates(scores, clusters, OCCUPANCY, read_out=0.5)
    for one, other in zip(whole, half, strict=True):
        assert other.gbit_per_s == pytest.approx((one.gbit_per_s or 0) / 2)
        assert other.bib_pixels == one.bib_pixels
    assert data_rates(scores, clusters, None)[1].gbit_per_s is None


def test_bib_without_charge_has_no_share_of_pixels(tmp_path: Path) -> None:
    clusters = make_clusters(300)
    clusters = clusters.replace(pixels_e=clusters.pixels_e * clusters.signal[:, None, None])
    rates = data_rates(clusters.signal + np.arange(300) / 1000, clusters, OCCUPANCY)
    assert {(r.bib_pixels, r.pixels_per_cm2, r.gbit_per_s) for r in rates} == {(None, 0.0, 0.0)}
    assert rates[0].clusters_per_cm2 == 100

    model, spec, data = tmp_path / "m.keras", network("model1"), tmp_path / "dark.parquet"
    features = FeatureSet(spec.features)
    save_model(model, Model(spec, None, initial_weights(spec, 0), features))
    parquet.write(clusters, data)
    arguments = ["evaluate", model, "--data", data, "--split", "all"]
    shown = pixelsieve(*arguments)
    assert shown.exit_code == 0, shown.output
    (line,) = (row for row in shown.output.splitlines() if "no filter" in row)
    assert [cell.strip() for cell in line.split("│")][2:4] == ["1.0000", "-"]
    plain = json.loads(pixelsieve(*arguments, "--json").output)
    assert [rate["bib_pixels"] for rate in plain["data_rate"]] == [None] * 5


def test_slices_cover_every_cluster_once() -> None:
    pt = np.random.default_rng(1).exponential(3.0, 1000)
    pt[:10] = np.nan
    time = np.random.default_rng(2).normal(0, 2, 1000).astype(np.float32)
    clusters = make_clusters(1000, truth={"truth_pt_gev": pt, "hit_time_ns": time})
    kept = np.random.default_rng(3).random(1000) < 0.7
    found = slices(kept, clusters)
    by_variable: dict[str, int] = {}
    for one in found:
        by_variable[one.variable] = by_variable.get(one.variable, 0) + one.n_signal + one.n_bib
    assert by_variable == {
        "truth_pt": 990,
        "z_global": 1000,
        "y_local": 1000,
        "cluster_size": 1000,
        "hit_time": 1000,
    }
    low = next(s for s in found if (s.variable, s.low, s.high) == ("truth_pt", 1, 2))
    inside = (pt >= 1) & (pt < 2) & (clusters.signal == 1)
    assert low.n_signal == inside.sum()
    assert low.signal_kept is not None
    share, below, above = low.signal_kept
    assert share == pytest.approx(kept[inside].mean())
    assert 0 <= below < share < above <= 1
    interval = binomtest(int(kept[inside].sum()), low.n_signal).proportion_ci(0.6827, "wilson")
    assert (below, above) == pytest.approx((interval.low, interval.high), abs=1e-5)


def test_slices_by_place_have_round_edges() -> None:
    found = slices(np.ones(500, np.bool_), make_clusters(500))
    edges = {v: {s.low for s in found if s.variable == v} for v in ("z_global", "y_local")}
    assert edges["z_global"] <= {None, -40.0, -20.0, 0.0, 20.0, 40.0}
    assert edges["y_local"] <= {None, -2.0, 0.0, 2.0, 4.0, 6.0}


def test_slices_of_several_networks_are_means_of_their_shares() -> None:
    clusters = make_clusters(300)
    one, other = (np.random.default_rng(s).random(300) < 0.7 for s in (0, 1))
    both = zip(slices(one, clusters), slices(other, clusters), strict=True)
    for mean, (a, b) in zip(slices((one + 1.0 * other) / 2, clusters), both, strict=True):
        for name in ("signal_kept", "bib_kept"):
            shares = [getattr(s, name) for s in (mean, a, b)]
            if shares[0] is not None:
                assert shares[0][0] == pytest.approx((shares[1][0] + shares[2][0]) / 2)


def test_without_truth_the_measured_time_is_sliced() -> None:
    clusters = make_clusters(200, truth={})
    names = {s.variable for s in slices(np.ones(200, np.bool_), clusters)}
    assert names == {"z_global", "y_local", "cluster_size", "hit_time_30ps"}


def test_presets_and_what_replaces_them() -> None:
    preset = OCCUPANCIES["muon-collider-vxd"]
    assert occupancy_of(MUON_COLLIDER_VXD, None, None) == preset
    changed = occupancy_of(MUON_COLLIDER_VXD, 5.0, None)
    assert changed == Occupancy(5.0, preset.crossings_per_s, preset.bits_per_pixel)
    assert occupancy_of(SMART_PIXEL_LHC, None, None) is None
    with pytest.raises(ConfigError, match="has no preset"):
        occupancy_of(SMART_PIXEL_LHC, 5.0, None)
    with pytest.raises(ConfigError, match="'bits_per_pixel' is 0; expected 1 to 10000"):
        occupancy_of(MUON_COLLIDER_VXD, None, 0.0)


def test_evaluate_shows_rates_and_slices(tmp_path: Path, dataset_file: Path) -> None:
    model, spec = tmp_path / "untrained.keras", network("model2")
    features = FeatureSet(spec.features)
    save_model(model, Model(spec, None, initial_weights(spec, 0), features))
    arguments = ["evaluate", model, "--data", dataset_file, "--hit-density", 50]
    result = pixelsieve(*arguments)
    assert result.exit_code == 0, result.output
    assert "Data rate of the layer, assumed: 50 BIB clusters per cm² and crossing" in result.output
    assert "hit_time (ns)" in result.output
    assert "-0.09 to 0.15 " in result.output
    plain = json.loads(pixelsieve(*arguments, "--json").output)
    assert plain["occupancy"]["clusters_per_cm2"] == 50
    at_98 = next(r for r in plain["data_rate"] if r["efficiency"] == 0.98)
    assert at_98["bib_clusters"] == pytest.approx(1 - plain["figures"]["rejection_98"])
    assert sum(s["n_bib"] for s in plain["slices"] if s["variable"] == "z_global") == sum(
        s["n_bib"] for s in plain["slices"] if s["variable"] == "y_local"
    )
    line = refused(pixelsieve(*arguments, "--bits-per-pixel", "0"))
    assert line == "pixelsieve: 'bits_per_pixel' is 0; expected 1 to 10000"


def test_evaluate_takes_a_run_and_one_of_its_models(tmp_path: Path, dataset_file: Path) -> None:
    spec = network("model1")
    (tmp_path / "run" / "models").mkdir(parents=True)
    for name in ("one", "two"):
        model = Model(spec, None, initial_weights(spec, 0), FeatureSet(spec.features))
        save_model(tmp_path / "run" / "models" / f"{name}.keras", model)
    data = ["--data", dataset_file]
    line = refused(pixelsieve("evaluate", tmp_path / "run", *data))
    assert line.endswith("is a run; choose one of its models, e.g. --model one: one, two")
    line = refused(pixelsieve("evaluate", tmp_path / "run", *data, "--model", "tow"))
    assert "--model tow (did you mean 'two'?): not in" in line
    assert "no models in it" in refused(pixelsieve("evaluate", tmp_path, *data))
    file = tmp_path / "run" / "models" / "two.keras"
    line = refused(pixelsieve("evaluate", file, *data, "--model", "two"))
    assert "--model two: chooses from a run" in line
    by_name = pixelsieve("evaluate", tmp_path / "run", *data, "--model", "two", "--json")
    assert by_name.output == pixelsieve("evaluate", file, *data, "--json").output
