"""Reports of Vitis HLS, Vivado and Catapult, kept apart from our numbers."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pixelsieve.core.config import from_mapping
from pixelsieve.core.errors import ConfigError, DataError, RunError
from pixelsieve.core.files import file_hash, read_kept, write_json
from pixelsieve.core.runs import RunFolder
from pixelsieve.hardware.report_text import (
    TextTable,
    after,
    first_row,
    match,
    number,
    ruled_table,
    tables,
    whole,
)

Kind = Literal[
    "vitis-hls csynth",
    "vitis-hls cosimulation",
    "vivado utilization",
    "vivado timing",
    "catapult",
]


@dataclass(frozen=True, slots=True)
class VendorReport:
    """One vendor report. `stage` tells an estimate from a measured, synthesized or routed design.

    A report that is kept with a run has the `sha256` of its file and the `model` that it is of.
    `target_clock_ns` is what was asked for, `achieved_clock_ns` what the tool says it can do, of
    the `clock` with the least `slack_ns`; `available` are the resources of the part by the names
    of the fields, `area_score` is Catapult's, in units of its library. Of a tool that gives one
    latency it is the largest.
    """

    model: str | None = field(default=None, kw_only=True)
    sha256: str = field(default="", kw_only=True)
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
    slack_ns: float | None = None
    clock: str | None = None
    latency_min_cycles: int | None = None
    latency_max_cycles: int | None = None
    interval_min_cycles: int | None = None
    interval_max_cycles: int | None = None
    area_score: float | None = None
    available: dict[str, int] = field(default_factory=dict)

    @property
    def has_figures(self) -> bool:
        """Whether the report says anything at all about the design's size or speed."""
        return any(
            getattr(self, name) is not None
            for name in (
                *("lut", "ff", "dsp", "bram_18k", "uram", "area_score"),
                *("achieved_clock_ns", "slack_ns"),
                *("latency_min_cycles", "latency_max_cycles"),
                *("interval_min_cycles", "interval_max_cycles"),
            )
        )


_RESOURCES: Mapping[str, tuple[str, ...]] = {
    "lut": ("LUT",),
    "ff": ("FF",),
    "dsp": ("DSP", "DSP48E", "DSP48"),
    "bram_18k": ("BRAM_18K",),
    "uram": ("URAM",),
}


def csynth_xml(path: Path, text: str) -> VendorReport:
    """Parse csynth.xml. Raise `DataError` if it is no such XML."""
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

    def resources(place: str) -> dict[str, Any]:
        pairs = ((n, whole(found(f"{place}/{t}"))) for n, tags in _RESOURCES.items() for t in tags)
        known: dict[str, Any] = {}
        for name, value in pairs:
            if value is not None:
                known.setdefault(name, value)
        return known

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
    found, none = tables(performance), TextTable()
    clock = next((t for t in found if {"Target", "Estimated"} <= set(t.header)), none)
    cycles = next((c for t in found if (c := _latency(t)) is not None), [None] * 4)
    sizes = (t for t in tables(area) if "LUT" in t.header and t.header[0] == "Name")
    size = next(sizes, none)
    return VendorReport(
        path.name, "vitis-hls csynth", "C synthesis, estimated",
        tool_version=after(text, r"\* Version:"),
        top=match(text, r"HLS Report for '([^']+)'"),
        part=after(text, r"\* Target device:"),
        target_clock_ns=_nanoseconds(clock.cell(clock.rows[0], "Target")),
        achieved_clock_ns=_nanoseconds(clock.cell(clock.rows[0], "Estimated")),
        latency_min_cycles=cycles[0], latency_max_cycles=cycles[1],
        interval_min_cycles=cycles[2], interval_max_cycles=cycles[3],
        available=first_row(size, r"Available", _RESOURCES),
        **first_row(size, r"Total", _RESOURCES),
    )  # fmt: skip


def _latency(table: TextTable) -> list[int | None] | None:
    """Return latency and interval, each least and most, if the table is of them.

    The second line of its header is min max | min max | min max | Type: cycles, time, interval.
    Vivado HLS 2018 and older have no time.
    """
    pairs = next((n for n in (3, 2) if table.header[: 2 * n] == ("min", "max") * n), 0)
    if not pairs:
        return None
    row = table.rows[0]
    places = (0, 1, 2 * pairs - 2, 2 * pairs - 1)
    return [whole(row[i]) if len(row) > i else None for i in places]


_SUMMED: Mapping[str, str] = {
    "lut": "LUT", "ff": "FF", "dsp": "DSP", "bram_18k": "BRAM", "uram": "URAM",
}  # fmt: skip


def csynth_summary(path: Path, text: str) -> VendorReport:
    """Parse csynth.rpt of a solution, a table of all modules: its first row, which is the top."""
    found = (t for t in tables(text) if t.header[:1] in {("& Loops",), ("Modules",)})
    table = next(found, TextTable())
    top = table.rows[0]
    cells = {name: table.cell(top, title) for name, title in _SUMMED.items()}
    sizes: dict[str, Any] = {n: 0 if cell == "-" else whole(cell) for n, cell in cells.items()}
    return VendorReport(
        path.name, "vitis-hls csynth", "C synthesis, estimated",
        tool_version=after(text, r"\* Version:"),
        top=match(text, r"Synthesis Summary Report of '([^']+)'"),
        part=after(text, r"\* Target device:"),
        latency_max_cycles=whole(table.cell(top, "(cycles)")),
        interval_max_cycles=whole(table.cell(top, "Interval")),
        **sizes,
    )  # fmt: skip


_COSIMULATED = re.compile(r"^ *\| *(Verilog|VHDL|SystemC) *\| *(\w+) *\|(.*)\| *$", re.MULTILINE)


def cosimulation(path: Path, text: str) -> VendorReport:
    """Parse <top>_cosim.rpt: latency and interval measured in the language that was simulated."""
    rows = [row for row in _COSIMULATED.findall(text) if row[1] != "NA"]
    language, status, rest = next(iter(rows), ("", "", ""))
    cycles = [*map(whole, rest.split("|")), *[None] * 6]  # min, average, max of both
    top = path.stem.removesuffix("_cosim")
    return VendorReport(
        path.name, "vitis-hls cosimulation", f"{language} simulated: {status}, measured",
        top=top if top != path.stem else None,
        latency_min_cycles=cycles[0], latency_max_cycles=cycles[2],
        interval_min_cycles=cycles[3], interval_max_cycles=cycles[5],
    )  # fmt: skip


def catapult(path: Path, text: str) -> VendorReport:
    """Parse rtl.rpt (area, slack) or cycle.rpt (clock, latency) of a solution of Catapult."""
    blocks = ruled_table(text, "Process ")
    total = next((row for row in blocks.rows if row[0].startswith("Design Total")), ())
    clocks = ruled_table(text, "Clock Signal")
    periods = {clocks.cell(row, "Period"): clocks.cell(row, "Clock Signal") for row in clocks.rows}
    asked = number(next(iter(periods))) if len(periods) == 1 else None
    delay = number(match(text, r"\n *Max Delay:([^\n]*)"))
    slack = number(match(text, r"\n *Slack:([^\n]*)"))
    if asked is None and delay is not None and slack is not None:
        asked = round(delay + slack, 6)
    solution = after(text, r"Solution Settings:") or ""
    scores = (match(text, r"\n *Total Area Score:([^\n]*)") or "").split()
    return VendorReport(
        path.name, "catapult", "high-level synthesis, estimated",
        tool_version=after(text, r"-- Version:"),
        top=re.sub(r"\.v\d+$", "", solution.split("::")[-1]) or None,
        target_clock_ns=asked,
        achieved_clock_ns=None if delay is None else round(delay, 6),
        slack_ns=None if slack is None else round(slack, 6),
        clock=next(iter(periods.values()), None) if len(periods) == 1 else None,
        latency_max_cycles=whole(blocks.cell(total, "Latency")),
        interval_max_cycles=whole(blocks.cell(total, "Throughput")),
        area_score=number(scores[2]) if len(scores) > 2 else None,  # noqa: PLR2004 (post-assignment)
    )  # fmt: skip


def _nanoseconds(text: str | None) -> float | None:
    value, _, unit = (text or "").partition(" ")
    scale = {"": 1.0, "ns": 1.0, "us": 1e3, "ps": 1e-3}.get(unit.strip())
    figure = number(value)
    return None if figure is None or scale is None else figure * scale


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
    used: dict[str, Any] = {}
    available: dict[str, int] = {}
    for table in tables(text):
        if table.header[:1] == ("Site Type",) and "Used" in table.header:
            for into, title in ((used, "Used"), (available, "Available")):
                into.update((k, v) for k, v in _flat(table, title).items() if k not in into)
        elif "Total LUTs" in table.header and "lut" not in used:
            used |= first_row(table, r".*", _BY_INSTANCE)
            large, small = (whole(table.cell(table.rows[0], n)) for n in ("RAMB36", "RAMB18"))
            if large is not None and small is not None:
                used["bram_18k"] = 2 * large + small
    report = _vivado(path, "vivado utilization", text)
    return replace(report, available=available, **used)


def _flat(table: TextTable, title: str) -> dict[str, Any]:
    """Figures in a column of a table with a row per kind of cell."""
    rows = ((row[0].rstrip("*"), table.cell(row, title)) for row in reversed(table.rows))
    cells = {label: cell for label, cell in rows if cell is not None}
    values = {n: [whole(cells.get(la)) for la in labels] for n, labels in _FLAT.items()}
    found = {n: next((v for v in vs if v is not None), None) for n, vs in values.items()}
    tiles = number(cells.get("Block RAM Tile"))
    found["bram_18k"] = None if tiles is None else round(2 * tiles)
    return {name: value for name, value in found.items() if value is not None}


def timing(path: Path, text: str) -> VendorReport:
    """Parse report_timing_summary: the slack, and the clock that has it.

    Of several clocks it is the one with that slack on paths of its own; periods stay None if there
    is none or if they differ.
    """
    summary = text.partition("Design Timing Summary")[2]
    found = re.search(r"^\s*WNS\(ns\).*\n[\s-]*\n\s*(\S+)", summary, flags=re.MULTILINE)
    slack = number(found[1]) if found else None
    table = ruled_table(summary.partition("Clock Summary")[2], "Clock ")
    periods = {row[0]: number(table.cell(row, "Period(ns)")) for row in table.rows}
    clocks = [*periods]
    if len(clocks) > 1 and slack is not None:
        own = ruled_table(summary.partition("Intra Clock Table")[2], "Clock ")
        clocks = [row[0] for row in own.rows if number(own.cell(row, "WNS(ns)")) == slack]
    targets = {periods.get(clock) for clock in clocks}
    target = targets.pop() if len(targets) == 1 else None
    achieved = round(target - slack, 6) if target is not None and slack is not None else None
    return replace(
        _vivado(path, "vivado timing", text),
        target_clock_ns=target,
        achieved_clock_ns=achieved,
        slack_ns=slack,
        clock=clocks[0] if target is not None else None,
    )


def _vivado(path: Path, kind: Kind, text: str) -> VendorReport:
    """Return what the head of the report says."""
    return VendorReport(
        path.name,
        kind,
        stage=after(text, r"\| Design State\s*:"),
        tool_version=match(text, r"Tool Version\s*:\s*Vivado v\.(\S+)"),
        top=after(text, r"\| Design\s*:"),
        part=after(text, r"\| Device\s*:"),
    )


_PARSERS: tuple[tuple[str, Callable[[Path, str], VendorReport]], ...] = (
    (r"\A[\ufeff\s]*<", csynth_xml),
    (r"\A[\ufeff\s]*-- Catapult", catapult),
    (r"== Performance Estimates", csynth_text),
    (r"== Synthesis Summary Report", csynth_summary),
    (r"\n *\+ *RTL *\+ *Status *\+", cosimulation),
    (r"Design Timing Summary", timing),
    (r"Site Type|Total LUTs", utilization),
)
"""What a text has in it, the first that it has, and how it is read."""

LARGEST_REPORT_BYTES = 64 * 2**20


def read_report(path: Path) -> VendorReport:
    """Read a report of Vitis HLS, Vivado or Catapult, told apart by what is in it.

    Raise `DataError` if the file cannot be read or is none that is known.
    """
    try:
        if path.stat().st_size > LARGEST_REPORT_BYTES:
            msg = f"{path}: larger than any report (64 MiB); expected a report of a vendor tool"
            raise DataError(msg)
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror or error}); check the path"
        raise DataError(msg) from error
    parse = next((parser for sign, parser in _PARSERS if re.search(sign, text)), None)
    if parse is None:
        msg = (
            f"{path}: not a report known here; expected csynth.xml, csynth.rpt or *_cosim.rpt of "
            "Vitis HLS, report_utilization or report_timing_summary of Vivado, or rtl.rpt or "
            "cycle.rpt of Catapult"
        )
        raise DataError(msg)
    report = parse(path, text)
    if not report.has_figures:
        msg = f"{path}: a {report.kind} report without any figure; was the run finished?"
        raise DataError(msg)
    return report


_SCHEMA = 1


def vendor_reports(run: Path) -> list[VendorReport]:
    """Return what was imported so far; raise `RunError` for a damaged file."""
    path = RunFolder(run).vendor_reports
    kept = read_kept(path, _SCHEMA, "reports", list) or []
    if not all(isinstance(one, dict) and "sha256" in one for one in kept):
        msg = f"{path}: a report without sha256; the file is damaged, remove it"
        raise RunError(msg)
    try:
        return [from_mapping(VendorReport, one, "a report") for one in kept]
    except ConfigError as error:
        msg = f"{path}: {error}; the file is damaged, remove it"
        raise RunError(msg) from error


def import_reports(
    run: Path, files: Sequence[Path], model: str | None = None
) -> list[VendorReport]:
    """Add reports of vendor tools to `run`/vendor_reports.json and return all of them.

    A report belongs to `model`, or to the model of the run that its top module is named after. The
    same file again takes the place of the older entry. Raise `RunError` for a folder that is no
    run, `ConfigError` for an unknown model, `DataError` for a file that is no report.
    """
    known = list(RunFolder(run).models())
    if model is not None and model not in known:
        msg = f"--model {model}: not in {run}; it has {', '.join(known)}"
        raise ConfigError(msg)
    kept = vendor_reports(run)
    for file in files:
        report = read_report(file)
        of = model or (report.top if report.top in known else None)
        report = replace(report, model=of, sha256=file_hash(file))
        kept = [*(one for one in kept if one.sha256 != report.sha256), report]
    path = RunFolder(run).vendor_reports
    write_json(path, {"schema": _SCHEMA, "reports": kept})
    return kept
