"""Everything that the JSON files of a run say, in one value."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pixelsieve.core.errors import RunError
from pixelsieve.core.files import read_document
from pixelsieve.core.folders import MARKER
from pixelsieve.firmware.resources import RESOURCES
from pixelsieve.firmware.vendor_reports import VENDOR_REPORTS
from pixelsieve.studies.explain import CURVES
from pixelsieve.studies.robustness_plan import ROBUSTNESS

__all__ = ["RunRecord", "read_run"]

Plain = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run folder as plain data; None and empty where a file is not there.

    `jobs` are results of training by name, `firmware` the verification.json of each folder in
    firmware/ by its name, `trials` the number of a search's trials on disk.
    """

    path: Path
    kind: Literal["compare", "search", "train"]
    manifest: Plain
    metrics: Plain | None = None
    curves: Plain | None = None
    jobs: dict[str, Plain] = field(default_factory=dict)
    firmware: dict[str, Plain] = field(default_factory=dict)
    resources: dict[str, Plain] = field(default_factory=dict)
    vendor_reports: list[Plain] = field(default_factory=list)
    trials: int = 0
    robustness: Plain | None = None

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.resolve().name


def read_run(path: Path) -> RunRecord:
    """Read the run in folder `path`. Raises `RunError` where it is none, or a file is damaged."""
    if not (path / "manifest.json").is_file():
        msg = (
            f"{path}: no run (no manifest.json); expected a folder that compare, train or search "
            "made"
        )
        raise RunError(msg)
    manifest = read_document(path / "manifest.json")
    config = manifest.get("config", {})
    if not isinstance(config, dict):
        msg = f"{path / 'manifest.json'}: no manifest of a run ('config' is no table)"
        raise RunError(msg)
    kind: Literal["compare", "search", "train"] = "train"
    if "space" in config:
        kind = "search"
    elif "recipes" in config:
        kind = "compare"
    return RunRecord(
        path,
        kind,
        manifest,
        _optional(path / "metrics.json"),
        _optional(path / CURVES),
        {f.stem: read_document(f) for f in sorted(path.glob("jobs/[!.]*.json"))},
        {f.parent.name: read_document(f) for f in sorted(path.glob(f"firmware/[!.]*/{MARKER}"))},
        (_optional(path / RESOURCES) or {}).get("models", {}),
        (_optional(path / VENDOR_REPORTS) or {}).get("reports", []),
        len(list(path.glob("trials/[!.]*.json"))),
        _optional(path / "robustness" / ROBUSTNESS),
    )


def _optional(path: Path) -> Plain | None:
    return read_document(path) if path.is_file() else None
