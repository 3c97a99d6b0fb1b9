"""Vendor reports that users bring, kept with a run apart from our own numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pixelsieve.core.config import from_mapping
from pixelsieve.core.errors import ConfigError, RunError
from pixelsieve.core.files import file_hash, read_kept, telling_unwritable, write_json
from pixelsieve.core.runs import RunFolder
from pixelsieve.firmware.vendor_formats import VendorReport, read_report

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
    with telling_unwritable(path):
        write_json(path, {"schema": _SCHEMA, "reports": kept})
    return kept
