"""Constants of nature, of the sensor and of the barrel layer it sits in, units in the names."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.config import require_between
from pixelsieve.core.errors import ConfigError, DataError, nearest
from pixelsieve.display.shown import ShowsFields, one_line

LIGHT_MM_PER_NS = 299.792458
ELECTRON_MASS_EV = 510_998.95
MUON_MASS_EV = 105_658_375.5
MUON_MASS_GEV = MUON_MASS_EV * 1e-9
MUON_PDG = 13
ELECTRON_PDG = 11


def straight_flight_ns(radius_mm: float, z_mm: NDArray[Any]) -> NDArray[np.float64]:
    """Time of straight flight at c from the origin to (radius, z): what hit times count from."""
    z = np.asarray(z_mm, dtype=np.float64)
    result: NDArray[np.float64] = np.hypot(radius_mm, z) / LIGHT_MM_PER_NS
    return result


@dataclass(frozen=True, slots=True)
class Sensor:
    """A pixel sensor and the window that is read out around a cluster.

    `rows` run along y (azimuth, bending plane), `columns` along x (the beam axis z). Electrons
    drift to the face where the track leaves. `lorentz_tangent` (shift along y a drift length) and
    `diffusion_um` (width of a point charge after full drift) override the formulas in
    `simulation.transport` where they were measured. Raise `ConfigError` for sizes that no
    sensor has.
    """

    rows: int = 13
    columns: int = 21
    pitch_x_um: float = 25.0
    pitch_y_um: float = 25.0
    thickness_um: float = 50.0
    bias_V: float = 50.0
    temperature_K: float = 253.0
    lorentz_tangent: float | None = None
    diffusion_um: float | None = None
    slice_ps: float = 200.0

    def __post_init__(self) -> None:
        for name in ("rows", "columns"):
            if not 1 <= getattr(self, name) <= 64:  # noqa: PLR2004 (a window, not a sensor)
                msg = f"'{name}' is {getattr(self, name)}; expected 1 to 64 pixels"
                raise ConfigError(msg)
        for name, low, high in (
            ("pitch_x_um", 1.0, 1000.0),
            ("pitch_y_um", 1.0, 1000.0),
            ("thickness_um", 1.0, 1000.0),
            ("bias_V", 0.1, 10_000.0),
            ("temperature_K", 50.0, 500.0),
            ("lorentz_tangent", -10.0, 10.0),
            ("diffusion_um", 0.0, 100.0),
            ("slice_ps", 1.0, 100_000.0),
        ):
            require_between(self, name, low, high)

    @property
    def n_pixels(self) -> int:
        """Pixels in the window."""
        return self.rows * self.columns

    @property
    def center(self) -> tuple[int, int]:
        """Row and column of the middle pixel, where windows are centred (row 6, column 10)."""
        return self.rows // 2, self.columns // 2


@dataclass(frozen=True, slots=True)
class Barrel:
    """The innermost barrel layer, of flat ladders that a straight track from the origin meets.

    Times are counted from straight flight at c to `radius_mm`; the ladders' planes stand
    `ladder_distance_mm` from the beam and reach from `y_low_mm` to `y_high_mm` along y, where 0
    is the foot of the perpendicular from the beam. Modules of `module_length_mm` follow each other
    along z, one begins at 0. `y_local_scale_mm` is the field's divisor for
    `y_local`. `field_T` is the solenoid's field along z.
    """

    radius_mm: float = 30.0
    half_length_mm: float = 65.0
    module_length_mm: float = 13.0
    y_local_scale_mm: float = 8.5
    ladder_distance_mm: float = 30.165
    y_low_mm: float = -4.5
    y_high_mm: float = 8.5
    field_T: float = 3.57

    def __post_init__(self) -> None:
        for name, low, high in (
            ("radius_mm", 1.0, 10_000.0),
            ("half_length_mm", 0.1, 10_000.0),
            ("module_length_mm", 0.1, 10_000.0),
            ("y_local_scale_mm", 0.01, 10_000.0),
            ("ladder_distance_mm", 1.0, 10_000.0),
            ("y_low_mm", -1000.0, 1000.0),
            ("y_high_mm", -1000.0, 1000.0),
            ("field_T", 0.0, 20.0),
        ):
            require_between(self, name, low, high)
        if not self.y_low_mm < self.y_high_mm:
            msg = f"'y_low_mm' is {self.y_low_mm:g}; expected less than 'y_high_mm'"
            raise ConfigError(msg)


@dataclass(frozen=True, slots=True)
class Detector(ShowsFields):
    """A named sensor in its barrel.

    Examples
    --------
    >>> detector = ps.Detector.preset("muon-collider-vxd")
    >>> detector.sensor.pitch_x_um, detector.barrel.field_T
    (25.0, 3.57)
    """

    name: str
    sensor: Sensor
    barrel: Barrel

    def __repr__(self) -> str:
        one = self.sensor
        window = f"{one.rows} x {one.columns} pixels of {one.pitch_y_um:g} x {one.pitch_x_um:g} um"
        thick = f"{one.thickness_um:g} um thick"
        return one_line("Detector", self.name, window, thick, f"{self.barrel.field_T:g} T")

    @classmethod
    def preset(cls, name: object) -> Detector:
        """A named detector; raises `ConfigError` with the known names."""
        if not isinstance(name, str) or name not in DETECTORS:
            msg = f"unknown detector '{name}'{nearest(str(name), DETECTORS)}; known: "
            raise ConfigError(msg + ", ".join(DETECTORS))
        return DETECTORS[name]

    def with_window(self, rows: int, columns: int) -> Detector:
        """Return the same detector with another window; `DataError` for one that no sensor has."""
        if (self.sensor.rows, self.sensor.columns) == (rows, columns):
            return self
        try:
            return replace(self, sensor=replace(self.sensor, rows=rows, columns=columns))
        except ConfigError as error:
            raise DataError(str(error)) from error


MUON_COLLIDER_VXD = Detector(
    "muon-collider-vxd",
    # Tangent and width measured on the muc-real sample; the formulas give 0.321 and 1.48 um.
    Sensor(lorentz_tangent=-0.305, diffusion_um=1.50),
    Barrel(),
)
SMART_PIXEL_LHC = Detector(
    "smart-pixel-lhc",
    Sensor(pitch_x_um=50.0, pitch_y_um=12.5, thickness_um=100.0, bias_V=100.0, temperature_K=263.0),
    Barrel(
        half_length_mm=65.0,
        y_local_scale_mm=8.1,
        ladder_distance_mm=30.0,
        y_low_mm=-8.1,
        y_high_mm=8.1,
        field_T=3.8,
    ),
)

DETECTORS = MappingProxyType({d.name: d for d in (MUON_COLLIDER_VXD, SMART_PIXEL_LHC)})
"""Named detectors, read-only."""
