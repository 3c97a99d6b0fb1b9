"""Reports of Vitis HLS (csynth) and Vivado (utilization, timing) as `VendorReport`."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from pixelsieve.core.errors import DataError


@dataclass(frozen=True, slots=True)
class TextTable:
    """Cells without the blanks around them; of several header lines the last."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables(text: str) -> list[TextTable]:
    """Every whole table of a text: rule, header lines, rule, rows (with rules among them), rule."""
    found: list[TextTable] = []
    header: tuple[str, ...] = ()
    rows: list[tuple[str, ...]] = []
    rules, closed = 0, False
    for line in [*text.splitlines(), ""]:
        bare = line.strip()
        if bare.startswith("+") and set(bare) <= set("+-="):
            rules, closed = rules + 1, True
        elif bare.startswith("|") and bare.endswith("|") and rules:
            closed = False
            cells = tuple(cell.strip() for cell in bare[1:-1].split("|"))
            if rules == 1:
                header = cells
            else:
                rows.append(cells)
        else:
            if rows and closed:
                found.append(TextTable(header, tuple(rows)))
            header, rows, rules, closed = (), [], 0, False
    return found


def column(table: TextTable, name: str) -> int | None:
    """Return the place of a column, None if there is none of this name."""
    return table.header.index(name) if name in table.header else None


def number(text: str | None) -> float | None:
    """A finite number, thousands commas allowed; None for "?", "NA", "undef" and the like."""
    try:
        value = float((text or "").replace(",", "").replace("_", "x"))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def whole(text: str | None) -> int | None:
    """A count: None for what is no whole number of 0 or more (upstream tools write -1 for none)."""
    value = number(text)
    return int(value) if value is not None and value >= 0 and value.is_integer() else None


def first_row(table: TextTable, label: str, names: Mapping[str, tuple[str, ...]]) -> dict[str, int]:
    """Figures of the first row whose first cell matches `label`, by the names of fields."""
    row = next((r for r in table.rows if re.fullmatch(label, r[0])), None)
    values: dict[str, int] = {}
    for name, titles in names.items():
        places = [p for title in titles if (p := column(table, title)) is not None]
        if row and places and len(row) > places[0] and (v := whole(row[places[0]])) is not None:
            values[name] = v
    return values


def match(text: str, pattern: str) -> str | None:
    """The first group of `pattern`, None where it is empty or not found."""
    found = re.search(pattern, text)
    return found[1].strip() or None if found else None


def after(text: str, label: str) -> str | None:
    """What stands after a label on its line."""
    return match(text, label + r"[ \t]*([^\n|]*)")


@dataclass(frozen=True, slots=True)
class VendorReport:
    """One vendor report. `stage` tells an estimate from a synthesized or routed design.

    A report that is kept with a run has the `sha256` of its file and the `model` that it is of.
    `target_clock_ns` is what was asked for, `achieved_clock_ns` what the tool says it can do;
    `available` the resources of the part by the names of the fields.
    """

    model: str | None = field(default=None, kw_only=True)
    sha256: str = field(default="", kw_only=True)
    file: str
    kind: Literal["vitis-hls csynth", "vivado utilization", "vivado timing"]
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


_RESOURCES: Mapping[str, tuple[str, ...]] = {
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
            for name, tags in _RESOURCES.items()
        }
        return {name: value for name, value in known.items() if value is not None}

    in_ns = (found("UserAssignments/unit") or "ns") == "ns"
    timing = "PerformanceEstimates/SummaryOfTimingAnalysis"
    estimate_in_ns = (found(f"{timing}/unit") or "ns") == "ns"
    latency = "PerformanceEstimates/SummaryOfOverallLatency"
    report = VendorReport(
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
    )  # fmt: skip
    return _sized(report, resources("AreaEstimates/Resources"))


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
            used = first_row(table, r"Total", _RESOURCES)
            available = first_row(table, r"Available", _RESOURCES)
            break
    cycles = [whole(latency[i]) if len(latency) > i else None for i in (0, 1, 4, 5)]
    report = VendorReport(
        path.name, "vitis-hls csynth", "C synthesis, estimated",
        tool_version=after(text, r"\* Version:"),
        top=match(text, r"HLS Report for '([^']+)'"),
        part=after(text, r"\* Target device:"),
        target_clock_ns=_nanoseconds(timing, header, "Target"),
        achieved_clock_ns=_nanoseconds(timing, header, "Estimated"),
        latency_min_cycles=cycles[0], latency_max_cycles=cycles[1],
        interval_min_cycles=cycles[2], interval_max_cycles=cycles[3],
        available=available,
    )  # fmt: skip
    return _sized(report, used)


def _nanoseconds(row: list[str], header: tuple[str, ...], name: str) -> float | None:
    if name not in header or len(row) <= header.index(name):
        return None
    value, _, unit = row[header.index(name)].partition(" ")
    scale = {"": 1.0, "ns": 1.0, "us": 1e3, "ps": 1e-3}.get(unit.strip(), math.nan)
    figure = number(value)
    return None if figure is None or math.isnan(scale) else figure * scale


_FLAT: Mapping[str, tuple[str, ...]] = {
    "lut": ("CLB LUTs", "Slice LUTs"),
    "ff": ("Register as Flip Flop", "CLB Registers", "Slice Registers"),
    "dsp": ("DSPs", "DSP Slices", "DSP48s"),
    "uram": ("URAM",),
}
_BY_INSTANCE: Mapping[str, tuple[str, ...]] = {
    "lut": ("Total LUTs",),
    "ff": ("FFs",),
    "dsp": ("DSP Blocks", "DSP48 Blocks", "DSP Slices"),
    "uram": ("URAM",),
}


def utilization(path: Path, text: str) -> VendorReport:
    """Parse report_utilization; of a table by instance the first row, which is the top."""
    used: dict[str, int] = {}
    available: dict[str, int] = {}
    for table in tables(text):
        if table.header[:1] == ("Site Type",) and "Used" in table.header:
            for into, name in ((used, "Used"), (available, "Available")):
                _flat(table, column(table, name), into)
        elif "Total LUTs" in table.header and table.rows and "lut" not in used:
            used |= first_row(table, r".*", _BY_INSTANCE)
            large, small = (whole(_cell(table, name)) for name in ("RAMB36", "RAMB18"))
            if large is not None and small is not None:
                used["bram_18k"] = 2 * large + small
    return _sized(_vivado(path, "vivado utilization", text, available), used)


def _flat(table: TextTable, place: int | None, into: dict[str, int]) -> None:
    if place is None:
        return
    rows = {row[0].rstrip("*"): row[place] for row in reversed(table.rows) if len(row) > place}
    for name, labels in _FLAT.items():
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
    report = _vivado(path, "vivado timing", text)
    return replace(report, target_clock_ns=target, achieved_clock_ns=achieved)


def _vivado(
    path: Path,
    kind: Literal["vivado utilization", "vivado timing"],
    text: str,
    available: dict[str, int] | None = None,
) -> VendorReport:
    """Return what the head of the report says."""
    return VendorReport(
        path.name,
        kind,
        stage=after(text, r"\| Design State\s*:"),
        tool_version=match(text, r"Tool Version\s*:\s*Vivado v\.(\S+)"),
        top=after(text, r"\| Design\s*:"),
        part=after(text, r"\| Device\s*:"),
        available=available or {},
    )


def _sized(report: VendorReport, used: Mapping[str, int]) -> VendorReport:
    lut, ff, dsp = used.get("lut"), used.get("ff"), used.get("dsp")
    bram_18k, uram = used.get("bram_18k"), used.get("uram")
    return replace(report, lut=lut, ff=ff, dsp=dsp, bram_18k=bram_18k, uram=uram)


def _cell(table: TextTable, name: str) -> str | None:
    place = column(table, name)
    return table.rows[0][place] if place is not None and len(table.rows[0]) > place else None


LARGEST_REPORT_BYTES = 64 * 2**20


def read_report(path: Path) -> VendorReport:
    """Read csynth.xml or *_csynth.rpt of Vitis HLS, or a Vivado utilization or timing report.

    Raises `DataError` where the file cannot be read or is none of these.
    """
    try:
        if path.stat().st_size > LARGEST_REPORT_BYTES:
            msg = f"{path}: larger than any report (64 MiB); expected a Vitis HLS or Vivado report"
            raise DataError(msg)
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror or error}); check the path"
        raise DataError(msg) from error
    if text.lstrip("\ufeff \t\r\n").startswith("<"):
        report = csynth_xml(path, text)
    elif "== Performance Estimates" in text:
        report = csynth_text(path, text)
    elif "Synthesis Summary Report" in text:
        msg = f"{path}: the summary over all modules; import <top>_csynth.rpt or csynth.xml instead"
        raise DataError(msg)
    elif "Design Timing Summary" in text:
        report = timing(path, text)
    elif "Utilization" in text and re.search(r"Site Type|Total LUTs", text):
        report = utilization(path, text)
    else:
        msg = (
            f"{path}: not a report known here; expected csynth.xml or *_csynth.rpt of Vitis HLS, "
            "or report_utilization or report_timing_summary of Vivado"
        )
        raise DataError(msg)
    if not report.has_figures:
        msg = f"{path}: a {report.kind} report without any figure; was the run finished?"
        raise DataError(msg)
    return report
