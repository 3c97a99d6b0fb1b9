"""`pixelsieve train`: one network."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from pixelsieve.cli import options
from pixelsieve.cli.training_options import TrainingOptions, takes_training_options
from pixelsieve.errors import ConfigError

__all__ = ["train"]


@options.shows_errors
@takes_training_options
def train(
    training: TrainingOptions,
    bits: Annotated[
        int | None, typer.Option(help="Bits of a weight (default: a float network).")
    ] = None,
    recipe: Annotated[str, typer.Option(help="Recipe of quantized training.")] = "sieve",
    seed: Annotated[int, typer.Option(help="Seed of weights and row order.", min=0)] = 0,
) -> None:
    """Train one network, with the float network it starts from; the test split is not scored."""
    from rich.console import Console
    from rich.markup import escape

    from pixelsieve.cli.progress import TrainingProgress
    from pixelsieve.report.tables import read_out_table, warm_start_table
    from pixelsieve.studies.single import TrainConfig, train_one

    quantized_only = (training.epochs, training.initial_rate, training.end_rate, training.power)
    if bits is None and any(value is not None for value in quantized_only):
        msg = "--epochs, --initial-rate, --end-rate, --power: for quantized training; give --bits"
        raise ConfigError(msg)
    config = TrainConfig(
        spec=training.spec(),
        bits=bits,
        recipe=training.recipes([recipe])[0],
        seed=seed,
        float_recipe=training.chosen_float_recipe(),
        mirror_x=training.mirror_x,
    )
    dataset = training.dataset()
    config = replace(config, spec=config.spec.with_window(dataset.splits.train.window))
    with TrainingProgress({j.name: j.recipe.epochs for j in config.jobs()}) as progress:
        results = train_one(config, dataset, training.out, progress.on_report, progress.on_done)
    if training.json:
        options.print_json(results)
        return
    console = Console()
    if dataset.front_end:
        console.print(read_out_table(dataset.front_end))
    for result in results:
        best = result["history"][result["best_epoch"]]
        if result["warm_start"]:
            console.print(warm_start_table(result["name"], result["warm_start"]))
        console.print(
            f"{result['name']}: best epoch {result['best_epoch']}, validation loss "
            f"{best['validation_loss']:.4f}, validation AUC {best['validation_auc']:.4f} -> "
            f"{escape(str(training.out / 'models' / result['name']))}.keras",
            soft_wrap=True,
        )
