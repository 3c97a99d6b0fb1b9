"""`pixelsieve firmware`: a trained network as verified Verilog, and what it costs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pixelsieve.cli import firmware_modes as modes
from pixelsieve.cli import options
from pixelsieve.core.errors import ConfigError

if TYPE_CHECKING:
    from pixelsieve.firmware.hls_project import Backend
    from pixelsieve.firmware.synthesis import Measure

__all__ = ["firmware"]


@options.shows_errors(interrupted="interrupted")
def firmware(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Folder of a run; with --resources-only, of many."),
    ],
    *,
    data: Annotated[
        list[str] | None,
        typer.Option("--data", "-d", help="Clusters: Parquet file, folder or quoted pattern."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Which of the run's models (default: the quantized one).")
    ] = None,
    efficiency: Annotated[
        float, typer.Option(help="Signal efficiency of the keep bit, on the validation split.")
    ] = 0.98,
    stages: Annotated[
        int | None, typer.Option(help="Pipeline stages, one clock each (default: combinational).")
    ] = None,
    clock_ns: Annotated[
        float | None,
        typer.Option(help="Or: stages of at most this long at 1 ns a level of adders (alkaid)."),
    ] = None,
    from_: Annotated[
        Literal["features", "pixels"],
        typer.Option("--from", help="What comes in: scaled features, or the ADC's pixel codes."),
    ] = "features",
    luts: Annotated[
        bool, typer.Option("--luts", help="Count LUTs and flip-flops with Yosys (Xilinx).")
    ] = False,
    gates: Annotated[
        bool, typer.Option("--gates", help="Count NAND2 equivalents and logic depth with Yosys.")
    ] = False,
    time_limit: Annotated[
        float, typer.Option(help="Seconds that Yosys may take for each count.")
    ] = 600.0,
    memory_limit: Annotated[float, typer.Option(help="GiB that Yosys may take.")] = 4.0,
    bit_flips: Annotated[
        bool, typer.Option("--bit-flips", help="Loss of rejection by flipped weight bits.")
    ] = False,
    vhdl: Annotated[
        bool, typer.Option("--vhdl", help="VHDL 2008 too; simulated where GHDL is on PATH.")
    ] = False,
    hls: Annotated[
        Literal["vitis", "catapult"] | None,
        typer.Option("--hand-over", help="Instead of Verilog: an hls4ml project, C-simulated."),
    ] = None,
    part: Annotated[str | None, typer.Option(help="FPGA part or ASIC library of the HLS.")] = None,
    reuse_factor: Annotated[int, typer.Option(help="Reuse factor of the HLS.")] = 1,
    resources_only: Annotated[
        bool,
        typer.Option("--resources-only", help="Costs of all quantized models; needs no data."),
    ] = False,
    import_report: Annotated[
        list[Path] | None,
        typer.Option(help="Keep a report of Vitis HLS or Vivado with the run; may be repeated."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder to write (default: RUN/firmware/MODEL, or MODEL_pixels)."),
    ] = None,
    jobs: Annotated[int, typer.Option(help="Compilers side by side.", min=1)] = 2,
    json: options.Json = False,
) -> None:
    """Write a model as Verilog and check that it gives bit for bit the same answers.

    Keras, the integer program and the Verilog in Verilator are compared on the test split and on
    corner vectors; a difference is exit code 1. Threshold from the validation split.
    """
    from pixelsieve.firmware.hls_project import HlsSettings
    from pixelsieve.firmware.job import Extras
    from pixelsieve.firmware.ports import Timing
    from pixelsieve.firmware.synthesis import Settings

    options.require_efficiency(efficiency)
    settings = Settings(time_limit_s=time_limit, memory_limit_gib=memory_limit)
    wanted: dict[Measure, bool] = {"luts": luts, "gates": gates}
    measures = tuple(name for name, asked in wanted.items() if asked)
    timing = Timing(stages, clock_ns)
    if resources_only:
        modes.resources(runs, model, timing, measures, settings, json=json)
        return
    if len(runs) != 1:
        msg = f"{len(runs)} runs; expected one (only --resources-only takes many)"
        raise ConfigError(msg)
    if import_report:
        modes.keep_reports(runs[0], import_report, model, json=json)
        return
    if hls and (stages or from_ == "pixels"):
        msg = "--hand-over: an HLS project of the network from its features; it takes --clock-ns"
        raise ConfigError(msg)
    subject = modes.Subject(runs[0], model, data, out, efficiency)
    if hls:
        backend: Backend = "Vitis" if hls == "vitis" else "Catapult"
        handed = HlsSettings(backend, part=part, reuse_factor=reuse_factor)
        if clock_ns:
            handed = replace(handed, clock_ns=clock_ns)
        modes.hand_over(subject, handed, json=json)
        return
    extras = Extras(measures, settings, bit_flips, vhdl, pixels=from_ == "pixels")
    modes.verilog(subject, timing, extras, jobs, json=json)
