"""The hand-over to Vitis HLS and Catapult: an hls4ml project that was simulated bit by bit."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixelsieve.core.config import to_plain
from pixelsieve.core.files import (
    MARKER,
    check_replaceable,
    claimed_folder,
    failed_folder,
    replacing_folder,
    scratch,
    write_json,
)
from pixelsieve.core.programs import GXX, find
from pixelsieve.hardware.hls_project import (
    HlsProject,
    HlsSettings,
    compile_c,
    hls4ml,
    simulate_c,
    write_project,
    write_test_bench,
)
from pixelsieve.hardware.readme import MIRRORED, NUMBERS, RECORDS, port_meaning, port_row
from pixelsieve.hardware.testbench import Vectors
from pixelsieve.hardware.verify import Clock, FirstDifference, first_difference, versions
from pixelsieve.integer.file import to_document, write_integer_network
from pixelsieve.integer.network import IntegerNetwork
from pixelsieve.networks.model_file import Model, require_same_keras

_VITIS = """## Synthesis

    cd project
    vitis-run --mode hls --tcl build_prj.tcl     # before 2024.1: vitis_hls -f build_prj.tcl
    vivado -mode batch -source vivado_synth.tcl  # LUTs and flip-flops after logic synthesis

`build_opt.tcl` says which steps the first command takes (C simulation, synthesis, co-simulation
of the RTL). Clock, part and clock uncertainty are in `project.tcl`. The C simulation and the
co-simulation read `project/tb_data/tb_input_features.dat`, where the corner vectors are, and
write `csim_results.log` and `rtl_cosim_results.log` beside it: compare them with
`tb_output_predictions.dat`, which is exact (the logs give six digits).

Feed the reports back, they are kept apart from pixelsieve's own counts:

    pixelsieve firmware RUN --import-report project/{top}_prj/solution1/syn/report/csynth.xml
    pixelsieve firmware RUN --import-report project/vivado_synth.rpt
"""

_CATAPULT = """## Synthesis

    cd project
    catapult -product ultra -shell -f build_prj.tcl

`build_prj.tcl` holds the ASIC library, the clock and, in its first lines, which steps are taken.
Catapult's reports are not read by `pixelsieve firmware --import-report` (Vitis HLS and Vivado are).
"""

_FILES = """## Files

* `project/`: the hls4ml project. Its headers of fixed-point types come with hls4ml (Apache-2.0).
"""


def hls_readme(
    network: IntegerNetwork,
    project: HlsProject,
    vectors: int,
    passed: bool,
    notes: tuple[str, ...],
    threshold: int | None = None,
) -> str:
    """Markdown; `threshold` is the logit code from which a cluster is kept."""
    settings = project.settings
    mirrored = f"{MIRRORED}\n" if network.features.mirror_x else ""
    vitis = settings.backend == "Vitis"
    holds = "0 mismatches" if passed else "MISMATCHES, do not use"
    ports = [port_row(p, "in", port_meaning(p.name, network.features)) for p in project.ports]
    output = project.layers[-1].output
    ports.append(port_row(project.logit, "out", f"logit of signal against background (`{output}`)"))
    layers = [
        f"| `{one.name}` | `{one.output}` | {', '.join(f'`{w}`' for w in one.weights.values())} "
        f"| `{one.sum_type}` | `{one.output_type}` |"
        for one in project.layers
    ]
    chosen = (
        f"Clock {settings.clock_ns:g} ns, reuse factor {settings.reuse_factor}, "
        f"{'part' if vitis else 'library'} {settings.target}, strategy {settings.strategy}, "
        f"{settings.io_type}. These go with every number that is quoted."
    )
    lines = [
        f"# {project.top} for {'Vitis HLS' if vitis else 'Catapult'}",
        "",
        f"{holds} between the integer program and the C simulation on {vectors} vectors.",
        "",
        *(f"* {note}" for note in notes),
        "",
        chosen,
        "",
        "## Ports",
        "",
        f"Arguments of the top function `{project.top}`, in order.",
        "",
        "| port | direction | elements | bits | type | meaning |",
        "|---|---|---|---|---|---|",
        *ports,
        "",
    ]
    if threshold is not None:
        value = threshold * 2.0**-network.logit_fraction_bits
        keep = (
            f"The comparison is not in the project: keep a cluster where the code of `logit` is "
            f"at or above {threshold} (value {value!r}); equal codes are kept."
        )
        lines += [keep, ""]
    lines += [
        "## Layers",
        "",
        "| layer | output | weights | sum | output type |",
        "|---|---|---|---|---|",
        *layers,
        "",
        _VITIS.format(top=project.top) if vitis else _CATAPULT,
        f"## Encoding\n\n{NUMBERS}{mirrored}",
        _FILES + RECORDS,
    ]
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class HandOver:
    """A written project, and the result of comparing its C simulation with the integer program.

    `folder` ends in `.failed` if they differ. `first` is the first vector that does, with the
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

    def plain(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        made = to_plain(self.project)
        made["settings"]["part"] = self.project.settings.target
        rest = {k: v for k, v in to_plain(self).items() if k not in {"folder", "project"}}
        return {"schema": 1, "passed": self.passed, "vectors": self.vectors, **rest, **made}


def hand_over(
    model: Model,
    network: IntegerNetwork,
    of: Vectors,
    out: Path,
    settings: HlsSettings | None = None,
    *,
    threshold: int | None = None,
    on_step: Callable[[str], None] | None = None,
) -> HandOver:
    """Write `out` (project/, README.md, network.json, verification.json) and check it.

    The project's C simulation, compiled by g++ with the headers that hls4ml ships, is compared
    with `network` on the vectors (see `testbench.vectors`). Where they differ the folder is `out`
    with `.failed` behind its name, and what `out` held before stays.
    `threshold` is a logit code for the README. Raises `PixelsieveError`s of one line for
    everything that the user can mend.
    """
    say = on_step or (lambda _: None)
    settings = settings or HlsSettings()
    require_same_keras(model)
    compiler = str(find(GXX))
    hls4ml()  # says at once that it is missing
    check_replaceable(out)
    tools = versions("hls4ml", "keras", "hgq2", "jax", "numpy")
    sha256 = str(to_document(network)["sha256"])
    clock = Clock()
    with claimed_folder(out), scratch() as alone:
        written, work = alone / "project", alone / "work"
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
        expected = network.run(of.codes)
        wrong = got != expected
        at, first = int(wrong.argmax()), None
        if wrong.any():
            stage = "hls_c_simulation"
            first = first_difference(network, of, at, stage, int(expected[at]), got[at])
        target = failed_folder(out) if wrong.any() else out
        result = HandOver(
            folder=target,
            project=project,
            clusters=of.clusters,
            corners=of.corners,
            mismatches=int(wrong.sum()),
            first=first,
            network_sha256=sha256,
            notes=_notes(network, project),
            versions={**tools, "compiler": compiler},
            seconds=clock.seconds,
        )
        with replacing_folder(target) as folder:
            shutil.move(written, folder / "project")
            write_integer_network(folder / "network.json", network)
            text = hls_readme(
                network, project, result.vectors, result.passed, result.notes, threshold
            )
            (folder / "README.md").write_text(text, encoding="utf-8")
            write_json(folder / MARKER, result.plain())
    return result


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
