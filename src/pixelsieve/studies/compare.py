"""The main job: a float network, recipes x bits x seeds on one data set, and which is better."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pixelsieve.core.config import from_mapping, to_plain
from pixelsieve.core.errors import ConfigError
from pixelsieve.core.files import replacing, write_json
from pixelsieve.core.programs import YOSYS, find
from pixelsieve.core.runs import RunFolder
from pixelsieve.core.workers import Scheduler, Task, run_tasks
from pixelsieve.data.clusters import Clusters
from pixelsieve.evaluation.baselines import BaselineScores, boosted_trees, time_cut, time_of
from pixelsieve.features import FeatureSet
from pixelsieve.formats.dataset import Dataset
from pixelsieve.networks.model_file import load_model
from pixelsieve.networks.precision import LearnedPrecision, Precision, bits_of, bits_text
from pixelsieve.networks.spec import NetworkSpec
from pixelsieve.studies.explain import curves
from pixelsieve.studies.jobs import (
    Shared,
    compared_data,
    float_recipe_for,
    teachers_of,
    training_tasks,
)
from pixelsieve.studies.summary import (
    Approach,
    ClassCounts,
    ComparedInputs,
    Comparison,
    TeacherScore,
    count_luts,
    summarize_comparison,
)
from pixelsieve.training.job import Job, JobResult
from pixelsieve.training.recipe import FLOAT, Recipe
from pixelsieve.training.teachers import TreesResult, TreesTeacher

_TIME_NAMES = {
    "hit_time_measured": "measured",
    "hit_time_30ps": "30 ps",
    "hit_time_60ps": "60 ps",
}


@dataclass(frozen=True, slots=True)
class CompareConfig:
    """A comparison to make; together with the data files' hashes it identifies the run."""

    spec: NetworkSpec
    recipes: tuple[Recipe, ...]
    bits: tuple[int | Precision | LearnedPrecision, ...]
    seeds: int
    float_recipe: Recipe = FLOAT
    mirror_x: bool = False
    baselines: bool = True

    def __post_init__(self) -> None:
        if self.seeds < 1:
            msg = f"seeds is {self.seeds}; expected at least 1"
            raise ConfigError(msg)
        names = [r.name for r in self.recipes]
        for name in names:
            if names.count(name) > 1 or name == self.float_recipe.name:
                msg = f"recipes: '{name}' appears twice; every recipe needs a name of its own"
                raise ConfigError(msg)
        for bits in self.bits:
            if not self.of(bits):
                kind = "learned" if isinstance(bits, LearnedPrecision) else "uniform"
                msg = f"recipes: {', '.join(names)}: none is for {kind} bits"
                raise ConfigError(msg)
        labels = [bits_of(one) for one in self.bits]
        for label in labels:
            if labels.count(label) > 1:
                msg = f"bits: {bits_text(label)} twice; models are named after the bits of a weight"
                raise ConfigError(msg)
        used = {one.name for bits in self.bits for one in self.of(bits)}
        for one in self.recipes:
            if one.name not in used:
                kind = "learned" if one.learns_bits else "uniform"
                msg = f"recipe '{one.name}': is for {kind} bits, and bits has none"
                raise ConfigError(msg)

    def of(self, bits: int | Precision | LearnedPrecision) -> list[Recipe]:
        """The recipes for these bits, learned or uniform."""
        learns = isinstance(bits, LearnedPrecision)
        return [recipe for recipe in self.recipes if recipe.learns_bits == learns]

    @property
    def features(self) -> FeatureSet:
        """The inputs of the network."""
        return FeatureSet(self.spec.features, self.mirror_x, window=self.spec.window)


def jobs_of(config: CompareConfig) -> list[Job]:
    """All training jobs, those that others need first."""
    seeds = range(config.seeds)
    starts = {
        r.name: float_recipe_for(r, config.float_recipe, config.recipes)
        for r in config.recipes
        if r.needs_float
    }
    recipes = dict.fromkeys([config.float_recipe, *starts.values()])
    floats = {(r, s): Job(config.spec, None, r, s) for s in seeds for r in recipes}
    teachers = [_teachers(config, s) for s in seeds]
    quantized = [
        Job(
            config.spec,
            Precision(bits) if isinstance(bits, int) else bits,
            recipe,
            seed,
            floats[starts[recipe.name], seed].name if recipe.needs_float else None,
            teachers[seed][recipe.name].name if recipe.name in teachers[seed] else None,
        )
        for seed, bits in itertools.product(seeds, config.bits)
        for recipe in config.of(bits)
    ]
    return [*floats.values(), *quantized]


def teachers_for(config: CompareConfig) -> list[Job | TreesTeacher]:
    """Return the jobs' teachers, each once."""
    found = (t for s in range(config.seeds) for t in _teachers(config, s).values())
    return list({teacher.name: teacher for teacher in found}.values())


def _teachers(config: CompareConfig, seed: int) -> dict[str, Job | TreesTeacher]:
    return teachers_of(config.recipes, config.spec, config.float_recipe, seed)


def compare(
    config: CompareConfig,
    dataset: Dataset,
    out: Path,
    *,
    workers: int,
    scheduler: Scheduler | None = None,
    luts: bool = False,
    on_report: Callable[[str, Any], None] | None = None,
    on_done: Callable[[str], None] | None = None,
    on_count: Callable[[str], None] | None = None,
) -> Comparison:
    """Train, evaluate and compare; return what `metrics.json` then holds.

    The run folder `out` gets manifest.json, metrics.json, curves.json, history.parquet,
    predictions.parquet and models/*.keras. Epochs and scales are chosen on the validation split;
    the test split is only scored, by the saved models. `scheduler` is a Dask scheduler,
    by address or `Client`, whose workers see the run folder (default: processes here). With `luts`
    Yosys counts the LUTs of every quantized network, one after the other, and `on_count` gets each
    one's name. Run again with the same arguments to resume an interrupted run.
    """
    if luts:
        find(YOSYS)  # says at once that it is missing
    teachers = teachers_for(config)
    identity = {**to_plain(config), **dataset.identity}
    identity |= {"teachers": to_plain(teachers)} if teachers else {}
    features, recipes = config.features, [config.float_recipe, *config.recipes]
    shared = compared_data(
        out.absolute(), dataset, features, recipes, teachers, baselines=config.baselines
    )
    with RunFolder(out).claimed(identity) as run:
        run.make()
        jobs = jobs_of(config)
        results = run_tasks(
            _tasks(jobs, teachers, config.baselines),
            shared,
            workers=workers,
            scheduler=scheduler,
            on_report=on_report,
            on_done=on_done,
        )
        trained = {job.name: results[job.name] for job in jobs}
        scores = {job.name: results[_predict_name(job.name)] for job in jobs}
        _write_history(run.history, trained)
        _write_predictions(run.predictions, scores, dataset.test)
        others: dict[str, BaselineScores] = {}
        if config.baselines:
            others["boosted trees, same inputs"] = results["baseline"]
            time = time_of(next(_training(dataset)), config.spec.features)
            if time:
                cut = time_cut(_training(dataset), dataset.test, time)
                others[f"cut on |t| ({_TIME_NAMES[time]}) alone"] = cut
        approaches = _approaches(jobs, trained, scores)
        taught: list[JobResult | TreesResult] = [results[t.name] for t in teachers]
        rows, baselines, paired = summarize_comparison(approaches, others, dataset.test)
        comparison = Comparison(
            network=config.spec.name,
            n_parameters=config.spec.n_parameters,
            features=from_mapping(ComparedInputs, features.to_plain(), "features"),
            clusters={name: ClassCounts(**n) for name, n in dataset.class_counts.items()},
            rows=rows,
            baselines=baselines,
            paired=paired,
            split_by=dataset.split_by,
            front_end=dataset.summary,
            made=dict(dataset.made),
            detector=dataset.detector,
            teachers=tuple(TeacherScore(t.name, t.fingerprint, t.validation_auc) for t in taught),
        )
        write_json(run.curves, curves(approaches, others, dataset.test))
        write_json(run.metrics, comparison.to_plain())
        for i, row in enumerate(rows if luts else ()):
            if row.bits:
                counted = replace(row, counted=count_luts(out, row.models, on_count))
                rows = (*rows[:i], counted, *rows[i + 1 :])
                comparison = replace(comparison, rows=rows)
                write_json(run.metrics, comparison.to_plain())
        return comparison


def _training(dataset: Dataset) -> Iterator[Clusters]:
    return (clusters for name, clusters in dataset.stretches() if name == "train")


def _predict_name(job_name: str) -> str:
    return f"predict {job_name}"


def _tasks(
    jobs: Sequence[Job], teachers: Sequence[Job | TreesTeacher], baselines: bool
) -> list[Task]:
    return [
        *training_tasks(jobs, teachers),
        *([Task("baseline", _baseline, ())] if baselines else []),
        *(Task(_predict_name(j.name), _predict, (j.name,), (j.name,)) for j in jobs),
    ]


def _predict(shared: Shared, name: str, _report: Callable[[Any], None]) -> NDArray[np.float32]:
    assert shared.test is not None
    return load_model(RunFolder(shared.folder).model(name)).logits(shared.test)


def _baseline(shared: Shared, _report: Callable[[Any], None]) -> BaselineScores:
    train, validation, test = shared.unsaturated
    return boosted_trees(train, validation, test, seed=0)


def _write_history(path: Path, trained: dict[str, JobResult]) -> None:
    rows = [
        {
            "job": name,
            "approach": result.recipe.name,
            "bits": getattr(result.precision, "weight_bits", None),
            "budget_ebops": getattr(result.precision, "budget_ebops", None),
            "seed": result.seed,
            **record,
        }
        for name, result in trained.items()
        for record in result.history
    ]
    names = dict.fromkeys(name for row in rows for name in row)
    _write_table(path, pa.table({n: [row.get(n) for row in rows] for n in names}))


def _write_predictions(path: Path, scores: dict[str, NDArray[np.float32]], test: Clusters) -> None:
    columns: dict[str, Any] = {"group": test.groups(), "signal": test.signal}
    if test.event_id is not None:
        columns["event_id"] = test.event_id
    _write_table(path, pa.table({**columns, **scores}))


def _write_table(path: Path, table: pa.Table) -> None:
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)


def _approaches(
    jobs: Sequence[Job], trained: dict[str, JobResult], scores: dict[str, NDArray[np.float32]]
) -> list[Approach]:
    members: dict[tuple[Recipe, Precision | LearnedPrecision | None], list[Job]] = {}
    for job in jobs:
        members.setdefault((job.recipe, job.precision), []).append(job)
    return [
        Approach(
            recipe,
            group[0].bits,
            [j.name for j in group],
            [trained[j.name] for j in group],
            [scores[j.name] for j in group],
        )
        for (recipe, _), group in members.items()
    ]
