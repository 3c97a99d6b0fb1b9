"""Compiled: many tracks at once, each with its own random stream, to images in centred windows."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pixelsieve.simulation.charge import Counts, Geometry, Images
from pixelsieve.simulation.compilation import compiled
from pixelsieve.simulation.streams import uniform
from pixelsieve.simulation.walk import Particle, Tables, walk_physical, walk_straight

__all__ = ["simulate_tracks"]

_MARGIN = 8  # pixels around the window whose charge still counts for the centroid

Floats = NDArray[np.float64]


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
def _centroid(image: Counts, home: tuple[int, int]) -> tuple[int, int]:
    """The charge-weighted mean pixel, rounded half up; `home` where there is no charge."""
    total, rows, columns = 0, 0, 0
    for r in range(image.shape[0]):
        for c in range(image.shape[1]):
            q = image[r, c]
            total += q
            rows += q * r
            columns += q * c
    if total == 0:
        return home
    return int(math.floor(rows / total + 0.5)), int(math.floor(columns / total + 0.5))


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
) -> None:
    """Fill, for each track, its row of the outputs.

    `pixels` (n, rows, columns) collected electrons; `slices` (n, m, rows, columns) the signal at
    the end of each slice (m may be 0); `shifts` (n, 2) rows and columns from the pixel that the
    track crosses to the one at the window's middle; `totals` (n,) pairs made. `beta_gamma` is
    what straight tracks ionize with; physical ones take it from mass and kinetic energy.
    """
    n, rows, columns = pixels.shape
    n_slices = slices.shape[1]
    shape = (rows + 2 * _MARGIN, columns + 2 * _MARGIN)
    home = (shape[0] // 2, shape[1] // 2)
    image = np.zeros((n_slices + 1, shape[0], shape[1]), np.int32)
    induced = np.zeros((n_slices, shape[0], shape[1]), np.float32)
    summed = np.zeros(shape, np.int32)
    end = np.zeros(7)
    for i in range(n):
        state = states[i : i + 1]
        image[:] = 0
        induced[:] = 0.0
        particle = _start(
            state, cot_alpha[i], cot_beta[i], mass_ev[i], kinetic_ev[i], charge[i], home, geometry
        )
        if physical:
            totals[i] = walk_physical(
                state, image, induced, potential, geometry, tables, particle, end
            )
        else:
            totals[i] = walk_straight(
                state, image, induced, potential, geometry, tables, particle, beta_gamma[i]
            )
        collected = image[0]
        if n_slices:
            summed[:] = image[0]
            for j in range(1, n_slices + 1):
                summed += image[j]
            collected = summed
        row, column = _centroid(collected, home)
        shifts[i, 0], shifts[i, 1] = row - home[0], column - home[1]
        top, left = row - rows // 2, column - columns // 2
        for r in range(rows):
            for c in range(columns):
                inside = 0 <= top + r < shape[0] and 0 <= left + c < shape[1]
                pixels[i, r, c] = collected[top + r, left + c] if inside else 0
                arrived = 0
                for j in range(n_slices):
                    if inside:
                        arrived += image[j, top + r, left + c]
                        slices[i, j, r, c] = arrived + induced[j, top + r, left + c]
                    else:
                        slices[i, j, r, c] = 0.0
