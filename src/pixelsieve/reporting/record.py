"""Everything that the JSON files of a run say, read once into one typed value.

Files of an older version may lack what this one writes. What cannot be read is named in
`RunRecord.unreadable`, and the rest is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

from pixelsieve import __version__
from pixelsieve.core.config import Document, from_mapping, to_plain
from pixelsieve.core.errors import ConfigError, RunError
from pixelsieve.core.files import MARKER, read_document
from pixelsieve.core.runs import RunFolder
from pixelsieve.hardware.resources import Resources
from pixelsieve.hardware.synthesis import Synthesis
from pixelsieve.hardware.vendor_reports import VendorReport
from pixelsieve.networks.precision import bits_label
from pixelsieve.studies.explain import Curves
from pixelsieve.studies.robustness import RobustnessResult
from pixelsieve.studies.search.result import SearchResult
from pixelsieve.studies.summary import Comparison, read_comparison
from pixelsieve.training.recipe import Recipe
from pixelsieve.training.warm_start import WarmStartRow

T = TypeVar("T")

_UNKNOWN = "not recorded"


@dataclass(frozen=True, slots=True)
class GitState:
    """The commit that made a run, and whether files had been changed."""

    commit: str
    dirty: bool


@dataclass(frozen=True, slots=True)
class Manifest:
    """How a run was made; older versions told less."""

    config: dict[str, object]
    config_hash: str = _UNKNOWN
    pixelsieve: str = _UNKNOWN
    versions: dict[str, str] = field(default_factory=dict)
    python: str = _UNKNOWN
    machine: str = _UNKNOWN
    git: GitState | None = None
    command: tuple[str, ...] | None = None
    started: str = _UNKNOWN


@dataclass(frozen=True, slots=True)
class _Bits:
    weight_bits: int | None = None
    budget_ebops: float | None = None


@dataclass(frozen=True, slots=True)
class JobRecord:
    """The result of a training: its history, and by layer what its warm start did."""

    name: str
    recipe: Recipe
    seed: int
    precision: _Bits | None = None
    history: tuple[dict[str, float | None], ...] = ()
    warm_start: tuple[WarmStartRow, ...] | None = None

    @property
    def bits(self) -> int | str | None:
        """Return the bits of a weight, `learned:300`, or None for float."""
        return None if self.precision is None else bits_label(to_plain(self.precision))


@dataclass(frozen=True, slots=True)
class _Checked:
    """A gate or a simulation: mismatches by stage, or of the C simulation alone."""

    passed: bool | None = None
    clusters: int | None = None
    corners: int | None = None
    mismatches: dict[str, int] = field(default_factory=dict)
    tools: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Design:
    latency: int
    lut_estimate: float
    levels: float
    register_bits: int


@dataclass(frozen=True, slots=True)
class _Threshold:
    code: int
    validation_efficiency: float
    validation_rejection: float


@dataclass(frozen=True, slots=True)
class FirmwareRecord:
    """The verification.json of a folder of Verilog or of an HLS hand-over."""

    verification: _Checked
    made_from: str = "features"
    passed: bool | None = None
    design: _Design | None = None
    threshold: _Threshold | None = None
    netlist: _Checked | None = None
    vhdl: _Checked | None = None
    synthesis: tuple[Synthesis, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run folder; None and empty if a file is not there.

    `finished` tells whether there is a metrics.json; `jobs` are results of training by name,
    `firmware` those of each folder in firmware/, `resources` costs by model, `trials` the number
    of a search's trials on disk. `unreadable` are the parts that another version wrote otherwise.
    """

    path: Path
    kind: Literal["compare", "search", "train"]
    manifest: Manifest
    finished: bool = False
    comparison: Comparison | None = None
    search: SearchResult | None = None
    curves: Curves | None = None
    jobs: dict[str, JobRecord] = field(default_factory=dict)
    firmware: dict[str, FirmwareRecord] = field(default_factory=dict)
    resources: dict[str, Resources] = field(default_factory=dict)
    vendor_reports: tuple[VendorReport, ...] = ()
    trials: int = 0
    robustness: RobustnessResult | None = None
    unreadable: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.resolve().name


def read_run(path: Path) -> RunRecord:
    """Read the run in folder `path`; raise `RunError` if it is none, or a file is damaged."""
    run = RunFolder(path)
    if not run.manifest.is_file():
        msg = (
            f"{path}: no run (no manifest.json); expected a folder that compare, train or search "
            "made"
        )
        raise RunError(msg)
    manifest = _manifest(path)
    kind: Literal["compare", "search", "train"] = "train"
    if "space" in manifest.config:
        kind = "search"
    elif "recipes" in manifest.config:
        kind = "compare"
    read = _Parts()
    metrics = _table(run.metrics)
    read_metrics = partial(read_comparison, where="metrics.json")
    comparison = read.of("comparison", read_metrics, metrics if kind == "compare" else None)
    if comparison is not None and any(row.roc is None for row in comparison.rows):
        read.unreadable.append("ROC")
    jobs = {file.stem: read_document(file) for file in run.jobs()}
    made = [p / MARKER for p in run.firmware_folders()]
    checks = {p.parent.name: read_document(p) for p in made if p.is_file()}
    read_search = partial(SearchResult.from_plain, where="metrics.json", strict=False)
    return RunRecord(
        path,
        kind,
        manifest,
        metrics is not None,
        comparison,
        read.of("search", read_search, metrics if kind == "search" else None),
        read.of("curves", _as(Curves), _table(run.curves)),
        read.of("training", _jobs, jobs) or {},
        read.of("firmware", _firmware, checks) or {},
        read.of("resources", _resources, _table(run.resources)) or {},
        read.of("vendor reports", _vendor, _table(run.vendor_reports)) or (),
        len(run.trials()),
        read.of("robustness", _as(RobustnessResult), _table(run.robustness)),
        tuple(read.unreadable),
    )


class _Parts:
    """Reads the parts of a run; what another version wrote otherwise is named, not fatal."""

    def __init__(self) -> None:
        self.unreadable: list[str] = []

    def of(self, what: str, read: Callable[[Document], T], document: Document | None) -> T | None:
        """Return what `read` makes of a document; None if there is none or it has another form."""
        try:
            return None if document is None else read(document)
        except ConfigError:
            self.unreadable.append(what)
            return None


def _manifest(path: Path) -> Manifest:
    file = RunFolder(path).manifest
    document = read_document(file)
    if not isinstance(document.setdefault("config", {}), dict):
        msg = f"{file}: no manifest of a run ('config' is no table)"
        raise RunError(msg)
    try:
        return from_mapping(Manifest, document, "manifest.json", strict=False)
    except ConfigError as error:
        msg = (
            f"{path}: a JSON file in it has a form that pixelsieve {__version__} does not know "
            f"({error}); use the version that made it, or the same command again"
        )
        raise RunError(msg) from error


def _table(path: Path) -> Document | None:
    return read_document(path) if path.is_file() else None


def _as(kind: type[T]) -> Callable[[Document], T]:
    return lambda document: from_mapping(kind, document, kind.__name__, strict=False)


def _inner(document: Document, name: str) -> Document:
    """Return the table `name` of a document; an empty one if it is none."""
    found = document.get(name)
    return found if isinstance(found, dict) else {}


def _jobs(documents: Document) -> dict[str, JobRecord]:
    """Return the trainings of networks; other teachers have neither recipe nor history."""
    return {
        name: _as(JobRecord)({"name": name, **job})
        for name, job in documents.items()
        if "recipe" in job
    }


def _firmware(documents: Document) -> dict[str, FirmwareRecord]:
    return {name: _one_firmware(one) for name, one in documents.items()}


def _one_firmware(one: Document) -> FirmwareRecord:
    checked = dict(_inner(one, "verification") or one)
    counts = checked.get("mismatches", {})
    checked["mismatches"] = counts if isinstance(counts, Mapping) else {"C simulation": counts}
    threshold = _inner(one, "threshold")
    plain = {
        **one,
        "verification": checked,
        "made_from": one.get("from", "features"),
        "design": _inner(one, "design") or None,
        "threshold": threshold if "code" in threshold else None,
        "synthesis": one.get("synthesis") or [],
    }
    return _as(FirmwareRecord)(plain)


def _resources(document: Document) -> dict[str, Resources]:
    return {name: _as(Resources)(one) for name, one in _inner(document, "models").items()}


@dataclass(frozen=True, slots=True)
class _VendorFile:
    reports: tuple[VendorReport, ...] = ()


def _vendor(document: Document) -> tuple[VendorReport, ...]:
    return _as(_VendorFile)(document).reports
