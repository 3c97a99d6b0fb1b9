"""`pixelsieve compare`: the main job."""

from __future__ import annotations

from typing import Annotated

import typer

from pixelsieve.cli import options
from pixelsieve.cli.training_options import TrainingOptions, takes_training_options


@options.shows_errors()
@takes_training_options
def compare(
    training: TrainingOptions,
    bits: Annotated[
        str,
        typer.Option(
            help="Bits of a weight, e.g. 4 or 2,3,4; or learned:300, bits learned one by one down "
            "to 300 EBOPs."
        ),
    ] = "4",
    recipe: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Recipe: {options.KNOWN_RECIPES}, learned (for learned bits), or one of "
            "--recipes-file; may be repeated.",
            show_default="all of these for the bits given",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Repetitions with other seeds.", min=1)] = 5,
    baselines: Annotated[bool, typer.Option(help="Also a time cut and boosted trees.")] = True,
    luts: options.CountLuts = False,
    workers: options.Workers = None,
) -> None:
    """Train a float network and quantize it by several recipes; compare, with uncertainties.

    The run folder gets the models, metrics.json, history.parquet and figures. Run the same command
    again to resume an interrupted run.
    """
    from pixelsieve.api.comparing import compare as run

    study = run(
        training.dataset(),
        bits=bits,
        recipes=recipe,
        seeds=seeds,
        baselines=baselines,
        luts=luts,
        workers=workers,
        **training.arguments(),
    )
    written = f"{training.out}: manifest, metrics.json, history.parquet, models and figures"
    plain = study.comparison.to_plain() if training.json else None
    options.answer(plain, *study.parts(), written)
