"""The loop of every training, whatever its precision; a killed one resumes from its checkpoint."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.archives import read_arrays
from pixelsieve.core.errors import DataError, RunError
from pixelsieve.core.files import parse_json, replacing
from pixelsieve.features import FeatureSet, FeatureTable
from pixelsieve.networks.model_file import Card, Model
from pixelsieve.networks.precision import MixedPrecision, Precision
from pixelsieve.networks.spec import NetworkSpec, Weights
from pixelsieve.training.recipe import Recipe, learning_rates

Monitor = Callable[[NDArray[Any], NDArray[Any]], float]
"""A figure of merit to follow: (logits, labels) -> number."""

_ROUGHNESS_EPOCHS = 10
_PART = 262_144  # clusters

EpochRecord = dict[str, float]
"""One epoch of the history: `epoch`, `train_loss`, `validation_loss`, one `validation_<monitor>`
each, `learning_rate` (last step), `roughness`, and what the program tells of its own (see
`uniform` and `learned`)."""


Arrays = dict[str, list[np.ndarray]]
"""Lists of arrays by name."""


class _State(NamedTuple):
    arrays: Arrays
    history: list[EpochRecord]


@dataclass(slots=True)
class Checkpoint:
    """The checkpoint file of the job with the given fingerprint.

    It is written atomically, at most every `every_s` seconds; that of another job, or a damaged
    one, is ignored, and the job starts again.
    """

    path: Path
    job: str
    every_s: float = 2.0
    _last: float = field(default_factory=time.monotonic)

    def load(self) -> _State | None:
        """Return the arrays and the history that were saved, or None."""
        if not self.path.exists():
            return None
        try:
            arrays = read_arrays(self.path, str(self.path))
            head = parse_json(str(arrays["head"]), str(self.path))
            if head["job"] != self.job:
                return None
            lists = {
                name: [arrays[f"{name}/{i}"] for i in range(count)]
                for name, count in head["counts"].items()
            }
            return _State(lists, head["history"])
        except (RunError, KeyError, TypeError, AttributeError):
            return None

    def save_when_due(
        self,
        make_arrays: Callable[[], Arrays],
        history: list[EpochRecord],
    ) -> None:
        """Save the result of `make_arrays()` unless the last save was under `every_s` s ago."""
        if time.monotonic() - self._last < self.every_s:
            return
        arrays = make_arrays()
        counts = {name: len(values) for name, values in arrays.items()}
        head = json.dumps({"job": self.job, "counts": counts, "history": history})
        flat: dict[str, Any] = {
            f"{n}/{i}": a for n, values in arrays.items() for i, a in enumerate(values)
        }
        with replacing(self.path) as temporary, temporary.open("wb") as file:
            np.savez(file, head=np.array(head), **flat)
        self._last = time.monotonic()

    def remove(self) -> None:
        """Delete the file, if there is one."""
        self.path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Session:
    """One training by a recipe: its seed and who follows it.

    `seed` decides the order of the rows. `monitors` are figures of merit on the validation set, by
    name. With a `checkpoint` the state is saved as training goes on and picked up again, with the
    same numbers as without the interruption (same machine, one thread). `report` gets every epoch.
    """

    seed: int
    monitors: Mapping[str, Monitor] = field(default_factory=dict)
    checkpoint: Checkpoint | None = None
    report: Callable[[EpochRecord], None] | None = None


@dataclass(frozen=True, slots=True)
class TrainedNetwork:
    """A network that a training ends in, as it was after `epoch`."""

    epoch: int
    weights: Weights
    precision: Precision | MixedPrecision | None

    def model(self, spec: NetworkSpec, features: FeatureSet, card: Card) -> Model:
        """Return the model to save, evaluate and put into firmware."""
        return Model(spec, self.precision, self.weights, features, card)


OnDevice = dict[str, Any]
"""JAX's arrays by name."""


class Program(Protocol):
    """A network in training: what differs between kinds of precision.

    The engine calls `epoch`, `logits` and `keep` in turn. After `restore` of what `arrays` gave and
    of the history it goes on to the same numbers.
    """

    def taken(self, inputs: Mapping[str, NDArray[Any]]) -> OnDevice:
        """Return inputs by feature as the network takes them, on the device."""

    def epoch(self, inputs: OnDevice, labels: Any, order: Any, rates: Any) -> dict[str, float]:
        """Train the next epoch; return `train_loss` and what else the history shall tell.

        `order` are row numbers (batches, batch), `rates` the learning rates (batches,).
        """

    def logits(self, inputs: OnDevice) -> Any:
        """Return the logits (n,) as the network is now."""

    def keep(self, record: EpochRecord) -> None:
        """Keep the network as it is now, if it may become a result."""

    def arrays(self) -> Arrays:
        """Return all that an epoch changes, but for the history."""

    def restore(self, arrays: Arrays, history: Sequence[EpochRecord]) -> None:
        """Go back to what `arrays` returned after the last epoch of the history."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The clusters to train and validate on.

    `copies` are shown instead of `training`, one per epoch in turn: the same rows, each
    varied another way. `soft_labels`, where given, replace the labels, those of each copy (see
    `teachers.soft_labels`).
    """

    training: FeatureTable
    validation: FeatureTable
    copies: Sequence[FeatureTable] = ()
    soft_labels: Sequence[NDArray[np.float32]] | None = None

    @property
    def shown(self) -> Sequence[FeatureTable]:
        """The tables that the network sees in turn."""
        return self.copies or [self.training]

    def batches(self, recipe: Recipe) -> int:
        """Return the number of whole batches; raise `DataError` if there is none."""
        batches = len(self.training) // recipe.batch_size
        if not batches:
            msg = (
                f"recipe '{recipe.name}': batch_size is {recipe.batch_size}, the training set has "
                f"{len(self.training)} rows; expected at least one batch"
            )
            raise DataError(msg)
        return batches


def train(
    program: Program, recipe: Recipe, rows: Rows, session: Session
) -> tuple[EpochRecord, ...]:
    """Train by a recipe and return the history; `program` keeps the networks.

    Compute in float32. Raise `DataError` if the loss stops being a number.
    """
    batches = rows.batches(recipe)
    rates = learning_rates(recipe, batches).reshape(recipe.epochs, batches)
    shown = _in_turn(program, rows)
    names, validation = rows.training.features.names, rows.validation
    # What the layers give is larger than the inputs: a large set goes part by part.
    parts = [
        program.taken({n: validation.inputs[n][i : i + _PART] for n in names})
        for i in range(0, len(validation), _PART)
    ]
    history: list[EpochRecord] = []
    if session.checkpoint and (saved := session.checkpoint.load()):
        history = saved.history
        program.restore(saved.arrays, history)
    for epoch in range(len(history), recipe.epochs):
        if _out_of_patience(history, recipe.patience):
            break
        order = np.random.default_rng((session.seed, epoch)).permutation(len(rows.training))
        order = order[: batches * recipe.batch_size].reshape(batches, recipe.batch_size)
        inputs, labels = shown(epoch)
        figures = program.epoch(inputs, labels, order.astype(np.int32), rates[epoch])
        logits = np.concatenate([np.asarray(program.logits(part)) for part in parts])
        losses = [r["validation_loss"] for r in history]
        validation_loss = _cross_entropy(logits, validation.labels)
        if not np.isfinite([figures["train_loss"], validation_loss]).all():
            msg = (
                f"recipe '{recipe.name}', seed {session.seed}: training diverged in epoch {epoch} "
                "(the loss is no number); lower initial_rate or set clip_norm"
            )
            raise DataError(msg)
        record: EpochRecord = {
            "epoch": epoch,
            "train_loss": figures.pop("train_loss"),
            "validation_loss": validation_loss,
            "learning_rate": float(rates[epoch, -1]),
            **figures,
            "roughness": roughness([*losses, validation_loss]),
        }
        for name, monitor in session.monitors.items():
            record[f"validation_{name}"] = float(monitor(logits, validation.labels))
        program.keep(record)
        history.append(record)
        if session.report:
            session.report(record)
        if session.checkpoint:
            session.checkpoint.save_when_due(program.arrays, history)
    return tuple(history)


def clip_norm(recipe: Recipe) -> float:
    """Return the norm to clip gradients to; infinity for none."""
    return float(np.inf if recipe.clip_norm is None else recipe.clip_norm)


def _in_turn(program: Program, rows: Rows) -> Callable[[int], tuple[OnDevice, Any]]:
    """Inputs and labels of an epoch on the device, which holds one copy at a time."""
    import jax.numpy as jnp

    copies, names = rows.shown, rows.training.features.names
    labels = rows.soft_labels or [copy.labels for copy in copies]

    @lru_cache(maxsize=1)
    def moved(number: int) -> tuple[OnDevice, Any]:
        inputs = program.taken({n: copies[number].inputs[n] for n in names})
        return inputs, jnp.asarray(labels[number], jnp.float32)

    return lambda epoch: moved(epoch % len(copies))


def roughness(losses: list[float]) -> float:
    """Root mean square change of the loss from epoch to epoch, over the last ten epochs."""
    steps = np.diff(np.asarray(losses[-_ROUGHNESS_EPOCHS - 1 :], dtype=np.float64))
    return float(np.sqrt(np.mean(steps**2))) if len(steps) else 0.0


def _cross_entropy(logits: NDArray[Any], labels: NDArray[Any]) -> float:
    x = logits.astype(np.float64)
    with np.errstate(invalid="ignore"):  # a diverged network is reported by its loss
        return float(np.mean(np.logaddexp(0.0, x) - labels * x))


def _out_of_patience(history: Sequence[EpochRecord], patience: int | None) -> bool:
    if patience is None or not history:
        return False
    losses = [r["validation_loss"] for r in history]
    return len(losses) - 1 - int(np.argmin(losses)) >= patience
