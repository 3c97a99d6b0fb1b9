"""`pixelsieve evaluate`: figures of merit of a saved model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from pixelsieve.cli import options


@options.shows_errors(interrupted="interrupted")
def evaluate(
    path: Annotated[
        Path, typer.Argument(metavar="MODEL", help="A .keras file of a run, or the run's folder.")
    ],
    data: options.Data,
    model: Annotated[
        str | None, typer.Option(help="Which of the run's models.", metavar="NAME")
    ] = None,
    split: Annotated[
        Literal["train", "validation", "test", "all"],
        typer.Option(help="Split to evaluate on; 'all' takes every cluster."),
    ] = "test",
    front_end: Annotated[
        str | None,
        typer.Option(
            help="TOML file of another front end than the model's own, or 'none'.",
            metavar="FILE",
        ),
    ] = None,
    test_from: options.TestFrom = None,
    hit_density: Annotated[
        float | None,
        typer.Option(help="BIB clusters a cm^2 and crossing (default: the detector's preset)."),
    ] = None,
    bits_per_pixel: Annotated[
        float | None, typer.Option(help="Bits that reading out one pixel takes.")
    ] = None,
    json: options.Json = False,
) -> None:
    """Evaluate a saved model: figures of merit with intervals, data rate, efficiency by slices.

    The data need no other split than the one asked for. They go through the front end that the
    model was trained with.
    """
    from pixelsieve.api.arguments import load_model
    from pixelsieve.api.data import load
    from pixelsieve.api.scoring import evaluate as run

    chosen = "model" if front_end is None else None if front_end == "none" else Path(front_end)
    scores = run(
        load_model(path, model),
        load(data, test_from=test_from),
        split,
        front_end=chosen,
        hit_density=hit_density,
        bits_per_pixel=bits_per_pixel,
    )
    options.answer(scores.to_plain() if json else None, *scores.parts())
