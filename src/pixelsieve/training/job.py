"""One training job: a network, a precision, a recipe, a seed; its result on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import log
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve import __version__
from pixelsieve.core.archives import read_arrays
from pixelsieve.core.config import Document, fingerprint, from_mapping, to_plain
from pixelsieve.core.errors import ConfigError, GuaranteeError, RunError, nearest
from pixelsieve.core.files import file_hash, read_document, write_json
from pixelsieve.data.detector import Detector
from pixelsieve.features import FeatureTable
from pixelsieve.front_end import FrontEnd
from pixelsieve.networks.model_file import (
    Card,
    FileMark,
    Model,
    load_model,
    model_hash,
    save_model,
)
from pixelsieve.networks.precision import LearnedPrecision, Precision, bits_suffix
from pixelsieve.networks.spec import NetworkSpec, Weights, initial_weights
from pixelsieve.training.augmentation import Augmentation
from pixelsieve.training.candidates import MixedNetwork
from pixelsieve.training.engine import (
    Checkpoint,
    EpochRecord,
    Monitor,
    Rows,
    Session,
    TrainedNetwork,
)
from pixelsieve.training.learned import train_learned
from pixelsieve.training.recipe import OWN_FLOAT, Recipe
from pixelsieve.training.teachers import soft_labels
from pixelsieve.training.uniform import train_uniform
from pixelsieve.training.warm_start import WarmStartRow, fit_scales, warm_start

__all__ = ["Job", "JobResult", "OnTheWay", "TrainingData", "over_budget", "run_job"]


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
        """Return the training and validation clusters as those features show them.

        Raise `GuaranteeError` for features of no table.
        """
        pairs = (*self.others, (self.training, self.validation))
        for training, validation in pairs:
            if training.features.names == features:
                return training, validation
        known = "; ".join(", ".join(pair[0].features.names) for pair in pairs)
        msg = f"training data: no table of {', '.join(features)}; there are those of {known}"
        raise GuaranteeError(msg)

    def copies(self, recipe: Recipe) -> tuple[FeatureTable, ...]:
        """The training clusters as the recipe varies them; none where it does not."""
        return () if recipe.augmentation is None else self.augmented[recipe.augmentation]


@dataclass(frozen=True, slots=True)
class OnTheWay:
    """A network that a training of bits kept on its way to the budget, by its model's name."""

    model: str
    epoch: int
    ebops: float
    merits: dict[str, float]


@dataclass(frozen=True, slots=True)
class JobResult:
    """How a job went.

    `warm_start` has a row per layer, None without a warm start; `ebops` and `networks`, largest
    first, are of learned bits.
    """

    name: str
    fingerprint: str
    recipe: Recipe
    seed: int
    best_epoch: int
    precision: Precision | LearnedPrecision | None
    history: tuple[EpochRecord, ...]
    front_end: FrontEnd | None = None
    detector: Detector | None = None
    teacher: FileMark | None = None
    warm_start: tuple[WarmStartRow, ...] | None = None
    ebops: float | None = None
    networks: tuple[OnTheWay, ...] = ()

    @property
    def best(self) -> EpochRecord:
        """The figures of the epoch whose network was kept."""
        return self.history[self.best_epoch]

    @property
    def validation_auc(self) -> float:
        """Validation AUC of that network."""
        return self.best["validation_auc"]

    @property
    def card(self) -> Card:
        """The card of that network's model."""
        return Card(
            to_plain(self.recipe),
            self.seed,
            self.front_end,
            self.detector,
            self.teacher,
            self.best_epoch,
            self.precision if isinstance(self.precision, LearnedPrecision) else None,
        )

    def to_plain(self) -> Document:
        """Return what jobs/NAME.json holds."""
        learned = {"ebops": self.ebops, "networks": to_plain(self.networks)}
        return {
            "name": self.name,
            "fingerprint": self.fingerprint,
            **self.card.to_plain(),
            "warm_start": to_plain(self.warm_start),
            "precision": to_plain(self.precision),
            "history": to_plain(self.history),
            **({} if self.ebops is None else learned),
        }

    @staticmethod
    def from_plain(plain: Document, where: str) -> JobResult:
        """Read it back; raise `ConfigError` naming `where` and the field for what cannot be."""
        told = {name: value for name, value in plain.items() if name != "learned"}
        precision, history = told.pop("precision", None), told.pop("history", ())
        result = from_mapping(JobResult, {**told, "precision": None, "history": ()}, where)
        if precision is not None:
            kind = LearnedPrecision if "budget_ebops" in precision else Precision
            precision = from_mapping(kind, precision, f"{where}: precision")
        return replace(result, precision=precision, history=tuple(history))


_OVER_BUDGET = 1.25
"""A network with so many times the EBOPs of the budget may still stand for it."""

_APART = 1.25
"""Of learned networks within this factor in EBOPs the best is saved."""


def over_budget(result: JobResult) -> str | None:
    """Return one line on a learned network that costs more than its budget, else None."""
    if result.ebops is None or not isinstance(result.precision, LearnedPrecision):
        return None
    budget = result.precision.budget_ebops
    if result.ebops <= _OVER_BUDGET * budget:
        return None
    return (
        f"{result.name}: ends at {result.ebops:.0f} EBOPs, over the budget of {budget:g}; "
        "give more --epochs or a smaller --batch-size"
    )


def run_job(
    job: Job,
    folder: Path,
    data: TrainingData,
    monitors: Mapping[str, Monitor],
    report: Callable[[EpochRecord], None] | None = None,
) -> JobResult:
    """Train the job, or return its result if the folder holds it already.

    Writes `models/<name>.keras` and `jobs/<name>.json`; a checkpoint beside them lets a killed
    job resume. With learned bits `<name>` is the network that ends at the budget, the best by the
    first monitor, and `<name>_00`, `<name>_01`, ... are those on the way down. What `job.source`
    and `job.teacher` name must be there; the result tells the hash of the teacher's file.
    Deterministic for a given machine.
    """
    identity = {"job": to_plain(job), "data": data.fingerprint, "pixelsieve": __version__}
    teacher = None
    if job.teacher is not None:
        teacher = FileMark(job.teacher, _teacher_hash(job.teacher, folder))
        identity["teacher"] = to_plain(teacher)
    mark = fingerprint(identity)
    path = folder / "jobs" / f"{job.name}.json"
    if (saved := _finished(path, folder, job.name, mark)) is not None:
        return saved
    checkpoint = Checkpoint(path.with_suffix(".npz"), mark)
    session = Session(job.seed, monitors, checkpoint, report)
    start = _start(job, folder, data)
    spec, recipe, precision = job.spec, job.recipe, start.precision
    training, validation = data.tables(spec.features)
    rows = Rows(training, validation, data.copies(recipe), start.soft_labels)
    chosen: TrainedNetwork
    way: dict[str, MixedNetwork] = {}
    ebops = None
    if isinstance(precision, LearnedPrecision):
        found, history = train_learned(spec, precision, recipe, start.weights, rows, session)
        merit = next(iter(monitors))
        way = {f"{job.name}_{i:02d}": one for i, one in enumerate(_spaced(found, merit))}
        chosen = at_budget = _at_budget(found, precision.budget_ebops, merit)
        ebops = at_budget.ebops
    else:
        (chosen,), history = train_uniform(spec, precision, recipe, start.weights, rows, session)
    result = JobResult(
        job.name,
        mark,
        recipe,
        job.seed,
        chosen.epoch,
        precision,
        history,
        data.front_end,
        data.detector,
        teacher,
        start.warm_start,
        ebops,
        tuple(OnTheWay(name, one.epoch, one.ebops, one.merits) for name, one in way.items()),
    )
    for name, network in {job.name: chosen, **way}.items():
        card = replace(result.card, best_epoch=network.epoch)
        model = network.model(spec, training.features, card)
        save_model(folder / "models" / f"{name}.keras", model)
    write_json(path, result.to_plain())
    checkpoint.remove()
    return result


def _finished(path: Path, folder: Path, name: str, mark: str) -> JobResult | None:
    """Return the result of a job of that fingerprint if all its models are there."""
    if not path.exists():
        return None
    document = read_document(path)
    if document.get("fingerprint") != mark:
        return None
    result = JobResult.from_plain(document, str(path))
    names = [name, *(one.model for one in result.networks)]
    whole = all((folder / "models" / f"{one}.keras").exists() for one in names)
    return result if whole else None


@dataclass(frozen=True, slots=True)
class _Start:
    """The start of a training: precision with its scales, weights, soft labels, the report."""

    precision: Precision | LearnedPrecision | None
    weights: Weights
    soft_labels: list[NDArray[np.float32]] | None
    warm_start: tuple[WarmStartRow, ...] | None


def _at_budget(candidates: Sequence[MixedNetwork], budget_ebops: float, merit: str) -> MixedNetwork:
    """The best that costs about the budget, or the smallest if none does."""
    able = [one for one in candidates if one.ebops <= _OVER_BUDGET * budget_ebops]
    return max(able, key=lambda one: one.merits[merit], default=candidates[-1])


def _spaced(candidates: Sequence[MixedNetwork], merit: str) -> list[MixedNetwork]:
    """One candidate, the best, wherever several lie within a factor in EBOPs; largest first."""
    best: dict[int, MixedNetwork] = {}
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
    return _Start(precision, weights, told, report.rows)


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
