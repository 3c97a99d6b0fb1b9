"""`pixelsieve firmware`: a trained network as verified Verilog, and what it costs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from pixelsieve.cli import options
from pixelsieve.core.errors import ConfigError
from pixelsieve.core.runs import RunFolder


@options.shows_errors(interrupted="interrupted")
def firmware(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Folder of a run; with --resources-only, of many."),
    ],
    *,
    data: Annotated[
        list[str] | None,
        typer.Option("--data", "-d", help="Parquet or ROOT file, folder or quoted pattern."),
    ] = None,
    test_from: options.TestFrom = None,
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
        typer.Option(
            help="Keep a report of Vitis HLS, Vivado or Catapult with the run; may be repeated."
        ),
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
    from pixelsieve.api import circuits
    from pixelsieve.api.arguments import require_efficiency
    from pixelsieve.api.data import load
    from pixelsieve.networks.model_file import pick_model

    if resources_only:
        costs = circuits.resources(
            runs,
            model,
            stages=stages,
            clock_ns=clock_ns,
            luts=luts,
            gates=gates,
            time_limit=time_limit,
            memory_limit=memory_limit,
        )
        options.answer(costs.to_plain() if json else None, costs.table().table)
        return
    if len(runs) != 1:
        msg = f"{len(runs)} runs; expected one (only --resources-only takes many)"
        raise ConfigError(msg)
    (run,) = runs
    if import_report:
        kept = circuits.import_report(run, import_report, model)
        options.answer(kept.reports if json else None, kept.table().table)
        return
    if hls and (stages or from_ == "pixels"):
        msg = "--hand-over: an HLS project of the network from its features; it takes --clock-ns"
        raise ConfigError(msg)
    require_efficiency(efficiency)
    if not data:
        msg = "--data: missing; the threshold and the check need the clusters of the run"
        raise ConfigError(msg)
    chosen = pick_model(run, model)
    end = f"_{hls}" if hls else "_pixels" if from_ == "pixels" else ""
    folder = out or RunFolder(run).firmware(f"{chosen.name}{end}")
    made: circuits.Firmware | circuits.HlsProject
    try:
        if hls:
            made = circuits.hand_over(
                chosen,
                load(data, test_from=test_from),
                hls,
                efficiency,
                part=part,
                reuse_factor=reuse_factor,
                clock_ns=clock_ns,
                out=folder,
            )
        else:
            made = circuits.firmware(
                chosen,
                load(data, test_from=test_from),
                efficiency,
                stages=stages,
                clock_ns=clock_ns,
                pixels=from_ == "pixels",
                luts=luts,
                gates=gates,
                time_limit=time_limit,
                memory_limit=memory_limit,
                bit_flips=bit_flips,
                vhdl=vhdl,
                out=folder,
                jobs=jobs,
            )
    except circuits.DifferingError as error:
        options.answer(error.made.result.plain() if json else None, *error.made.parts())
        raise
    options.answer(made.result.plain() if json else None, *made.parts())
    if not json:
        typer.echo(f"0 mismatches in {made.clusters} clusters")
