"""From tracks to windows of charge: prepares the tables and calls the compiled loops."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pixelsieve.data.detector import ELECTRON_MASS_EV, MUON_MASS_EV, MUON_PDG, Detector
from pixelsieve.simulation import transport
from pixelsieve.simulation.charge import Geometry
from pixelsieve.simulation.ionization import PAIR_EV, Ionization, ionization_tables
from pixelsieve.simulation.kernel import simulate_tracks, working_room
from pixelsieve.simulation.transport import Transport, weighting_potential
from pixelsieve.simulation.walk import Tables

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Response:
    """What the sensor shows of n tracks.

    `pixels_e` (n, rows, columns), `slices_e` (n, slices, rows, columns) or None; `shifts` (n, 2):
    rows and columns from the pixel that the track crosses at mid-depth to the middle of the
    window; `total_charge_e` (n,): pairs made, in and outside the window.
    """

    pixels_e: NDArray[np.float32]
    slices_e: NDArray[np.float32] | None
    shifts: NDArray[np.int16]
    total_charge_e: NDArray[np.int32]


def geometry_of(detector: Detector, options: Transport) -> Geometry:
    """The constants of the compiled loops."""
    sensor = detector.sensor
    step = _potential_step_um(detector) if options.n_slices else 0.0
    return Geometry(
        pitch_x_um=sensor.pitch_x_um,
        pitch_y_um=sensor.pitch_y_um,
        per_pitch_x=1 / sensor.pitch_x_um,
        per_pitch_y=1 / sensor.pitch_y_um,
        thickness_um=sensor.thickness_um,
        diffusion_root_um=transport.diffusion_um(sensor) / sensor.thickness_um**0.5,
        tangent_electron=transport.lorentz_tangent(detector),
        tangent_hole=transport.lorentz_tangent(detector, "hole"),
        velocity_electron_um_ns=transport.drift_velocity_um_ns(sensor),
        velocity_hole_um_ns=transport.drift_velocity_um_ns(sensor, "hole"),
        trapping_ns=options.trapping_time_ns or 0.0,
        field_T=detector.barrel.field_T,
        slice_ns=sensor.slice_ps / 1000,
        potential_step_um=step,
    )


@lru_cache(maxsize=4)
def tables_of(ionization: Ionization) -> Tables:
    """The ionization tables of the compiled loops."""
    tables = ionization_tables(ionization.fano, ionization.charge_scale)
    grid = tables.log_beta_gamma
    return Tables(
        step_um=tables.step_um,
        first_log_beta_gamma=float(grid[0]),
        log_beta_gamma_step=float(grid[1] - grid[0]),
        head_keep=tables.head.keep,
        head_alias=tables.head.alias,
        tail_keep=tables.tail.keep,
        tail_alias=tables.tail.alias,
        hard_rate=tables.hard_rate,
        hard_energy_ev=tables.hard_energy_ev,
        pair_ev=PAIR_EV / ionization.charge_scale,
        delta_rays=ionization.delta_rays,
    )


def prepare(detector: Detector, ionization: Ionization, options: Transport) -> None:
    """Make the tables now, once, so that threads need not wait for or repeat them."""
    tables_of(ionization)
    if options.n_slices:
        _potential(detector)


def respond(
    detector: Detector,
    ionization: Ionization,
    options: Transport,
    states: NDArray[np.uint64],
    pdg: NDArray[np.int32],
    p_gev: Floats,
    cot_alpha: Floats,
    cot_beta: Floats,
) -> Response:
    """Simulate tracks (n,), each from its random stream in `states` (n,); pure.

    `pdg` is +-13 or +-11; slopes are those of the image frame.
    """
    n, sensor = len(states), detector.sensor
    mass = np.where(np.abs(pdg) == MUON_PDG, MUON_MASS_EV, ELECTRON_MASS_EV)
    momentum = np.asarray(p_gev, np.float64) * 1e9
    true = momentum / mass
    effective = np.maximum(ionization.effective_share * true, ionization.least_beta_gamma)
    kinetic = np.hypot(momentum, mass) - mass
    charge = -np.sign(pdg).astype(np.float64)
    pixels = np.empty((n, sensor.rows, sensor.columns), np.float32)
    slices = np.empty((n, options.n_slices, sensor.rows, sensor.columns), np.float32)
    shifts, totals = np.empty((n, 2), np.int16), np.empty(n, np.int32)
    potential = _potential(detector) if options.n_slices else np.zeros((1, 1, 2), np.float32)
    simulate_tracks(
        states.copy(),
        np.asarray(cot_alpha, np.float64),
        np.asarray(cot_beta, np.float64),
        mass,
        kinetic,
        charge,
        effective,
        ionization.mode == "physical",
        geometry_of(detector, options),
        tables_of(ionization),
        potential,
        pixels,
        slices,
        shifts,
        totals,
        *working_room(sensor.rows, sensor.columns, options.n_slices),
    )
    return Response(pixels, slices if options.n_slices else None, shifts, totals)


def _potential_step_um(detector: Detector) -> float:
    sensor = detector.sensor
    return min(sensor.pitch_x_um, sensor.pitch_y_um, sensor.thickness_um) / 20


@lru_cache(maxsize=4)
def _potential(detector: Detector) -> NDArray[np.float32]:
    sensor = detector.sensor
    step = _potential_step_um(detector)
    return weighting_potential(sensor.pitch_x_um, sensor.pitch_y_um, sensor.thickness_um, step)
