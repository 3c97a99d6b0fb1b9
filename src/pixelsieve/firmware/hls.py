"""The hand-over to Vitis HLS and Catapult: an hls4ml project that was simulated bit by bit."""

from __future__ import annotations

import importlib.metadata
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.errors import RunError
from pixelsieve.files import write_json
from pixelsieve.firmware.folder import (
    MARKER,
    check_replaceable,
    claimed_folder,
    failed_folder,
    replacing_folder,
)
from pixelsieve.firmware.hls_project import (
    Backend,
    HlsProject,
    HlsSettings,
    hls4ml,
    write_project,
    write_test_bench,
)
from pixelsieve.firmware.hls_readme import hls_readme
from pixelsieve.firmware.hls_simulation import compile_c, simulate_c
from pixelsieve.firmware.integer import IntegerNetwork
from pixelsieve.firmware.integer_file import to_document, write_integer_network
from pixelsieve.firmware.tools import GXX, find
from pixelsieve.firmware.vectors import Vectors
from pixelsieve.firmware.verify import Clock, FirstDifference
from pixelsieve.guard import scratch_folder
from pixelsieve.model_file import Model, require_same_keras

__all__ = ["CLOCK_NS", "HandOver", "hand_over"]

CLOCK_NS = 5.0
"""Target clock where nothing else is said: hls4ml's own."""


@dataclass(frozen=True, slots=True)
class HandOver:
    """What was written and how its C simulation compared with the integer program.

    `folder` ends in `.failed` where they differ. `first` is the first vector that does, with the
    layers of the integer program (`keras` is empty). `notes` say with what it was compared.
    """

    folder: Path
    project: HlsProject
    clusters: int
    corners: int
    mismatches: int
    first: FirstDifference | None
    network_sha256: str
    notes: tuple[str, ...]
    versions: dict[str, str]
    seconds: dict[str, float]

    @property
    def vectors(self) -> int:
        """Clusters and corners together."""
        return self.clusters + self.corners

    @property
    def passed(self) -> bool:
        """Whether all vectors agreed bit for bit."""
        return self.mismatches == 0

    def to_plain(self) -> dict[str, Any]:
        """Plain data for JSON."""
        made = asdict(self.project)
        made["settings"]["part"] = self.project.settings.target
        rest = {k: v for k, v in asdict(self).items() if k not in {"folder", "project"}}
        return {"schema": 1, "passed": self.passed, "vectors": self.vectors, **rest, **made}


def hand_over(
    model: Model,
    network: IntegerNetwork,
    of: Vectors,
    out: Path,
    *,
    backend: Backend = "Vitis",
    clock_ns: float = CLOCK_NS,
    part: str | None = None,
    reuse_factor: int = 1,
    threshold: int | None = None,
    on_step: Callable[[str], None] | None = None,
) -> HandOver:
    """Write `out` (project/, README.md, network.json, verification.json) and check it.

    The project's C simulation, compiled by g++ with the headers that hls4ml ships, is compared
    with `network` on the vectors (see `verify.vectors`). Where they differ the folder is `out`
    with `.failed` behind its name, and what `out` held before stays.
    `threshold` is a logit code for the README. Raises `PixelsieveError`s of one line for
    everything that the user can mend.
    """
    say = on_step or (lambda _: None)
    settings = HlsSettings(backend, clock_ns, part, reuse_factor)
    require_same_keras(model)
    compiler = str(find(GXX))
    hls4ml()  # says at once that it is missing
    check_replaceable(out)
    sha256 = str(to_document(network)["sha256"])
    clock = Clock()
    with claimed_folder(out), scratch_folder() as scratch:
        written, work = scratch / "project", scratch / "work"
        try:
            work.mkdir()
            say("HLS project")
            project = write_project(written, model, network, settings, sha256[:8])
            write_test_bench(written, project, network, of)
            clock.stop("hls4ml")
            say("compiling the C simulation")
            compile_c(project, network, written, work)
            clock.stop("g++")
            say("C simulation")
            got = simulate_c(project, of.codes, work)
            clock.stop("C simulation")
        except OSError as error:
            msg = f"{scratch}: cannot be written ({error.strerror or error}); set TMPDIR"
            raise RunError(msg) from error
        wrong = got != network.run(of.codes)
        target = failed_folder(out) if wrong.any() else out
        result = HandOver(
            folder=target,
            project=project,
            clusters=of.clusters,
            corners=of.corners,
            mismatches=int(wrong.sum()),
            first=_first(network, of, got) if wrong.any() else None,
            network_sha256=sha256,
            notes=_notes(network, project),
            versions={**_versions(), "compiler": compiler},
            seconds=clock.seconds,
        )
        with replacing_folder(target) as folder:
            shutil.move(written, folder / "project")
            write_integer_network(folder / "network.json", network)
            text = hls_readme(
                network, project, result.vectors, result.passed, result.notes, threshold
            )
            (folder / "README.md").write_text(text, encoding="utf-8")
            write_json(folder / MARKER, result.to_plain())
    return result


def _first(network: IntegerNetwork, of: Vectors, got: NDArray[np.float64]) -> FirstDifference:
    expected = network.run(of.codes)
    at = int((got != expected).argmax())
    vector = {name: c[at : at + 1] for name, c in of.codes.items()}
    return FirstDifference(
        stage="hls_c_simulation",
        vector=at,
        of="clusters" if at < of.clusters else "corners",
        expected=int(expected[at]),
        got=float(got[at]) if np.isfinite(got[at]) else None,
        inputs={name: c[0].tolist() for name, c in vector.items()},
        layers={name: c[0].tolist() for name, c in network.trace(vector).layers.items()},
        keras={},
    )


def _notes(network: IntegerNetwork, project: HlsProject) -> tuple[str, ...]:
    headers = "ap_types" if project.settings.backend == "Vitis" else "ac_types"
    notes = [
        f"C simulation with the {headers} headers that hls4ml ships; the vendor's tool was not run"
    ]
    grids = {i.name: i.grid for i in network.inputs}
    notes += [
        f"port '{port.name}' is {definition}, the codes are {grids[port.name]}: it takes their "
        "values converted as C++ does, not their bits"
        for port, definition in zip(project.ports, project.definitions, strict=False)
        if port.type != str(grids[port.name])
    ]
    return (*notes, *(f"hls4ml: {text}" for text in project.warnings))


def _versions() -> dict[str, str]:
    return {n: importlib.metadata.version(n) for n in ("hls4ml", "keras", "hgq2", "jax", "numpy")}
