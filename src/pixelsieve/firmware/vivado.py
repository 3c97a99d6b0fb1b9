"""Vivado's report_utilization (flat or by instance) and report_timing_summary."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pixelsieve.firmware.report_tables import (
    Table,
    after,
    column,
    first_row,
    match,
    number,
    tables,
    whole,
)
from pixelsieve.firmware.vendor_report import VendorReport

__all__ = ["timing", "utilization"]

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
