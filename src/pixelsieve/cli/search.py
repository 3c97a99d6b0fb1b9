"""`pixelsieve search`: the smallest network for the job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pixelsieve.cli import options


@options.shows_errors()
def search(
    data: options.Data,
    out: Annotated[Path, typer.Option(help="Run folder, e.g. runs/search.")],
    *,
    trials: Annotated[int, typer.Option(help="Networks to try.", min=1)] = 60,
    space: Annotated[
        Path | None,
        typer.Option(help="TOML file of what to choose from (docs/search.md).", dir_okay=False),
    ] = None,
    metric: Annotated[
        str,
        typer.Option(
            help="To make large on validation: accuracy, auc, rejection_90, rejection_95, "
            "rejection_98, rejection_99."
        ),
    ] = "rejection_98",
    cost: Annotated[str, typer.Option(help="To make small: luts, ebops or levels.")] = "luts",
    budget: Annotated[
        float | None, typer.Option(help="Largest cost of interest, e.g. 3000.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed, other trials.", min=0)] = 0,
    seeds: Annotated[
        int, typer.Option(help="Seeds that the front is trained again with.", min=1)
    ] = 5,
    generation: Annotated[
        int, typer.Option(help="Trials chosen at once; at least as many as workers.", min=1)
    ] = 10,
    reference: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Network to compare with: {options.KNOWN_NETWORKS}, or none; may be repeated.",
            show_default="model2",
        ),
    ] = None,
    reference_bits: Annotated[str, typer.Option(help="Its bits, e.g. 16,8,6,4,3,2.")] = "4",
    time: Annotated[
        str | None,
        typer.Option(
            help="Add an arrival time to all inputs: 30ps, 60ps or measured.", metavar="RESOLUTION"
        ),
    ] = None,
    front_end: options.FrontEnd = None,
    test_from: options.TestFrom = None,
    same_clusters: options.SameClusters = False,
    recipes_file: options.RecipesFile = None,
    luts: options.CountLuts = False,
    workers: options.Workers = None,
    scheduler: options.Scheduler = None,
    json: options.Json = False,
) -> None:
    """Search small networks: quality against cost, on validation, as a Pareto front.

    The front is then trained with several seeds and read once on the test split. Every network in
    the table is exact: Keras, integers and logic give the same. Run the same command again to
    resume an interrupted search.
    """
    from pixelsieve.api.data import load
    from pixelsieve.api.searching import search as run

    found = run(
        load(data, front_end, test_from=test_from, same_clusters=same_clusters),
        trials=trials,
        space=space,
        metric=metric,
        cost=cost,
        budget=budget,
        seed=seed,
        seeds=seeds,
        generation=generation,
        reference=reference or ["model2"],
        reference_bits=reference_bits,
        time=time,
        recipes_file=recipes_file,
        luts=luts,
        out=out,
        workers=workers,
        scheduler=scheduler,
    )
    folder = f"{out}: manifest, metrics.json, trials, models, figures, study.journal for Optuna"
    options.answer(found.result.to_plain() if json else None, *found.parts(), folder)
