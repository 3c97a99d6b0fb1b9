"""The final table of a search: the front and uniform networks, over seeds, on test, once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.errors import ConfigError, RunError
from pixelsieve.core.files import read_document, write_json
from pixelsieve.core.runs import RunFolder
from pixelsieve.core.workers import Task, Workers
from pixelsieve.formats.dataset import Dataset
from pixelsieve.integer.network import from_model
from pixelsieve.integer.pixel_logic import feature_cost
from pixelsieve.metrics.metrics import on_front
from pixelsieve.metrics.statistics import Metrics, mean_and_spread, score, summarize
from pixelsieve.networks.model_file import Model, load_model, model_hash
from pixelsieve.networks.precision import LearnedPrecision, Precision
from pixelsieve.networks.spec import NetworkSpec
from pixelsieve.studies.endings import Fitting
from pixelsieve.studies.search.goal import Goal, Measured, SearchConfig
from pixelsieve.studies.search.result import LeftOut, SearchRow, Smaller
from pixelsieve.studies.search.trial import SearchData, train_exactly
from pixelsieve.training.job import Job
from pixelsieve.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Finalist:
    """A network to be trained with every seed: one of the front, or a uniform one beside it.

    With learned bits `training` gives several: of each seed's networks the best that costs no more
    than `limit`, or its smallest if none does, trained further with its bits if that is better.
    Uniform ones of one `training` start from one float network.
    """

    name: str
    kind: Literal["front", "uniform"]
    training: str
    trial: int | None
    spec: NetworkSpec
    inputs: str
    precision: Precision | LearnedPrecision
    recipe: Recipe
    mirror_x: bool
    limit: float | None = None

    def model(self, seed_index: int) -> str:
        """Return the name of its files of one seed."""
        return f"{self.name}_seed{seed_index}"


def uniform_finalists(config: SearchConfig, window: tuple[int, int]) -> list[Finalist]:
    """Return the networks of the zoo, at each of their bits."""
    return [
        Finalist(
            name=f"{name}_{bits}b",
            kind="uniform",
            training=name,
            trial=None,
            spec=spec.with_window(window),
            inputs=", ".join(spec.features),
            precision=Precision(bits),
            recipe=config.uniform_recipe,
            mirror_x=False,
        )
        for name, spec in config.uniform()
        for bits in config.reference_bits
    ]


def train_finalists(
    finalists: Sequence[Finalist],
    config: SearchConfig,
    seeds: Sequence[int],
    pool: Workers,
    on_done: Callable[[int, int], None],
) -> dict[str, Measured | str]:
    """Train all with every seed in the run folder; by model what is measured, or why it has none.

    A killed training resumes from its checkpoint, and one that is done is not run again.
    """
    groups: dict[str, list[Finalist]] = {}
    for one in finalists:
        groups.setdefault(one.training, []).append(one)
    float_recipe = config.space.float_recipe
    tasks = [
        Task(f"{name}, seed {i}", _train, (tuple(group), float_recipe, config.goal, seed, i))
        for name, group in groups.items()
        for i, seed in enumerate(seeds)
    ]
    found: dict[str, Measured | str] = {}
    total = len(finalists) * len(seeds)
    on_done(0, total)
    for _, some in pool.run(tasks):
        found |= some
        on_done(len(found), total)
    return found


def _train(
    shared: SearchData,
    group: Sequence[Finalist],
    float_recipe: Recipe,
    goal: Goal,
    seed: int,
    index: int,
    _report: Callable[[Any], None],
) -> dict[str, Measured | str]:
    """Train what the networks of one training are of one seed."""
    first = group[0]
    data = shared.part(first.spec, first.mirror_x)
    floats = Job(first.spec, None, float_recipe, seed, label=f"float_{first.training}_seed{index}")
    learned = isinstance(first.precision, LearnedPrecision)
    found: dict[str, Measured | str] = {}
    for some in [group] if learned else [[one] for one in group]:
        limits = {one.model(index): one.limit for one in some}
        budget = goal.budget if learned else None
        label = next(iter(limits))
        job = Job(first.spec, some[0].precision, some[0].recipe, seed, label=label)
        done = train_exactly(job, floats, data, shared.folder, Fitting(goal, limits, budget))
        found |= dict.fromkeys(limits, done) if isinstance(done, str) else done
    return found


def final_table(
    finalists: Sequence[Finalist],
    trained: dict[str, Measured | str],
    goal: Goal,
    seeds: int,
    folder: Path,
    dataset: Dataset,
) -> tuple[list[SearchRow], list[LeftOut], list[Smaller]]:
    """Score every network with every seed on the test split.

    Networks whose logits are not exact, and those that lost a seed to that or to a collapsed
    training, are left out and named. The marker test_read.json, with the hashes of the networks,
    is written before the test split is read.
    """
    whole, left_out = [], []
    for one in finalists:
        reasons = [trained[one.model(i)] for i in range(seeds)]
        failed = next((f"seed {i}: {r}" for i, r in enumerate(reasons) if isinstance(r, str)), None)
        if failed:
            left_out.append(LeftOut(one.name, one.spec.name, failed))
        else:
            whole.append(one)
    if not whole:
        msg = f"{folder}: no network of the final training is whole, e.g. {left_out[0].reason}"
        raise RunError(msg)
    _mark_test_read(folder, [one.model(i) for one in whole for i in range(seeds)])
    rows = [_row(one, trained, goal, seeds, folder, dataset) for one in whole]
    best = on_front(*_points(rows, goal))
    rows = [replace(row, on_front=bool(one)) for row, one in zip(rows, best, strict=True)]
    return rows, left_out, smaller(rows, goal)


def _mark_test_read(folder: Path, names: Sequence[str]) -> None:
    """Note which networks the test split is read for; others may not read it again."""
    path = RunFolder(folder).test_read
    networks = {name: model_hash(RunFolder(folder).model(name)) for name in names}
    if not path.exists():
        write_json(path, {"networks": networks})
    elif read_document(path).get("networks") != networks:
        msg = f"{path}: the test split was read for other networks; choose another --out"
        raise RunError(msg)


def _row(
    one: Finalist,
    trained: dict[str, Measured | str],
    goal: Goal,
    seeds: int,
    folder: Path,
    dataset: Dataset,
) -> SearchRow:
    names = [one.model(i) for i in range(seeds)]
    measured = [m for name in names if isinstance(m := trained[name], Measured)]
    models = [load_model(RunFolder(folder).model(name)) for name in names]
    by_seed = [_score_on_test(model, dataset) for model in models]
    luts, missing = feature_luts(models[0], dataset)
    return SearchRow(
        name=one.name,
        kind=one.kind,
        trial=one.trial,
        network=one.spec.name,
        inputs=one.inputs,
        parameters=one.spec.n_parameters,
        precision=one.precision,
        bits=_bits(one.precision),
        recipe=one.recipe,
        luts=mean_and_spread([m.luts for m in measured]),
        feature_luts=luts,
        feature_luts_missing=missing,
        levels=mean_and_spread([m.levels for m in measured]),
        ebops=mean_and_spread([float(m.ebops) for m in measured]),
        validation=mean_and_spread([m[goal.metric] for m in measured]),
        validation_auc=mean_and_spread([m.auc for m in measured]),
        by_seed=tuple(by_seed),
        test=summarize(by_seed),
    )


def _bits(precision: Precision | LearnedPrecision) -> str:
    """Bits of weights, activations and inputs for the table."""
    if isinstance(precision, LearnedPrecision):
        return "learned"
    widths = (precision.weight_bits, precision.activation_bits, precision.input_bits)
    return "/".join(map(str, widths))


def feature_luts(model: Model, dataset: Dataset) -> tuple[float | None, str | None]:
    """Return the LUTs that make the inputs out of ADC codes, or why there is no such number."""
    adc_bits = dataset.train.adc_bits
    if not adc_bits:
        return None, "the clusters are collected charge, not codes of an ADC (see --front-end)"
    try:
        return feature_cost(model.features, adc_bits, from_model(model).inputs[0].grid), None
    except ConfigError as error:
        return None, str(error)


def _score_on_test(model: Model, dataset: Dataset) -> Metrics:
    integers = from_model(model)
    test = dataset.test
    logits: NDArray[np.int64] = integers.run(integers.codes(test))
    return score(logits, test.signal)


def _points(
    rows: Sequence[SearchRow], goal: Goal
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Validation quality and cost (as `Goal.point` counts it), means over seeds."""
    quality = np.array([row.validation.mean for row in rows])
    return quality, np.array([max(row.cost(goal.cost), 1.0) for row in rows])


def smaller(rows: Sequence[SearchRow], goal: Goal) -> list[Smaller]:
    """For each uniform network the cheapest of the front that is as good on validation."""
    found = []
    quality, cost = _points(rows, goal)
    front, uniform = (
        [i for i, row in enumerate(rows) if row.kind == kind] for kind in ("front", "uniform")
    )
    for i in uniform:
        as_good = [f for f in front if quality[f] >= quality[i]]
        best = min(as_good, key=lambda f: cost[f], default=None)
        name, times = (None, None) if best is None else (rows[best].name, cost[i] / cost[best])
        found.append(Smaller(rows[i].name, name, None if times is None else float(times)))
    return found
