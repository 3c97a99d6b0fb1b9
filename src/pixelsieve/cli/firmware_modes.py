"""What `pixelsieve firmware` prints, and what it does besides Verilog."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from pixelsieve.cli import options
from pixelsieve.core.errors import ConfigError, GuaranteeError

if TYPE_CHECKING:
    from rich.console import Console

    from pixelsieve.data.clusters import Clusters
    from pixelsieve.firmware.job import FirmwareResult
    from pixelsieve.firmware.synthesis import Measure, Settings
    from pixelsieve.networks.model_file import Model

__all__ = [
    "Asked",
    "Chosen",
    "Hls",
    "Timing",
    "hand_over",
    "keep_reports",
    "resources",
    "verilog",
]


@dataclass(frozen=True, slots=True)
class Timing:
    """Stages of a pipeline, or the clock that sets them; neither: combinational."""

    stages: int | None
    clock_ns: float | None


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which model of a run, on which clusters, into which folder, at which signal efficiency."""

    run: Path
    model: str | None
    data: list[str] | None
    out: Path | None
    efficiency: float

    def load(self) -> tuple[Model, dict[str, Clusters]]:
        """The model, and the splits as it saw them in training; warns of another detector."""
        from pixelsieve.networks.run_models import pick_model
        from pixelsieve.studies.models import as_trained, constants_that_differ

        if not self.data:
            msg = "--data: missing; the threshold and the check need the clusters of the run"
            raise ConfigError(msg)
        model = pick_model(self.run, self.model)
        parts = as_trained(model, options.load(self.data)).parts
        if differing := constants_that_differ(model, parts["test"].detector):
            told = "; ".join(differing)
            options.warn(f"{model.origin}: trained on another detector than the data's: {told}")
        return model, parts

    def folder(self, model: Model, suffix: str = "") -> Path:
        """Where the result goes."""
        return self.out or self.run / "firmware" / f"{model.name}{suffix}"


@dataclass(frozen=True, slots=True)
class Asked:
    """What to make besides the verified Verilog; `jobs` compilers run side by side."""

    measures: tuple[Measure, ...]
    settings: Settings
    bit_flips: bool
    vhdl: bool
    pixels: bool
    jobs: int


@dataclass(frozen=True, slots=True)
class Hls:
    """Settings of an HLS project; `clock_ns` None is hls4ml's own."""

    backend: Literal["vitis", "catapult"]
    clock_ns: float | None
    part: str | None
    reuse_factor: int


def verilog(chosen: Chosen, timing: Timing, asked: Asked, *, json: bool) -> None:
    """Write verified Verilog and print what was made."""
    from rich.console import Console

    from pixelsieve.core.programs import VERILATOR, find
    from pixelsieve.firmware.job import Extras, make_firmware
    from pixelsieve.studies.models import front_end_of

    find(VERILATOR)  # says at once what is missing
    model, parts = chosen.load()
    console = Console(stderr=True)
    result = make_firmware(
        model,
        parts["validation"],
        parts["test"],
        chosen.folder(model, "_pixels" if asked.pixels else ""),
        efficiency=chosen.efficiency,
        stages=timing.stages,
        clock_ns=timing.clock_ns,
        extras=Extras(
            measures=asked.measures,
            settings=asked.settings,
            bit_flips=asked.bit_flips,
            vhdl=asked.vhdl,
            pixels=asked.pixels,
            front_end=front_end_of(model),
        ),
        jobs=asked.jobs,
        on_step=lambda step: console.print(f"{step} ...", highlight=False, soft_wrap=True),
        on_flip=lambda done, total: _tell_tenths(console, "bit flips", done, total),
    )
    if json:
        options.print_json(result.to_plain())
    else:
        _show(result, Console())
    if not result.passed:
        raise GuaranteeError(_difference(result))
    if not json:
        typer.echo(f"0 mismatches in {result.verification.clusters} clusters")


def resources(
    runs: Sequence[Path],
    model: str | None,
    timing: Timing,
    measures: Sequence[Measure],
    settings: Settings,
    *,
    json: bool,
) -> None:
    """Print the costs of all quantized models of the runs."""
    from rich.console import Console

    from pixelsieve.firmware.resources import resources_of_run
    from pixelsieve.report.firmware_table import resources_table

    console = Console(stderr=True)
    found = []
    for run in runs:
        found += resources_of_run(
            run,
            model,
            stages=timing.stages,
            clock_ns=timing.clock_ns,
            measures=measures,
            settings=settings,
            on_model=lambda name: console.print(f"{name} ...", highlight=False),
        )
    if json:
        options.print_json(found)
    else:
        Console().print(resources_table(found))


def keep_reports(run: Path, files: Sequence[Path], model: str | None, *, json: bool) -> None:
    """Keep vendor reports with a run and print all that it has."""
    from rich.console import Console

    from pixelsieve.firmware.vendor_reports import import_reports
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


def hand_over(chosen: Chosen, wish: Hls, *, json: bool) -> None:
    """Write an HLS project, check its C simulation and print what was compared."""
    from rich.console import Console
    from rich.markup import escape

    from pixelsieve.firmware import hls
    from pixelsieve.firmware.vectors import vectors
    from pixelsieve.integer.network import from_model
    from pixelsieve.integer.threshold import choose_threshold
    from pixelsieve.report.firmware_table import hand_over_table

    model, parts = chosen.load()
    network = from_model(model, model.name)
    test = network.features.table(parts["test"])
    console = Console(stderr=True)
    found = hls.hand_over(
        model,
        network,
        vectors(network, network.input_codes(test), features=test),
        chosen.folder(model, f"_{wish.backend}"),
        backend="Vitis" if wish.backend == "vitis" else "Catapult",
        clock_ns=wish.clock_ns or hls.CLOCK_NS,
        part=wish.part,
        reuse_factor=wish.reuse_factor,
        threshold=choose_threshold(network, parts["validation"], chosen.efficiency).code,
        on_step=lambda step: console.print(f"{step} ...", highlight=False),
    )
    if json:
        options.print_json(found.to_plain())
    else:
        Console().print(hand_over_table(found.to_plain()))
        Console().print(f"-> {escape(str(found.folder))}", soft_wrap=True, highlight=False)
    if not found.passed:
        place = f"layer by layer in {found.folder / 'verification.json'}"
        msg = f"{model.origin}: C simulation: {found.mismatches} mismatches; {place}"
        raise GuaranteeError(msg)
    if not json:
        typer.echo(f"0 mismatches in {found.clusters} clusters")
