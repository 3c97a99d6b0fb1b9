"""Drift, diffusion, induction: against closed forms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special

from pixelsieve.core.errors import ConfigError
from pixelsieve.data.detector import MUON_COLLIDER_VXD, SMART_PIXEL_LHC, Detector
from pixelsieve.simulation import transport
from pixelsieve.simulation.charge import Exposure, Geometry, collect, deposit
from pixelsieve.simulation.sensor_response import geometry_of
from pixelsieve.simulation.streams import start_states
from pixelsieve.simulation.transport import Transport, weighting_potential

NO_POTENTIAL = np.zeros((1, 1, 2), np.float32)
NO_SLICES = np.zeros((0, 9, 9), np.float32)
SENSOR = replace(MUON_COLLIDER_VXD.sensor, lorentz_tangent=None, diffusion_um=None)
BY_FORMULA = replace(MUON_COLLIDER_VXD, sensor=SENSOR)


@pytest.fixture
def geometry() -> Geometry:
    return geometry_of(MUON_COLLIDER_VXD, Transport())


def state(seed: int = 0) -> NDArray[np.uint64]:
    return start_states(seed, 0, 0, 1)


@pytest.mark.parametrize(
    ("bias", "field", "tangent", "sigma", "drift_ns"),
    [(50, 3.57, 0.321, 1.48, 0.62), (50, 5.0, 0.450, 1.48, 0.62), (100, 3.57, 0.195, 1.04, 0.51)],
)
def test_published_working_points(
    bias: float, field: float, tangent: float, sigma: float, drift_ns: float
) -> None:
    detector = Detector(
        "d", replace(SENSOR, bias_V=bias), replace(MUON_COLLIDER_VXD.barrel, field_T=field)
    )
    assert transport.lorentz_tangent(detector) == pytest.approx(-tangent, abs=5e-4)
    assert transport.diffusion_um(detector.sensor) == pytest.approx(sigma, abs=5e-3)
    speed = transport.drift_velocity_um_ns(detector.sensor)
    assert 50 / speed == pytest.approx(drift_ns, abs=6e-3)


def test_holes_are_slower_and_turn_less() -> None:
    hole = transport.drift_velocity_um_ns(SENSOR, "hole")
    assert 50 / hole == pytest.approx(1.16, abs=6e-3)
    assert abs(transport.lorentz_tangent(BY_FORMULA, "hole")) < abs(
        transport.lorentz_tangent(BY_FORMULA)
    )


def test_without_a_shift_of_electrons_holes_have_none() -> None:
    still = replace(MUON_COLLIDER_VXD, sensor=replace(SENSOR, lorentz_tangent=0.0))
    assert transport.lorentz_tangent(still, "hole") == 0
    assert transport.lorentz_tangent(MUON_COLLIDER_VXD, "hole") < 0


@pytest.mark.parametrize(
    "bad",
    [
        {"slice_ps": 0.0},
        {"slice_ps": -5.0},
        {"diffusion_um": -1.0},
        {"diffusion_um": float("nan")},
        {"lorentz_tangent": float("inf")},
        {"temperature_K": 0.001},
        {"bias_V": 0.0},
        {"thickness_um": float("nan")},
        {"rows": 0},
    ],
)
def test_impossible_sensors_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(bad))):
        replace(SENSOR, **bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("field", [-3.57, float("nan"), float("inf")])
def test_impossible_fields_are_refused(field: float) -> None:
    with pytest.raises(ConfigError, match="field_T"):
        replace(MUON_COLLIDER_VXD.barrel, field_T=field)


def test_measured_values_take_the_place_of_formulas() -> None:
    assert transport.lorentz_tangent(MUON_COLLIDER_VXD) == -0.305
    assert transport.diffusion_um(MUON_COLLIDER_VXD.sensor) == 1.50
    assert transport.diffusion_um(SMART_PIXEL_LHC.sensor) == pytest.approx(2.13, abs=0.01)


@pytest.mark.parametrize("bad", [{"trapping_time_ns": 0.0}, {"n_slices": -1}, {"n_slices": 1000}])
def test_impossible_options_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(bad))):
        Transport(**bad)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("x", "y", "sigma"), [(100.5, 80.0, 1.5), (124.0, 99.0, 1.0), (112, 87, 3)]
)
def test_shared_charge_is_the_integral_of_the_normal_law(
    geometry: Geometry, x: float, y: float, sigma: float
) -> None:
    image = np.zeros((1, 9, 9), np.int32)
    count, packets = 100, 20_000
    to = Exposure(state(), image, NO_SLICES, NO_POTENTIAL, geometry)
    for _ in range(packets):
        deposit(to, 0, count, x, y, sigma)
    assert image.sum() == count * packets
    edges = np.arange(10) * 25.0
    in_x = np.diff(special.ndtr((edges - x) / sigma))
    in_y = np.diff(special.ndtr((edges - y) / sigma))
    expected = np.outer(in_y, in_x) * count * packets
    error = np.sqrt(expected + 1) * 5 + 1e-6 * count * packets
    assert (np.abs(image[0] - expected) < error).all()


def test_electrons_spread_with_the_root_of_the_drift(geometry: Geometry) -> None:
    for s in (0.0, 25.0, 45.0):
        length = 50.0 - s
        # One sigma from the upper edge of row 4, after the Lorentz shift.
        sigma = geometry.diffusion_root_um * np.sqrt(length)
        y = 125.0 - sigma - geometry.tangent_electron * length
        image = np.zeros((1, 9, 9), np.int32)
        to = Exposure(state(), image, NO_SLICES, NO_POTENTIAL, geometry)
        collect(to, 10**6, 112.5, y, s)
        assert image[0, 5].sum() / 1e6 == pytest.approx(special.ndtr(-1), abs=0.002)
        assert image.sum() == 10**6


def test_trapping_takes_electrons_with_the_time_they_drift(geometry: Geometry) -> None:
    trapping = geometry._replace(trapping_ns=0.5)
    image = np.zeros((1, 9, 9), np.int32)
    to = Exposure(state(), image, NO_SLICES, NO_POTENTIAL, trapping)
    collect(to, 10**6, 112.5, 112.5, 10.0)
    time = 40.0 / geometry.velocity_electron_um_ns
    assert image.sum() / 1e6 == pytest.approx(np.exp(-time / 0.5), abs=0.002)


def test_weighting_potential_at_the_faces_and_summed_over_pixels() -> None:
    table = weighting_potential(25.0, 25.0, 50.0, 1.0)
    assert table.shape == (51, 51, 51)
    np.testing.assert_allclose(table[:, :, 0], 0, atol=1e-6)
    face = table[:, :, -1]
    inside = np.add.outer(np.arange(51), np.zeros(51)) < 10
    assert (np.abs(face - 1)[inside & inside.T] < 0.05).all()  # a series cut off rings at edges
    assert (np.abs(face)[20:, :] < 0.05).all()
    # Pixels together are the whole plane, whose potential is s / thickness; beyond the second
    # neighbour the share left is below a hundredth in the half next to the pixels.
    columns = np.abs(np.array([-50, -25, 0, 25, 50]))
    covered = table[np.ix_(columns, columns)].sum(axis=(0, 1))
    s = np.arange(51) / 50
    np.testing.assert_allclose(covered[40:], s[40:], atol=0.025)
    assert (covered < s + 1e-3).all()
    assert (np.diff(table[0, 0]) > 0).all()


def test_induced_charge_settles_to_the_collected_charge() -> None:
    detector = MUON_COLLIDER_VXD
    geometry = geometry_of(detector, Transport(n_slices=20))
    step = geometry.potential_step_um
    potential = weighting_potential(25.0, 25.0, 50.0, step)
    image, induced = np.zeros((21, 9, 9), np.int32), np.zeros((20, 9, 9), np.float32)
    to = Exposure(state(), image, induced, potential, geometry)
    collect(to, 1000, 112.5, 120.0, 25.0)
    signal = np.cumsum(image[:20], axis=0) + induced
    hole_ns = 25.0 / geometry.velocity_hole_um_ns
    settled = int(np.ceil(hole_ns / 0.2)) - 1
    np.testing.assert_array_equal(signal[settled:], np.repeat(image.sum(0)[None], 20 - settled, 0))
    assert image.sum() == 1000
    # Before the electrons arrive the signal of the plane is what both carriers have drifted.
    first = signal[0].sum() / 1000
    drifted = 0.2 * (geometry.velocity_electron_um_ns + geometry.velocity_hole_um_ns) / 50
    assert first == pytest.approx(drifted, rel=0.15)
    assert (signal[:settled] < -1).any()  # neighbours see the holes leave
