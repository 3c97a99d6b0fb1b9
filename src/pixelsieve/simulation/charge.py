"""Compiled: from electron-hole pairs at a point to the charge in each pixel.

Frame, in um: x along the beam (columns), y along azimuth (rows), s the depth from the face where
the track enters. Electrons drift to s = thickness, holes to s = 0. `image` counts arrived
electrons by time slice (planes of one buffer, larger than the window); `induced` holds what
carriers still on their way induce.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pixelsieve.simulation.compilation import compiled, inlined
from pixelsieve.simulation.streams import binomial

_CDF_REACH, _CDF_STEPS = 4.8, 4096
_NORMAL_CDF = np.array(
    [
        0.5 * math.erfc(-(i * 2 / _CDF_STEPS - 1) * _CDF_REACH / math.sqrt(2))
        for i in range(_CDF_STEPS + 1)
    ],
    dtype=np.float32,
)
_SMALLEST_SHARE = 1e-6

State = NDArray[np.uint64]
Counts = NDArray[np.int32]
Images = NDArray[np.float32]


class Geometry(NamedTuple):
    """The sensor as the compiled loops need it.

    `diffusion_root_um` is the width of a point charge after 1 um of drift (it grows with the root);
    `per_pitch_*` are 1 over the pitch; `tangent_*` are shifts along y for a unit of drift;
    `trapping_ns` 0 is none; `field_T` is
    along x. `potential_step_um` is the grid of the weighting potential (0 without slices).
    """

    pitch_x_um: float
    pitch_y_um: float
    per_pitch_x: float
    per_pitch_y: float
    thickness_um: float
    diffusion_root_um: float
    tangent_electron: float
    tangent_hole: float
    velocity_electron_um_ns: float
    velocity_hole_um_ns: float
    trapping_ns: float
    field_T: float
    slice_ns: float
    potential_step_um: float


class Exposure(NamedTuple):
    """The sensor as one track meets it: its random stream, the images it fills, the constants.

    `image` (slices + 1, rows, columns): the last plane takes what arrives after all slices.
    `induced` (slices, rows, columns); `potential` is that of `transport.weighting_potential`.
    """

    state: State
    image: Counts
    induced: Images
    potential: NDArray[np.float32]
    geometry: Geometry


@inlined
def _cdf(z: float) -> float:
    # Callers stay inside the table: z is in [-4.8, 0.1].
    position = max(0.0, (z + _CDF_REACH) * (_CDF_STEPS / (2 * _CDF_REACH)))
    i = int(position)
    low = _NORMAL_CDF[i]
    return float(low + (_NORMAL_CDF[i + 1] - low) * (position - i))


@inlined
def _add(image: Counts, plane: int, row: int, column: int, count: int) -> None:
    if 0 <= row < image.shape[1] and 0 <= column < image.shape[2]:
        image[plane, row, column] += count


@compiled
def _along_y(
    to: Exposure, plane: int, row: int, column: int, count: int, low: float, high: float
) -> None:
    kept, state, image = count, to.state, to.image
    if low > _SMALLEST_SHARE:
        below = binomial(state, count, low)
        if below:
            _add(image, plane, row - 1, column, below)
            kept -= below
    if high > _SMALLEST_SHARE:
        above = binomial(state, kept, high / (1.0 - low))
        if above:
            _add(image, plane, row + 1, column, above)
            kept -= above
    _add(image, plane, row, column, kept)


@inlined
def _beyond(place: float, pitch: float, sigma: float) -> tuple[float, float]:
    """Shares of a spread charge below and above its pixel, `place` above the pixel's lower edge."""
    reach = _CDF_REACH * sigma
    low = high = 0.0
    if place < reach:
        low = _cdf(-place / sigma)
    if pitch - place < reach:
        high = _cdf((place - pitch) / sigma)
    return low, high


@inlined
def deposit(to: Exposure, plane: int, count: int, x: float, y: float, sigma: float) -> None:
    """Share `count` electrons, spread by `sigma` (um) about (x, y), among 3 x 3 pixels of a plane.

    Whole electrons: what leaves the home pixel is multinomial, the rest stays; none is lost but
    outside the buffer.
    """
    if x < 0.0 or y < 0.0:
        return
    state, geometry = to.state, to.geometry
    column, row = int(x * geometry.per_pitch_x), int(y * geometry.per_pitch_y)
    low_x, high_x = _beyond(x - column * geometry.pitch_x_um, geometry.pitch_x_um, sigma)
    low_y, high_y = _beyond(y - row * geometry.pitch_y_um, geometry.pitch_y_um, sigma)
    kept = count
    if low_x > _SMALLEST_SHARE:
        left = binomial(state, count, low_x)
        if left:
            _along_y(to, plane, row, column - 1, left, low_y, high_y)
            kept -= left
    if high_x > _SMALLEST_SHARE:
        right = binomial(state, kept, high_x / (1.0 - low_x))
        if right:
            _along_y(to, plane, row, column + 1, right, low_y, high_y)
            kept -= right
    _along_y(to, plane, row, column, kept, low_y, high_y)


@compiled
def _induce(
    induced: Images,
    potential: NDArray[np.float32],
    count: float,
    x: float,
    y: float,
    s: float,
    geometry: Geometry,
) -> None:
    """Add `count` times the weighting potential at a point to the 3 x 3 pixels around it."""
    step = geometry.potential_step_um
    column = math.floor(x / geometry.pitch_x_um)
    row = math.floor(y / geometry.pitch_y_um)
    depth = s / step
    below = min(int(depth), potential.shape[2] - 2)
    part = depth - below
    for r in range(max(0, row - 1), min(induced.shape[0], row + 2)):
        iy = min(int(abs(y - (r + 0.5) * geometry.pitch_y_um) / step + 0.5), potential.shape[1] - 1)
        for c in range(max(0, column - 1), min(induced.shape[1], column + 2)):
            away = abs(x - (c + 0.5) * geometry.pitch_x_um) / step
            ix = min(int(away + 0.5), potential.shape[0] - 1)
            low, high = potential[ix, iy, below], potential[ix, iy, below + 1]
            induced[r, c] += count * (low + (high - low) * part)


@inlined
def collect_inlined(to: Exposure, count: int, x: float, y: float, s: float) -> None:
    """Drift `count` pairs from (x, y, s): electrons to the pixels; both kinds induce on the way."""
    geometry, induced = to.geometry, to.induced
    n_slices = len(induced)
    length = geometry.thickness_um - s
    arrived, kept = 0, count
    if n_slices:
        steps = length / (geometry.velocity_electron_um_ns * geometry.slice_ns)
        arrived = int(steps) if steps < n_slices else n_slices
    if geometry.trapping_ns > 0.0:
        drift_ns = length / geometry.velocity_electron_um_ns
        kept = binomial(to.state, count, math.exp(-drift_ns / geometry.trapping_ns))
    sigma = geometry.diffusion_root_um * math.sqrt(length)
    y_end = y + geometry.tangent_electron * length
    deposit(to, arrived, kept, x, y_end, max(sigma, 1e-3))
    for i in range(n_slices):
        time = (i + 1) * geometry.slice_ns
        drifted = time * geometry.velocity_hole_um_ns
        if i < arrived:
            shift = time * geometry.velocity_electron_um_ns
            y_electron = y + geometry.tangent_electron * shift
            _induce(induced[i], to.potential, kept, x, y_electron, s + shift, geometry)
        elif drifted >= s:
            break
        if drifted < s:
            y_hole = y + geometry.tangent_hole * drifted
            _induce(induced[i], to.potential, -float(kept), x, y_hole, s - drifted, geometry)


@compiled
def collect(to: Exposure, count: int, x: float, y: float, s: float) -> None:
    """`collect_inlined` as a call, for the rarer places."""
    collect_inlined(to, count, x, y, s)
