"""Fronts of size against merit of networks with learned bits, five seeds, test read once.

    python benchmarks/learned_front.py DATA_FOLDER --out OUT [--cases scalars ...] [--seeds 5]
    python benchmarks/learned_front.py DATA_FOLDER --out OUT --test

DATA_FOLDER holds `simA_train.parquet`, `simA_val.parquet`, `simA_test.parquet`. The first form
trains what is missing in OUT (one file a case and seed, so it can be stopped and started again)
and prints tables of the validation set. `--test` trains nothing: it applies every network that
the validation set chose to the test set, once, and prints the tables with both. `models/` gets
those of seed 0 as model files: `pixelsieve firmware OUT --model NAME` makes Verilog of them.
Clusters of the cases named `code ...` come through `--front-end` (another front end, another OUT).
With `--distillation 0.5` half of each label is what boosted trees say that have not seen its
particle group (again another OUT).

LUTs are alkaid's estimate of the program that Verilog is written of (`firmware.logic.fused`):
of the network, and with the logic that makes its features out of ADC codes, both traced as one.
For that, clusters without a front end count as those of a 4-bit ADC whose codes are above 0 where
there is charge; logic makes no logarithms (`none`). "LUTs by Yosys" are counted after synthesis, of
the network alone. A network whose ties at the threshold cost more than 0.01 of rejection on the
validation set is chosen only where there is no other, and marked `~`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from learned_cases import CASES, Case
from learned_tables import best_under, choices, merits, tables
from numpy.typing import NDArray

from pixelsieve.core.config import to_plain
from pixelsieve.core.errors import ConfigError, ConstantLogitError, GuaranteeError
from pixelsieve.core.files import read_json, write_json
from pixelsieve.core.workers import Task, run_tasks
from pixelsieve.data.clusters import Clusters
from pixelsieve.features import FeatureSet, FeatureTable
from pixelsieve.firmware.resources import measure
from pixelsieve.formats import parquet
from pixelsieve.front_end import FrontEnd, read_front_end, read_out
from pixelsieve.integer.exactness import check_exactness
from pixelsieve.integer.file import read_integer_network, write_integer_network
from pixelsieve.integer.logic import traced
from pixelsieve.integer.network import from_model
from pixelsieve.integer.pixel_logic import pixel_cost
from pixelsieve.metrics.metrics import EFFICIENCY, rejection_at, roc_auc
from pixelsieve.networks.model_file import Card, Model, save_model
from pixelsieve.networks.spec import initial_weights
from pixelsieve.training.candidates import MixedNetwork
from pixelsieve.training.engine import Rows, Session
from pixelsieve.training.learned import refine_learned, train_learned
from pixelsieve.training.recipe import BOOSTED_TREES, LEARNED, REFINED
from pixelsieve.training.teachers import grow, soft_labels, trees_teacher

ADC_BITS = 4
"""Of clusters without a front end, where the logic of their features is counted."""


@dataclass(frozen=True)
class Source:
    """Where clusters come from; `front_end` is for the cases that are digitised.

    `distillation` is the share of a teacher's probabilities in the labels (0: no teacher).
    """

    folder: Path
    front_end: FrontEnd
    distillation: float = 0.0

    def clusters(self, split: str, case: Case) -> Clusters:
        """As a case's network meets them."""
        clusters = parquet.read(self.folder / f"simA_{split}.parquet")
        return read_out(self.front_end, clusters).clusters if case.digitised else clusters

    def table(self, split: str, case: Case) -> FeatureTable:
        """The inputs of a case's network."""
        return FeatureSet(case.spec.features, mirror_x=True).table(self.clusters(split, case))

    def soft_labels(self, case: Case, seed: int, folder: Path) -> NDArray[np.float32] | None:
        """What a network is told instead of the labels; None without a teacher.

        `folder` keeps what the teacher says.
        """
        if not self.distillation:
            return None
        recipe = replace(LEARNED, distillation=self.distillation, teacher=BOOSTED_TREES)
        teacher = trees_teacher(recipe, case.spec, seed)
        assert teacher is not None
        training, validation = (self.clusters(split, case) for split in ("train", "val"))
        table = FeatureSet(teacher.features, mirror_x=True).table
        seen = str(self.settings(case))
        grow(teacher, folder, table(training), table(validation), training.groups(), seen)
        logits = np.load(teacher.path(folder))["logits"]
        return soft_labels(recipe, training.signal.astype(np.float32), logits)

    def adc_bits(self, case: Case) -> int:
        """Of the codes that the features are counted from."""
        codes = len(self.front_end.code_values_e)
        return (codes - 1).bit_length() if case.digitised else ADC_BITS

    def settings(self, case: Case) -> dict[str, Any]:
        """What a result depends on besides the seed."""
        said = {
            "precision": case.precision,
            "epochs": case.epochs,
            "spec": case.spec,
            "refined": REFINED,
        }
        said |= {"front_end": self.front_end} if case.digitised else {}
        said |= {"distillation": self.distillation} if self.distillation else {}
        return dict(to_plain(said))


def one_front(
    source: Source, out: Path, case_name: str, seed: int, _report: Callable[[Any], None]
) -> None:
    """Train one case with one seed and write its points and integer networks."""
    case = CASES[case_name]
    training, validation = (source.table(split, case) for split in ("train", "val"))
    labels = source.soft_labels(case, seed, result_path(out, case_name, seed).with_suffix(""))
    start = time.monotonic()
    rows = Rows(training, validation, soft_labels=None if labels is None else [labels])
    candidates, _ = train_learned(
        case.spec,
        case.precision,
        replace(LEARNED, epochs=case.epochs),
        initial_weights(case.spec, seed),
        rows,
        Session(seed, MONITORS),
    )
    trained = time.monotonic()
    points = exact(case, [c for c in candidates if c.ebops <= case.largest], validation)
    further = [
        better
        for candidate, _ in on_front(points)
        for better in refine_learned(
            case.spec,
            case.precision,
            REFINED,
            candidate,
            rows,
            Session(seed, MONITORS),
        )
    ]
    refined = exact(case, further, validation)
    points_told: list[dict[str, Any]] = []
    models: dict[str, Model] = {}
    for i, (candidate, point) in enumerate(on_front([*points, *refined])):
        name = f"{case_name}_seed{seed}_{i}.json".replace(" ", "_")
        write_integer_network(out / "networks" / name, from_model(point.model, case.spec.name))
        row = {k: getattr(point, k) for k in ("traced_luts", "levels", "luts")} | point.merits
        row["refined"] = any(candidate is one for one in further)
        points_told.append({**row, "ebops": candidate.ebops, "network": name})
        models[name] = point.model
    if seed == 0:
        for limit in case.limits:
            if (best := best_under(points_told, case.merit, limit)) is not None:
                stem = f"{case.spec.name}_{limit}_luts"
                save_model(out / "models" / f"{stem}.keras", models[best["network"]])
    write_json(
        result_path(out, case_name, seed),
        {
            "case": case_name,
            "seed": seed,
            "settings": source.settings(case),
            "candidates": len(candidates),
            "points": points_told,
            "training_seconds": round(trained - start, 1),
            "exact_seconds": round(time.monotonic() - trained, 1),
        },
    )


@dataclass(frozen=True)
class ExactPoint:
    """A network's size and its merits on the validation set, all from its integers.

    `luts` are alkaid's estimate; `traced_luts`, that of the traced program, is about a quarter
    more.
    """

    model: Model
    traced_luts: float
    luts: float
    levels: float
    merits: dict[str, float]


Exact = list[tuple[MixedNetwork, ExactPoint]]


def exact(case: Case, candidates: Sequence[MixedNetwork], validation: FeatureTable) -> Exact:
    """Candidates whose logit varies, with their exact size and merits."""
    models = [(c, c.model(case.spec, validation.features, Card())) for c in candidates]
    return [(c, p) for c, model in models if (p := exact_point(model, validation)) is not None]


def exact_point(model: Model, validation: FeatureTable) -> ExactPoint | None:
    """Size and merits of a quantized model; None if its logit is the same for every input."""
    try:
        checked = check_exactness(model, validation)
    except ConstantLogitError:
        return None
    if not checked.passed:
        msg = f"{model.origin}: Keras, the integers and alkaid's program differ"
        raise GuaranteeError(msg)
    cost, found = checked.cost, merits(checked.logits, validation.labels)
    traced_luts = float(traced(from_model(model)).cost)
    return ExactPoint(model, traced_luts, cost.luts, cost.levels, found)


def on_front(points: Exact) -> Exact:
    """Those on the front of either merit, by their traced LUTs."""
    kept: set[int] = set()
    for merit in MONITORS:
        best = -np.inf
        for _, one in sorted(points, key=lambda p: (p[1].traced_luts, -p[1].merits[merit])):
            if one.merits[merit] > best:
                best = one.merits[merit]
                kept.add(id(one))
    return [(c, p) for c, p in points if id(p) in kept]


def count(
    source: Source, out: Path, case_name: str, seed: int, _report: Callable[[Any], None]
) -> None:
    """Add to all points what ties cost them, and to those that the tables show two more costs.

    `whole_luts` are those from pixels on, None where logic has none; `counted_luts` are Yosys's,
    None where it does not finish.
    """
    case, path = CASES[case_name], result_path(out, case_name, seed)
    result = read_json(path)
    if any("tie_loss" not in point for point in result["points"]):
        data = source.table("val", case)
        for point in result["points"]:
            network = read_integer_network(out / "networks" / point["network"])
            point["tie_loss"] = merits(network.run(network.input_codes(data)), data.labels)[
                "tie_loss"
            ]
        write_json(path, result)
    shown = [point for _, point in choices(case, result["points"])]
    for point in (p for p in result["points"] if p in shown and "counted_luts" not in p):
        network = read_integer_network(out / "networks" / point["network"])
        try:
            point["whole_luts"] = pixel_cost(network, source.adc_bits(case)).whole
        except ConfigError:
            point["whole_luts"] = None
        (made,) = measure(network, measures=("luts",)).synthesis
        point["counted_luts"] = made.luts.total if made.luts else None
        write_json(path, result)


def is_done(source: Source, out: Path, case: str, seed: int) -> bool:
    path = result_path(out, case, seed)
    return path.exists() and read_json(path)["settings"] == source.settings(CASES[case])


def result_path(out: Path, case: str, seed: int) -> Path:
    return out / f"{case}_seed{seed}.json".replace(" ", "_")


MONITORS = {
    "auc": roc_auc,
    "rejection": lambda scores, labels: rejection_at(scores, labels, EFFICIENCY)[0],
}


def read_test(source: Source, out: Path, results: dict[str, list[Any]]) -> None:
    """Add the merits on the test set to every point."""
    for name, runs in results.items():
        data = source.table("test", CASES[name])
        for point in (p for r in runs for p in r["points"]):
            network = read_integer_network(out / "networks" / point["network"])
            found = merits(network.run(network.input_codes(data)), data.labels)
            point |= {f"test_{k}": v for k, v in found.items()}


def run(
    function: Callable[..., None], wanted: Sequence[tuple[str, int]], source: Source, options: Any
) -> None:
    tasks = [Task(f"{c} seed {s}", function, (options.out, c, s)) for c, s in wanted]
    run_tasks(
        tasks,
        source,
        workers=options.workers,
        on_done=lambda n: print(f"{n}: {function.__name__} done", flush=True),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--front-end", type=Path, default=Path("docs/front_end_4_bits.toml"))
    parser.add_argument("--distillation", type=float, default=0.0, metavar="SHARE")
    parser.add_argument("--test", action="store_true")
    options = parser.parse_args()
    for part in ("networks", "models"):
        (options.out / part).mkdir(parents=True, exist_ok=True)
    source = Source(options.folder, read_front_end(options.front_end), options.distillation)
    wanted = [(c, s) for s in range(options.seeds) for c in options.cases]
    if not options.test:
        run(one_front, [w for w in wanted if not is_done(source, options.out, *w)], source, options)
    results: dict[str, list[Any]] = {}
    done = [w for w in wanted if is_done(source, options.out, *w)]
    if not options.test:
        run(count, done, source, options)
    for case, seed in done:
        results.setdefault(case, []).append(read_json(result_path(options.out, case, seed)))
    if options.test:
        read_test(source, options.out, results)
    text = tables(results, test=options.test)
    name = "test" if options.test else "validation"
    write_json(options.out / f"{name}_points.json", results)
    (options.out / f"{name}.md").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
