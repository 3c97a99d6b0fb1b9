"""`pixelsieve train`: one network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pixelsieve.cli import options
from pixelsieve.cli.training_options import TrainingOptions, takes_training_options

if TYPE_CHECKING:
    from pixelsieve.api.training import Front, TrainedModel


@options.shows_errors()
@takes_training_options
def train(
    training: TrainingOptions,
    bits: Annotated[
        str | None,
        typer.Option(
            help="Bits of a weight, e.g. 4; or learned:300, bits learned one by one down to 300 "
            "EBOPs (default: a float network)."
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            help=f"Recipe of quantized training: {options.KNOWN_RECIPES}, learned (for learned "
            "bits), or of --recipes-file.",
            show_default="sieve; learned for learned bits",
        ),
    ] = None,
    refine: Annotated[
        float | None,
        typer.Option(
            help="With learned bits: measure the networks of at most so many EBOPs exactly, train "
            "those on the front of LUTs further with their bits as they are, keep the front.",
            metavar="EBOPS",
            min=1,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of weights and row order.", min=0)] = 0,
    seeds: Annotated[
        int, typer.Option(help="Train with so many seeds: --seed and those that follow.", min=1)
    ] = 1,
    start: Annotated[
        Path | None,
        typer.Option(
            help="Model file to start from (of a run or of convert): its network and weights.",
            dir_okay=False,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            help="One-threaded worker processes; a second one trains a teacher beside the float "
            "network (default: 1).",
            min=1,
        ),
    ] = None,
) -> None:
    """Train one network, with the float network it starts from; the test split is not scored."""
    from pixelsieve.api.training import train as run
    from pixelsieve.reporting.tables import read_out_table

    found: list[TrainedModel] | list[Front] = run(
        training.dataset(),
        bits=bits,
        recipe=recipe,
        refine=refine,
        seed=seed,
        seeds=seeds,
        start=start,
        workers=workers,
        **training.arguments(),
    )
    summary = found[0].training.read_out
    results = [result for one in found for result in one.training.results]
    options.answer(
        [one.to_plain() for one in results] if training.json else None,
        *([read_out_table(summary)] if summary else []),
        *(part for one in found for part in one.training.parts()),
    )
