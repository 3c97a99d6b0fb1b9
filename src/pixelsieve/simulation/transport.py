"""Drift of electrons and holes in a planar sensor: closed forms for a uniform field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pixelsieve.detector import Detector, Sensor
from pixelsieve.errors import ConfigError

__all__ = [
    "Transport",
    "diffusion_um",
    "drift_velocity_um_ns",
    "lorentz_tangent",
    "mobility_cm2_Vs",
]

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
