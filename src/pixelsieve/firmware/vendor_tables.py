"""What vendor reports say, and the tables drawn with | and + they say it in."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = [
    "Kind",
    "Table",
    "VendorReport",
    "after",
    "column",
    "first_row",
    "match",
    "number",
    "tables",
    "whole",
]


@dataclass(frozen=True, slots=True)
class Table:
    """Cells without the blanks around them; of several header lines the last."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables(text: str) -> list[Table]:
    """Every whole table of a text: rule, header lines, rule, rows (with rules among them), rule."""
    found: list[Table] = []
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
                found.append(Table(header, tuple(rows)))
            header, rows, rules, closed = (), [], 0, False
    return found


def column(table: Table, name: str) -> int | None:
    """Place of a column, None where there is none of this name."""
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


def first_row(table: Table, label: str, names: Mapping[str, tuple[str, ...]]) -> dict[str, int]:
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
