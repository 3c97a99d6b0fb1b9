"""The final table of a search: the front and uniform networks, over seeds, on test, once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.config import fingerprint, from_mapping, to_plain
from pixelsieve.errors import ConfigError, RunError
from pixelsieve.evaluation.pareto import on_front
from pixelsieve.evaluation.scores import score, summarize
from pixelsieve.files import file_hash, read_json, replacing, write_json
from pixelsieve.firmware.integer import from_model
from pixelsieve.firmware.pixel_cost import feature_cost
from pixelsieve.formats.dataset import Dataset
from pixelsieve.model_file import Model, load_model
from pixelsieve.networks import NetworkSpec
from pixelsieve.parallel import Task, Workers
from pixelsieve.precision import Precision
from pixelsieve.studies.trials import Assignment, Goal, Measured, Trained, train_assignment
from pixelsieve.training.recipe import Recipe

__all__ = ["Finalist", "Uniform", "final_table"]


@dataclass(frozen=True, slots=True)
class Finalist:
    """A trial of the front, to be trained again."""

    number: int
    name: str
    spec: NetworkSpec
    inputs: str
    precision: Precision
    recipe: Recipe
    mirror_x: bool


@dataclass(frozen=True, slots=True)
class Uniform:
    """A network of the zoo, to be trained at each of `bits`."""

    name: str
    spec: NetworkSpec
    bits: tuple[int, ...]

    def __post_init__(self) -> None:
        for bits in self.bits:
            Precision(bits)  # raises for what cannot be


@dataclass(frozen=True, slots=True)
class _Row:
    """One line of the table: a network at one precision, over all seeds."""

    name: str
    kind: str
    network: str
    inputs: str
    parameters: int
    precision: Precision
    recipe: Recipe
    trial: int | None


@dataclass(frozen=True, slots=True)
class _Saved:
    """What the file of a network of the final training holds."""

    fingerprint: str
    measured: Measured | None
    reason: str | None


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
    window = dataset.splits.train.window
    rows, jobs = _rows(finalists, uniform, float_recipe, uniform_recipe, seeds, window)
    saved = _train(jobs, folder, pool, on_done)
    whole, left_out = [], []
    for row in rows:
        reasons = [saved[_file(row, i)].reason for i in range(len(seeds))]
        failed = next((f"seed {i}: {r}" for i, r in enumerate(reasons) if r), None)
        if failed:
            left_out.append({"name": row.name, "network": row.network, "reason": failed})
        else:
            whole.append(row)
    if not whole:
        msg = f"{folder}: no network of the final training is whole, e.g. {left_out[0]['reason']}"
        raise RunError(msg)
    _mark_test_read(folder, [_file(row, i) for row in whole for i in range(len(seeds))])
    table = [_line(row, len(seeds), saved, folder, dataset, goal) for row in whole]
    _mark_front(table, goal)
    return {
        "seeds": list(seeds),
        "clusters": {
            name: {"signal": part.n_signal, "bib": len(part) - part.n_signal}
            for name, part in dataset.splits.parts()
        },
        "rows": table,
        "left_out": left_out,
        "smaller": _smaller(table, goal),
    }


def _rows(
    finalists: Sequence[Finalist],
    uniform: Sequence[Uniform],
    float_recipe: Recipe,
    uniform_recipe: Recipe,
    seeds: Sequence[int],
    window: tuple[int, int],
) -> tuple[list[_Row], dict[str, tuple[Assignment, list[str]]]]:
    """All rows, and by task the assignment and the names of the networks that it gives."""
    rows: list[_Row] = []
    jobs: dict[str, tuple[Assignment, list[str]]] = {}
    for one in finalists:
        row = _Row(
            one.name,
            "front",
            one.spec.name,
            one.inputs,
            one.spec.n_parameters,
            one.precision,
            one.recipe,
            one.number,
        )
        rows.append(row)
        for i, seed in enumerate(seeds):
            chosen = ((one.precision, one.recipe),)
            assignment = Assignment(one.spec, float_recipe, one.mirror_x, seed, chosen)
            jobs[_file(row, i)] = (assignment, [_file(row, i)])
    for other in uniform:
        spec = other.spec.with_window(window)
        new = [
            _Row(
                f"{other.name}_{bits}b",
                "uniform",
                spec.name,
                ", ".join(spec.features),
                spec.n_parameters,
                Precision(bits),
                uniform_recipe,
                None,
            )
            for bits in other.bits
        ]
        rows += new
        quantized = tuple((row.precision, row.recipe) for row in new)
        for i, seed in enumerate(seeds):
            assignment = Assignment(spec, float_recipe, False, seed, quantized)  # noqa: FBT003
            jobs[f"{other.name}_seed{i}"] = (assignment, [_file(row, i) for row in new])
    return rows, jobs


def _file(row: _Row, seed_index: int) -> str:
    return f"{row.name}_seed{seed_index}"


def _train(
    jobs: dict[str, tuple[Assignment, list[str]]],
    folder: Path,
    pool: Workers,
    on_done: Callable[[int, int], None],
) -> dict[str, _Saved]:
    """Train what is not saved yet; what is known of every network, by name."""
    saved: dict[str, _Saved] = {}
    tasks = []
    for task, (assignment, names) in jobs.items():
        mark = fingerprint(assignment)
        found = {name: _read(folder / "final" / f"{name}.json", mark) for name in names}
        if all(found.values()):
            saved |= {name: one for name, one in found.items() if one}
        else:
            tasks.append(Task(task, train_assignment, (assignment,)))
    total = sum(len(names) for _, names in jobs.values())
    on_done(len(saved), total)
    for task, results in pool.run(tasks):
        assignment, names = jobs[task]
        trained: list[Trained] = results
        for name, one in zip(names, trained, strict=True):
            if one.model:
                with replacing(folder / "models" / f"{name}.keras") as temporary:
                    temporary.write_bytes(one.model)
            saved[name] = _Saved(fingerprint(assignment), one.measured, one.reason)
            write_json(folder / "final" / f"{name}.json", saved[name])
        on_done(len(saved), total)
    return saved


def _read(path: Path, mark: str) -> _Saved | None:
    if not path.exists():
        return None
    try:
        found = from_mapping(_Saved, read_json(path), str(path))
    except (RunError, ConfigError) as error:
        msg = f"{error}; remove the file and the network is trained again"
        raise RunError(msg) from error
    return found if found.fingerprint == mark else None


def _mark_test_read(folder: Path, names: Sequence[str]) -> None:
    """Note which networks the test split is read for; others may not read it again."""
    path = folder / "test_read.json"
    networks = {name: file_hash(folder / "models" / f"{name}.keras") for name in names}
    if not path.exists():
        write_json(path, {"networks": networks})
    elif read_json(path).get("networks") != networks:
        msg = f"{path}: the test split was read for other networks; choose another --out"
        raise RunError(msg)


def _line(
    row: _Row, seeds: int, saved: dict[str, _Saved], folder: Path, dataset: Dataset, goal: Goal
) -> dict[str, Any]:
    names = [_file(row, i) for i in range(seeds)]
    measured = [m for name in names if (m := saved[name].measured)]
    by_seed = [_score_on_test(folder / "models" / f"{name}.keras", dataset) for name in names]
    return {
        "name": row.name,
        "kind": row.kind,
        "trial": row.trial,
        "network": row.network,
        "inputs": row.inputs,
        "parameters": row.parameters,
        "weight_bits": row.precision.weight_bits,
        "activation_bits": row.precision.activation_bits,
        "input_bits": row.precision.input_bits,
        "recipe": to_plain(row.recipe),
        "luts": _spread([m.luts for m in measured]),
        **_feature_luts(load_model(folder / "models" / f"{names[0]}.keras"), dataset),
        "levels": _spread([m.levels for m in measured]),
        "ebops": _spread([float(m.ebops) for m in measured]),
        "validation": _spread([m[goal.metric] for m in measured]),
        "validation_auc": _spread([m.auc for m in measured]),
        "by_seed": by_seed,
        "test": summarize(by_seed),
    }


def _feature_luts(model: Model, dataset: Dataset) -> dict[str, Any]:
    """LUTs that make the inputs out of ADC codes, or why there is no such number."""
    adc_bits = dataset.splits.train.adc_bits
    if not adc_bits:
        why = "the clusters are collected charge, not codes of an ADC (see --front-end)"
        return {"feature_luts": None, "feature_luts_missing": why}
    try:
        grid = from_model(model).inputs[0].grid
        luts = feature_cost(model.features, adc_bits, grid)
    except ConfigError as error:
        return {"feature_luts": None, "feature_luts_missing": str(error)}
    return {"feature_luts": luts, "feature_luts_missing": None}


def _score_on_test(path: Path, dataset: Dataset) -> dict[str, float]:
    model = load_model(path)
    integers = from_model(model)
    test = dataset.splits.test
    logits: NDArray[np.int64] = integers.run(integers.input_codes(model.features.table(test)))
    threshold = 0.0
    return score(logits, test.signal, threshold)


def _spread(values: Sequence[float]) -> dict[str, float]:
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return {"mean": float(np.mean(values)), "spread": spread}


def _mark_front(table: list[dict[str, Any]], goal: Goal) -> None:
    quality, cost = _points(table, goal)
    for line, best in zip(table, on_front(quality, cost), strict=True):
        line["on_front"] = bool(best)


def _points(
    table: Sequence[dict[str, Any]], goal: Goal
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Validation quality and cost, means over seeds."""
    quality = np.array([line["validation"]["mean"] for line in table])
    return quality, np.array([line[goal.cost]["mean"] for line in table])


def _smaller(table: Sequence[dict[str, Any]], goal: Goal) -> list[dict[str, Any]]:
    """For each uniform network the cheapest of the front that is as good on validation."""
    found = []
    front = [line for line in table if line["kind"] == "front"]
    for line in table:
        if line["kind"] != "uniform":
            continue
        quality = line["validation"]["mean"]
        as_good = [f for f in front if f["validation"]["mean"] >= quality]
        best = min(as_good, key=lambda f: f[goal.cost]["mean"], default=None)
        times = None if best is None else line[goal.cost]["mean"] / best[goal.cost]["mean"]
        found.append({"than": line["name"], "name": best["name"] if best else None, "times": times})
    return found
