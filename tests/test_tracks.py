"""Tracks of the simulation: closed forms, sign conventions, row independence, agreement."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from scipy import integrate, stats

from pixelsieve.core.errors import ConfigError, DataError
from pixelsieve.data.detector import LIGHT_MM_PER_NS, MUON_COLLIDER_VXD, MUON_MASS_GEV, Barrel
from pixelsieve.simulation.bib import BIB_UNIFORMS, SAMPLE_BIB, bib, copula_factor
from pixelsieve.simulation.burr import Burr, burr_cumulative, cut_burr_quantile
from pixelsieve.simulation.muons import MUON_UNIFORMS, MuonGun, Secondaries, muons
from pixelsieve.simulation.tracks import (
    Tracks,
    arc_length_mm,
    half_turn_angle,
    radius_of_curvature_mm,
)

BARREL = MUON_COLLIDER_VXD.barrel
HALF = np.array(0.5)
PRIMARY = MuonGun(secondary_share=0.0)
N = 40_000


def uniforms(width: int, n: int = N, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).random((n, width))


def columns(tracks: Tracks) -> dict[str, NDArray[Any]]:
    return {f.name: getattr(tracks, f.name) for f in fields(tracks)}


@pytest.fixture(scope="module")
def primaries() -> Tracks:
    return muons(PRIMARY, BARREL, uniforms(MUON_UNIFORMS))


@pytest.fixture(scope="module")
def background() -> Tracks:
    return bib(SAMPLE_BIB, BARREL, uniforms(BIB_UNIFORMS))


def fly_to_the_ladder(tracks: Tracks, row: int) -> NDArray[np.float64]:
    """Where a muon with the row's momentum meets the plane, by integrating dp/dt = q v x B."""
    charge = -np.sign(tracks.pdg[row])
    pt, p = tracks.pt_gev[row], tracks.p_gev[row]
    p_z = -np.sign(tracks.cot_alpha[row]) * np.sqrt(p * p - pt * pt)
    turn_per_mm = charge * LIGHT_MM_PER_NS * 1e-6 * BARREL.field_T / p  # of path

    def slope(_: float, state: NDArray[np.float64]) -> list[float]:
        across, along = state[3], state[4]
        # along the ladder y grows against the sense in which a positive muon turns
        return [across, along, p_z / p, -turn_per_mm * -along, -turn_per_mm * across]

    def plane(_: float, state: NDArray[np.float64]) -> float:
        return float(state[0] - BARREL.ladder_distance_mm)

    plane.terminal = True  # type: ignore[attr-defined]

    def fly(angle: float) -> NDArray[np.float64]:
        start = [0, 0, 0, pt / p * np.cos(angle), pt / p * np.sin(angle)]
        path = integrate.solve_ivp(slope, (0, 500), start, events=plane, rtol=1e-10, atol=1e-10)
        return np.array([*path.y_events[0][0], path.t_events[0][0]])

    y_mm = tracks.y_local_mm[row]
    low, high = -1.2, 1.2
    for _ in range(60):  # bisect the start angle that ends at the row's y
        middle = (low + high) / 2
        low, high = (middle, high) if fly(middle)[1] < y_mm else (low, middle)
    return fly(low)


@pytest.mark.parametrize("row", range(4))
def test_helix_agrees_with_the_equation_of_motion(row: int) -> None:
    gun = replace(PRIMARY, p_max_gev=2.0)
    tracks = muons(gun, BARREL, uniforms(MUON_UNIFORMS, 4, seed=7))
    _, y_mm, z_mm, across, along, path_mm = fly_to_the_ladder(tracks, row)
    # y along the image and y in space point against each other: a track that moves to larger y
    # while it goes out has a negative slope, because s counts from the face of entry
    assert y_mm == pytest.approx(tracks.y_local_mm[row], abs=1e-6)
    assert z_mm == pytest.approx(tracks.z_global_mm[row], abs=1e-5)
    assert -along / across == pytest.approx(tracks.cot_beta[row], abs=1e-6)
    beta = 1 / np.hypot(1, MUON_MASS_GEV / tracks.p_gev[row])
    expected = path_mm / beta - np.hypot(BARREL.radius_mm, z_mm)
    late_ps = 1e3 * (tracks.hit_time_ns[row] - expected / LIGHT_MM_PER_NS)
    assert 0.08 < late_ps < 0.3  # the half thickness


def test_without_field_muons_are_straight_lines_from_the_origin() -> None:
    straight = muons(PRIMARY, replace(BARREL, field_T=0.0), uniforms(MUON_UNIFORMS))
    d = BARREL.ladder_distance_mm
    np.testing.assert_allclose(straight.cot_beta, -straight.y_local_mm / d, atol=1e-12)
    np.testing.assert_allclose(straight.cot_alpha, -straight.z_global_mm / d, atol=1e-12)


def test_time_of_a_fast_straight_muon_is_the_difference_of_paths() -> None:
    gun = replace(PRIMARY, p_min_gev=1e4, p_max_gev=1e4)
    tracks = muons(gun, replace(BARREL, field_T=0.0), uniforms(MUON_UNIFORMS))
    place = np.sqrt(BARREL.ladder_distance_mm**2 + tracks.y_local_mm**2 + tracks.z_global_mm**2)
    expected = (place - np.hypot(BARREL.radius_mm, tracks.z_global_mm)) / LIGHT_MM_PER_NS
    late_ps = 1e3 * (tracks.hit_time_ns - expected)
    assert late_ps.min() > 0.083
    assert late_ps.max() < 0.2


def test_momenta_slopes_and_position_of_muons_belong_together(primaries: Tracks) -> None:
    cot_theta = np.sqrt((primaries.p_gev / primaries.pt_gev) ** 2 - 1)
    expected = cot_theta * np.hypot(1, primaries.cot_beta)
    np.testing.assert_allclose(np.abs(primaries.cot_alpha), expected, rtol=1e-6, atol=1e-6)
    straight = BARREL.ladder_distance_mm * np.abs(primaries.cot_alpha)
    assert np.quantile(np.abs(np.abs(primaries.z_global_mm) - straight), 0.99) < 0.06


def test_columns_run_against_z_and_muons_curl_by_their_charge(primaries: Tracks) -> None:
    np.testing.assert_array_equal(np.sign(primaries.cot_alpha), -np.sign(primaries.z_global_mm))
    straight = -primaries.y_local_mm / BARREL.ladder_distance_mm
    np.testing.assert_array_equal(np.sign(primaries.cot_beta - straight), -np.sign(primaries.pdg))


def test_muons_fill_their_ranges_evenly(primaries: Tracks) -> None:
    assert np.abs(primaries.z_global_mm).max() <= BARREL.half_length_mm + 1e-9
    assert np.abs(primaries.z_global_mm).max() > BARREL.half_length_mm - 0.1
    assert stats.kstest(primaries.p_gev, "uniform", args=(1, 99)).pvalue > 1e-3
    azimuth = np.arctan(primaries.y_local_mm / BARREL.ladder_distance_mm)
    low, high = np.arctan(np.array([BARREL.y_low_mm, BARREL.y_high_mm]) / 30.165)
    assert stats.kstest(azimuth, "uniform", args=(low, high - low)).pvalue > 1e-3
    theta = np.arctan2(1, np.abs(primaries.z_global_mm) / np.hypot(30.165, primaries.y_local_mm))
    assert np.all(primaries.signal == 1)
    counts = np.histogram(theta, np.linspace(0.48, np.pi / 2, 11))[0]
    assert counts.min() > 0.9 * counts.max()


def test_a_wide_vertex_smears_z_and_stays_on_the_ladder(primaries: Tracks) -> None:
    wide = muons(replace(PRIMARY, vertex_z_mm=1.5), BARREL, uniforms(MUON_UNIFORMS))
    straight = -BARREL.ladder_distance_mm * wide.cot_alpha
    assert np.std(wide.z_global_mm - straight) == pytest.approx(1.5, rel=0.02)
    assert np.abs(wide.z_global_mm).max() <= BARREL.half_length_mm + 1e-9


def test_secondaries_keep_the_place_and_lose_slope_and_time(primaries: Tracks) -> None:
    tracks = muons(MuonGun(), BARREL, uniforms(MUON_UNIFORMS))
    np.testing.assert_array_equal(tracks.z_global_mm, primaries.z_global_mm)
    changed = tracks.cot_beta != primaries.cot_beta
    assert changed.mean() == pytest.approx(0.018, abs=0.003)
    assert np.all(tracks.hit_time_ns[changed] >= primaries.hit_time_ns[changed])
    late = tracks.hit_time_ns[changed] > primaries.hit_time_ns[changed]
    assert late.mean() == pytest.approx(1 - MuonGun().secondaries.prompt_share, abs=0.06)
    assert np.abs(tracks.cot_alpha).max() <= 10
    np.testing.assert_array_equal(tracks.hit_time_ns[~changed], primaries.hit_time_ns[~changed])


@pytest.mark.parametrize("source", ["muons", "bib"])
def test_a_row_depends_on_its_own_uniforms_alone(source: str) -> None:
    u = uniforms(BIB_UNIFORMS if source == "bib" else MUON_UNIFORMS, 1000)

    def make(rows: slice) -> Tracks:
        if source == "bib":
            return bib(SAMPLE_BIB, BARREL, u[rows])
        return muons(MuonGun(secondary_share=0.2, vertex_z_mm=1.0), BARREL, u[rows])

    whole = columns(make(slice(None)))
    pieces = [columns(make(slice(i, i + 7))) for i in range(0, 1000, 7)]
    for name, column in whole.items():
        np.testing.assert_array_equal(column, np.concatenate([p[name] for p in pieces]))
    assert len(make(slice(0))) == 0


def test_extreme_uniforms_give_finite_tracks() -> None:
    for end in (2.0**-53, 1 - 2.0**-53):
        edge = [
            bib(SAMPLE_BIB, BARREL, np.full((1, BIB_UNIFORMS), end)),
            muons(replace(PRIMARY, secondary_share=1.0), BARREL, np.full((1, MUON_UNIFORMS), end)),
        ]
        for tracks in edge:
            assert all(np.all(np.isfinite(c)) for c in columns(tracks).values())


def test_background_stays_on_the_ladder_and_in_range(background: Tracks) -> None:
    assert np.abs(background.z_global_mm).max() <= BARREL.half_length_mm
    assert background.y_local_mm.min() >= BARREL.y_low_mm
    assert background.y_local_mm.max() <= BARREL.y_high_mm
    assert np.abs(background.cot_alpha).max() <= SAMPLE_BIB.steepest_slope
    assert np.abs(background.cot_beta).max() <= 1.05 * SAMPLE_BIB.steepest_slope
    assert np.all(background.p_gev >= background.pt_gev)
    earliest = -np.abs(background.z_global_mm) / LIGHT_MM_PER_NS + SAMPLE_BIB.earliest_ns
    raw_ns = background.hit_time_ns + np.hypot(30, background.z_global_mm) / LIGHT_MM_PER_NS
    assert np.all(raw_ns >= earliest)
    assert np.all(background.signal == 0)
    assert set(np.unique(background.pdg)) == {-11, 11}


def test_background_shares_are_the_models(background: Tracks) -> None:
    assert np.mean(background.pdg == -11) == pytest.approx(SAMPLE_BIB.positron_share, abs=0.01)
    same = background.cot_alpha * background.cot_beta > 0
    assert same.mean() == pytest.approx(SAMPLE_BIB.same_sign_share, abs=0.01)
    assert np.mean(background.z_global_mm > 0) == pytest.approx(0.5, abs=0.01)
    far = background.y_local_mm > 4
    core = np.abs(background.cot_beta) < 0.6
    assert 0.55 < np.mean(background.cot_beta[far & core] < 0) < 0.62


@pytest.mark.parametrize("origin", SAMPLE_BIB.origins, ids=lambda o: o.name)
def test_an_origin_has_its_medians_and_rank_correlations(origin: Any) -> None:
    plain = replace(origin, delay_trend=(0.0, 0.0), cot_theta_trend=0.0, drift=0.0)
    model = replace(SAMPLE_BIB, origins=(plain,), bend=0.0, steepest_slope=1e6, latest_ns=1e6)
    tracks = bib(model, BARREL, uniforms(BIB_UNIFORMS))
    raw_ns = tracks.hit_time_ns + np.hypot(30, tracks.z_global_mm) / LIGHT_MM_PER_NS
    tan_psi = np.abs(tracks.cot_beta)
    cot_theta = np.abs(tracks.cot_alpha) / np.hypot(1, tan_psi)
    values = [raw_ns - model.earliest_ns, cot_theta, tan_psi, tracks.pt_gev]
    laws = (origin.delay_ns, origin.cot_theta, origin.tan_psi)
    for value, law in zip(values, laws, strict=False):
        assert np.median(value) == pytest.approx(law.quantile(HALF), rel=0.04)
    assert np.median(1 / tracks.pt_gev) == pytest.approx(origin.inverse_pt.quantile(HALF), rel=0.04)
    ranks = stats.spearmanr(np.stack(values, axis=1)).statistic[np.tril_indices(4, -1)]
    np.testing.assert_allclose(ranks, origin.rank_correlations, atol=0.02)


def test_burr_quantile_inverts_its_cumulative_distribution() -> None:
    law = Burr(2.0, 1.3, 2.5)
    x = law.quantile(np.linspace(0.01, 0.99, 99))
    np.testing.assert_allclose(burr_cumulative(x, 2.0, 1.3, 2.5), np.linspace(0.01, 0.99, 99))
    assert law.quantile(np.array(0.5)) == pytest.approx(2.0 * (2**0.4 - 1) ** (1 / 1.3))
    assert cut_burr_quantile(np.array(1 - 1e-12), 4.0, 2.0, 1.3, 2.5) == pytest.approx(4)

    def density(v: float) -> float:
        ratio = v / 2.0
        return float(1.3 * 2.5 / 2.0 * ratio**0.3 * (1 + ratio**1.3) ** -3.5)

    total = integrate.quad(density, 0, 4)[0]
    assert total == pytest.approx(float(burr_cumulative(np.array(4.0), 2.0, 1.3, 2.5)))


def test_circle_formulas() -> None:
    radius = radius_of_curvature_mm(np.array([0.3]), 1.0)
    assert radius[0] == pytest.approx(1000.69, abs=0.01)
    turn = half_turn_angle(2 * radius, radius)
    assert turn[0] == pytest.approx(np.pi / 2)
    assert arc_length_mm(2 * radius, turn)[0] == pytest.approx(np.pi * radius[0])
    assert arc_length_mm(np.array([30.0]), np.array([0.0]))[0] == 30


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"p_min_gev": 0.0}, "p_min_gev"),
        ({"p_min_gev": 200.0}, "p_min_gev"),
        ({"p_max_gev": float("nan")}, "p_max_gev"),
        ({"theta_max_deg": 180.0}, "theta_max_deg"),
        ({"theta_min_deg": 171.0}, "theta_min_deg"),
        ({"vertex_z_mm": -1.0}, "vertex_z_mm"),
        ({"secondary_share": 1.5}, "secondary_share"),
    ],
)
def test_an_impossible_gun_is_refused(changes: dict[str, float], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        MuonGun(**changes)  # type: ignore[arg-type]


def test_guns_that_miss_the_ladder_are_refused() -> None:
    with pytest.raises(ConfigError, match="misses the ladder"):
        muons(MuonGun(theta_max_deg=12.0), BARREL, uniforms(MUON_UNIFORMS, 10))
    with pytest.raises(ConfigError, match="do not reach"):
        muons(MuonGun(p_min_gev=0.01), BARREL, uniforms(MUON_UNIFORMS, 10))
    muons(MuonGun(p_min_gev=0.01), Barrel(field_T=0.0), uniforms(MUON_UNIFORMS, 10))


def test_impossible_backgrounds_are_refused() -> None:
    origin = SAMPLE_BIB.origins[0]
    with pytest.raises(ConfigError, match="prompt_share"):
        Secondaries(prompt_share=2.0)
    with pytest.raises(ConfigError, match="scale"):
        Burr(-1.0, 1.0, 1.0)
    with pytest.raises(ConfigError, match="log_share"):
        replace(origin, log_share=(1.0,))
    with pytest.raises(ConfigError, match="contradict"):
        replace(origin, rank_correlations=(0.95, 0.95, -0.95, 0.0, 0.0, 0.0))
    with pytest.raises(ConfigError, match="drift"):
        replace(origin, drift=2.0)
    changes: list[dict[str, Any]] = [{"origins": ()}, {"positron_share": 2.0}, {"z_power": 0.0}]
    for change in changes:
        with pytest.raises(ConfigError, match=next(iter(change))):
            replace(SAMPLE_BIB, **change)
    with pytest.raises(ConfigError, match="y_tilt"):
        replace(SAMPLE_BIB, y_tilt=3.0)
    assert copula_factor((0.0,) * 6) == pytest.approx(np.eye(4))


def test_tracks_of_unequal_length_are_refused(primaries: Tracks) -> None:
    with pytest.raises(DataError, match="pt_gev"):
        replace(primaries, pt_gev=primaries.pt_gev[1:])


def test_medians_agree_with_the_sample(muc_real: Path, background: Tracks) -> None:
    names = {"cot_alpha": "truth_cot_alpha", "cot_beta": "truth_cot_beta", "pt_gev": "truth_pt_gev"}
    names |= {"z_global_mm": "z_global_mm", "hit_time_ns": "hit_time_ns"}
    table = pq.read_table(muc_real / "simB_train.parquet", columns=["signal", *names.values()])
    real = {n: table.column(c).to_numpy().astype(np.float64) for n, c in names.items()}
    signal = table.column("signal").to_numpy() == 1
    ours = {0: background, 1: muons(MuonGun(), BARREL, uniforms(MUON_UNIFORMS))}
    for label, tracks in ours.items():
        for name, column in real.items():
            rows = (signal == label) & np.isfinite(column)
            tolerance = 0.15 if name == "pt_gev" else 0.08  # the sample's pT comes in steps
            values = [np.abs(v) for v in (column[rows], getattr(tracks, name))]
            for share in (0.25, 0.5, 0.75):
                theirs, mine = (np.quantile(v, share) for v in values)
                assert mine == pytest.approx(theirs, rel=tolerance), (label, name, share)
