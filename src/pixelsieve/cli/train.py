"""`pixelsieve train`: one network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pixelsieve.cli import options
from pixelsieve.errors import ConfigError

__all__ = ["train"]


@options.shows_errors
def train(
    data: options.Data,
    out: Annotated[Path, typer.Option(help="Run folder, e.g. runs/first.")],
    network: options.Network = "model2",
    bits: Annotated[
        int | None, typer.Option(help="Bits of a weight (default: a float network).")
    ] = None,
    recipe: Annotated[str, typer.Option(help="Recipe of quantized training.")] = "sieve",
    recipes_file: options.RecipesFile = None,
    seed: Annotated[int, typer.Option(help="Seed of weights and row order.", min=0)] = 0,
    time: options.Time = None,
    mirror_x: options.MirrorX = False,
    epochs: options.Epochs = None,
    float_epochs: options.FloatEpochs = None,
    float_recipe: options.FloatRecipe = "float",
    initial_rate: options.InitialRate = None,
    end_rate: options.EndRate = None,
    power: options.Power = None,
    batch_size: options.BatchSize = None,
    json: options.Json = False,
) -> None:
    """Train one network, with the float network it starts from; the test split is not scored."""
    from rich.console import Console

    from pixelsieve.cli.progress import TrainingProgress
    from pixelsieve.formats.dataset import load
    from pixelsieve.report.tables import warm_start_table
    from pixelsieve.studies.single import TrainConfig, train_one
    from pixelsieve.training.recipe import read_recipes

    more = read_recipes(recipes_file) if recipes_file else {}
    quantized_only = (epochs, initial_rate, end_rate, power)
    if bits is None and any(value is not None for value in quantized_only):
        msg = "--epochs, --initial-rate, --end-rate, --power: for quantized training; give --bits"
        raise ConfigError(msg)
    config = TrainConfig(
        spec=options.chosen_network(network, time),
        bits=bits,
        recipe=options.chosen_recipes(
            [recipe],
            more,
            epochs=epochs,
            initial_rate=initial_rate,
            end_rate=end_rate,
            power=power,
            batch_size=batch_size,
        )[0],
        seed=seed,
        float_recipe=options.chosen_float_recipe(float_recipe, more, float_epochs, batch_size),
        mirror_x=mirror_x,
    )
    dataset = load(data)
    with TrainingProgress({j.name: j.recipe.epochs for j in config.jobs()}) as progress:
        results = train_one(config, dataset, out, progress.on_report, progress.on_done)
    if json:
        options.print_json(results)
        return
    console = Console()
    for result in results:
        best = result["history"][result["best_epoch"]]
        if result["warm_start"]:
            console.print(warm_start_table(result["name"], result["warm_start"]))
        console.print(
            f"{result['name']}: best epoch {result['best_epoch']}, validation loss "
            f"{best['validation_loss']:.4f}, validation AUC {best['validation_auc']:.4f} -> "
            f"{out / 'models' / result['name']}.keras",
            soft_wrap=True,
        )
