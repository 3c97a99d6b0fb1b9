"""`pixelsieve firmware`: a trained network as verified Verilog, and what it costs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pixelsieve.cli import options
from pixelsieve.errors import ConfigError, GuaranteeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from pixelsieve.firmware.job import FirmwareResult
    from pixelsieve.firmware.synthesis import Measure, Settings

__all__ = ["firmware"]

_SUFFIX = {"features": "", "pixels": "_pixels"}


@options.shows_errors(interrupted="interrupted")
def firmware(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Folder of a run; with --resources-only, of many."),
    ],
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
    from rich.console import Console

    from pixelsieve.firmware.job import Extras, make_firmware
    from pixelsieve.firmware.run_models import pick_model
    from pixelsieve.firmware.synthesis import Settings
    from pixelsieve.firmware.tools import find_verilator
    from pixelsieve.formats.dataset import load
    from pixelsieve.studies.trained import as_trained, constants_that_differ, front_end_of

    settings = Settings(time_limit_s=time_limit, memory_limit_gib=memory_limit)
    wanted: dict[Measure, bool] = {"luts": luts, "gates": gates}
    measures = [name for name, asked in wanted.items() if asked]
    if resources_only:
        _resources(runs, model, (stages, clock_ns), measures, settings, json=json)
        return
    if len(runs) != 1:
        msg = f"{len(runs)} runs; expected one (only --resources-only takes many)"
        raise ConfigError(msg)
    (run,) = runs
    if import_report:
        _import(run, import_report, model, json=json)
        return
    if not data:
        msg = "--data: missing; the threshold and the check need the clusters of the run"
        raise ConfigError(msg)
    find_verilator()  # says at once what is missing
    chosen = pick_model(run, model)
    parts = as_trained(chosen, load(data).source).parts
    if differing := constants_that_differ(chosen, parts["test"].detector):
        told = "; ".join(differing)
        options.warn(f"{chosen.origin}: trained on another detector than the data's: {told}")
    console = Console(stderr=True)
    result = make_firmware(
        chosen,
        parts["validation"],
        parts["test"],
        out or run / "firmware" / f"{Path(chosen.origin).stem}{_SUFFIX[from_]}",
        efficiency=efficiency,
        stages=stages,
        clock_ns=clock_ns,
        extras=Extras(
            tuple(measures), settings, bit_flips, from_ == "pixels", front_end_of(chosen)
        ),
        jobs=jobs,
        on_step=lambda step: console.print(f"{step} ...", highlight=False),
        on_flip=lambda done, all_: _tell_tenths(console, "bit flips", done, all_),
    )
    if json:
        options.print_json(result.to_plain())
    else:
        _show(result, Console())
    if not result.passed:
        raise GuaranteeError(_difference(result))
    if not json:
        typer.echo(f"0 mismatches in {result.verification.clusters} clusters")


def _resources(
    runs: Sequence[Path],
    model: str | None,
    timing: tuple[int | None, float | None],
    measures: Sequence[Measure],
    settings: Settings,
    *,
    json: bool,
) -> None:
    from rich.console import Console

    from pixelsieve.firmware.resources import resources_of_run
    from pixelsieve.report.firmware_table import resources_table

    console = Console(stderr=True)
    found = []
    for run in runs:
        found += resources_of_run(
            run,
            model,
            stages=timing[0],
            clock_ns=timing[1],
            measures=measures,
            settings=settings,
            on_model=lambda name: console.print(f"{name} ...", highlight=False),
        )
    if json:
        options.print_json(found)
    else:
        Console().print(resources_table(found))


def _import(run: Path, files: Sequence[Path], model: str | None, *, json: bool) -> None:
    from rich.console import Console

    from pixelsieve.firmware.vendor_import import import_reports
    from pixelsieve.report.firmware_table import vendor_table

    kept = import_reports(run, files, model.removesuffix(".keras") if model else None)
    if json:
        options.print_json(kept)
    else:
        Console().print(vendor_table(kept))


def _tell_tenths(console: Console, what: str, done: int, total: int) -> None:
    if done * 10 // total > (done - 1) * 10 // total:
        console.print(f"{what} {done} of {total}", highlight=False)


def _show(result: FirmwareResult, console: Console) -> None:
    from rich.markup import escape

    from pixelsieve.report.firmware_table import firmware_tables

    for table in firmware_tables(result.to_plain()):
        console.print(table)
    console.print(f"-> {escape(str(result.folder))}", soft_wrap=True, highlight=False)


def _difference(result: FirmwareResult) -> str:
    checked, first = result.verification, result.verification.first
    wrong = {**checked.mismatches, **(result.netlist.mismatches if result.netlist else {})}
    counts = ", ".join(f"{stage} {n}" for stage, n in wrong.items() if n)
    text = f"{result.model}: mismatches: {counts or 'none'}"
    if first is not None:
        text += (
            f"; first: {first.of}, vector {first.vector}, {first.stage}: {first.got} instead of "
            f"{first.expected}"
        )
    if checked.latency != checked.latency_stated:
        text += f"; latency {checked.latency} clocks, stated {checked.latency_stated}"
    return f"{text}; layer by layer in {result.folder / 'verification.json'}"
