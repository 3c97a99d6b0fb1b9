"""Training jobs as tasks for the workers, and the data they share."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.config import fingerprint
from pixelsieve.core.errors import ConfigError, DataError, RunError
from pixelsieve.core.runs import RunFolder
from pixelsieve.core.workers import Task
from pixelsieve.data.splits import SPLIT_NAMES
from pixelsieve.features import FeatureSet, FeatureTable, GrowingTable
from pixelsieve.formats.dataset import Dataset
from pixelsieve.integer.file import write_beside
from pixelsieve.integer.network import from_model
from pixelsieve.metrics.metrics import EFFICIENCY, rejection_at, roc_auc
from pixelsieve.networks.model_file import load_model
from pixelsieve.networks.spec import NetworkSpec
from pixelsieve.training.augmentation import augmented
from pixelsieve.training.engine import Monitor
from pixelsieve.training.job import Job, JobResult, TrainingData
from pixelsieve.training.recipe import Recipe
from pixelsieve.training.run import Ending, run_job
from pixelsieve.training.teachers import (
    TreesResult,
    TreesTeacher,
    grow,
    teacher_network,
    trees_teacher,
)


def float_recipe_for(recipe: Recipe, float_recipe: Recipe, others: Sequence[Recipe]) -> Recipe:
    """Return the recipe of the float network that `recipe` starts from: on the same augmentation.

    It is named for the first of `others` (all recipes, `recipe` too) with that augmentation.
    """
    if recipe.augmentation == float_recipe.augmentation:
        return float_recipe
    first = next(r for r in others if r.needs_float and r.augmentation == recipe.augmentation)
    name = f"{float_recipe.name}_{first.name}"
    return replace(float_recipe, name=name, augmentation=recipe.augmentation)


def teachers_of(
    recipes: Sequence[Recipe], spec: NetworkSpec, float_recipe: Recipe, seed: int
) -> dict[str, Job | TreesTeacher]:
    """The teachers of one seed by name of the recipe; none where a student is its own teacher.

    A network learns by `float_recipe`, of clusters as they are. Raise `ConfigError` for unknown
    networks, for one that takes no arrival time where the student does, and if different
    teachers would bear one name.
    """
    found: dict[str, Job | TreesTeacher] = {}
    for recipe in recipes:
        trees = trees_teacher(recipe, spec, seed)
        teacher = teacher_network(recipe, spec)
        if trees is not None:
            found[recipe.name] = trees
        elif teacher is not None:
            name = f"teacher_{teacher.name.split('+')[0]}"
            how = replace(float_recipe, name=name, augmentation=None)
            found[recipe.name] = Job(teacher, None, how, seed)
    _require_different_names(recipes, found)
    return found


def _require_different_names(
    recipes: Sequence[Recipe], teachers: Mapping[str, Job | TreesTeacher]
) -> None:
    """Two networks of one name would be one file, that of the last."""
    taught = [(recipe, teachers[recipe.name]) for recipe in recipes if recipe.name in teachers]
    for (one, first), (other, second) in itertools.combinations(taught, 2):
        if first.name == second.name and first != second:
            msg = (
                f"recipes '{one.name}' and '{other.name}': their teachers '{one.teacher}' and "
                f"'{other.teacher}' differ, but both would be '{first.name}'; give one network "
                "another name"
            )
            raise ConfigError(msg)


def training_data(
    dataset: Dataset,
    features: FeatureSet,
    recipes: Sequence[Recipe],
    teachers: Iterable[Job | TreesTeacher] = (),
    more: Mapping[str, Sequence[GrowingTable]] = MappingProxyType({}),
    *hold: str,
) -> TrainingData:
    """Return train and validation inputs, also as `teachers` see them, and as `recipes` vary them.

    Of the clusters no more is held than what networks see and what recipes vary, and the splits
    `hold`. The same pass fills the tables `more` by split. Raise `ConfigError` for variations that
    the front end cannot have, `DataError` if a column is missing, a recipe's batch is larger than
    the training split or files hold the same clusters, before anything is written.
    """
    sets = [features, *_other_sets(features, teachers)]
    training, validation = ([GrowingTable(one) for one in sets] for _ in range(2))
    tables: dict[str, list[GrowingTable]] = {"train": training, "validation": validation}
    tables = {name: [*tables.get(name, []), *more.get(name, [])] for name in SPLIT_NAMES}
    groups: list[NDArray[np.uint64]] = []
    origin = ""
    for name, clusters in dataset.stretches(*hold):
        for table in tables[name]:
            table.add(clusters)
        if name == "train":
            origin = origin or clusters.origin
            groups.append(clusters.groups())
    dataset.require_different_clusters()
    trained = [one.table() for one in training]
    validated = [one.table() for one in validation]
    _require_a_batch(recipes, len(trained[0]), origin)
    variations = dict.fromkeys(r.augmentation for r in recipes if r.augmentation is not None)
    collected = dataset.collected if variations else None
    return TrainingData(
        trained[0],
        validated[0],
        fingerprint([*dataset.identity.values(), features.fingerprint]),
        dataset.front_end,
        dataset.detector,
        tuple(zip(trained[1:], validated[1:], strict=True)),
        np.concatenate(groups),
        {a: augmented(a, features, collected, dataset.front_end) for a in variations if collected},
    )


def compared_data(
    folder: Path,
    dataset: Dataset,
    features: FeatureSet,
    recipes: Sequence[Recipe],
    teachers: Iterable[Job | TreesTeacher] = (),
    *,
    baselines: bool,
) -> Shared:
    """Return the same with inputs of the test split, whose clusters the dataset then holds.

    With `baselines` also the inputs of all splits for classifiers that are no circuit. Raise as
    `training_data`.
    """
    test = GrowingTable(features)
    bare = [GrowingTable(features, saturated=False) for _ in SPLIT_NAMES] if baselines else []
    more: dict[str, list[GrowingTable]] = {"test": [test]}
    for name, one in zip(SPLIT_NAMES, bare, strict=False):
        more.setdefault(name, []).append(one)
    data = training_data(dataset, features, recipes, teachers, more, "test")
    return Shared(folder, data, test.table(), tuple(one.table() for one in bare))


def _require_a_batch(recipes: Sequence[Recipe], n: int, origin: str) -> None:
    for recipe in recipes:
        if recipe.batch_size > n:
            msg = (
                f"{origin}: the training split holds {n} clusters; recipe '{recipe.name}' needs "
                f"at least one batch of {recipe.batch_size}; lower --batch-size or add clusters"
            )
            raise DataError(msg)


def _other_sets(features: FeatureSet, teachers: Iterable[Job | TreesTeacher]) -> list[FeatureSet]:
    """Return what teachers take that is not `features`."""
    seen = dict.fromkeys(
        t.features if isinstance(t, TreesTeacher) else t.spec.features for t in teachers
    )
    others = [features.with_names(names) for names in seen]
    return [other for other in others if other != features]


@dataclass(frozen=True, slots=True)
class Shared:
    """The data of each worker. Training sees `data` alone, never `test`.

    `unsaturated` are the three splits, in order, for classifiers that are no circuit.
    """

    folder: Path
    data: TrainingData
    test: FeatureTable | None = None
    unsaturated: tuple[FeatureTable, ...] = ()


def training_tasks(
    jobs: Sequence[Job],
    teachers: Iterable[Job | TreesTeacher] = (),
    endings: Mapping[str, Ending] | None = None,
) -> list[Task]:
    """Return one task per job, after those of `jobs` and `teachers` that it learns from.

    `endings` are those of jobs by name, if not the usual one. The result is a `JobResult`, of trees
    what `grow` returns. A quantized model gets its integers beside it, models/NAME.json.
    """
    different = {t.name: t for t in teachers}
    names = {*different, *(j.name for j in jobs)}
    ends = endings or {}
    return [
        *(
            Task(name, _grow, (t,))
            if isinstance(t, TreesTeacher)
            else Task(name, _train, (t, None))
            for name, t in different.items()
        ),
        *(
            Task(
                j.name,
                _train,
                (j, ends.get(j.name)),
                tuple(sorted(names & {j.source, j.teacher})),
            )
            for j in jobs
        ),
    ]


def _grow(shared: Shared, teacher: TreesTeacher, _report: Callable[[Any], None]) -> TreesResult:
    data = shared.data
    assert data.groups is not None
    _require_folder(shared)
    tables = data.tables(teacher.features)
    return grow(teacher, shared.folder, *tables, data.groups, data.fingerprint)


def _train(
    shared: Shared, job: Job, ending: Ending | None, report: Callable[[Any], None]
) -> JobResult:
    _require_folder(shared)
    monitors: dict[str, Monitor] = {"auc": roc_auc}
    if job.recipe.learns_bits:
        name = f"rejection_{100 * EFFICIENCY:.0f}"
        monitors[name] = lambda logits, labels: rejection_at(logits, labels, EFFICIENCY)[0]
    result = run_job(job, shared.folder, shared.data, monitors, report, ending)
    names = [job.name, *(one.model for one in result.networks)]
    for name in names if job.precision is not None else []:
        path = RunFolder(shared.folder).model(name)
        integers = path.with_suffix(".json")
        if not integers.exists() or integers.stat().st_mtime_ns < path.stat().st_mtime_ns:
            write_beside(path, from_model(load_model(path), name))
    return result


def _require_folder(shared: Shared) -> None:
    if not shared.folder.is_dir():
        msg = f"{shared.folder}: not seen by a worker; --out must be on a disk that all share"
        raise RunError(msg)
