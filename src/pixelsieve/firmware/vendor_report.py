"""What a report of a vendor tool says; kept apart from our own measure by its name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Kind", "VendorReport"]

Kind = Literal["vitis-hls csynth", "vivado utilization", "vivado timing"]


@dataclass(frozen=True, slots=True)
class VendorReport:
    """One vendor report. `stage` tells an estimate from a synthesized or routed design.

    `target_clock_ns` is what was asked for, `achieved_clock_ns` what the tool says it can do;
    `available` the resources of the part by the names of the fields.
    """

    file: str
    kind: Kind
    stage: str | None = None
    tool_version: str | None = None
    top: str | None = None
    part: str | None = None
    lut: int | None = None
    ff: int | None = None
    dsp: int | None = None
    bram_18k: int | None = None
    uram: int | None = None
    target_clock_ns: float | None = None
    achieved_clock_ns: float | None = None
    latency_min_cycles: int | None = None
    latency_max_cycles: int | None = None
    interval_min_cycles: int | None = None
    interval_max_cycles: int | None = None
    available: dict[str, int] = field(default_factory=dict)

    @property
    def has_figures(self) -> bool:
        """Whether the report says anything at all about the design's size or speed."""
        return any(
            getattr(self, name) is not None
            for name in (
                *("lut", "ff", "dsp", "bram_18k", "uram", "achieved_clock_ns"),
                *("latency_min_cycles", "latency_max_cycles"),
                *("interval_min_cycles", "interval_max_cycles"),
            )
        )

    @property
    def over_the_part(self) -> tuple[str, ...]:
        """Resources of which the part has fewer than the design uses."""
        return tuple(
            name for name, has in self.available.items() if (getattr(self, name) or 0) > has
        )

    @property
    def clock_met(self) -> bool | None:
        """Whether the achieved clock is as short as the target; None where either is unknown."""
        if self.target_clock_ns is None or self.achieved_clock_ns is None:
            return None
        return self.achieved_clock_ns <= self.target_clock_ns
