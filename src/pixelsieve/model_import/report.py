"""The full-coverage report: what became of every layer and every variable of the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["ImportReport", "ReportRow"]


@dataclass(frozen=True, slots=True)
class ReportRow:
    """A layer or a variable of the file: what it became, or why nobody needs it."""

    what: Literal["layer", "variable", "beside"]
    name: str
    used: bool
    note: str


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What was read, what it is, and a row for everything in it.

    `precision` is in words; `notes` are what the user must know to compare with the file's own
    program.
    """

    file: str
    sha256: str
    format: str
    network: str
    precision: str
    features: tuple[str, ...]
    parameters: int
    rows: tuple[ReportRow, ...]
    notes: tuple[str, ...]
