"""`pixelsieve evaluate`: figures of merit of a saved model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pixelsieve.cli import options

if TYPE_CHECKING:
    from pixelsieve.front_end import FrontEnd
    from pixelsieve.networks.model_file import Model


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
    from pixelsieve.networks.model_file import load_model, the_path
    from pixelsieve.reporting.tables import (
        data_rate_table,
        read_out_table,
        scores_table,
        slices_table,
    )
    from pixelsieve.studies.evaluate import evaluate_model, occupancy_of, only

    file = the_path(path, model)
    loaded = load_model(file)
    chosen = _front_end(loaded, front_end)
    part = only(options.load(data, whole=False), split).through(chosen)
    occupancy = occupancy_of(part.detector, hit_density, bits_per_pixel)
    result = evaluate_model(loaded, part, occupancy)
    for differing, what in (
        (result.front_end_differs, "with another front end than the data's"),
        (result.detector_differs, "on another detector than the data's"),
    ):
        if differing:
            options.warn(f"{file}: trained {what}: {'; '.join(differing)}")
    how = "every cluster" if split == "all" else f"{split} split, by {part.split_by}"
    title = f"{file.name} on {sum(result.clusters.values())} clusters ({how})"
    options.answer(
        result if json else None,
        *([read_out_table(result.front_end)] if result.front_end else []),
        scores_table(title, result.figures, result.bootstrap_68),
        data_rate_table(result.data_rate, result.occupancy),
        slices_table(result.slices),
    )


def _front_end(model: Model, wanted: str | None) -> FrontEnd | None:
    from pixelsieve.front_end import read_front_end

    if wanted == "none":
        return None
    if wanted is not None:
        return read_front_end(Path(wanted))
    return model.card.front_end
