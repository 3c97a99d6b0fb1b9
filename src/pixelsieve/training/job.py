"""One training job: a network, a precision, a recipe, a seed; its result on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import log
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve import __version__
from pixelsieve.core.archives import read_arrays
from pixelsieve.core.config import fingerprint, to_plain
from pixelsieve.core.errors import ConfigError, RunError, nearest
from pixelsieve.core.files import file_hash, read_document, write_json
from pixelsieve.data.detector import Detector
from pixelsieve.features import FeatureTable
from pixelsieve.front_end import FrontEnd
from pixelsieve.networks.model_file import Model, load_model, model_hash, save_model
from pixelsieve.networks.precision import LearnedPrecision, Precision, bits_suffix
from pixelsieve.networks.spec import NetworkSpec
from pixelsieve.networks.weights import Weights, initial_weights
from pixelsieve.training.augmentation import Augmentation
from pixelsieve.training.candidates import Candidate
from pixelsieve.training.checkpoint import Checkpoint
from pixelsieve.training.engine import EpochRecord, Monitor, Rows
from pixelsieve.training.learned import train_learned
from pixelsieve.training.recipe import OWN_FLOAT, Recipe
from pixelsieve.training.teachers import soft_labels
from pixelsieve.training.uniform import train_uniform
from pixelsieve.training.warm_start import fit_scales, warm_start

__all__ = ["Job", "JobResult", "TrainingData", "over_budget", "run_job"]


@dataclass(frozen=True, slots=True)
class Job:
    """What to train.

    `source` names the float job that warm starts take, and distillation from the own float
    network; `teacher` names the job of another teacher.
    """

    spec: NetworkSpec
    precision: Precision | LearnedPrecision | None
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
        learns = isinstance(self.precision, LearnedPrecision)
        if learns != self.recipe.learns_bits and self.precision is not None:
            kind = "uniform" if learns else "learned"
            msg = f"recipe '{self.recipe.name}': is for {kind} bits, not for {self.bits}"
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
    def bits(self) -> int | str | None:
        """The precision as tables show it: bits of a weight, `learned:300`, None for float."""
        if isinstance(self.precision, LearnedPrecision):
            return self.precision.label
        return None if self.precision is None else self.precision.weight_bits

    @property
    def name(self) -> str:
        """E.g. `conservative_4b_seed0`, `learned_300ebops_seed0` or `float_seed0`."""
        bits = "" if self.bits is None else f"_{bits_suffix(self.bits)}"
        return f"{self.recipe.name}{bits}_seed{self.seed}"


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What every job of a run shares.

    `others` are the training and validation clusters as teachers with other inputs see them,
    `groups` (n,) the particle groups of the training clusters, `augmented` the training clusters'
    copies by augmentation. `fingerprint` stands for the data
    and their features. `front_end` read the clusters out and `detector` is theirs, for the model's
    card.
    """

    training: FeatureTable
    validation: FeatureTable
    fingerprint: str
    front_end: FrontEnd | None = None
    detector: Detector | None = None
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
"""Plain data: `name`, `best_epoch`, `history`, `warm_start` (rows or None), `precision`, and of
learned bits `ebops`, and `networks`: `model`, `epoch`, `ebops` and `merits` of each, largest
first."""

_OVER_BUDGET = 1.25
"""A network with so many times the EBOPs of the budget may still stand for it."""

_APART = 1.25
"""Of learned networks within this factor in EBOPs the best is saved."""


def over_budget(result: JobResult) -> str | None:
    """Return one line on a learned network that costs more than its budget, else None."""
    if "ebops" not in result:
        return None
    ebops, budget = result["ebops"], result["precision"]["budget_ebops"]
    if ebops <= _OVER_BUDGET * budget:
        return None
    return (
        f"{result['name']}: ends at {ebops:.0f} EBOPs, over the budget of {budget:g}; "
        "give more --epochs or a smaller --batch-size"
    )


def run_job(
    job: Job,
    folder: Path,
    data: TrainingData,
    monitors: Mapping[str, Monitor],
    report: Callable[[EpochRecord], None] | None = None,
) -> JobResult:
    """Train the job, or return its result where the folder holds it already.

    Writes `models/<name>.keras` and `jobs/<name>.json`; a checkpoint beside them lets a killed
    job resume. With learned bits `<name>` is the network that ends at the budget, the best by the
    first monitor, and `<name>_00`, `<name>_01`, ... are those on the way down. What `job.source`
    and `job.teacher` name must be there; the result tells the hash of the teacher's file.
    Deterministic for a given machine.
    """
    identity = {"job": to_plain(job), "data": data.fingerprint, "pixelsieve": __version__}
    teacher = None
    if job.teacher is not None:
        teacher = {"name": job.teacher, "sha256": _teacher_hash(job.teacher, folder)}
        identity["teacher"] = teacher
    mark = fingerprint(identity)
    result_path = folder / "jobs" / f"{job.name}.json"
    if (saved := _finished(result_path, folder, job.name)) and saved.get("fingerprint") == mark:
        return saved
    checkpoint = Checkpoint(folder / "jobs" / f"{job.name}.npz", mark)
    start = _start(job, folder, data)
    card = {
        "recipe": to_plain(job.recipe),
        "seed": job.seed,
        "front_end": to_plain(data.front_end),
        "detector": to_plain(data.detector),
        **({} if teacher is None else {"teacher": teacher}),
    }
    train = _train_learned if isinstance(job.precision, LearnedPrecision) else _train_uniform
    models, found = train(job, start, data, card, monitors, checkpoint, report)
    for name, model in models.items():
        save_model(folder / "models" / f"{name}.keras", model)
    result = {
        "name": job.name,
        "fingerprint": mark,
        **models[job.name].card,
        "warm_start": start.warm_start,
        **found,
    }
    write_json(result_path, result)
    checkpoint.remove()
    return result


def _finished(path: Path, folder: Path, name: str) -> JobResult | None:
    """The result of a job all of whose models are there."""
    if not path.exists():
        return None
    saved: JobResult = read_document(path)
    names = [name, *(one["model"] for one in saved.get("networks", []))]
    whole = all((folder / "models" / f"{one}.keras").exists() for one in names)
    return saved if whole else None


@dataclass(frozen=True, slots=True)
class _Start:
    """The start of a training: precision with its scales, weights, soft labels.

    `warm_start` are the rows of the report, as plain data.
    """

    precision: Precision | LearnedPrecision | None
    weights: Weights
    soft_labels: list[NDArray[np.float32]] | None
    warm_start: list[dict[str, Any]] | None


def _rows(job: Job, start: _Start, data: TrainingData) -> Rows:
    training, validation = data.tables(job.spec.features)
    return Rows(training, validation, data.copies(job.recipe), start.soft_labels)


def _train_uniform(
    job: Job,
    start: _Start,
    data: TrainingData,
    card: dict[str, Any],
    monitors: Mapping[str, Monitor],
    checkpoint: Checkpoint,
    report: Callable[[EpochRecord], None] | None,
) -> tuple[dict[str, Model], dict[str, Any]]:
    """Return the model, and what the job's result holds of it."""
    assert not isinstance(start.precision, LearnedPrecision)
    rows = _rows(job, start, data)
    trained = train_uniform(
        job.spec,
        start.precision,
        job.recipe,
        start.weights,
        rows,
        seed=job.seed,
        monitors=monitors,
        checkpoint=checkpoint,
        report=report,
    )
    features = rows.training.features
    card = {**card, "best_epoch": trained.best_epoch}
    model = Model(job.spec, start.precision, trained.weights, features, card)
    found = {"precision": to_plain(start.precision), "history": trained.history}
    return {job.name: model}, found


def _train_learned(
    job: Job,
    start: _Start,
    data: TrainingData,
    card: dict[str, Any],
    monitors: Mapping[str, Monitor],
    checkpoint: Checkpoint,
    report: Callable[[EpochRecord], None] | None,
) -> tuple[dict[str, Model], dict[str, Any]]:
    """Return the model at the budget, those on the way down, and what the result holds of them."""
    precision = job.precision
    assert isinstance(precision, LearnedPrecision)
    rows = _rows(job, start, data)
    candidates, history = train_learned(
        job.spec,
        precision,
        job.recipe,
        start.weights,
        rows,
        seed=job.seed,
        monitors=monitors,
        checkpoint=checkpoint,
        report=report,
    )
    merit = next(iter(monitors))
    networks = {f"{job.name}_{i:02d}": one for i, one in enumerate(_spaced(candidates, merit))}
    chosen = _at_budget(candidates, precision.budget_ebops, merit)
    models = {
        name: one.model(
            job.spec,
            rows.training.features,
            {**card, "best_epoch": one.epoch, "learned": to_plain(precision)},
        )
        for name, one in {job.name: chosen, **networks}.items()
    }
    told = [
        {"model": name, "epoch": one.epoch, "ebops": one.ebops, "merits": one.merits}
        for name, one in networks.items()
    ]
    found = {"precision": to_plain(precision), "history": history}
    return models, {**found, "ebops": chosen.ebops, "networks": told}


def _at_budget(candidates: Sequence[Candidate], budget_ebops: float, merit: str) -> Candidate:
    """The best that costs about the budget, or the smallest if none does."""
    able = [one for one in candidates if one.ebops <= _OVER_BUDGET * budget_ebops]
    return max(able, key=lambda one: one.merits[merit], default=candidates[-1])


def _spaced(candidates: Sequence[Candidate], merit: str) -> list[Candidate]:
    """One candidate, the best, wherever several lie within a factor in EBOPs; largest first."""
    best: dict[int, Candidate] = {}
    for one in candidates:
        place = int(log(one.ebops) / log(_APART))
        if place not in best or one.merits[merit] > best[place].merits[merit]:
            best[place] = one
    return sorted(best.values(), key=lambda one: -one.ebops)


def _start(job: Job, folder: Path, data: TrainingData) -> _Start:
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
        return _Start(precision, fresh, told, None)
    grids = None if isinstance(precision, LearnedPrecision) else precision
    if grids and job.recipe.scales == "per_layer":
        precision = grids = fit_scales(source.weights, grids)
    weights, report = warm_start(source.weights, fresh, grids, job.recipe.skip_layers)
    return _Start(precision, weights, told, to_plain(report.rows))


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
