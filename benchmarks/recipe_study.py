"""Which ingredient of a recipe pays? Validation split only; the test split is not read.

    python benchmarks/recipe_study.py --data '../shared/data/muc-real/simA_*.parquet'

trains every recipe of recipe_study.toml (or --recipes) at 2, 3 and 4 bits from the same float
networks and prints AUC and loss on the validation split, mean and spread over seeds, at the epoch
with the lowest validation loss. Goes on where it was interrupted.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from pixelsieve.core.runs import RunFolder
from pixelsieve.core.workers import default_workers, run_tasks
from pixelsieve.formats.dataset import load
from pixelsieve.metrics.statistics import paired_test
from pixelsieve.networks.spec import network
from pixelsieve.studies.compare import CompareConfig, jobs_of, teachers_for
from pixelsieve.studies.jobs import Shared, training_data, training_tasks
from pixelsieve.training.recipe import override, read_recipes, recipe

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/recipe_study"))
    parser.add_argument("--recipes", type=Path, default=HERE / "recipe_study.toml")
    parser.add_argument("--network", default="model2")
    parser.add_argument("--against", help="recipe that the others are tested against, seed by seed")
    parser.add_argument("--workers", type=int, default=default_workers())
    parser.add_argument("--bits", default="2,3,4")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--float-epochs", type=int, default=50)
    parser.add_argument("--float-recipe", default="float")
    parser.add_argument("--mirror-x", action="store_true")
    options = parser.parse_args()
    floats = override(recipe(options.float_recipe), name="float", epochs=options.float_epochs)
    recipes = read_recipes(options.recipes).values()
    config = CompareConfig(
        network(options.network),
        tuple(override(r, epochs=options.epochs) for r in recipes),
        tuple(int(b) for b in options.bits.split(",")),
        options.seeds,
        floats,
        options.mirror_x,
    )
    dataset = load([options.data])
    teachers = teachers_for(config)
    data = training_data(dataset, config.features, [floats, *config.recipes], teachers)
    jobs = jobs_of(config)
    identity = {"config": config, "data": data.fingerprint}
    identity |= {"teachers": teachers} if teachers else {}
    with RunFolder(options.out).claimed(identity) as run:
        run.make()
        results = run_tasks(
            training_tasks(jobs, teachers),
            Shared(options.out, data),
            workers=options.workers,
            on_done=lambda name: print(name, flush=True),
        )
    rows: dict[tuple[int, str], list[tuple[float, float]]] = {}
    for job in jobs:
        result = results[job.name]
        best = result["history"][result["best_epoch"]]
        key = (job.bits if isinstance(job.bits, int) else 0, job.recipe.name)
        rows.setdefault(key, []).append((best["validation_auc"], best["validation_loss"]))
    print(f"\n{'bits':>5}  {'recipe':26}  validation AUC     validation loss")
    for (bits, name), values in sorted(rows.items()):
        (auc, loss), (spread, loss_spread) = np.mean(values, 0), np.std(values, 0, ddof=1)
        text = f"{auc:.4f} ± {spread:.4f}    {loss:.4f} ± {loss_spread:.4f}"
        test = ""
        if bits and options.against not in {None, name}:
            ours, theirs = ([auc for auc, _ in rows[bits, n]] for n in (name, options.against))
            paired = paired_test("auc", name, options.against, ours, theirs)
            test = f"    {paired.difference:+.4f}, p = {paired.p_value:.3f}"
        print(f"{bits or 'float':>5}  {name:26}  {text}{test}")
    for teacher in teachers:
        result = results[teacher.name]
        auc = result.get("validation_auc")
        if auc is None:
            auc = result["history"][result["best_epoch"]]["validation_auc"]
        print(f"{teacher.name}: validation AUC {auc:.4f}")


if __name__ == "__main__":
    main()
