"""Vendor reports that users bring, kept with a run apart from our own numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pixelsieve.core.errors import ConfigError, DataError, RunError
from pixelsieve.core.files import file_hash, read_kept, telling_unwritable, write_json
from pixelsieve.firmware.vendor_formats import csynth_text, csynth_xml, timing, utilization
from pixelsieve.firmware.vendor_tables import VendorReport

__all__ = ["VENDOR_REPORTS", "VendorReport", "import_reports", "read_report", "vendor_reports"]

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


VENDOR_REPORTS = "vendor_reports.json"
_SCHEMA = 1


def vendor_reports(run: Path) -> list[dict[str, Any]]:
    """What was imported so far: model (or None), file's SHA-256, and the `VendorReport`.

    Raises `RunError` for a damaged file.
    """
    path = run / VENDOR_REPORTS
    kept = read_kept(path, _SCHEMA, "reports", list) or []
    if not all(isinstance(one, dict) and "sha256" in one for one in kept):
        msg = f"{path}: a report without sha256; the file is damaged, remove it"
        raise RunError(msg)
    return kept


def import_reports(
    run: Path, files: Sequence[Path], model: str | None = None
) -> list[dict[str, Any]]:
    """Add reports of Vitis HLS or Vivado to `run`/vendor_reports.json and return all of them.

    A report belongs to `model`, or to the model of the run that its top module is named after. The
    same file again takes the place of the older entry. Raises `RunError` for a folder that is no
    run, `ConfigError` for an unknown model, `DataError` for a file that is no report.
    """
    known = sorted(p.stem for p in (run / "models").glob("[!.]*.keras"))
    if not known:
        msg = f"{run}: no models in it; expected the folder of a run (models/NAME.keras)"
        raise RunError(msg)
    if model is not None and model not in known:
        msg = f"--model {model}: not in {run}; it has {', '.join(known)}"
        raise ConfigError(msg)
    kept = vendor_reports(run)
    for file in files:
        report = read_report(file)
        entry = {
            "model": model or (report.top if report.top in known else None),
            "sha256": file_hash(file),
            **asdict(report),
        }
        kept = [k for k in kept if k["sha256"] != entry["sha256"]] + [entry]
    path = run / VENDOR_REPORTS
    with telling_unwritable(path):
        write_json(path, {"schema": _SCHEMA, "reports": kept})
    return kept
