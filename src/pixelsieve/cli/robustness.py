"""`pixelsieve robustness`: a frozen threshold on detectors that are not what they were."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from pixelsieve.cli import options
from pixelsieve.core.runs import RunFolder


@options.shows_errors(interrupted="interrupted")
def robustness(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    data: options.Data,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Model of the run, or approach (sieve_4b: all its seeds); may be repeated "
            "(default: the quantized one that is best on validation)."
        ),
    ] = None,
    variations: Annotated[
        Path | None,
        typer.Option(help="TOML file of what to vary (docs/robustness.md).", dir_okay=False),
    ] = None,
    other: Annotated[
        list[str] | None,
        typer.Option(help="Another sample, behind the same front end.", metavar="LABEL=FILES"),
    ] = None,
    test_from: options.TestFrom = None,
    efficiency: Annotated[
        float, typer.Option(help="Signal efficiency of the threshold, on the validation split.")
    ] = 0.98,
    split: Annotated[
        Literal["train", "validation", "test"], typer.Option(help="Split to measure on.")
    ] = "test",
    simulated: Annotated[
        int, typer.Option(help="Clusters to simulate for each changed sensor (0: none).", min=0)
    ] = 20_000,
    seed: Annotated[int, typer.Option(help="Seed of the simulated clusters.", min=0)] = 0,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder to write (default: RUN/robustness).", file_okay=False),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(help="One-threaded worker processes (default: 1, this process).", min=1),
    ] = None,
    scheduler: options.Scheduler = None,
    json: options.Json = False,
) -> None:
    """Measure how signal efficiency and rejection move when the detector changes.

    The threshold is set on the validation split behind the model's own front end, and stays, as on
    the chip. Front ends change on the given clusters, sensors on pairs of simulated ones. Writes
    robustness.json and a figure.
    """
    from pixelsieve.api.data import load
    from pixelsieve.api.varying import others_of
    from pixelsieve.api.varying import robustness as run_robustness

    folder = out or RunFolder(run).robustness.parent
    found = run_robustness(
        run,
        load(data, test_from=test_from),
        model=model or (),
        variations=variations,
        other=others_of(other or []),
        efficiency=efficiency,
        split=split,
        simulated=simulated,
        seed=seed,
        out=folder,
        workers=workers,
        scheduler=scheduler,
    )
    options.answer(found.result if json else None, *found.parts(), f"-> {folder}")
