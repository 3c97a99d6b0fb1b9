"""One training job: a network, a precision, a recipe, a seed; its result on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve import __version__
from pixelsieve.archives import read_arrays
from pixelsieve.config import fingerprint, to_plain
from pixelsieve.errors import ConfigError, RunError, nearest
from pixelsieve.features import FeatureTable
from pixelsieve.files import file_hash, read_document, write_json
from pixelsieve.model_file import Model, load_model, model_hash, save_model
from pixelsieve.networks import NetworkSpec
from pixelsieve.precision import Precision
from pixelsieve.training.augmentation import Augmentation
from pixelsieve.training.checkpoint import Checkpoint
from pixelsieve.training.distillation import soft_labels
from pixelsieve.training.engine import EpochRecord, Monitor, train
from pixelsieve.training.recipe import OWN_FLOAT, Recipe
from pixelsieve.training.scales import fit_scales
from pixelsieve.training.warm_start import warm_start
from pixelsieve.weights import initial_weights

__all__ = ["Job", "JobResult", "TrainingData", "run_job"]


@dataclass(frozen=True, slots=True)
class Job:
    """What to train.

    `source` names the float job that warm starts take, and distillation from the own float
    network; `teacher` names the job of another teacher.
    """

    spec: NetworkSpec
    precision: Precision | None
    recipe: Recipe
    seed: int
    source: str | None = None
    teacher: str | None = None

    def __post_init__(self) -> None:
        layers = list(self.spec.variables())
        for name in self.recipe.skip_layers:
            if name not in layers:
                msg = (
                    f"recipe '{self.recipe.name}': skip_layers: network '{self.spec.name}' has no "
                    f"layer '{name}'{nearest(name, layers)}"
                )
                raise ConfigError(msg)
        taught = self.recipe.distillation > 0 and self.recipe.teacher != OWN_FLOAT
        if taught and self.teacher is None:
            msg = (
                f"recipe '{self.recipe.name}': teacher '{self.recipe.teacher}' is not trained here"
            )
            raise ConfigError(msg)

    @property
    def epochs(self) -> int:
        """Epochs of training, for progress."""
        return self.recipe.epochs

    @property
    def name(self) -> str:
        """E.g. `conservative_4b_seed0` or `float_seed0`."""
        bits = f"_{self.precision.weight_bits}b" if self.precision else ""
        return f"{self.recipe.name}{bits}_seed{self.seed}"


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What every job of a run shares.

    `others` are the training and validation clusters as teachers with other inputs see them,
    `groups` (n,) the particle groups of the training clusters, `augmented` the training clusters'
    copies by augmentation. `fingerprint` stands for the data
    and their features. `front_end` are the settings that the clusters were read out with,
    `detector` the constants of theirs, for the model's card.
    """

    training: FeatureTable
    validation: FeatureTable
    fingerprint: str
    front_end: dict[str, Any] | None = None
    detector: dict[str, Any] | None = None
    others: tuple[tuple[FeatureTable, FeatureTable], ...] = ()
    groups: NDArray[Any] | None = None
    augmented: Mapping[Augmentation, tuple[FeatureTable, ...]] = field(default_factory=dict)

    def tables(self, features: tuple[str, ...]) -> tuple[FeatureTable, FeatureTable]:
        """Training and validation clusters as those features (by default the run's) show them."""
        pairs = (pair for pair in self.others if pair[0].features.names == features)
        return next(pairs, (self.training, self.validation))

    def copies(self, recipe: Recipe) -> tuple[FeatureTable, ...]:
        """The training clusters as the recipe varies them; none where it does not."""
        return () if recipe.augmentation is None else self.augmented[recipe.augmentation]


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
    job go on. What `job.source` and `job.teacher` name must be there; the result tells the hash of
    the teacher's file. Deterministic for a given machine.
    """
    identity = {"job": to_plain(job), "data": data.fingerprint, "pixelsieve": __version__}
    teacher = None
    if job.teacher is not None:
        teacher = {"name": job.teacher, "sha256": _teacher_hash(job.teacher, folder)}
        identity["teacher"] = teacher
    mark = fingerprint(identity)
    result_path = folder / "jobs" / f"{job.name}.json"
    model_path = folder / "models" / f"{job.name}.keras"
    if result_path.exists() and model_path.exists():
        saved: JobResult = read_document(result_path)
        if saved.get("fingerprint") == mark:
            return saved
    precision, start, told, rows = _start(job, folder, data)
    training, validation = data.tables(job.spec.features)
    checkpoint = Checkpoint(folder / "jobs" / f"{job.name}.npz", mark)
    trained = train(
        job.spec,
        precision,
        job.recipe,
        start,
        training,
        validation,
        seed=job.seed,
        copies=data.copies(job.recipe),
        soft_labels=told,
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
        **({} if teacher is None else {"teacher": teacher}),
    }
    model = Model(job.spec, precision, trained.weights, training.features, card)
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
    source = None
    if job.source is not None:
        source = load_model(folder / "models" / f"{job.source}.keras")
    told = None
    if job.recipe.distillation:
        shown = data.copies(job.recipe) or (data.training,)
        logits = _teacher_logits(job, folder, data, source, shown)
        told = [soft_labels(job.recipe, t.labels, z) for t, z in zip(shown, logits, strict=True)]
    precision = job.precision
    if source is None or not job.recipe.warm_start:
        return precision, fresh, told, None
    if precision and job.recipe.scales == "per_layer":
        precision = fit_scales(source.weights, precision)
    weights, report = warm_start(source.weights, fresh, precision, job.recipe.skip_layers)
    return precision, weights, told, to_plain(report.rows)


def _teacher_logits(
    job: Job,
    folder: Path,
    data: TrainingData,
    source: Model | None,
    shown: Sequence[FeatureTable],
) -> list[NDArray[np.float32]]:
    """The teacher's logits of what the student is shown; a foreign teacher's know no variation."""
    if job.teacher is None:
        assert source is not None
        return [source.logits(table) for table in shown]
    path = _teacher_path(job.teacher, folder)
    if path.suffix == ".keras":
        teacher = load_model(path)
        logits = teacher.logits(data.tables(teacher.features.names)[0])
    else:
        arrays = read_arrays(path, str(path))
        if "logits" not in arrays:
            msg = f"{path}: holds no logits; remove it and the same command makes it again"
            raise RunError(msg)
        logits = np.asarray(arrays["logits"], np.float32)
    return [logits] * len(shown)


def _teacher_hash(name: str, folder: Path) -> str:
    path = _teacher_path(name, folder)
    return file_hash(path) if path.suffix == ".npz" else model_hash(path)


def _teacher_path(name: str, folder: Path) -> Path:
    trees = folder / "teachers" / f"{name}.npz"
    return trees if trees.exists() else folder / "models" / f"{name}.keras"
