"""`pixelsieve train`: one network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pixelsieve.cli import options
from pixelsieve.cli.training_options import TrainingOptions, takes_training_options
from pixelsieve.core.errors import ConfigError
from pixelsieve.core.runs import RunFolder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pixelsieve.formats.dataset import Dataset
    from pixelsieve.networks.model_file import Model
    from pixelsieve.networks.precision import LearnedPrecision
    from pixelsieve.training.job import JobResult


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
    from pixelsieve.cli.progress import TrainingProgress
    from pixelsieve.core.files import file_hash
    from pixelsieve.studies.train import TrainConfig, train_one

    options.require_one(workers, training.scheduler)
    quantized_only = {
        "--recipe": recipe,
        "--epochs": training.epochs,
        "--initial-rate": training.initial_rate,
        "--end-rate": training.end_rate,
        "--power": training.power,
    }
    given = [option for option, value in quantized_only.items() if value is not None]
    precision = None
    if bits is not None:
        several = options.precisions(bits, "--bits")
        precision = several[0]
        if len(several) > 1:
            msg = f"--bits: {bits}; train takes one, compare several"
            raise ConfigError(msg)
    elif given:
        msg = (
            f"{', '.join(given)}: for quantized training; give --bits (a float network has "
            "--float-recipe and --float-epochs)"
        )
        raise ConfigError(msg)
    started = None if start is None else _started(start, training)
    config = TrainConfig(
        spec=started.spec if started else training.spec(),
        bits=precision,
        recipe=training.recipes([recipe or _default_recipe(precision)])[0],
        seed=seed,
        float_recipe=training.chosen_float_recipe(),
        mirror_x=started.features.mirror_x if started else training.mirror_x,
        start=None if start is None else file_hash(start),
        seeds=seeds,
        refine=refine,
    )
    dataset = training.dataset()
    if started is None:
        config = replace(config, spec=config.spec.with_window(dataset.window))
    jobs = [*config.teachers(), *config.jobs()]
    with TrainingProgress({j.name: j.epochs for j in jobs}) as progress:
        results = train_one(
            config,
            dataset,
            training.out,
            start,
            workers or 1,
            training.scheduler,
            progress.on_report,
            progress.on_done,
        )
    if training.json:
        options.print_json([one.to_plain() for one in results])
        return
    _show(results, dataset, training.out)


def _default_recipe(precision: int | LearnedPrecision | None) -> str:
    from pixelsieve.training.recipe import LEARNED

    return "sieve" if precision is None or isinstance(precision, int) else LEARNED.name


def _show(results: Sequence[JobResult], dataset: Dataset, out: Path) -> None:
    from pixelsieve.reporting.comparison import learned_table, warm_start_table
    from pixelsieve.reporting.tables import read_out_table
    from pixelsieve.training.job import over_budget

    if dataset.summary:
        options.show(read_out_table(dataset.summary))
    for result in results:
        if result.networks:
            options.show(learned_table(result))
            if (warning := over_budget(result)) is not None:
                options.warn(warning)
        if result.warm_start:
            options.show(warm_start_table(result.name, result.warm_start))
        figures = (
            f"loss {result.best['validation_loss']:.4f}, validation AUC {result.validation_auc:.4f}"
        )
        if result.exact is not None:
            figures = f"AUC {result.exact['auc']:.4f}, {result.exact['luts']:.0f} LUTs (estimate)"
        model = RunFolder(out).model(result.name)
        options.show(
            f"{result.name}: best epoch {result.best_epoch}, validation {figures} -> {model}"
        )


def _started(path: Path, training: TrainingOptions) -> Model:
    """The model of `--start`; options that would make another network are refused."""
    from pixelsieve.networks.model_file import load_model

    model = load_model(path)
    default = type(training).__dataclass_fields__["network"].default
    given = {
        "--network": training.network not in {default, model.spec.name},
        "--time": training.time is not None,
        "--mirror-x": training.mirror_x and not model.features.mirror_x,
        "--float-epochs": training.float_epochs is not None,
    }
    wrong = [option for option, value in given.items() if value]
    if wrong:
        msg = f"{', '.join(wrong)}: the network of --start {path} is taken as it is; leave it out"
        raise ConfigError(msg)
    return model
