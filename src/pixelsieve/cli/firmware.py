"""`pixelsieve firmware`: a trained network as verified Verilog, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pixelsieve.cli import options
from pixelsieve.core.errors import ConfigError, GuaranteeError
from pixelsieve.core.runs import RunFolder

if TYPE_CHECKING:
    from pixelsieve.data.clusters import Clusters
    from pixelsieve.firmware.hls_project import Backend, HlsSettings
    from pixelsieve.firmware.job import Extras, FirmwareResult
    from pixelsieve.firmware.ports import Timing
    from pixelsieve.firmware.synthesis import Measure, Settings
    from pixelsieve.networks.model_file import Model


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
        _resources(runs, model, timing, measures, settings, json=json)
        return
    if len(runs) != 1:
        msg = f"{len(runs)} runs; expected one (only --resources-only takes many)"
        raise ConfigError(msg)
    if import_report:
        _keep_reports(runs[0], import_report, model, json=json)
        return
    if hls and (stages or from_ == "pixels"):
        msg = "--hand-over: an HLS project of the network from its features; it takes --clock-ns"
        raise ConfigError(msg)
    subject = _Subject(runs[0], model, data, out, efficiency)
    if hls:
        backend: Backend = "Vitis" if hls == "vitis" else "Catapult"
        handed = HlsSettings(backend, part=part, reuse_factor=reuse_factor)
        if clock_ns:
            handed = replace(handed, clock_ns=clock_ns)
        _hand_over(subject, handed, json=json)
        return
    extras = Extras(measures, settings, bit_flips, vhdl, pixels=from_ == "pixels")
    _verilog(subject, timing, extras, jobs, json=json)


@dataclass(frozen=True, slots=True)
class _Subject:
    """Which model of a run, on which clusters, into which folder, at which signal efficiency."""

    run: Path
    model: str | None
    data: list[str] | None
    out: Path | None
    efficiency: float

    def load(self) -> tuple[Model, dict[str, Clusters]]:
        """Return the model and the splits as it saw them in training; warn of another detector."""
        from pixelsieve.networks.model_file import pick_model
        from pixelsieve.studies.evaluate import constants_that_differ

        if not self.data:
            msg = "--data: missing; the threshold and the check need the clusters of the run"
            raise ConfigError(msg)
        model = pick_model(self.run, self.model)
        parts = options.load(self.data).through(model.card.front_end).parts
        if differing := constants_that_differ(model, parts["test"].detector):
            told = "; ".join(differing)
            options.warn(f"{model.origin}: trained on another detector than the data's: {told}")
        return model, parts

    def folder(self, model: Model, suffix: str = "") -> Path:
        """Return the folder of the result."""
        return self.out or RunFolder(self.run).firmware(f"{model.name}{suffix}")


def _verilog(subject: _Subject, timing: Timing, extras: Extras, jobs: int, *, json: bool) -> None:
    """Write verified Verilog and print what was made; `jobs` compilers run side by side."""
    from pixelsieve.core.programs import VERILATOR, find
    from pixelsieve.firmware.job import make_firmware
    from pixelsieve.report.firmware_table import firmware_tables

    find(VERILATOR)  # says at once what is missing
    model, parts = subject.load()
    result = make_firmware(
        model,
        parts["validation"],
        parts["test"],
        subject.folder(model, "_pixels" if extras.pixels else ""),
        efficiency=subject.efficiency,
        timing=timing,
        extras=replace(extras, front_end=model.card.front_end),
        jobs=jobs,
        on_step=options.step,
        on_flip=_tell_tenths,
    )
    plain = result.plain() if json else None
    options.answer(plain, *firmware_tables(result), f"-> {result.folder}")
    if not result.passed:
        raise GuaranteeError(_difference(result))
    if not json:
        typer.echo(f"0 mismatches in {result.verification.clusters} clusters")


def _resources(
    runs: Sequence[Path],
    model: str | None,
    timing: Timing,
    measures: Sequence[Measure],
    settings: Settings,
    *,
    json: bool,
) -> None:
    """Print the costs of all quantized models of the runs."""
    from pixelsieve.core.config import to_plain
    from pixelsieve.firmware.resources import resources_of_run
    from pixelsieve.report.firmware_table import resources_table

    found = [
        (run, one)
        for run in runs
        for one in resources_of_run(
            run,
            model,
            timing=timing,
            measures=measures,
            settings=settings,
            on_model=options.step,
        )
    ]
    plain = [{"run": str(run), **to_plain(one)} for run, one in found]
    table = resources_table([(run.name, one) for run, one in found])
    options.answer(plain if json else None, table)


def _keep_reports(run: Path, files: Sequence[Path], model: str | None, *, json: bool) -> None:
    """Keep vendor reports with a run and print all that it has."""
    from pixelsieve.firmware.vendor_reports import import_reports
    from pixelsieve.report.firmware_table import vendor_table

    kept = import_reports(run, files, model.removesuffix(".keras") if model else None)
    options.answer(kept if json else None, vendor_table(kept))


def _tell_tenths(done: int, total: int) -> None:
    if done * 10 // total > (done - 1) * 10 // total:
        typer.echo(f"bit flips {done} of {total}", err=True)


def _difference(result: FirmwareResult) -> str:
    checked, first = result.verification, result.verification.first
    wrong = dict(checked.mismatches)
    for check in (result.netlist, result.vhdl):
        wrong |= check.mismatches if check else {}
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


def _hand_over(subject: _Subject, settings: HlsSettings, *, json: bool) -> None:
    """Write an HLS project, check its C simulation and print what was compared."""
    from pixelsieve.firmware import hls
    from pixelsieve.firmware.testbench import vectors
    from pixelsieve.integer.network import from_model
    from pixelsieve.metrics.threshold import choose_threshold
    from pixelsieve.report.firmware_table import hand_over_table

    model, parts = subject.load()
    network, validation = from_model(model, model.name), parts["validation"]
    test = network.features.table(parts["test"])
    validation.require_both_classes()
    logits = network.run(network.codes(validation))
    found = hls.hand_over(
        model,
        network,
        vectors(network, network.input_codes(test), features=test),
        subject.folder(model, f"_{settings.backend.lower()}"),
        settings,
        threshold=choose_threshold(logits, validation.signal, subject.efficiency).code,
        on_step=options.step,
    )
    plain = found.plain() if json else None
    options.answer(plain, hand_over_table(found), f"-> {found.folder}")
    if not found.passed:
        place = f"layer by layer in {found.folder / 'verification.json'}"
        msg = f"{model.origin}: C simulation: {found.mismatches} mismatches; {place}"
        raise GuaranteeError(msg)
    if not json:
        typer.echo(f"0 mismatches in {found.clusters} clusters")
