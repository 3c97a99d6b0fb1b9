"""Constants of the sensor and of the barrel layer it sits in, with units in the names."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MUON_COLLIDER_VXD", "Barrel", "Detector", "Sensor"]


@dataclass(frozen=True, slots=True)
class Sensor:
    """A pixel sensor and the window that is read out around a cluster.

    `rows` run along y (azimuth, bending plane), `columns` along x (the beam axis z).
    """

    rows: int = 13
    columns: int = 21
    pitch_x_um: float = 25.0
    pitch_y_um: float = 25.0
    thickness_um: float = 50.0

    @property
    def n_pixels(self) -> int:
        """Pixels in the window."""
        return self.rows * self.columns


@dataclass(frozen=True, slots=True)
class Barrel:
    """The innermost barrel layer.

    `y_local_scale_mm` is the field's divisor for `y_local`; ladders reach from about
    -4.55 to 8.525 mm (muc-real, measured), so the largest values saturate by 0.3 %.
    """

    radius_mm: float = 30.0
    half_length_mm: float = 65.0
    y_local_scale_mm: float = 8.5


@dataclass(frozen=True, slots=True)
class Detector:
    """A named sensor in its barrel."""

    name: str
    sensor: Sensor
    barrel: Barrel


MUON_COLLIDER_VXD = Detector("muon-collider-vxd", Sensor(), Barrel())
