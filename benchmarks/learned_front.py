"""Fronts of size against merit of networks with learned bits, five seeds, test read once.

    python benchmarks/learned_front.py DATA_FOLDER --out OUT [--cases scalars ...] [--seeds 5]
    python benchmarks/learned_front.py DATA_FOLDER --out OUT --test

DATA_FOLDER holds `simA_train.parquet`, `simA_val.parquet`, `simA_test.parquet`. The first form
trains what is missing in OUT (one file a case and seed, so it can be stopped and started again)
and prints tables of the validation set. `--test` trains nothing: it applies every network that
the validation set chose to the test set, once, and prints the tables with both. `models/` gets
those of seed 0 as model files: `pixelsieve firmware OUT --model NAME` makes Verilog of them.
LUTs are alkaid's estimate of the traced program (`firmware.logic.traced`), without the logic that
makes the features.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Any

from pixelsieve.config import to_plain
from pixelsieve.evaluation.metrics import rejection_at, roc_auc
from pixelsieve.features import FeatureSet, FeatureTable
from pixelsieve.files import read_json, write_json
from pixelsieve.firmware.integer import from_model
from pixelsieve.firmware.integer_file import read_integer_network, write_integer_network
from pixelsieve.formats import parquet
from pixelsieve.model_file import Model, save_model
from pixelsieve.networks import Dense, NetworkSpec
from pixelsieve.parallel import Task, run_tasks
from pixelsieve.precision import LearnedPrecision, Precision
from pixelsieve.studies.front import EFFICIENCY, FrontPoint, exact_point, front, merits
from pixelsieve.training.candidates import Candidate
from pixelsieve.training.learned import LEARNED, REFINED, refine_learned, train_learned
from pixelsieve.weights import initial_weights

SCALARS = ("x_size", "y_size", "z_global", "y_local")
TIME = "hit_time_30ps"


def scalars(name: str, inputs: tuple[str, ...], *units: int) -> NetworkSpec:
    names = [f"hidden{i}" for i in range(len(units))]
    sources = [inputs, *((n,) for n in names)]
    hidden = [Dense(n, u, s) for n, u, s in zip(names, units, sources, strict=False)]
    return NetworkSpec(name, (*hidden, Dense("output", 1, sources[-1], relu=False)))


def profiles(name: str, first: int, second: int, third: int) -> NetworkSpec:
    return NetworkSpec(
        name,
        (
            Dense("xz_dense", first, ("x_profile", "z_global")),
            Dense("yl_dense", first, ("y_profile", "y_local")),
            Dense("merged_dense1", second, ("xz_dense", "yl_dense")),
            Dense("merged_dense2", third, ("merged_dense1",)),
            Dense("output", 1, ("merged_dense2",), relu=False),
        ),
    )


@dataclass(frozen=True)
class Case:
    """A network, its budget, and what its table shows; `largest` EBOPs are looked at."""

    spec: NetworkSpec
    precision: LearnedPrecision
    merit: str
    levels: dict[str, tuple[float, ...]]
    limits: tuple[int, ...]
    largest: int
    epochs: int = LEARNED.epochs


CASES = {
    "profiles": Case(
        profiles("profiles", 16, 32, 16),
        Precision.learned(budget_ebops=600),
        "auc",
        {"auc": (0.935, 0.94, 0.945, 0.95, 0.953), "rejection": (0.75, 0.775, 0.8)},
        (1000, 1200, 2000, 3000, 4000),
        6000,
    ),
    "wide profiles": Case(
        profiles("wide_profiles", 24, 48, 24),
        Precision.learned(budget_ebops=2000),
        "rejection",
        {"auc": (0.953, 0.955), "rejection": (0.8, 0.81, 0.82, 0.83)},
        (3000, 5000, 7000),
        11000,
    ),
    "small profiles": Case(
        profiles("small_profiles", 8, 16, 8),
        Precision.learned(budget_ebops=300),
        "auc",
        {"auc": (0.92, 0.93, 0.935, 0.94, 0.945), "rejection": (0.75, 0.775, 0.8)},
        (600, 1200, 2000, 3000),
        5000,
    ),
    "scalars": Case(
        scalars("scalars", SCALARS, 16, 8),
        Precision.learned(budget_ebops=150),
        "auc",
        {"auc": (0.92, 0.925, 0.93, 0.933), "rejection": (0.75, 0.76)},
        (200, 300, 400, 700),
        3000,
    ),
    "scalars and time": Case(
        scalars("scalars_time", (*SCALARS, TIME), 8, 4),
        Precision.learned(budget_ebops=40),
        "rejection",
        {"rejection": (0.95, 0.97, 0.975, 0.98), "auc": (0.99, 0.994, 0.995)},
        (40, 80, 150, 300, 400),
        1000,
    ),
}


def table(folder: Path, split: str, spec: NetworkSpec) -> FeatureTable:
    features = FeatureSet(spec.features, mirror_x=True)
    return features.table(parquet.read(folder / f"simA_{split}.parquet"))


def one_front(
    folder: Path, out: Path, case_name: str, seed: int, _report: Callable[[Any], None]
) -> None:
    """Train one case with one seed and write its points and integer networks."""
    case = CASES[case_name]
    training, validation = (table(folder, split, case.spec) for split in ("train", "val"))
    start = time.monotonic()
    candidates = train_learned(
        case.spec,
        case.precision,
        replace(LEARNED, epochs=case.epochs),
        initial_weights(case.spec, seed),
        training,
        validation,
        seed=seed,
        monitors=MONITORS,
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
            training,
            validation,
            seed=seed,
            monitors=MONITORS,
        )
    ]
    refined = exact(case, further, validation)
    rows: list[dict[str, Any]] = []
    models: dict[str, Model] = {}
    for i, (candidate, point) in enumerate(on_front([*points, *refined])):
        name = f"{case_name}_seed{seed}_{i}.json".replace(" ", "_")
        write_integer_network(out / "networks" / name, from_model(point.model, case.spec.name))
        row = {k: getattr(point, k) for k in ("luts", "levels", "auc", "rejection")}
        row["refined"] = any(candidate is one for one in further)
        rows.append({**row, "ebops": candidate.ebops, "network": name})
        models[name] = point.model
    if seed == 0:
        for limit in case.limits:
            if (best := best_under(rows, case.merit, limit)) is not None:
                stem = f"{case.spec.name}_{limit}_luts"
                save_model(out / "models" / f"{stem}.keras", models[best["network"]])
    write_json(
        result_path(out, case_name, seed),
        {
            "case": case_name,
            "seed": seed,
            "settings": settings(case),
            "candidates": len(candidates),
            "points": rows,
            "training_seconds": round(trained - start, 1),
            "exact_seconds": round(time.monotonic() - trained, 1),
        },
    )


Exact = list[tuple[Candidate, FrontPoint]]


def exact(case: Case, candidates: Sequence[Candidate], validation: FeatureTable) -> Exact:
    """Candidates whose logit varies, with their exact size and merits."""
    models = [c.model(case.spec, validation.features, {}) for c in candidates]
    points = [exact_point(model, validation) for model in models]
    return [(c, p) for c, p in zip(candidates, points, strict=True) if p is not None]


def on_front(points: Exact) -> Exact:
    """Those on the front of either merit."""
    fronts = [front([p for _, p in points], attrgetter(merit)) for merit in MONITORS]
    kept = {id(point) for one in fronts for point in one}
    return [(c, p) for c, p in points if id(p) in kept]


def settings(case: Case) -> dict[str, Any]:
    return dict(
        to_plain(
            {
                "precision": case.precision,
                "epochs": case.epochs,
                "spec": case.spec,
                "refined": REFINED,
            }
        )
    )


def is_done(out: Path, case: str, seed: int) -> bool:
    path = result_path(out, case, seed)
    return path.exists() and read_json(path)["settings"] == settings(CASES[case])


def result_path(out: Path, case: str, seed: int) -> Path:
    return out / f"{case}_seed{seed}.json".replace(" ", "_")


def best_under(points: Sequence[Any], merit: str, limit: float) -> Any:
    """The best of at most `limit` LUTs on the validation set, None where there is none."""
    return max((p for p in points if p["luts"] <= limit), key=lambda p: p[merit], default=None)


def smallest_with(points: Sequence[Any], merit: str, level: float) -> Any:
    """The smallest that reaches `level` on the validation set."""
    return min((p for p in points if p[merit] >= level), key=lambda p: p["luts"], default=None)


def spread(values: Sequence[float], digits: int) -> str:
    sd = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.{digits}f} +- {sd:.{digits}f}"


MONITORS = {
    "auc": roc_auc,
    "rejection": lambda scores, labels: rejection_at(scores, labels, EFFICIENCY)[0],
}


def row(what: str, chosen: list[Any], seeds: int, *, test: bool) -> str:
    found = [p for p in chosen if p is not None]
    if not found:
        return f"| {what} | 0 of {seeds} | | | | | |"
    cells = [
        f"{len(found)} of {seeds}",
        spread([p["luts"] for p in found], 0),
        spread([p["auc"] for p in found], 4),
        spread([p["rejection"] for p in found], 3),
        spread([p["test_auc"] for p in found], 4) if test else "",
        spread([p["test_rejection"] for p in found], 3) if test else "",
    ]
    return f"| {what} | {' | '.join(cells)} |"


HEAD = (
    "| choice on validation | seeds | LUTs | val AUC | val rejection | test AUC | test rejection "
    "|\n"
    "|---|---|---|---|---|---|---|"
)


def tables(results: dict[str, list[Any]], *, test: bool) -> str:
    parts = []
    for name, runs in results.items():
        case = CASES[name]
        lines = [f"**{name}** (rejection at 98 % efficiency; best by {case.merit})", "", HEAD]
        for limit in case.limits:
            chosen = [best_under(r["points"], case.merit, limit) for r in runs]
            lines.append(row(f"best of <= {limit} LUTs", chosen, len(runs), test=test))
        for merit, levels in case.levels.items():
            for level in levels:
                chosen = [smallest_with(r["points"], merit, level) for r in runs]
                what = f"smallest with {merit} >= {level}"
                lines.append(row(what, chosen, len(runs), test=test))
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def read_test(folder: Path, out: Path, results: dict[str, list[Any]]) -> None:
    """Add the merits on the test set to every point."""
    for name, runs in results.items():
        data = table(folder, "test", CASES[name].spec)
        for point in (p for r in runs for p in r["points"]):
            network = read_integer_network(out / "networks" / point["network"])
            found = merits(network.run(network.input_codes(data)), data.labels)
            point |= {f"test_{k}": v for k, v in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--test", action="store_true")
    options = parser.parse_args()
    for part in ("networks", "models"):
        (options.out / part).mkdir(parents=True, exist_ok=True)
    wanted = [(c, s) for s in range(options.seeds) for c in options.cases]
    if not options.test:
        tasks = [
            Task(f"{c} seed {s}", one_front, (options.out, c, s))
            for c, s in wanted
            if not is_done(options.out, c, s)
        ]
        run_tasks(
            tasks,
            options.folder,
            workers=options.workers,
            on_done=lambda n: print(f"{n} done", flush=True),
        )
    results: dict[str, list[Any]] = {}
    for case, seed in wanted:
        if is_done(options.out, case, seed):
            path = result_path(options.out, case, seed)
            results.setdefault(case, []).append(read_json(path))
    if options.test:
        read_test(options.folder, options.out, results)
    text = tables(results, test=options.test)
    name = "test" if options.test else "validation"
    write_json(options.out / f"{name}_points.json", results)
    (options.out / f"{name}.md").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
