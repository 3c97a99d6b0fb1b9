"""Reading the reports that users bring from Vitis HLS and Vivado.

What a report does not say is None; nothing is derived but the achieved clock (period - slack, for
a single clock) and block memories in halves of 18 kbit.
"""

from __future__ import annotations

import re
from pathlib import Path

from pixelsieve.errors import DataError
from pixelsieve.firmware.vendor_report import VendorReport
from pixelsieve.firmware.vitis import csynth_text, csynth_xml
from pixelsieve.firmware.vivado import timing, utilization

__all__ = ["VendorReport", "read_report"]

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
