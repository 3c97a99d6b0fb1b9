"""From tracks to windows of charge: the compiled loop over many tracks, its tables and its call."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pixelsieve.data.detector import ELECTRON_MASS_EV, MUON_MASS_EV, MUON_PDG, Detector
from pixelsieve.simulation import transport
from pixelsieve.simulation.charge import Counts, Exposure, Geometry, Images
from pixelsieve.simulation.compilation import compiled
from pixelsieve.simulation.ionization import Ionization, Tables, ionization_tables
from pixelsieve.simulation.streams import uniform
from pixelsieve.simulation.transport import Transport, weighting_potential
from pixelsieve.simulation.walk import Particle, walk_physical, walk_straight

_MARGIN = 8  # pixels around the window whose charge still counts for the centroid

Floats = NDArray[np.float64]


def working_room(rows: int, columns: int, n_slices: int) -> tuple[Counts, Images, Floats]:
    """Buffers larger than the window: arrivals, induced signal, a particle's end."""
    shape = (rows + 2 * _MARGIN, columns + 2 * _MARGIN)
    return (
        np.zeros((n_slices + 1, *shape), np.int32),
        np.zeros((n_slices, *shape), np.float32),
        np.zeros(7),
    )


@compiled
def _start(
    state: NDArray[np.uint64],
    cot_alpha: float,
    cot_beta: float,
    mass_ev: float,
    kinetic_ev: float,
    charge: float,
    home: tuple[int, int],
    geometry: Geometry,
) -> Particle:
    """A particle on the entry face that crosses mid-depth somewhere in the home pixel."""
    x = (home[1] + uniform(state)) * geometry.pitch_x_um - cot_alpha * geometry.thickness_um / 2
    y = (home[0] + uniform(state)) * geometry.pitch_y_um - cot_beta * geometry.thickness_um / 2
    norm = math.sqrt(1.0 + cot_alpha * cot_alpha + cot_beta * cot_beta)
    direction = (cot_alpha / norm, cot_beta / norm, 1.0 / norm)
    return Particle(x, y, 0.0, *direction, mass_ev, kinetic_ev, charge)


@compiled
def _clear(image: Counts, induced: Images) -> None:
    for j in range(image.shape[0]):
        for r in range(image.shape[1]):
            for c in range(image.shape[2]):
                image[j, r, c] = 0
                if j < len(induced):
                    induced[j, r, c] = 0.0


@compiled
def _accumulate(image: Counts) -> None:
    """From arrivals in each slice to arrivals until its end."""
    for j in range(1, image.shape[0]):
        for r in range(image.shape[1]):
            for c in range(image.shape[2]):
                image[j, r, c] += image[j - 1, r, c]


@compiled
def _centroid(image: Counts, home: tuple[int, int]) -> tuple[int, int]:
    """The charge-weighted mean pixel of the last plane, rounded half up; `home` without charge."""
    last = image.shape[0] - 1
    total, rows, columns = 0, 0, 0
    for r in range(image.shape[1]):
        for c in range(image.shape[2]):
            q = image[last, r, c]
            total += q
            rows += q * r
            columns += q * c
    if total == 0:
        return home
    return math.floor(rows / total + 0.5), math.floor(columns / total + 0.5)


@compiled
def _cut(
    image: Counts,
    induced: Images,
    pixels: Images,
    slices: Images,
    i: int,
    row: int,
    column: int,
) -> None:
    """Copy the window about (row, column) into row i of the outputs."""
    last = image.shape[0] - 1
    top, left = row - pixels.shape[1] // 2, column - pixels.shape[2] // 2
    for r in range(pixels.shape[1]):
        for c in range(pixels.shape[2]):
            y, x = top + r, left + c
            inside = 0 <= y < image.shape[1] and 0 <= x < image.shape[2]
            pixels[i, r, c] = image[last, y, x] if inside else 0
            for j in range(slices.shape[1]):
                slices[i, j, r, c] = image[j, y, x] + induced[j, y, x] if inside else 0.0


@compiled
def simulate_tracks(
    states: NDArray[np.uint64],
    cot_alpha: Floats,
    cot_beta: Floats,
    mass_ev: Floats,
    kinetic_ev: Floats,
    charge: Floats,
    beta_gamma: Floats,
    physical: bool,
    geometry: Geometry,
    tables: Tables,
    potential: NDArray[np.float32],
    pixels: Images,
    slices: Images,
    shifts: NDArray[np.int16],
    totals: NDArray[np.int32],
    image: Counts,
    induced: Images,
    end: Floats,
) -> None:
    """Fill, for each track, its row of the outputs.

    `pixels` (n, rows, columns) collected electrons; `slices` (n, m, rows, columns) the signal at
    the end of each slice (m may be 0); `shifts` (n, 2) rows and columns from the pixel that the
    track crosses to the one at the window's middle; `totals` (n,) pairs made. `beta_gamma` is
    what straight tracks ionize with; physical ones take it from mass and kinetic energy.
    `image`, `induced` and `end` are room to work in, from `working_room`.
    """
    home = (image.shape[1] // 2, image.shape[2] // 2)
    for i in range(len(pixels)):
        state = states[i : i + 1]
        to = Exposure(state, image, induced, potential, geometry)
        _clear(image, induced)
        particle = _start(
            state, cot_alpha[i], cot_beta[i], mass_ev[i], kinetic_ev[i], charge[i], home, geometry
        )
        if physical:
            totals[i] = walk_physical(to, tables, particle, end)
        else:
            totals[i] = walk_straight(to, tables, particle, beta_gamma[i])
        _accumulate(image)
        row, column = _centroid(image, home)
        shifts[i, 0], shifts[i, 1] = row - home[0], column - home[1]
        _cut(image, induced, pixels, slices, i, row, column)


@dataclass(frozen=True, slots=True)
class Response:
    """The sensor's answer to n tracks.

    `pixels_e` (n, rows, columns), `slices_e` (n, slices, rows, columns) or None; `shifts` (n, 2):
    rows and columns from the pixel that the track crosses at mid-depth to the middle of the
    window; `total_charge_e` (n,): pairs made, in and outside the window.
    """

    pixels_e: NDArray[np.float32]
    slices_e: NDArray[np.float32] | None
    shifts: NDArray[np.int16]
    total_charge_e: NDArray[np.int32]


def geometry_of(detector: Detector, options: Transport) -> Geometry:
    """Return the constants of the compiled loops."""
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


def tables_of(ionization: Ionization) -> Tables:
    """Return the ionization tables of the compiled loops."""
    return ionization_tables(
        ionization.fano, ionization.charge_scale, delta_rays=ionization.delta_rays
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
