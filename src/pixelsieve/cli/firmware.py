"""`pixelsieve firmware`: a trained network as verified Verilog."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pixelsieve.cli import options
from pixelsieve.errors import GuaranteeError

if TYPE_CHECKING:
    from rich.console import Console

    from pixelsieve.firmware.job import FirmwareResult
    from pixelsieve.formats.dataset import Parts
    from pixelsieve.model_file import Model

__all__ = ["firmware"]


@options.shows_errors(interrupted="interrupted")
def firmware(
    run: Annotated[Path, typer.Argument(help="Folder of a run (compare or train).")],
    data: options.Data,
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
    out: Annotated[
        Path | None, typer.Option(help="Folder to write (default: RUN/firmware/MODEL).")
    ] = None,
    jobs: Annotated[int, typer.Option(help="Compilers side by side.", min=1)] = 2,
    json: options.Json = False,
) -> None:
    """Write a model as Verilog and check that it gives bit for bit the same answers.

    Keras, the integer program and the Verilog in Verilator are compared on the test split and on
    corner vectors; a difference is exit code 1. Threshold from the validation split.
    """
    from rich.console import Console

    from pixelsieve.firmware.job import make_firmware, pick_model
    from pixelsieve.firmware.tools import find_verilator
    from pixelsieve.formats.dataset import load

    find_verilator()  # says at once what is missing
    chosen = pick_model(run, model)
    parts = _as_trained(chosen, load(data).source)
    console = Console(stderr=True)
    result = make_firmware(
        chosen,
        parts.parts["validation"],
        parts.parts["test"],
        out or run / "firmware" / Path(chosen.origin).stem,
        efficiency=efficiency,
        stages=stages,
        clock_ns=clock_ns,
        jobs=jobs,
        on_step=lambda step: console.print(f"{step} ...", highlight=False),
    )
    if json:
        options.print_json(result.to_plain())
    else:
        _show(result, Console())
    if not result.verification.passed:
        raise GuaranteeError(_difference(result))
    if not json:
        typer.echo(f"0 mismatches in {result.verification.clusters} clusters")


def _as_trained(model: Model, parts: Parts) -> Parts:
    """The clusters as the front end that the model was trained with reads them out."""
    from pixelsieve.config import from_mapping
    from pixelsieve.front_end import FrontEnd, through_front_end

    trained = model.card.get("front_end")
    if trained is None:
        return parts
    return through_front_end(from_mapping(FrontEnd, trained, f"{model.origin}: front end"), parts)


def _show(result: FirmwareResult, console: Console) -> None:
    from rich.markup import escape

    from pixelsieve.report.firmware_table import firmware_tables

    for table in firmware_tables(result.to_plain()):
        console.print(table)
    console.print(f"-> {escape(str(result.folder))}", soft_wrap=True, highlight=False)


def _difference(result: FirmwareResult) -> str:
    checked, first = result.verification, result.verification.first
    counts = ", ".join(f"{stage} {n}" for stage, n in checked.mismatches.items() if n)
    text = f"{result.model}: mismatches: {counts or 'none'}"
    if first is not None:
        text += (
            f"; first: {first.of}, vector {first.vector}, {first.stage}: {first.got} instead of "
            f"{first.expected}"
        )
    if checked.latency != checked.latency_stated:
        text += f"; latency {checked.latency} clocks, stated {checked.latency_stated}"
    return f"{text}; layer by layer in {result.folder / 'verification.json'}"
