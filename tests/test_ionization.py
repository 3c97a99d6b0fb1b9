"""Collisions, straggling, delta rays and soft electrons: against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from pixelsieve.core.errors import ConfigError
from pixelsieve.data.detector import ELECTRON_MASS_EV, MUON_MASS_EV
from pixelsieve.data.detector import MUON_COLLIDER_VXD as VXD
from pixelsieve.simulation.charge import Exposure
from pixelsieve.simulation.ionization import (
    HARD_EV,
    PAIR_EV,
    AliasTable,
    CollisionSpectrum,
    Ionization,
    collision_spectrum,
    ionization_tables,
    pairs_of_a_step,
)
from pixelsieve.simulation.sensor_response import geometry_of, tables_of
from pixelsieve.simulation.streams import binomial, normal, poisson, start_states, uniforms
from pixelsieve.simulation.transport import Transport
from pixelsieve.simulation.walk import (
    Particle,
    delta_range_um,
    walk_delta,
    walk_physical,
    walk_straight,
)

NO_POTENTIAL = np.zeros((1, 1, 2), np.float32)
NO_SLICES = np.zeros((0, 9, 9), np.float32)
XI_EV_UM = 17.82
PLASMA_EV = 31.05


def particle(kinetic_ev: float, mass_ev: float, charge: float = 1.0, us: float = 1.0) -> Particle:
    return Particle(112.5, 112.5, 0.0, np.sqrt(1 - us**2), 0.0, us, mass_ev, kinetic_ev, charge)


def straight_pairs(depth_um: float, beta_gamma: float, n: int) -> NDArray[np.float64]:
    geometry = geometry_of(VXD, Transport())._replace(thickness_um=depth_um)
    tables, image = tables_of(Ionization(delta_rays=False)), np.zeros((1, 9, 9), np.int32)
    muon = particle(1e10, MUON_MASS_EV)
    states = start_states(3, 0, 0, n)
    return np.array(
        [
            walk_straight(
                Exposure(states[i : i + 1], image, NO_SLICES, NO_POTENTIAL, geometry),
                tables,
                muon,
                beta_gamma,
            )
            for i in range(n)
        ],
        np.float64,
    )


def half_width(values: NDArray[np.float64]) -> tuple[float, float]:
    """Most probable value and full width at half maximum, from a smooth density."""
    low, high = np.quantile(values, [0.001, 0.97]).tolist()
    grid = np.linspace(low, high, 400)
    density = stats.gaussian_kde(values, 0.06)(grid)
    above = grid[density > density.max() / 2]
    return float(grid[density.argmax()]), float(above[-1] - above[0])


def mean_loss_ev(spectrum: CollisionSpectrum, high_ev: float) -> float:
    """Energy lost per um to collisions of up to `high_ev`."""
    energy = spectrum.energy_ev
    values = np.where(energy < high_ev, spectrum.density * energy, 0)
    return float(np.trapezoid(values * energy, np.log(energy)))


@pytest.mark.parametrize("beta_gamma", [10.0, 30.0, 300.0])
@pytest.mark.parametrize("cut", [1e5, 9e5])
def test_mean_loss_is_the_restricted_bethe_formula(beta_gamma: float, cut: float) -> None:
    """With Sternheimer's density effect (Atomic Data and Nuclear Data Tables 30, 261, 1984)."""
    spectrum = collision_spectrum(beta_gamma)
    beta2 = beta_gamma**2 / (1 + beta_gamma**2)
    x = np.log10(beta_gamma)
    plateau = 2 * np.log(10) * x - 4.4355
    delta = plateau + 0.14921 * max(2.8716 - x, 0) ** 3.2546
    logarithm = np.log(2 * ELECTRON_MASS_EV * beta_gamma**2 * cut / 173.0**2)
    largest = 2 * ELECTRON_MASS_EV * beta_gamma**2
    expected = XI_EV_UM / beta2 * (logarithm - beta2 * (1 + cut / largest) - delta)
    assert mean_loss_ev(spectrum, cut) == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("beta_gamma", [2.0, 10.0, 100.0])
def test_hard_collisions_are_rutherfords(beta_gamma: float) -> None:
    """xi (1/E - beta^2 ln(E)/Emax) between two energies, whatever the table's end."""
    beta2 = beta_gamma**2 / (1 + beta_gamma**2)
    largest = 2 * ELECTRON_MASS_EV * beta_gamma**2
    low, high = 1e5, 9e5
    rate = XI_EV_UM / beta2 * (1 / low - 1 / high - beta2 / largest * np.log(high / low))
    assert collision_spectrum(beta_gamma).rate(low, high) == pytest.approx(rate, rel=0.02)


@pytest.mark.parametrize("depth_um", [100.0, 300.0])
def test_most_probable_charge_is_landaus(depth_um: float) -> None:
    """High beta gamma: xi (ln(2 m c^2 xi / plasma energy^2) + 0.200) (PDG review)."""
    xi = XI_EV_UM * depth_um
    expected = xi * (np.log(2 * ELECTRON_MASS_EV * xi / PLASMA_EV**2) + 0.200) / PAIR_EV
    found, _ = half_width(straight_pairs(depth_um, 400.0, 3000))
    assert found == pytest.approx(expected, rel=0.04)


def test_thin_sensors_straggle_more_than_landau() -> None:
    """Bound electrons widen the 4.02 xi of Landau's law, the more so the thinner the sensor."""
    ratio: dict[float, float] = {}
    for depth in (10.0, 50.0, 300.0):
        _, width = half_width(straight_pairs(depth, 50.0, 3000))
        ratio[depth] = width * PAIR_EV / (4.018 * XI_EV_UM * depth)
    assert ratio[10.0] > ratio[50.0] > ratio[300.0]
    assert 1.7 < ratio[50.0] < 2.3
    assert 1.25 < ratio[300.0] < 1.55  # Bichsel (Rev. Mod. Phys. 60, 663, 1988) has 1.4


def test_mean_charge_is_proportional_to_depth() -> None:
    soft = collision_spectrum(10.0)
    for depth in (20.0, 80.0):
        pairs = straight_pairs(depth, 10.0, 2000)
        expected = depth * mean_loss_ev(soft, np.inf) / PAIR_EV
        assert pairs.mean() == pytest.approx(expected, rel=4 * pairs.std() / 2000**0.5 / expected)


def test_pairs_of_a_step_have_the_moments_of_the_collisions() -> None:
    spectrum = collision_spectrum(10.0)
    probability = pairs_of_a_step(spectrum, 1.5)
    counts = np.arange(len(probability))
    mean = probability @ counts
    soft = spectrum.energy_ev < HARD_EV
    energy, density = spectrum.energy_ev[soft], spectrum.density[soft]
    square = np.trapezoid(density * energy**2 * energy, np.log(energy)) * 1.5 / PAIR_EV**2
    assert mean == pytest.approx(mean_loss_ev(spectrum, HARD_EV) * 1.5 / PAIR_EV, rel=0.01)
    assert probability @ (counts - mean) ** 2 == pytest.approx(square + mean, rel=0.02)
    # No collision at all is Poisson's zero, together with collisions that free no pair.
    assert probability[0] >= np.exp(-1.5 * spectrum.rate(0, HARD_EV))


def test_fano_factor_narrows_the_number_of_pairs() -> None:
    spectrum = collision_spectrum(10.0)
    widths = []
    for fano in (0.115, 1.0):
        probability = pairs_of_a_step(spectrum, 1.5, fano)
        counts = np.arange(len(probability))
        widths.append(probability @ (counts - probability @ counts) ** 2)
    assert widths[1] - widths[0] == pytest.approx(0.885 * probability @ counts, rel=0.1)


def test_alias_tables_draw_the_probabilities_they_were_made_of() -> None:
    tables = ionization_tables()
    for row in (0, 12, 27):
        head, tail = _probabilities(tables.head, row), _probabilities(tables.tail, row)
        drawn = head[-1] * tail
        drawn[: len(head) - 1] += head[:-1]
        log_beta_gamma = tables.first_log_beta_gamma + row * tables.log_beta_gamma_step
        spectrum = collision_spectrum(float(np.exp(log_beta_gamma)))
        np.testing.assert_allclose(drawn, pairs_of_a_step(spectrum, tables.step_um), atol=1e-8)


def _probabilities(table: AliasTable, row: int) -> NDArray[np.float64]:
    keep = table.keep[row].astype(np.float64)
    given = np.bincount(table.alias[row], 1 - keep, len(keep))
    return np.asarray((keep + given) / len(keep))


@pytest.mark.parametrize(("n", "p"), [(80, 1e-4), (80, 0.03), (80, 0.2), (2000, 0.5), (50, 0.97)])
def test_binomial_counts(n: int, p: float) -> None:
    state = start_states(1, 0, 0, 1)
    drawn = np.array([binomial(state, n, p) for _ in range(60_000)])
    assert drawn.min() >= 0
    assert drawn.max() <= n
    _agrees(drawn, stats.binom(n, p))


@pytest.mark.parametrize("mean", [0.01, 2.0, 7.0, 90.0])
def test_poisson_counts(mean: float) -> None:
    state = start_states(1, 0, 0, 1)
    _agrees(np.array([poisson(state, mean) for _ in range(60_000)]), stats.poisson(mean))


def _agrees(drawn: NDArray[np.int64], law: object) -> None:
    assert isinstance(law, stats._distn_infrastructure.rv_discrete_frozen)
    n = len(drawn)
    assert drawn.mean() == pytest.approx(law.mean(), abs=4 * law.std() / n**0.5)
    assert drawn.var() == pytest.approx(law.var(), rel=0.03, abs=0.003)
    for quantile in (0.01, 0.25, 0.75, 0.99):
        k = law.ppf(quantile)
        assert (drawn <= k).mean() == pytest.approx(law.cdf(k), abs=0.012)


def test_normal_and_uniform_numbers() -> None:
    state = start_states(1, 0, 0, 1)
    drawn = np.array([normal(state) for _ in range(20_000)])
    assert stats.kstest(drawn, "norm").pvalue > 1e-4
    table = uniforms(5, 0, 100, 5000, 3)
    assert stats.kstest(table.ravel(), "uniform").pvalue > 1e-4
    assert abs(float((table[:, 0] - 0.5) @ (table[:, 1] - 0.5))) / 5000 * 12 < 0.06
    np.testing.assert_array_equal(uniforms(5, 0, 200, 10, 3), table[100:110])
    assert not np.array_equal(uniforms(6, 0, 100, 10, 3), table[:10])
    assert not np.array_equal(uniforms(5, 1, 100, 10, 3), table[:10])


@pytest.mark.parametrize(("kinetic_kev", "range_um"), [(10, 1.61), (50, 26), (100, 87), (300, 440)])
def test_delta_range(kinetic_kev: float, range_um: float) -> None:
    """Path in the continuous-slowing-down approximation, NIST ESTAR, within a third."""
    assert delta_range_um(kinetic_kev * 1e3) == pytest.approx(range_um, rel=0.33)


def test_a_delta_ray_that_stays_inside_leaves_its_energy() -> None:
    geometry = geometry_of(VXD, Transport())
    tables, image = tables_of(Ionization()), np.zeros((1, 9, 9), np.int32)
    pairs = []
    for i in range(300):
        ray = Particle(112.5, 112.5, 25.0, 1.0, 0.0, 0.0, ELECTRON_MASS_EV, 20_000.0, -1.0)
        to = Exposure(start_states(9, 0, i, 1), image, NO_SLICES, NO_POTENTIAL, geometry)
        pairs.append(walk_delta(to, tables, ray))
    expected = 20_000 / PAIR_EV
    assert np.mean(pairs) == pytest.approx(expected, abs=4 * np.sqrt(expected / 300))
    assert image.sum() == sum(pairs)


def physical_ends(
    kinetic_ev: float, mass_ev: float, n: int, *, field_t: float = 0.0, charge: float = 1.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    geometry = geometry_of(VXD, Transport())._replace(field_T=field_t)
    tables, image = tables_of(Ionization("physical")), np.zeros((1, 9, 9), np.int32)
    ends, pairs = np.zeros((n, 7)), np.zeros(n)
    for i in range(n):
        to = Exposure(start_states(7, 0, i, 1), image, NO_SLICES, NO_POTENTIAL, geometry)
        pairs[i] = walk_physical(to, tables, particle(kinetic_ev, mass_ev, charge), ends[i])
    return ends, pairs


def test_scattering_is_highlands() -> None:
    kinetic = 20e6
    ends, _ = physical_ends(kinetic, ELECTRON_MASS_EV, 2000)
    momentum = np.sqrt(kinetic * (kinetic + 2 * ELECTRON_MASS_EV))
    beta = momentum / (kinetic + ELECTRON_MASS_EV)
    lengths = 50 / 93_700
    width = 13.6e6 / (momentum * beta) * np.sqrt(lengths) * (1 + 0.038 * np.log(lengths))
    for axis in (3, 4):
        assert ends[:, axis].std() == pytest.approx(width, rel=0.06)
        assert ends[:, axis - 3].std() == pytest.approx(width * 50 / np.sqrt(3), rel=0.06)


@pytest.mark.parametrize("charge", [1.0, -1.0])
def test_bending_is_the_helix(charge: float) -> None:
    kinetic = 50e6
    ends, _ = physical_ends(kinetic, ELECTRON_MASS_EV, 1500, field_t=3.57, charge=charge)
    radius_um = (kinetic + ELECTRON_MASS_EV) / (299.792458e6 * 3.57) * 1e6
    error = ends[:, 4].std() / 1500**0.5
    assert np.median(ends[:, 4]) == pytest.approx(charge * 50 / radius_um, abs=5 * error)
    assert abs(ends[:, 3].mean()) < 5 * ends[:, 3].std() / 1500**0.5


def test_energy_is_conserved_but_for_what_deltas_carry_out() -> None:
    kinetic = 2e6
    ends, pairs = physical_ends(kinetic, ELECTRON_MASS_EV, 800)
    lost = kinetic - ends[:, 6]
    assert np.median(lost - pairs * PAIR_EV) == pytest.approx(0, abs=300)
    assert (lost >= pairs * PAIR_EV - 2_000).all()


def test_soft_electrons_stop() -> None:
    """60 keV have a path of 36 um, shortened by scattering: less than the sensor is thick."""
    ends, pairs = physical_ends(60e3, ELECTRON_MASS_EV, 300)
    assert (ends[:, 6] == 0).mean() > 0.9
    stopped = pairs[ends[:, 6] == 0] * PAIR_EV
    assert np.median(stopped) == pytest.approx(60e3, rel=0.05)


def test_slow_particles_ionize_more() -> None:
    beta_gamma = np.array([0.9, 3.5])
    medians = []
    for bg in beta_gamma:
        kinetic = MUON_MASS_EV * (np.sqrt(1 + bg**2) - 1)
        medians.append(np.median(physical_ends(kinetic, MUON_MASS_EV, 500)[1]))
    beta2 = beta_gamma**2 / (1 + beta_gamma**2)
    assert medians[0] / medians[1] == pytest.approx(beta2[1] / beta2[0], rel=0.12)


@pytest.mark.parametrize(
    "bad", [{"mode": "fast"}, {"fano": 2.0}, {"charge_scale": 0.0}, {"least_beta_gamma": -1.0}]
)
def test_impossible_settings_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(bad))):
        Ionization(**bad)  # type: ignore[arg-type]
