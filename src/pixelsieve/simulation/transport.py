"""Drift of electrons and holes in a planar sensor, and the weighting potential of a pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.errors import ConfigError
from pixelsieve.data.detector import Detector, Sensor

_BOLTZMANN_EV_K = 8.617333e-5
_HALL = {"electron": 1.12, "hole": 0.9}

Carrier = Literal["electron", "hole"]
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Transport:
    """Options of charge collection.

    `trapping_time_ns` (None: no trapping) is the mean life of a drifting electron; the trapped
    are lost (what they induce on the way is neglected). `n_slices` time slices of the sensor's
    `slice_ps` also record the induced signal (0: only the collected charge).
    """

    trapping_time_ns: float | None = None
    n_slices: int = 0

    def __post_init__(self) -> None:
        if self.trapping_time_ns is not None and not self.trapping_time_ns > 0:
            msg = f"'trapping_time_ns' is {self.trapping_time_ns:g}; expected a number above 0"
            raise ConfigError(msg)
        if not 0 <= self.n_slices <= 100:  # noqa: PLR2004 (memory: each slice is an image)
            msg = f"'n_slices' is {self.n_slices}; expected 0 to 100"
            raise ConfigError(msg)


def mobility_cm2_Vs(  # noqa: N802 (units keep their case)
    field_V_cm: float,  # noqa: N803
    temperature_K: float,  # noqa: N803
    carrier: Carrier = "electron",
) -> float:
    """Drift mobility in cm^2/(V s) (Jacoboni et al., Solid-State Electronics 20, 77, 1977)."""
    t = temperature_K
    if carrier == "electron":
        saturation, critical, power = 1.53e9 * t**-0.87, 1.01 * t**1.55, 2.57e-2 * t**0.66
    else:
        saturation, critical, power = 1.62e8 * t**-0.52, 1.24 * t**1.68, 0.46 * t**0.17
    ratio = (field_V_cm / critical) ** power
    return float(saturation / critical / (1 + ratio) ** (1 / power))


def _field_V_cm(sensor: Sensor) -> float:  # noqa: N802 (units keep their case)
    """The mean field, bias over thickness."""
    return sensor.bias_V / (sensor.thickness_um * 1e-4)


def _mobility_in(sensor: Sensor, carrier: Carrier) -> float:
    return mobility_cm2_Vs(_field_V_cm(sensor), sensor.temperature_K, carrier)


def drift_velocity_um_ns(sensor: Sensor, carrier: Carrier = "electron") -> float:
    """Speed in um/ns in the mean field, bias over thickness."""
    return _mobility_in(sensor, carrier) * _field_V_cm(sensor) * 1e-5


def lorentz_tangent(detector: Detector, carrier: Carrier = "electron") -> float:
    """Shift along y for a unit of drift: for electrons the measured value, else -r_H mu B.

    The magnetic field is along z, in the plane of the sensor. Holes turn the other way and drift
    the other way: their shift, by the formula, has the sign of the electrons'.
    """

    def by_formula(kind: Carrier) -> float:
        return _HALL[kind] * _mobility_in(detector.sensor, kind) * 1e-4 * detector.barrel.field_T

    measured = detector.sensor.lorentz_tangent
    electrons = -by_formula("electron") if measured is None else measured
    if carrier == "electron":
        return electrons
    return float(np.sign(electrons) * by_formula("hole"))


def diffusion_um(sensor: Sensor) -> float:
    """Width (one sigma, an axis) of a point charge after drift through the whole sensor.

    The measured value, else Einstein's thickness * sqrt(2 kT / (e bias)); it grows with the
    square root of the drift length.
    """
    if sensor.diffusion_um is not None:
        return sensor.diffusion_um
    thermal = _BOLTZMANN_EV_K * sensor.temperature_K
    return float(sensor.thickness_um * np.sqrt(2 * thermal / sensor.bias_V))


_REACH = 2.0  # pixels from the middle that the table covers
_REPEAT = 16  # pixels after which the solution repeats


def weighting_potential(
    pitch_x_um: float, pitch_y_um: float, thickness_um: float, step_um: float
) -> NDArray[np.float32]:
    """Potential at |x|, |y| from the pixel's middle and depth s, shape (nx, ny, ns).

    1 on the pixel (s = thickness), 0 on the other pixels and on the back (s = 0). Laplace's
    equation in Fourier space on a plane that repeats after 16 pixels: each wave of the electrode
    plane decays as sinh(k s) / sinh(k thickness). `step_um` is the grid of all three axes.
    """
    depths = np.arange(int(np.ceil(thickness_um / step_um - 1e-9)) + 1) * step_um
    x, wave_x = _axis(pitch_x_um, step_um)
    y, wave_y = _axis(pitch_y_um, step_um)
    # Cosine series of a centred box, an axis: sin(k p / 2) / (k p / 2) * p / period.
    series_x = np.cos(np.outer(x, wave_x)) * _box(wave_x, pitch_x_um)
    series_y = np.cos(np.outer(y, wave_y)) * _box(wave_y, pitch_y_um)
    k = np.hypot(wave_x[:, None], wave_y[None, :])
    out = np.empty((len(x), len(y), len(depths)), np.float32)
    for i, s in enumerate(np.minimum(depths, thickness_um)):
        out[:, :, i] = series_x @ _decay(k, s, thickness_um) @ series_y.T
    return out


def _axis(pitch_um: float, step_um: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    points = np.arange(int(_REACH * pitch_um / step_um) + 1, dtype=np.float64) * step_um
    n_waves = int(_REPEAT * pitch_um / (2 * step_um))  # shorter waves the grid cannot show
    return points, 2 * np.pi / (_REPEAT * pitch_um) * np.arange(n_waves, dtype=np.float64)


def _box(wave: NDArray[np.float64], pitch_um: float) -> NDArray[np.float64]:
    weight = np.where(wave == 0, 1.0, 2.0) / _REPEAT
    return np.asarray(weight * np.sinc(wave * pitch_um / (2 * np.pi)))


def _decay(k: NDArray[np.float64], s: float, thickness_um: float) -> NDArray[np.float64]:
    # sinh(k s) / sinh(k d) without overflow.
    safe = np.where(k == 0, 1.0, k)
    ratio = np.exp(-safe * (thickness_um - s)) * (1 - np.exp(-2 * safe * s))
    return np.where(k == 0, s / thickness_um, ratio / (1 - np.exp(-2 * safe * thickness_um)))
