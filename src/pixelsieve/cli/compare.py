"""`pixelsieve compare`: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pixelsieve.cli import options
from pixelsieve.errors import ConfigError

__all__ = ["compare"]


@options.shows_errors
def compare(
    data: options.Data,
    out: Annotated[Path, typer.Option(help="Run folder, e.g. runs/first.")],
    network: options.Network = "model2",
    bits: Annotated[str, typer.Option(help="Bits of a weight, e.g. 4 or 2,3,4.")] = "4",
    recipe: Annotated[
        list[str] | None, typer.Option(help="Recipe; may be repeated (default: all known).")
    ] = None,
    recipes_file: options.RecipesFile = None,
    seeds: Annotated[int, typer.Option(help="Repetitions with other seeds.", min=1)] = 5,
    time: options.Time = None,
    mirror_x: options.MirrorX = False,
    epochs: options.Epochs = None,
    float_epochs: options.FloatEpochs = None,
    float_recipe: options.FloatRecipe = "float",
    initial_rate: options.InitialRate = None,
    end_rate: options.EndRate = None,
    power: options.Power = None,
    batch_size: options.BatchSize = None,
    baselines: Annotated[bool, typer.Option(help="Also a time cut and boosted trees.")] = True,
    workers: options.Workers = None,
    json: options.Json = False,
) -> None:
    """Train a float network and quantize it by several recipes; compare, with uncertainties.

    The run folder gets the models, metrics.json, history.parquet and figures. The same command
    goes on where an interrupted one stopped.
    """
    from rich.console import Console

    from pixelsieve.cli.progress import TrainingProgress
    from pixelsieve.formats.dataset import load
    from pixelsieve.parallel import default_workers
    from pixelsieve.report.tables import comparison_tables, paired_table, warm_start_table
    from pixelsieve.studies.compare import CompareConfig, jobs_of
    from pixelsieve.studies.compare import compare as run_comparison
    from pixelsieve.training.recipe import RECIPES, read_recipes

    more = read_recipes(recipes_file) if recipes_file else {}
    given: dict[str, Any] = {
        "epochs": epochs,
        "initial_rate": initial_rate,
        "end_rate": end_rate,
        "power": power,
        "batch_size": batch_size,
    }
    names = list(dict.fromkeys(recipe or [*RECIPES, *more]))
    chosen = options.chosen_recipes(names, more, **given)
    config = CompareConfig(
        spec=options.chosen_network(network, time),
        recipes=tuple(chosen),
        bits=_bits(bits),
        seeds=seeds,
        float_recipe=options.chosen_float_recipe(float_recipe, more, float_epochs, batch_size),
        mirror_x=mirror_x,
        baselines=baselines,
    )
    dataset = load(data)
    with TrainingProgress({j.name: j.recipe.epochs for j in jobs_of(config)}) as progress:
        metrics = run_comparison(
            config,
            dataset,
            out,
            workers=workers or default_workers(),
            on_report=progress.on_report,
            on_done=progress.on_done,
        )
    _draw(metrics, out)
    if json:
        options.print_json(metrics)
        return
    console = Console()
    for row in metrics["rows"]:
        if row["warm_start"][0]:
            name = f"{row['approach']}, {row['bits']} bits, seed 0"
            console.print(warm_start_table(name, row["warm_start"][0]))
    for table in comparison_tables(metrics, console.width):
        console.print(table)
    for metric in ("accuracy", "auc"):
        if (paired := paired_table(metrics, metric)) is not None:
            console.print(paired)
    console.print(f"{out}: manifest, metrics.json, history.parquet, models and figures")


def _bits(text: str) -> tuple[int, ...]:
    try:
        values = tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError as error:
        msg = f"--bits: {text!r}; expected numbers such as 4 or 2,3,4"
        raise ConfigError(msg) from error
    return values


def _draw(metrics: dict[str, Any], out: Path) -> None:
    import pyarrow.parquet as pq

    from pixelsieve.report import figures

    folder = out / "figures"
    history = pq.read_table(out / "history.parquet").to_pylist()
    figures.roc(metrics, folder / "roc")
    figures.metric_against_bits(metrics, folder / "metric_against_bits")
    for bits in sorted({r["bits"] for r in metrics["rows"] if r["bits"]}):
        figures.training_curves(history, bits, folder / f"training_curves_{bits}b")
