"""One training job: a network, a precision, a recipe, a seed; its result on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import log
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pixelsieve import __version__
from pixelsieve.core.archives import read_arrays
from pixelsieve.core.config import fingerprint, to_plain
from pixelsieve.core.errors import ConfigError, RunError, nearest
from pixelsieve.core.files import file_hash, read_document, write_json
from pixelsieve.features import FeatureTable
from pixelsieve.networks.model_file import Model, load_model, model_hash, save_model
from pixelsieve.networks.precision import LearnedPrecision, Precision, bits_suffix
from pixelsieve.networks.spec import NetworkSpec
from pixelsieve.networks.weights import Weights, initial_weights
from pixelsieve.training.augmentation import Augmentation
from pixelsieve.training.candidates import Candidate
from pixelsieve.training.checkpoint import Checkpoint
from pixelsieve.training.engine import EpochRecord, Monitor, Rows
from pixelsieve.training.learned import refine_learned, train_learned
from pixelsieve.training.recipe import OWN_FLOAT, REFINED, Recipe, override
from pixelsieve.training.teachers import soft_labels
from pixelsieve.training.uniform import train_uniform
from pixelsieve.training.warm_start import fit_scales, warm_start

__all__ = [
    "Ending",
    "Job",
    "JobResult",
    "Kept",
    "TrainedNetwork",
    "TrainingData",
    "at_budget",
    "over_budget",
    "run_job",
]


@dataclass(frozen=True, slots=True)
class Job:
    """What to train.

    `source` names the float job that warm starts take, and distillation from the own float
    network; `teacher` names the job of another teacher. `label` is the job's name if it is not
    made of recipe, bits and seed.
    """

    spec: NetworkSpec
    precision: Precision | LearnedPrecision | None
    recipe: Recipe
    seed: int
    source: str | None = None
    teacher: str | None = None
    label: str | None = None

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
        if self.label is not None:
            return self.label
        bits = "" if self.bits is None else f"_{bits_suffix(self.bits)}"
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


@dataclass(frozen=True, slots=True)
class TrainedNetwork:
    """A network that a training gives: one of uniform bits, many of learned ones.

    `epoch` is the one after which it was met, `ebops` (learned bits) and `merits` (monitors on the
    validation set) are those of training. `refine` trains the weights further with all bits fixed
    and returns the network that is then best in each monitor; none of uniform bits.
    """

    model: Model
    epoch: int
    ebops: float | None
    merits: dict[str, float]
    refine: Callable[[], list[TrainedNetwork]] = list


Kept = tuple[TrainedNetwork, dict[str, tuple[TrainedNetwork, dict[str, float] | None]]]
"""The network that gets the job's name, and those under names of their own, each with the figures
that the job's result tells of it as `exact`, if any."""


class Ending(Protocol):
    """What is kept of a training's networks (largest first): a frozen dataclass of plain data.

    Raises `DataError` or `ConfigError` if no network can be kept.
    """

    def __call__(self, networks: Sequence[TrainedNetwork], validation: FeatureTable) -> Kept:
        """Return what is kept, as `Kept` has it."""


JobResult = dict[str, Any]
"""Plain data: `name`, `best_epoch`, `history`, `warm_start` (rows or None), `precision`, and of
learned bits `ebops`, and `networks`: `model`, `epoch`, `ebops` and `merits` of each, largest
first. If the job had an ending of its own, `exact` are the figures that it gave, of the job's
network and of each of `networks`."""

_OVER_BUDGET = 1.25
"""A network with so many times the EBOPs of the budget may still stand for it."""

_TEACHING = ("distillation", "teacher", "temperature")

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
    ending: Ending | None = None,
) -> JobResult:
    """Train the job, or return its result where the folder holds it already.

    Writes `models/<name>.keras` and `jobs/<name>.json`; a checkpoint beside them lets a killed
    job resume. With learned bits `<name>` is the network that ends at the budget, the best by the
    first monitor, and `<name>_00`, `<name>_01`, ... are those on the way down, unless `ending`
    says otherwise. What `job.source` and `job.teacher` name must be there; the result tells the
    hash of the teacher's file. Deterministic for a given machine.
    """
    identity = {"job": to_plain(job), "data": data.fingerprint, "pixelsieve": __version__}
    teacher = None
    if job.teacher is not None:
        teacher = {"name": job.teacher, "sha256": _teacher_hash(job.teacher, folder)}
        identity["teacher"] = teacher
    if ending is not None:
        identity["ending"] = [type(ending).__name__, to_plain(ending)]
    mark = fingerprint(identity)
    result_path = folder / "jobs" / f"{job.name}.json"
    if (saved := _finished(result_path, folder, job.name)) and saved.get("fingerprint") == mark:
        return saved
    checkpoint = Checkpoint(folder / "jobs" / f"{job.name}.npz", mark)
    start = _start(job, folder, data)
    card = {
        "recipe": to_plain(job.recipe),
        "seed": job.seed,
        "front_end": data.front_end,
        "detector": data.detector,
        **({} if teacher is None else {"teacher": teacher}),
    }
    train = _train_learned if isinstance(job.precision, LearnedPrecision) else _train_uniform
    networks, found = train(job, start, data, card, monitors, checkpoint, report)
    kept = ending or _Spaced(job.name, job.precision, next(iter(monitors)))
    chosen, others = kept(networks, data.tables(job.spec.features)[1])
    for name, network in {job.name: chosen, **{n: one for n, (one, _) in others.items()}}.items():
        save_model(folder / "models" / f"{name}.keras", network.model)
    result = {
        "name": job.name,
        "fingerprint": mark,
        **chosen.model.card,
        "warm_start": start.warm_start,
        **found,
    }
    if chosen.ebops is not None:
        result["ebops"] = chosen.ebops
    exact = next((exact for one, exact in others.values() if one is chosen), None)
    if exact is not None:
        result["exact"] = exact
    if others:
        result["networks"] = [_told(name, one, exact) for name, (one, exact) in others.items()]
    write_json(result_path, result)
    checkpoint.remove()
    return result


def _told(name: str, one: TrainedNetwork, exact: dict[str, float] | None) -> dict[str, Any]:
    told = {"model": name, "epoch": one.epoch, "ebops": one.ebops, "merits": one.merits}
    return told if exact is None else {**told, "exact": exact}


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
) -> tuple[list[TrainedNetwork], dict[str, Any]]:
    """Return the network, and what the job's result holds of the training."""
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
    return [TrainedNetwork(model, trained.best_epoch, None, {})], found


def _train_learned(
    job: Job,
    start: _Start,
    data: TrainingData,
    card: dict[str, Any],
    monitors: Mapping[str, Monitor],
    checkpoint: Checkpoint,
    report: Callable[[EpochRecord], None] | None,
) -> tuple[list[TrainedNetwork], dict[str, Any]]:
    """Return the networks met, and what the job's result holds of the training."""
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
    taught = {name: getattr(job.recipe, name) for name in _TEACHING}
    recipe = override(REFINED, batch_size=job.recipe.batch_size, **taught)

    def network(one: Candidate, epoch: int) -> TrainedNetwork:
        told = {**card, "best_epoch": epoch, "learned": to_plain(precision)}
        model = one.model(job.spec, rows.training.features, told)
        return TrainedNetwork(model, epoch, one.ebops, one.merits, partial(further, one))

    def further(one: Candidate) -> list[TrainedNetwork]:
        more = refine_learned(
            job.spec, precision, recipe, one, rows, seed=job.seed, monitors=monitors
        )
        return [network(better, one.epoch) for better in more]

    found = {"precision": to_plain(precision), "history": history}
    return [network(one, one.epoch) for one in candidates], found


@dataclass(frozen=True, slots=True)
class _Spaced:
    """Of uniform bits the network; of learned ones that at the budget, and those on the way down.

    Those are one, the best by `merit`, wherever several lie within a factor in EBOPs.
    """

    name: str
    precision: Precision | LearnedPrecision | None
    merit: str

    def __call__(self, networks: Sequence[TrainedNetwork], validation: FeatureTable) -> Kept:
        del validation
        if not isinstance(self.precision, LearnedPrecision):
            return networks[0], {}
        best: dict[int, TrainedNetwork] = {}
        for one in networks:
            assert one.ebops is not None
            place = int(log(one.ebops) / log(_APART))
            if place not in best or one.merits[self.merit] > best[place].merits[self.merit]:
                best[place] = one
        spaced = sorted(best.values(), key=lambda one: -(one.ebops or 0.0))
        chosen = at_budget(networks, self.precision, self.merit)
        return chosen, {f"{self.name}_{i:02d}": (one, None) for i, one in enumerate(spaced)}


def at_budget(
    networks: Sequence[TrainedNetwork], precision: LearnedPrecision, merit: str
) -> TrainedNetwork:
    """Return the best that costs about the budget, or the smallest, the last, if none does."""
    most = _OVER_BUDGET * precision.budget_ebops
    able = [one for one in networks if one.ebops is not None and one.ebops <= most]
    return max(able, key=lambda one: one.merits[merit], default=networks[-1])


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
