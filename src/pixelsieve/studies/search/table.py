"""The final table of a search: the front and uniform networks, over seeds, on test, once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.config import to_plain
from pixelsieve.core.errors import ConfigError, RunError
from pixelsieve.core.files import read_document, write_json
from pixelsieve.core.workers import Workers
from pixelsieve.formats.dataset import Dataset
from pixelsieve.integer.network import from_model
from pixelsieve.integer.pixel_logic import feature_cost
from pixelsieve.metrics.pareto import on_front
from pixelsieve.metrics.statistics import Metrics, mean_and_spread, score, summarize
from pixelsieve.networks.model_file import Model, load_model, model_hash
from pixelsieve.networks.precision import LearnedPrecision, Precision
from pixelsieve.studies.search.final import (
    Finalist,
    Row,
    Saved,
    Uniform,
    file_name,
    front_rows,
    train_rows,
    uniform_rows,
)
from pixelsieve.studies.search.goal import Goal
from pixelsieve.training.recipe import Recipe

__all__ = ["final_table"]


def final_table(
    finalists: Sequence[Finalist],
    uniform: Sequence[Uniform],
    goal: Goal,
    float_recipe: Recipe,
    uniform_recipe: Recipe,
    *,
    seeds: Sequence[int],
    folder: Path,
    pool: Workers,
    dataset: Dataset,
    on_done: Callable[[int, int], None],
) -> dict[str, Any]:
    """Train every row with every seed, then score all of them on the test split.

    Networks whose logits are not exact, and rows that lost a seed to that or to a collapsed
    training, are left out and named. The marker test_read.json, with the hashes of the networks,
    is written before the test split is read.
    """
    window = dataset.window
    rows, jobs = front_rows(finalists, goal, float_recipe, seeds)
    more, more_jobs = uniform_rows(uniform, float_recipe, uniform_recipe, seeds, window)
    rows, jobs = rows + more, jobs | more_jobs
    saved = train_rows(jobs, folder, pool, on_done)
    whole, left_out = [], []
    for row in rows:
        reasons = [saved[file_name(row, i)].reason for i in range(len(seeds))]
        failed = next((f"seed {i}: {r}" for i, r in enumerate(reasons) if r), None)
        if failed:
            left_out.append({"name": row.name, "network": row.network, "reason": failed})
        else:
            whole.append(row)
    if not whole:
        msg = f"{folder}: no network of the final training is whole, e.g. {left_out[0]['reason']}"
        raise RunError(msg)
    _mark_test_read(folder, [file_name(row, i) for row in whole for i in range(len(seeds))])
    table = [_line(row, len(seeds), saved, folder, dataset, goal) for row in whole]
    _mark_front(table, goal)
    return {
        "seeds": list(seeds),
        "clusters": dataset.class_counts,
        "rows": table,
        "left_out": left_out,
        "smaller": _smaller(table, goal),
    }


def _mark_test_read(folder: Path, names: Sequence[str]) -> None:
    """Note which networks the test split is read for; others may not read it again."""
    path = folder / "test_read.json"
    networks = {name: model_hash(folder / "models" / f"{name}.keras") for name in names}
    if not path.exists():
        write_json(path, {"networks": networks})
    elif read_document(path).get("networks") != networks:
        msg = f"{path}: the test split was read for other networks; choose another --out"
        raise RunError(msg)


def _line(
    row: Row, seeds: int, saved: dict[str, Saved], folder: Path, dataset: Dataset, goal: Goal
) -> dict[str, Any]:
    names = [file_name(row, i) for i in range(seeds)]
    measured = [m for name in names if (m := saved[name].measured)]
    by_seed = [_score_on_test(folder / "models" / f"{name}.keras", dataset) for name in names]
    line: dict[str, Any] = {
        "name": row.name,
        "kind": row.kind,
        "trial": row.trial,
        "network": row.network,
        "inputs": row.inputs,
        "parameters": row.parameters,
        "precision": to_plain(row.precision),
        "bits": _bits(row.precision),
        "recipe": to_plain(row.recipe),
        "luts": mean_and_spread([m.luts for m in measured]),
        **_feature_luts(load_model(folder / "models" / f"{names[0]}.keras"), dataset),
        "levels": mean_and_spread([m.levels for m in measured]),
        "ebops": mean_and_spread([float(m.ebops) for m in measured]),
        "validation": mean_and_spread([m[goal.metric] for m in measured]),
        "validation_auc": mean_and_spread([m.auc for m in measured]),
        "by_seed": by_seed,
        "test": summarize(by_seed),
    }
    return {name: to_plain(value) for name, value in line.items()}


def _bits(precision: Precision | LearnedPrecision) -> str:
    """Bits of weights, activations and inputs for the table."""
    if isinstance(precision, LearnedPrecision):
        return "learned"
    widths = (precision.weight_bits, precision.activation_bits, precision.input_bits)
    return "/".join(map(str, widths))


def _feature_luts(model: Model, dataset: Dataset) -> dict[str, Any]:
    """LUTs that make the inputs out of ADC codes, or why there is no such number."""
    adc_bits = dataset.train.adc_bits
    if not adc_bits:
        why = "the clusters are collected charge, not codes of an ADC (see --front-end)"
        return {"feature_luts": None, "feature_luts_missing": why}
    try:
        grid = from_model(model).inputs[0].grid
        luts = feature_cost(model.features, adc_bits, grid)
    except ConfigError as error:
        return {"feature_luts": None, "feature_luts_missing": str(error)}
    return {"feature_luts": luts, "feature_luts_missing": None}


def _score_on_test(path: Path, dataset: Dataset) -> Metrics:
    model = load_model(path)
    integers = from_model(model)
    test = dataset.test
    logits: NDArray[np.int64] = integers.run(integers.input_codes(model.features.table(test)))
    threshold = 0.0
    return score(logits, test.signal, threshold)


def _mark_front(table: list[dict[str, Any]], goal: Goal) -> None:
    quality, cost = _points(table, goal)
    for line, best in zip(table, on_front(quality, cost), strict=True):
        line["on_front"] = bool(best)


def _points(
    table: Sequence[dict[str, Any]], goal: Goal
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Validation quality and cost (as `Goal.point` counts it), means over seeds."""
    quality = np.array([line["validation"]["mean"] for line in table])
    return quality, np.array([max(line[goal.cost]["mean"], 1.0) for line in table])


def _smaller(table: Sequence[dict[str, Any]], goal: Goal) -> list[dict[str, Any]]:
    """For each uniform network the cheapest of the front that is as good on validation."""
    found = []
    quality, cost = _points(table, goal)
    front = [i for i, line in enumerate(table) if line["kind"] == "front"]
    for i, line in enumerate(table):
        if line["kind"] != "uniform":
            continue
        as_good = [f for f in front if quality[f] >= quality[i]]
        best = min(as_good, key=lambda f: cost[f], default=None)
        name, times = (None, None) if best is None else (table[best]["name"], cost[i] / cost[best])
        found.append({"than": line["name"], "name": name, "times": times})
    return found
