"""Constants of nature and particle codes, and straight flight at the speed of light."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ELECTRON_MASS_EV",
    "ELECTRON_PDG",
    "LIGHT_MM_PER_NS",
    "MUON_MASS_EV",
    "MUON_MASS_GEV",
    "MUON_PDG",
    "straight_flight_ns",
]

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
