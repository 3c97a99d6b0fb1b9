"""`pixelsieve compare`: the main job."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pixelsieve.cli import options
from pixelsieve.cli.training_options import TrainingOptions, takes_training_options

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

    from pixelsieve.networks.precision import LearnedPrecision

__all__ = ["compare"]


@options.shows_errors
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
    from rich.console import Console

    from pixelsieve.cli.progress import TrainingProgress
    from pixelsieve.core.workers import default_workers
    from pixelsieve.studies.compare import CompareConfig, jobs_of, teachers_for
    from pixelsieve.studies.compare import compare as run_comparison

    options.require_one(workers, training.scheduler)
    out = training.out
    precisions = options.precisions(bits, "--bits")
    names = list(dict.fromkeys(recipe or _recipes_of(precisions, training)))
    config = CompareConfig(
        spec=training.spec(),
        recipes=training.recipes(names),
        bits=precisions,
        seeds=seeds,
        float_recipe=training.chosen_float_recipe(),
        mirror_x=training.mirror_x,
        baselines=baselines,
    )
    dataset = training.dataset()
    config = replace(config, spec=config.spec.with_window(dataset.window))
    jobs = [*teachers_for(config), *jobs_of(config)]
    with TrainingProgress({j.name: j.epochs for j in jobs}) as progress:
        metrics = run_comparison(
            config,
            dataset,
            out,
            workers=workers or default_workers(),
            scheduler=training.scheduler,
            luts=luts,
            on_report=progress.on_report,
            on_done=progress.on_done,
            on_count=progress.on_count,
        )
    _draw(metrics, out)
    if training.json:
        options.print_json(metrics)
        return
    _show(metrics, Console())
    typer.echo(f"{out}: manifest, metrics.json, history.parquet, models and figures")


def _recipes_of(
    precisions: Sequence[int | LearnedPrecision], training: TrainingOptions
) -> list[str]:
    """The recipes of a comparison that names none: all for its kinds of bits."""
    from pixelsieve.training.recipe import LEARNED, RECIPES

    kinds = {not isinstance(one, int) for one in precisions}
    known = {**RECIPES, LEARNED.name: LEARNED, **training.more_recipes()}
    return [name for name, one in known.items() if one.learns_bits in kinds]


def _show(metrics: dict[str, Any], console: Console) -> None:
    from pixelsieve.networks.precision import bits_text
    from pixelsieve.report.tables import (
        coarse_lines,
        collapsed_lines,
        comparison_tables,
        luts_table,
        over_budget_lines,
        paired_table,
        read_out_table,
        warm_start_table,
    )

    if metrics["front_end"]:
        console.print(read_out_table(metrics["front_end"]))
    for row in metrics["rows"]:
        if row["warm_start"][0]:
            name = f"{row['approach']}, {bits_text(row['bits'])}, seed 0"
            console.print(warm_start_table(name, row["warm_start"][0]))
    for table in comparison_tables(metrics, console.width):
        console.print(table)
    warnings = collapsed_lines(metrics) + over_budget_lines(metrics) + coarse_lines(metrics)
    for line in warnings:
        console.print(line, style="bold", soft_wrap=True)
    if (costs := luts_table(metrics)) is not None:
        console.print(costs)
    for metric in ("rejection_98", "auc", "accuracy"):
        if (paired := paired_table(metrics, metric)) is not None:
            console.print(paired)
    for teacher in metrics["teachers"]:
        auc = teacher["validation_auc"]
        console.print(f"{teacher['name']}: validation AUC {auc:.4f}", highlight=False)


def _draw(metrics: dict[str, Any], out: Path) -> None:
    import pyarrow.parquet as pq

    from pixelsieve.networks.precision import bits_label, bits_order, bits_suffix
    from pixelsieve.report import figures

    folder = out / "figures"
    history = pq.read_table(out / "history.parquet").to_pylist()
    for row in history:
        row["bits"] = bits_label({**row, "weight_bits": row["bits"]})
    figures.roc(metrics, folder / "roc")
    figures.metric_against_bits(metrics, folder / "metric_against_bits")
    for bits in sorted({r["bits"] for r in metrics["rows"] if r["bits"]}, key=bits_order):
        path = folder / f"training_curves_{bits_suffix(bits)}"
        figures.training_curves(history, bits, path)
