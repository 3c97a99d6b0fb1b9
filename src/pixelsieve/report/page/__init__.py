"""The report: one page of everything that the JSON of one or several runs says."""

from __future__ import annotations

from pixelsieve.report.page.gather import RunRecord, read_run
from pixelsieve.report.page.write import write_report

__all__ = ["RunRecord", "read_run", "write_report"]
