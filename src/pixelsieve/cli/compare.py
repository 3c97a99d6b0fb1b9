"""`pixelsieve compare`: the main job."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from pixelsieve.cli import options
from pixelsieve.cli.training_options import TrainingOptions, takes_training_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pixelsieve.display.spec import Table
    from pixelsieve.networks.precision import LearnedPrecision
    from pixelsieve.studies.summary import Comparison


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
    from pixelsieve.cli.progress import TrainingProgress
    from pixelsieve.core.workers import default_workers
    from pixelsieve.reporting.figures import figures_of_comparison
    from pixelsieve.reporting.record import read_run
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
        comparison = run_comparison(
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
    figures_of_comparison(read_run(out))
    written = f"{out}: manifest, metrics.json, history.parquet, models and figures"
    plain = comparison.to_plain() if training.json else None
    options.answer(plain, *_parts(comparison), written)


def _recipes_of(
    precisions: Sequence[int | LearnedPrecision], training: TrainingOptions
) -> list[str]:
    """The recipes of a comparison that names none: all for its kinds of bits."""
    from pixelsieve.training.recipe import LEARNED, RECIPES

    kinds = {not isinstance(one, int) for one in precisions}
    known = {**RECIPES, LEARNED.name: LEARNED, **training.more_recipes()}
    return [name for name, one in known.items() if one.learns_bits in kinds]


def _parts(comparison: Comparison) -> list[Table | str]:
    """Return the tables and lines of a comparison."""
    from pixelsieve.reporting.comparison import (
        comparison_table,
        luts_table,
        paired_table,
        warm_start_table,
        warm_starts,
        warnings,
    )
    from pixelsieve.reporting.tables import read_out_table

    collapsed, coarse = warnings(comparison)
    paired = (paired_table(comparison, name) for name in ("rejection_98", "auc", "accuracy"))
    return [
        *([read_out_table(comparison.front_end)] if comparison.front_end else []),
        *(warm_start_table(name, rows) for name, rows in warm_starts(comparison) if rows),
        comparison_table(comparison),
        *collapsed,
        *coarse,
        *filter(None, (luts_table(comparison), *paired)),
        *(f"{t.name}: validation AUC {t.validation_auc:.4f}" for t in comparison.teachers),
    ]
