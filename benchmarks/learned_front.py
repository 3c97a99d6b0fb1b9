"""The tables of docs/search.md of networks with learned bits, from runs of `train --refine`.

    python benchmarks/learned_front.py DATA --out OUT [--cases scalars ...] [--seeds 5]
    python benchmarks/learned_front.py DATA --out OUT --test

DATA is a quoted pattern of Parquet files. The first form trains what is missing, as `pixelsieve
train --mirror-x --bits learned:BUDGET --refine EBOPS --seeds N` does (a run folder per case,
OUT/scalars, ...: stop and start it at will), counts the LUTs of the networks that the tables show,
and prints tables of the validation set. `--test` trains nothing: it applies every network that the
validation set chose to the test set, once, and prints the tables with both. Clusters of the cases
named `code ...` come through `--front-end` (another front end, another OUT). With
`--distillation 0.5` half of each label is what boosted trees say that have not seen its particle
group (again another OUT).

LUTs are alkaid's estimate; "with features" adds the logic that makes the features out of ADC codes,
traced as one (`none` for logarithms). For that, clusters without a front end count as those of a
4-bit ADC whose codes are above 0 if there is charge. "LUTs by Yosys" are counted after synthesis,
of the network alone. A network whose ties at the threshold cost more than 0.01 of rejection on the
validation set is chosen only if there is no other, and marked `~`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from learned_cases import CASES, Case
from learned_tables import choices, tables

from pixelsieve.core.errors import ConfigError
from pixelsieve.core.files import read_json, write_json
from pixelsieve.formats.dataset import Dataset, load
from pixelsieve.front_end import read_front_end
from pixelsieve.hardware.resources import counted_luts
from pixelsieve.integer.network import from_model
from pixelsieve.integer.pixel_logic import pixel_cost
from pixelsieve.metrics.statistics import score
from pixelsieve.networks.model_file import load_model
from pixelsieve.studies.train import TrainConfig, train_one
from pixelsieve.training.recipe import BOOSTED_TREES, LEARNED, override

ADC_BITS = 4
"""Of clusters without a front end, if the logic of their features is counted."""

Points = list[dict[str, Any]]


def points_of(run: Path, case: Case, seed: int) -> Points:
    """The exact front of one seed, as the job's result tells it."""
    told = read_json(run / "jobs" / f"learned_{case.budget}ebops_seed{seed}.json")
    return [
        {
            "network": str(Path(run.name) / "models" / one["model"]),
            "luts": one["exact"]["luts"],
            "auc": one["exact"]["auc"],
            "rejection": one["exact"]["rejection_98"],
            "tie_loss": one["exact"]["tie_loss_98"],
        }
        for one in told["networks"]
    ]


def count(out: Path, case: Case, points: Points, adc_bits: int) -> None:
    """Add two more costs to the points that the table shows.

    `whole_luts` are those from pixels on, None if logic has none; `counted_luts` are Yosys's, None
    if it does not finish.
    """
    shown = [point for _, point in choices(case, points)]
    for point in (p for p in points if p in shown):
        path = out / point["network"]
        try:
            network = from_model(load_model(path.with_suffix(".keras")))
            point["whole_luts"] = pixel_cost(network, adc_bits).whole
        except ConfigError:
            point["whole_luts"] = None
        (made,) = counted_luts(path.parents[1], [path.name])
        point["counted_luts"] = made.luts


def read_test(out: Path, dataset: Dataset, points: Points) -> None:
    """Add the merits on the test set to every point."""
    test = dataset.test
    for point in points:
        model = load_model((out / point["network"]).with_suffix(".keras"))
        found = score(model.logits(model.features.table(test)), test.signal)
        point |= {"test_auc": found["auc"], "test_rejection": found["rejection_98"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", help="quoted pattern of Parquet files")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--front-end", type=Path, default=Path("docs/front_end_4_bits.toml"))
    parser.add_argument("--distillation", type=float, default=0.0, metavar="SHARE")
    parser.add_argument("--test", action="store_true")
    options = parser.parse_args()
    taught = {"distillation": options.distillation, "teacher": BOOSTED_TREES}
    recipe = override(LEARNED, **taught) if options.distillation else LEARNED
    plain, chip = load([options.data]), read_front_end(options.front_end)
    digitised = plain.through(chip)
    results: dict[str, list[Points]] = {}
    for name in options.cases:
        case, run = CASES[name], options.out / name.replace(" ", "_")
        dataset = digitised if case.digitised else plain
        spec = case.spec.with_window(dataset.window)
        config = TrainConfig(
            *(spec, case.precision, recipe, 0),
            mirror_x=True,
            seeds=options.seeds,
            refine=float(case.largest),
        )
        if not options.test:
            train_one(config, dataset, run, on_done=lambda job: print(f"{job} done", flush=True))
        results[name] = [points_of(run, case, seed) for seed in range(options.seeds)]
        codes = len(chip.code_values_e)
        for points in results[name]:
            count(
                options.out, case, points, (codes - 1).bit_length() if case.digitised else ADC_BITS
            )
            if options.test:
                read_test(options.out, dataset, points)
    text = tables(results, test=options.test)
    name = "test" if options.test else "validation"
    write_json(options.out / f"{name}_points.json", results)
    (options.out / f"{name}.md").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
