"""Estimates of Vitis HLS (and Vivado HLS): csynth.xml and *_csynth.rpt."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path

from pixelsieve.errors import DataError
from pixelsieve.firmware.report_tables import after, first_row, match, number, tables, whole
from pixelsieve.firmware.vendor_report import VendorReport

__all__ = ["csynth_text", "csynth_xml"]

RESOURCES: Mapping[str, tuple[str, ...]] = {
    "lut": ("LUT",),
    "ff": ("FF",),
    "dsp": ("DSP", "DSP48E", "DSP48"),
    "bram_18k": ("BRAM_18K",),
    "uram": ("URAM",),
}


def csynth_xml(path: Path, text: str) -> VendorReport:
    """Parse csynth.xml. Raises `DataError` where it is no such XML."""
    try:
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise ET.ParseError("it declares a document type")  # noqa: EM101, TRY301
        root = ET.fromstring(text.lstrip("\ufeff \t\r\n"))  # noqa: S314 (entities refused above)
    except (ET.ParseError, ValueError) as error:
        msg = f"{path}: not valid XML ({error}); expected csynth.xml of Vitis HLS"
        raise DataError(msg) from error
    if root.find("PerformanceEstimates") is None and root.find("AreaEstimates") is None:
        msg = f"{path}: XML, but without estimates; expected csynth.xml of Vitis HLS"
        raise DataError(msg)

    def found(place: str) -> str | None:
        value = root.findtext(place)
        return value.strip() or None if value else None

    def resources(place: str) -> dict[str, int]:
        known = {
            name: next(
                (v for tag in tags if (v := whole(found(f"{place}/{tag}"))) is not None), None
            )
            for name, tags in RESOURCES.items()
        }
        return {name: value for name, value in known.items() if value is not None}

    in_ns = (found("UserAssignments/unit") or "ns") == "ns"
    timing = "PerformanceEstimates/SummaryOfTimingAnalysis"
    estimate_in_ns = (found(f"{timing}/unit") or "ns") == "ns"
    latency = "PerformanceEstimates/SummaryOfOverallLatency"
    return VendorReport(
        path.name, "vitis-hls csynth", "C synthesis, estimated",
        tool_version=found("ReportVersion/Version"),
        top=found("UserAssignments/TopModelName"),
        part=found("UserAssignments/Part"),
        target_clock_ns=number(found("UserAssignments/TargetClockPeriod")) if in_ns else None,
        achieved_clock_ns=number(found(f"{timing}/EstimatedClockPeriod"))
        if estimate_in_ns else None,
        latency_min_cycles=whole(found(f"{latency}/Best-caseLatency")),
        latency_max_cycles=whole(found(f"{latency}/Worst-caseLatency")),
        interval_min_cycles=whole(found(f"{latency}/Interval-min")),
        interval_max_cycles=whole(found(f"{latency}/Interval-max")),
        available=resources("AreaEstimates/AvailableResources"),
        **resources("AreaEstimates/Resources"),
    )  # fmt: skip


def csynth_text(path: Path, text: str) -> VendorReport:
    """Parse the text report of one function, <top>_csynth.rpt."""
    performance, _, area = text.partition("== Utilization Estimates")
    timing: list[str] = []
    latency: list[str] = []
    header: tuple[str, ...] = ()
    for table in tables(performance):
        if not timing and {"Target", "Estimated"} <= set(table.header) and table.rows:
            timing, header = list(table.rows[0]), table.header
        # The second header line of the latencies: min max | min max | min max | Type.
        if not latency and table.header[:6] == ("min", "max") * 3 and table.rows:
            latency = list(table.rows[0])
    used: dict[str, int] = {}
    available: dict[str, int] = {}
    for table in tables(area):
        if "LUT" in table.header and table.header[0] == "Name":
            used = first_row(table, r"Total", RESOURCES)
            available = first_row(table, r"Available", RESOURCES)
            break
    cycles = [whole(latency[i]) if len(latency) > i else None for i in (0, 1, 4, 5)]
    return VendorReport(
        path.name, "vitis-hls csynth", "C synthesis, estimated",
        tool_version=after(text, r"\* Version:"),
        top=match(text, r"HLS Report for '([^']+)'"),
        part=after(text, r"\* Target device:"),
        target_clock_ns=_nanoseconds(timing, header, "Target"),
        achieved_clock_ns=_nanoseconds(timing, header, "Estimated"),
        latency_min_cycles=cycles[0], latency_max_cycles=cycles[1],
        interval_min_cycles=cycles[2], interval_max_cycles=cycles[3],
        available=available, **used,
    )  # fmt: skip


def _nanoseconds(row: list[str], header: tuple[str, ...], name: str) -> float | None:
    if name not in header or len(row) <= header.index(name):
        return None
    value, _, unit = row[header.index(name)].partition(" ")
    scale = {"": 1.0, "ns": 1.0, "us": 1e3, "ps": 1e-3}.get(unit.strip(), math.nan)
    figure = number(value)
    return None if figure is None or math.isnan(scale) else figure * scale
