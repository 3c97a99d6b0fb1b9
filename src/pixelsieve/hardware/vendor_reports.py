"""Reports of Vitis HLS (csynth) and Vivado (utilization, timing), kept apart from our numbers."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pixelsieve.core.config import from_mapping
from pixelsieve.core.errors import ConfigError, DataError, RunError
from pixelsieve.core.files import file_hash, read_kept, write_json
from pixelsieve.core.runs import RunFolder


@dataclass(frozen=True, slots=True)
class TextTable:
    """Cells without the blanks around them; of several header lines the last."""

    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ((),)

    def cell(self, row: tuple[str, ...], *titles: str) -> str | None:
        """The cell of a row in the first of these columns that there is."""
        place = next((self.header.index(t) for t in titles if t in self.header), len(row))
        return row[place] if place < len(row) else None


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


def first_row(table: TextTable, label: str, names: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """Figures of the first row whose first cell matches `label`, by the names of fields."""
    row = next((r for r in table.rows if r and re.fullmatch(label, r[0])), ())
    values = {name: whole(table.cell(row, *titles)) for name, titles in names.items()}
    return {name: value for name, value in values.items() if value is not None}


def match(text: str, pattern: str) -> str | None:
    """The first group of `pattern`, None if it is empty or not found."""
    found = re.search(pattern, text)
    return found[1].strip() or None if found else None


def after(text: str, label: str) -> str | None:
    """Return what stands after a label on its line."""
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
    # The second header line of the latencies: min max | min max | min max | Type.
    latency = next((t.rows[0] for t in found if t.header[:6] == ("min", "max") * 3), ())
    cycles = [whole(latency[i]) if len(latency) > i else None for i in (0, 1, 4, 5)]
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
    path: Path, kind: Literal["vivado utilization", "vivado timing"], text: str
) -> VendorReport:
    """Return what the head of the report says."""
    return VendorReport(
        path.name,
        kind,
        stage=after(text, r"\| Design State\s*:"),
        tool_version=match(text, r"Tool Version\s*:\s*Vivado v\.(\S+)"),
        top=after(text, r"\| Design\s*:"),
        part=after(text, r"\| Device\s*:"),
    )


LARGEST_REPORT_BYTES = 64 * 2**20


def read_report(path: Path) -> VendorReport:
    """Read csynth.xml or *_csynth.rpt of Vitis HLS, or a Vivado utilization or timing report.

    Raise `DataError` if the file cannot be read or is none of these.
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
    """Add reports of Vitis HLS or Vivado to `run`/vendor_reports.json and return all of them.

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
