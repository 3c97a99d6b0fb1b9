"""The README of a hand-over: ports, layers, how to run the vendor's tools on it."""

from __future__ import annotations

from pixelsieve.firmware.hls_project import HlsProject
from pixelsieve.firmware.integer import IntegerNetwork
from pixelsieve.firmware.readme import port_meaning, port_row

__all__ = ["hls_readme"]

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

_ENCODING = """## Encoding

* `fixed<b,i>` is two's complement of `b` bits, `i` of them before the binary point (sign
  included): value = code / 2^(b-i). `ufixed<b,i>` is the same without a sign.
* An input is round-half-to-even(feature / divisor * 2^(b-i)), saturated to the range of its code.
* `logit` is exact: no rounding, no overflow for any input code.
"""

_MIRRORED = (
    "* Mirrored: where z_global < 0 its absolute value goes in, and the x profile reversed.\n"
)

_FILES = """## Files

* `project/`: the hls4ml project. Its headers of fixed-point types come with hls4ml (Apache-2.0).
* `network.json`: the integer weights, grids and feature scaling (codes, with a SHA-256).
* `verification.json`: what was compared with what, on how many vectors, with which tools.
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
    vitis = settings.backend == "Vitis"
    scales = dict(zip(network.features.names, network.features.divisors, strict=True))
    holds = "0 mismatches" if passed else "MISMATCHES, do not use"
    ports = [port_row(p, "in", port_meaning(p.name, scales[p.name])) for p in project.ports]
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
        _ENCODING + (_MIRRORED if network.features.mirror_x else ""),
        _FILES,
    ]
    return "\n".join(lines)
