"""Reports of Vitis HLS (csynth) and Vivado (utilization, timing) as `VendorReport`."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pixelsieve.core.errors import DataError
from pixelsieve.firmware.vendor_tables import (
    Table,
    VendorReport,
    after,
    column,
    first_row,
    match,
    number,
    tables,
    whole,
)

__all__ = ["csynth_text", "csynth_xml", "timing", "utilization"]

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


FLAT: Mapping[str, tuple[str, ...]] = {
    "lut": ("CLB LUTs", "Slice LUTs"),
    "ff": ("Register as Flip Flop", "CLB Registers", "Slice Registers"),
    "dsp": ("DSPs", "DSP Slices", "DSP48s"),
    "uram": ("URAM",),
}
BY_INSTANCE: Mapping[str, tuple[str, ...]] = {
    "lut": ("Total LUTs",),
    "ff": ("FFs",),
    "dsp": ("DSP Blocks", "DSP48 Blocks", "DSP Slices"),
    "uram": ("URAM",),
}


def utilization(path: Path, text: str) -> VendorReport:
    """Parse report_utilization; of a table by instance the first row, which is the top."""
    used: dict[str, Any] = {}
    available: dict[str, int] = {}
    for table in tables(text):
        if table.header[:1] == ("Site Type",) and "Used" in table.header:
            for into, name in ((used, "Used"), (available, "Available")):
                _flat(table, column(table, name), into)
        elif "Total LUTs" in table.header and table.rows and "lut" not in used:
            used |= first_row(table, r".*", BY_INSTANCE)
            large, small = (whole(_cell(table, name)) for name in ("RAMB36", "RAMB18"))
            if large is not None and small is not None:
                used["bram_18k"] = 2 * large + small
    return VendorReport(
        path.name, "vivado utilization", **_heading(text), available=available, **used
    )


def _flat(table: Table, place: int | None, into: dict[str, int]) -> None:
    if place is None:
        return
    rows = {row[0].rstrip("*"): row[place] for row in reversed(table.rows) if len(row) > place}
    for name, labels in FLAT.items():
        values = (whole(rows.get(label)) for label in labels)
        value = next((v for v in values if v is not None), None)
        if value is not None:
            into.setdefault(name, value)
    tiles = number(rows.get("Block RAM Tile"))
    if tiles is not None:
        into.setdefault("bram_18k", round(2 * tiles))


def timing(path: Path, text: str) -> VendorReport:
    """Parse report_timing_summary; clocks stay None unless there is exactly one."""
    summary = text.partition("Design Timing Summary")[2]
    found = re.search(r"^\s*WNS\(ns\).*\n[\s-]*\n\s*(\S+)", summary, flags=re.MULTILINE)
    slack = number(found[1]) if found else None
    table = re.search(r"^Clock\s+Waveform\(ns\)\s+Period\(ns\).*\n[- ]+\n((?:.*\S.*\n)+)", summary,
                      flags=re.MULTILINE)  # fmt: skip
    periods = re.findall(r"\}\s+([\d.]+)", table[1]) if table else []
    # With several clocks the report does not say here which of them the slack is of.
    target = number(periods[0]) if len(periods) == 1 else None
    achieved = round(target - slack, 6) if target is not None and slack is not None else None
    return VendorReport(
        path.name, "vivado timing", **_heading(text), target_clock_ns=target,
        achieved_clock_ns=achieved,
    )  # fmt: skip


def _heading(text: str) -> dict[str, Any]:
    version = match(text, r"Tool Version\s*:\s*Vivado v\.(\S+)")
    return {
        "stage": after(text, r"\| Design State\s*:"),
        "tool_version": version,
        "top": after(text, r"\| Design\s*:"),
        "part": after(text, r"\| Device\s*:"),
    }


def _cell(table: Table, name: str) -> str | None:
    place = column(table, name)
    return table.rows[0][place] if place is not None and len(table.rows[0]) > place else None
