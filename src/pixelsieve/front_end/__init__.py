"""From collected charge to what the chip reads out: noise, gain, threshold, ADC, clock, window."""

from __future__ import annotations

from pixelsieve.front_end.readout import (
    Chip,
    FrontEndSummary,
    Kept,
    NothingReadOutError,
    Readout,
    digitise,
    read_out,
)
from pixelsieve.front_end.settings import FrontEnd, read_front_end

__all__ = [
    "Chip",
    "FrontEnd",
    "FrontEndSummary",
    "Kept",
    "NothingReadOutError",
    "Readout",
    "digitise",
    "read_front_end",
    "read_out",
]
