"""Run a training job in a run folder: resume, train, keep what its ending keeps, write it down."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import log
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pixelsieve import __version__
from pixelsieve.core.archives import read_arrays
from pixelsieve.core.config import fingerprint, to_plain
from pixelsieve.core.errors import ConfigError, RunError
from pixelsieve.core.files import file_hash, read_document, write_json
from pixelsieve.core.runs import RunFolder
from pixelsieve.features import FeatureTable
from pixelsieve.networks.model_file import (
    Card,
    FileMark,
    Model,
    load_model,
    model_hash,
    save_model,
)
from pixelsieve.networks.precision import LearnedPrecision, Precision
from pixelsieve.networks.spec import Weights, initial_weights
from pixelsieve.training.engine import (
    Checkpoint,
    EpochRecord,
    Monitor,
    Rows,
    Session,
)
from pixelsieve.training.job import OVER_BUDGET, Job, JobResult, OnTheWay, TrainingData
from pixelsieve.training.learned import MixedNetwork, refine_learned, train_learned
from pixelsieve.training.recipe import REFINED, override
from pixelsieve.training.teachers import soft_labels
from pixelsieve.training.uniform import train_uniform
from pixelsieve.training.warm_start import WarmStartRow, fit_scales, warm_start

_TEACHING = ("distillation", "teacher", "temperature")

_APART = 1.25
"""Of learned networks within this factor in EBOPs the best is saved."""


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


Kept = tuple[Offer, dict[str, tuple[Offer, dict[str, int | float] | None]]]
"""The network that gets the job's name, and those under names of their own, each with the figures
that the job's result tells of it as `exact`, if any."""


class Ending(Protocol):
    """The choice among a training's networks (largest first): a frozen dataclass of plain data.

    Raise `DataError` or `ConfigError` if no network can be kept.
    """

    def __call__(self, networks: Sequence[Offer], validation: FeatureTable) -> Kept:
        """Return what is kept, as `Kept` has it."""


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
    keeps others. What `job.source` and `job.teacher` name must be there; the result tells the hash
    of the teacher's file. Deterministic for a given machine.
    """
    run = RunFolder(folder)
    identity = {"job": to_plain(job), "data": data.fingerprint, "pixelsieve": __version__}
    teacher = None
    if job.teacher is not None:
        path = _teacher_path(job.teacher, run)
        mark = file_hash(path) if path.suffix == ".npz" else model_hash(path)
        teacher = FileMark(job.teacher, mark)
        identity["teacher"] = to_plain(teacher)
    if ending is not None:
        identity["ending"] = [type(ending).__name__, to_plain(ending)]
    mark = fingerprint(identity)
    if (saved := _finished(run, job.name, mark)) is not None:
        return saved
    checkpoint = Checkpoint(run.checkpoint(job.name), mark)
    session = Session(job.seed, monitors, checkpoint, report)
    start = _start(job, run, data)
    card = Card(to_plain(job.recipe), job.seed, data.front_end, data.detector, teacher)
    offers, history = _offers(job, start, data, card, session)
    ending = ending or _Spaced(job.name, job.precision, next(iter(monitors), ""))
    chosen, others = ending(offers, data.tables(job.spec.features)[1])
    models = {job.name: chosen} | {name: kept for name, (kept, _) in others.items()}
    for name, kept in models.items():
        save_model(run.model(name), kept.model)
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
    write_json(run.job(job.name), result.to_plain())
    checkpoint.remove()
    return result


def _finished(run: RunFolder, name: str, mark: str) -> JobResult | None:
    """Return the result of a job of that fingerprint if all its models are there."""
    path = run.job(name)
    if not path.exists():
        return None
    try:
        document = read_document(path)
        if document.get("fingerprint") != mark:
            return None
        result = JobResult.from_plain(document, str(path))
    except (RunError, ConfigError) as error:
        msg = f"{error}; remove the file and the network is trained again"
        raise RunError(msg) from error
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

    if not isinstance(precision, LearnedPrecision):
        network, history = train_uniform(spec, precision, recipe, start.weights, rows, session)
        own = replace(card, best_epoch=network.epoch)
        return [Offer(network.model(spec, training.features, own), network.epoch)], history
    taught = {name: getattr(recipe, name) for name in _TEACHING}
    refined = override(REFINED, batch_size=recipe.batch_size, **taught)
    alone = Session(session.seed, session.monitors)

    def learned(network: MixedNetwork, epoch: int) -> Offer:
        own = replace(card, best_epoch=epoch, learned=precision)
        model = network.model(spec, training.features, own)
        return Offer(model, epoch, network.ebops, network.merits, partial(further, network))

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
    most = OVER_BUDGET * precision.budget_ebops
    able = [one for one in networks if one.ebops is not None and one.ebops <= most]
    return max(able, key=lambda one: one.merits[merit], default=networks[-1])


def _start(job: Job, run: RunFolder, data: TrainingData) -> _Start:
    fresh = initial_weights(job.spec, job.seed)
    source = None if job.source is None else load_model(run.model(job.source))
    told = None
    if job.recipe.distillation:
        shown = data.copies(job.recipe) or (data.training,)
        logits = _teacher_logits(job, run, data, source, shown)
        told = [soft_labels(job.recipe, t.labels, z) for t, z in zip(shown, logits, strict=True)]
    precision = job.precision
    if source is None or not job.recipe.warm_start:
        return _Start(precision, fresh, told, None)
    grids = None if isinstance(precision, LearnedPrecision) else precision
    if grids and job.recipe.scales == "per_layer":
        precision = grids = fit_scales(source.weights, grids)
    weights, rows = warm_start(source.weights, fresh, grids, job.recipe.skip_layers)
    return _Start(precision, weights, told, rows)


def _teacher_logits(
    job: Job,
    run: RunFolder,
    data: TrainingData,
    source: Model | None,
    shown: Sequence[FeatureTable],
) -> list[NDArray[np.float32]]:
    """Return the teacher's logits of what the student is shown; those of others do not vary."""
    if job.teacher is None:
        assert source is not None
        return [source.logits(table) for table in shown]
    path = _teacher_path(job.teacher, run)
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


def _teacher_path(name: str, run: RunFolder) -> Path:
    trees = run.teacher(name)
    return trees if trees.exists() else run.model(name)
