"""What the chip makes of collected charge: noise, gain, threshold, ADC, clock, window."""

from __future__ import annotations

from pixelsieve.front_end.readout import (
    Chip,
    NothingReadOutError,
    Readout,
    dataset_through_front_end,
    digitise,
    read_out,
    through_front_end,
)
from pixelsieve.front_end.settings import FrontEnd, read_front_end

__all__ = [
    "Chip",
    "FrontEnd",
    "NothingReadOutError",
    "Readout",
    "dataset_through_front_end",
    "digitise",
    "read_front_end",
    "read_out",
    "through_front_end",
]
