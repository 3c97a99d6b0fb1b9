"""`Tracks`: particles where they cross the sensor; helix and time of flight as pure functions.

Frame: z along the beam, `d` from the beam to the ladder's plane, y along the ladder from the foot
of that perpendicular. Columns of the image run along z, rows along y. s is the depth from the back
face, where drifts are longest; the sample's tracks run along s, and their slopes in s are the
opposite of those that a muon from the origin has away from the beam (measured on simA train: at
z > 0 the small charges of long drifts are in the last columns).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.errors import DataError
from pixelsieve.data.detector import LIGHT_MM_PER_NS

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Tracks:
    """Particles crossing the sensor's middle, one a row; all arrays (n,).

    `signal` is 1 for muons of the gun and 0 for background, `pdg` the particle code. `cot_alpha`
    and `cot_beta` are the slopes dx/ds and dy/ds in the image. `z_global_mm` is signed,
    `y_local_mm` counts from the foot of the perpendicular on the ladder. `hit_time_ns` is the time
    after straight flight at c from the origin, unsmeared. Raise `DataError` if lengths differ.
    """

    signal: NDArray[np.int8]
    pdg: NDArray[np.int32]
    p_gev: Floats
    pt_gev: Floats
    cot_alpha: Floats
    cot_beta: Floats
    z_global_mm: Floats
    y_local_mm: Floats
    hit_time_ns: Floats

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name).shape != self.signal.shape:
                msg = f"tracks: '{field.name}' has {getattr(self, field.name).shape} values; "
                raise DataError(msg + f"expected {self.signal.shape}")

    def __len__(self) -> int:
        return len(self.signal)


def radius_of_curvature_mm(pt_gev: Floats, field_T: float) -> Floats:  # noqa: N803 (unit)
    """Radius of the helix of a unit charge: pT/(c B); infinite without field."""
    with np.errstate(divide="ignore"):
        result: Floats = np.divide(pt_gev, LIGHT_MM_PER_NS * 1e-6 * field_T)
    return result


def half_turn_angle(chord_mm: Floats, radius_mm: Floats) -> Floats:
    """Angle between a chord of the circle and the tangent at its end: arcsin(chord/(2 radius)).

    Chords longer than the diameter count as the diameter.
    """
    result: Floats = np.arcsin(np.minimum(chord_mm / (2 * radius_mm), 1))
    return result


def arc_length_mm(chord_mm: Floats, half_angle: Floats) -> Floats:
    """Length of the arc over a chord: chord * angle/sin(angle), also for angle 0."""
    result: Floats = chord_mm / np.sinc(half_angle / np.pi)
    return result
