"""Vendor reports kept with a run, apart from our own numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pixelsieve.errors import ConfigError, RunError
from pixelsieve.files import file_hash, read_kept, telling_unwritable, write_json
from pixelsieve.firmware.reports import read_report

__all__ = ["VENDOR_REPORTS", "import_reports", "vendor_reports"]

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
