"""One training job: a network, a precision, a recipe, a seed; its result on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from math import log
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pixelsieve import __version__
from pixelsieve.core.archives import read_arrays
from pixelsieve.core.config import Document, fingerprint, from_mapping, to_plain
from pixelsieve.core.errors import ConfigError, GuaranteeError, RunError, nearest
from pixelsieve.core.files import file_hash, read_document, write_json
from pixelsieve.core.runs import RunFolder
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
from pixelsieve.training.engine import (
    Checkpoint,
    EpochRecord,
    Monitor,
    Rows,
    Session,
    TrainedNetwork,
)
from pixelsieve.training.learned import MixedNetwork, refine_learned, train_learned
from pixelsieve.training.recipe import OWN_FLOAT, REFINED, Recipe, override
from pixelsieve.training.teachers import soft_labels
from pixelsieve.training.uniform import train_uniform
from pixelsieve.training.warm_start import WarmStartRow, fit_scales, warm_start


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
class Offer:
    """A network that a training offers: one of uniform bits, many of learned ones.

    `epoch` is the one after which it was met, `ebops` (learned bits) and `merits` (monitors on the
    validation set) are those of training. `refine` trains the weights further with all bits fixed
    and returns the network that is then best in each monitor; none of uniform bits.
    """

    model: Model
    epoch: int
    ebops: float | None = None
    merits: dict[str, float] = field(default_factory=dict)
    refine: Callable[[], list[Offer]] = list


Kept = tuple[Offer, dict[str, tuple[Offer, dict[str, float] | None]]]
"""The network that gets the job's name, and those under names of their own, each with the figures
that the job's result tells of it as `exact`, if any."""


class Ending(Protocol):
    """What is kept of a training's networks (largest first): a frozen dataclass of plain data.

    Raises `DataError` or `ConfigError` if no network can be kept.
    """

    def __call__(self, networks: Sequence[Offer], validation: FeatureTable) -> Kept:
        """Return what is kept, as `Kept` has it."""


@dataclass(frozen=True, slots=True)
class OnTheWay:
    """A network that a training kept under a name of its own, largest first of learned bits.

    `exact` are figures of its integer program, if the job's ending measured it.
    """

    model: str
    epoch: int
    ebops: float | None
    merits: dict[str, float]
    exact: dict[str, float] | None = None

    def to_plain(self) -> Document:
        """Return what jobs/NAME.json holds of it."""
        plain: Document = to_plain({f.name: getattr(self, f.name) for f in fields(self)})
        return {name: value for name, value in plain.items() if (name, value) != ("exact", None)}


@dataclass(frozen=True, slots=True)
class JobResult:
    """How a job went.

    `warm_start` has a row per layer, None without a warm start; `ebops` are of learned bits.
    `networks` are those kept under names of their own, `exact` are figures of the job's network if
    its ending measured it.
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
    exact: dict[str, float] | None = None

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
        more = {
            "ebops": self.ebops,
            "exact": self.exact,
            "networks": [one.to_plain() for one in self.networks] or None,
        }
        return {
            "name": self.name,
            "fingerprint": self.fingerprint,
            **self.card.to_plain(),
            "warm_start": to_plain(self.warm_start),
            "precision": to_plain(self.precision),
            "history": to_plain(self.history),
            **{name: value for name, value in more.items() if value is not None},
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

_TEACHING = ("distillation", "teacher", "temperature")

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
    ending: Ending | None = None,
) -> JobResult:
    """Train the job, or return its result if the folder holds it already.

    Writes `models/<name>.keras` and `jobs/<name>.json`; a checkpoint beside them lets a killed
    job resume. With learned bits `<name>` is the network that ends at the budget, the best by the
    first monitor, and `<name>_00`, `<name>_01`, ... are those on the way down, unless `ending`
    keeps others. What `job.source`
    and `job.teacher` name must be there; the result tells the hash of the teacher's file.
    Deterministic for a given machine.
    """
    identity = {"job": to_plain(job), "data": data.fingerprint, "pixelsieve": __version__}
    teacher = None
    if job.teacher is not None:
        teacher = FileMark(job.teacher, _teacher_hash(job.teacher, folder))
        identity["teacher"] = to_plain(teacher)
    if ending is not None:
        identity["ending"] = [type(ending).__name__, to_plain(ending)]
    mark = fingerprint(identity)
    run = RunFolder(folder)
    path = run.job(job.name)
    if (saved := _finished(run, job.name, mark)) is not None:
        return saved
    checkpoint = Checkpoint(run.checkpoint(job.name), mark)
    session = Session(job.seed, monitors, checkpoint, report)
    start = _start(job, folder, data)
    card = Card(to_plain(job.recipe), job.seed, data.front_end, data.detector, teacher)
    offers, history = _offers(job, start, data, card, session)
    ending = ending or _Spaced(job.name, job.precision, next(iter(monitors)))
    chosen, others = ending(offers, data.tables(job.spec.features)[1])
    for name, one in {
        job.name: chosen,
        **{name: kept for name, (kept, _) in others.items()},
    }.items():
        save_model(run.model(name), one.model)
    result = JobResult(
        job.name,
        mark,
        job.recipe,
        job.seed,
        chosen.epoch,
        start.precision,
        history,
        data.front_end,
        data.detector,
        teacher,
        start.warm_start,
        chosen.ebops,
        tuple(
            OnTheWay(name, one.epoch, one.ebops, one.merits, exact)
            for name, (one, exact) in others.items()
        ),
        next((exact for one, exact in others.values() if one is chosen), None),
    )
    write_json(path, result.to_plain())
    checkpoint.remove()
    return result


def _finished(run: RunFolder, name: str, mark: str) -> JobResult | None:
    """Return the result of a job of that fingerprint if all its models are there."""
    path = run.job(name)
    if not path.exists():
        return None
    document = read_document(path)
    if document.get("fingerprint") != mark:
        return None
    result = JobResult.from_plain(document, str(path))
    names = [name, *(one.model for one in result.networks)]
    whole = all(run.model(one).exists() for one in names)
    return result if whole else None


@dataclass(frozen=True, slots=True)
class _Start:
    """The start of a training: precision with its scales, weights, soft labels, the report."""

    precision: Precision | LearnedPrecision | None
    weights: Weights
    soft_labels: list[NDArray[np.float32]] | None
    warm_start: tuple[WarmStartRow, ...] | None


def _offers(
    job: Job, start: _Start, data: TrainingData, card: Card, session: Session
) -> tuple[list[Offer], tuple[EpochRecord, ...]]:
    """Train, and return the networks that it ends in, largest first, and the history."""
    spec, recipe, precision = job.spec, job.recipe, start.precision
    training, validation = data.tables(spec.features)
    rows = Rows(training, validation, data.copies(recipe), start.soft_labels)

    def offer(network: TrainedNetwork, own: Card) -> Offer:
        return Offer(network.model(spec, training.features, own), network.epoch)

    if not isinstance(precision, LearnedPrecision):
        networks, history = train_uniform(spec, precision, recipe, start.weights, rows, session)
        return [offer(one, replace(card, best_epoch=one.epoch)) for one in networks], history
    taught = {name: getattr(recipe, name) for name in _TEACHING}
    refined = override(REFINED, batch_size=recipe.batch_size, **taught)
    alone = Session(session.seed, session.monitors)

    def learned(network: MixedNetwork, epoch: int) -> Offer:
        plain = offer(network, replace(card, best_epoch=epoch, learned=precision))
        further_ = partial(further, network)
        return replace(
            plain, epoch=epoch, ebops=network.ebops, merits=network.merits, refine=further_
        )

    def further(network: MixedNetwork) -> list[Offer]:
        more = refine_learned(spec, precision, refined, network, rows, alone)
        return [learned(better, network.epoch) for better in more]

    found, history = train_learned(spec, precision, recipe, start.weights, rows, session)
    return [learned(one, one.epoch) for one in found], history


@dataclass(frozen=True, slots=True)
class _Spaced:
    """Of uniform bits the network; of learned ones that at the budget, and those on the way down.

    Those are one, the best by `merit`, wherever several lie within a factor in EBOPs.
    """

    name: str
    precision: Precision | LearnedPrecision | None
    merit: str

    def __call__(self, networks: Sequence[Offer], validation: FeatureTable) -> Kept:
        del validation
        if not isinstance(self.precision, LearnedPrecision):
            return networks[0], {}
        best: dict[int, Offer] = {}
        for one in networks:
            assert one.ebops is not None
            place = int(log(one.ebops) / log(_APART))
            if place not in best or one.merits[self.merit] > best[place].merits[self.merit]:
                best[place] = one
        spaced = sorted(best.values(), key=lambda one: -(one.ebops or 0.0))
        chosen = at_budget(networks, self.precision, self.merit)
        return chosen, {f"{self.name}_{i:02d}": (one, None) for i, one in enumerate(spaced)}


def at_budget(networks: Sequence[Offer], precision: LearnedPrecision, merit: str) -> Offer:
    """Return the best that costs about the budget, or the smallest, the last, if none does."""
    most = _OVER_BUDGET * precision.budget_ebops
    able = [one for one in networks if one.ebops is not None and one.ebops <= most]
    return max(able, key=lambda one: one.merits[merit], default=networks[-1])


def _start(job: Job, folder: Path, data: TrainingData) -> _Start:
    fresh = initial_weights(job.spec, job.seed)
    source = None
    if job.source is not None:
        source = load_model(RunFolder(folder).model(job.source))
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
    run = RunFolder(folder)
    trees = run.teacher(name)
    return trees if trees.exists() else run.model(name)
