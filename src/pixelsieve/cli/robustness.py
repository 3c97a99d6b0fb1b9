"""`pixelsieve robustness`: a frozen threshold on detectors that are not what they were."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pixelsieve.cli import options
from pixelsieve.errors import ConfigError

if TYPE_CHECKING:
    from pixelsieve.clusters import Clusters

__all__ = ["robustness"]


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
    json: options.Json = False,
) -> None:
    """Measure how signal efficiency and rejection move when the detector changes.

    The threshold is set on the validation split behind the model's own front end, and stays, as on
    the chip. Front ends change on the given clusters, sensors on pairs of simulated ones. Writes
    robustness.json and a figure.
    """
    from rich.console import Console
    from rich.markup import escape

    from pixelsieve.cli.progress import StepProgress
    from pixelsieve.files import telling_unwritable, write_json
    from pixelsieve.formats.dataset import read_parts
    from pixelsieve.report import figures
    from pixelsieve.report.robustness_table import robustness_table
    from pixelsieve.studies.approaches import approaches_of
    from pixelsieve.studies.evaluate import only
    from pixelsieve.studies.robustness import ROBUSTNESS, Question, robustness_of
    from pixelsieve.studies.robustness_config import read_variations

    others = _others(other or [])
    wanted = None if variations is None else read_variations(variations)
    approaches = approaches_of(run, model or [])
