"""Training jobs as tasks for the workers, and the data they share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixelsieve.config import fingerprint, to_plain
from pixelsieve.errors import DataError
from pixelsieve.evaluation.metrics import roc_auc
from pixelsieve.features import FeatureSet, FeatureTable
from pixelsieve.firmware.integer import from_model
from pixelsieve.firmware.integer_file import write_beside
from pixelsieve.formats.dataset import Dataset
from pixelsieve.model_file import load_model
from pixelsieve.parallel import Task
from pixelsieve.training.job import Job, JobResult, TrainingData, run_job
from pixelsieve.training.recipe import Recipe

__all__ = ["Shared", "training_data", "training_tasks"]


def training_data(
    dataset: Dataset, features: FeatureSet, recipes: Sequence[Recipe]
) -> TrainingData:
    """Train and validation inputs.

    Raises `DataError` where a column is missing or a recipe's batch is larger than the training
    split, before anything is written.
    """
    clusters = dataset.splits.train
    for recipe in recipes:
        if recipe.batch_size > len(clusters):
            msg = (
                f"{clusters.origin}: the training split holds {len(clusters)} clusters; recipe "
                f"'{recipe.name}' needs at least one batch of {recipe.batch_size}; lower "
                "batch_size or add clusters"
            )
            raise DataError(msg)
    settings = dataset.front_end["settings"] if dataset.front_end else None
    return TrainingData(
        features.table(clusters),
        features.table(dataset.splits.validation),
        fingerprint([*dataset.identity.values(), features.fingerprint]),
        settings,
        to_plain(clusters.detector),
    )


@dataclass(frozen=True, slots=True)
class Shared:
    """What each worker holds. Training sees `data` alone, never `test`."""

    folder: Path
    data: TrainingData
    test: FeatureTable | None = None


def training_tasks(jobs: Sequence[Job]) -> list[Task]:
    """One task a job, after that of `jobs` which it starts from; the result is a `JobResult`.

    A quantized model gets its integers beside it, models/NAME.json.
    """
    names = {j.name for j in jobs}
    return [Task(j.name, _train, (j,), tuple(names & {j.source})) for j in jobs]


def _train(shared: Shared, job: Job, report: Callable[[Any], None]) -> JobResult:
    result = run_job(job, shared.folder, shared.data, {"auc": roc_auc}, report)
    if job.precision is not None:
        path = shared.folder / "models" / f"{job.name}.keras"
        write_beside(path, from_model(load_model(path), job.name))
    return result
