"""One training job: a network, a precision, a recipe, a seed; its result on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pixelsieve import __version__
from pixelsieve.config import fingerprint, to_plain
from pixelsieve.errors import ConfigError, nearest
from pixelsieve.features import FeatureTable
from pixelsieve.files import read_json, write_json
from pixelsieve.model_file import Model, load_model, save_model
from pixelsieve.networks import NetworkSpec
from pixelsieve.precision import Precision
from pixelsieve.training.checkpoint import Checkpoint
from pixelsieve.training.engine import EpochRecord, Monitor, train
from pixelsieve.training.recipe import Recipe
from pixelsieve.training.scales import fit_scales
from pixelsieve.training.warm_start import warm_start
from pixelsieve.weights import initial_weights

__all__ = ["Job", "JobResult", "TrainingData", "run_job"]


@dataclass(frozen=True, slots=True)
class Job:
    """What to train. `source` names the float job that warm starts and distillation take."""

    spec: NetworkSpec
    precision: Precision | None
    recipe: Recipe
    seed: int
    source: str | None = None

    def __post_init__(self) -> None:
        layers = list(self.spec.variables())
        for name in self.recipe.skip_layers:
            if name not in layers:
                msg = (
                    f"recipe '{self.recipe.name}': skip_layers: network '{self.spec.name}' has no "
                    f"layer '{name}'{nearest(name, layers)}"
                )
                raise ConfigError(msg)

    @property
    def name(self) -> str:
        """E.g. `conservative_4b_seed0` or `float_seed0`."""
        bits = f"_{self.precision.weight_bits}b" if self.precision else ""
        return f"{self.recipe.name}{bits}_seed{self.seed}"


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What every job of a run shares.

    `fingerprint` stands for the data and their features. `front_end` are the settings that the
    clusters were read out with, `detector` the constants of theirs, for the model's card.
    """

    training: FeatureTable
    validation: FeatureTable
    fingerprint: str
    front_end: dict[str, Any] | None = None
    detector: dict[str, Any] | None = None


JobResult = dict[str, Any]
"""Plain data: `name`, `best_epoch`, `history`, `warm_start` (rows or None), `precision`."""


def run_job(
    job: Job,
    folder: Path,
    data: TrainingData,
    monitors: Mapping[str, Monitor],
    report: Callable[[EpochRecord], None] | None = None,
) -> JobResult:
    """Train the job, or return its result where the folder holds it already.

    Writes `models/<name>.keras` and `jobs/<name>.json`; a checkpoint beside them lets a killed
    job go on. The float model of `job.source` must be there. Deterministic for a given machine.
    """
    mark = fingerprint({"job": to_plain(job), "data": data.fingerprint, "pixelsieve": __version__})
    result_path = folder / "jobs" / f"{job.name}.json"
    model_path = folder / "models" / f"{job.name}.keras"
    if result_path.exists() and model_path.exists():
        saved: JobResult = read_json(result_path)
        if saved.get("fingerprint") == mark:
            return saved
    precision, start, soft_labels, rows = _start(job, folder, data)
    checkpoint = Checkpoint(folder / "jobs" / f"{job.name}.npz", mark)
    trained = train(
        job.spec,
        precision,
        job.recipe,
        start,
        data.training,
        data.validation,
        seed=job.seed,
        soft_labels=soft_labels,
        monitors=monitors,
        checkpoint=checkpoint,
        report=report,
    )
    card = {
        "recipe": to_plain(job.recipe),
        "seed": job.seed,
        "best_epoch": trained.best_epoch,
        "front_end": data.front_end,
        "detector": data.detector,
    }
    model = Model(job.spec, precision, trained.weights, data.training.features, card)
    save_model(model_path, model)
    result = {
        "name": job.name,
        "fingerprint": mark,
        **card,
        "precision": to_plain(precision),
        "warm_start": rows,
        "history": trained.history,
    }
    write_json(result_path, result)
    checkpoint.remove()
    return result


def _start(job: Job, folder: Path, data: TrainingData) -> tuple[Any, Any, Any, Any]:
    fresh = initial_weights(job.spec, job.seed)
    if job.source is None:
        return job.precision, fresh, None, None
    teacher = load_model(folder / "models" / f"{job.source}.keras")
    floats = teacher.weights
    precision = job.precision
    if precision and job.recipe.scales == "per_layer":
        precision = fit_scales(floats, precision)
    soft_labels = None
    if job.recipe.distillation:
        from scipy.special import expit

        share = np.float32(job.recipe.distillation)
        probabilities = expit(teacher.logits(data.training))
        soft_labels = (1 - share) * data.training.labels + share * probabilities
    if not job.recipe.warm_start:
        return precision, fresh, soft_labels, None
    weights, report = warm_start(floats, fresh, precision, job.recipe.skip_layers)
    return precision, weights, soft_labels, to_plain(report.rows)
