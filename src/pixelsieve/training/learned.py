"""Training of weights and bits under a budget: one training gives networks of many sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.errors import ConfigError
from pixelsieve.networks.fixed_point import Overflow, Quantizer, Rounding
from pixelsieve.networks.precision import LearnedPrecision, MixedPrecision, NamedQuantizer
from pixelsieve.networks.spec import NetworkSpec, Weights
from pixelsieve.training.engine import (
    Arrays,
    EpochRecord,
    OnDevice,
    Rows,
    Session,
    TrainedNetwork,
    clip_norm,
    train,
)
from pixelsieve.training.learned_program import (
    INPUTS,
    LearnedState,
    Pressure,
    learned_program,
    learning_layers,
    start_ranges,
    start_variables,
)
from pixelsieve.training.recipe import LEAST_EPOCHS, Recipe
from pixelsieve.training.teachers import softening_of

_SLICE = 0.05
"""One candidate is kept per monitor and slice of this width in log(EBOPs)."""

Variables = dict[str, dict[str, NDArray[Any]]]
"""All that training moves: weights, and bits behind the binary point of everything."""


@dataclass(frozen=True, slots=True)
class MixedNetwork(TrainedNetwork):
    """A network on the way down to the budget, its bits final.

    `ebops` and `merits` (monitors on the validation set) are those of training; exact ones come
    from its integers. Ranges are calibrated on the training set. `variables` are those of
    training, from which it can be trained further.
    """

    ebops: float
    merits: dict[str, float]
    variables: Variables


@dataclass(slots=True)
class Snapshot:
    """The network after an epoch of training."""

    epoch: int
    ebops: float
    merits: dict[str, float]
    variables: Variables

    def beats(self, other: Snapshot) -> bool:
        """Return whether it is as good in everything."""
        return self.ebops <= other.ebops and all(
            value >= other.merits[name] for name, value in self.merits.items()
        )


def keep_unbeaten(archive: list[Snapshot], new: Snapshot) -> None:
    """Put a copy of `new` into the archive of those that nothing beats, unless something does."""
    import jax

    if any(one.beats(new) for one in archive):
        return
    new.variables = jax.tree.map(np.array, new.variables)
    archive[:] = [one for one in archive if not new.beats(one)] + [new]


def thinned(archive: Iterable[Snapshot]) -> list[Snapshot]:
    """Return the best in each monitor of each slice of EBOPs, largest first."""
    best: dict[tuple[str, int], Snapshot] = {}
    for one in archive:
        for name, value in one.merits.items():
            key = (name, int(log(one.ebops) / _SLICE))
            if key not in best or value > best[key].merits[name]:
                best[key] = one
    return sorted({id(one): one for one in best.values()}.values(), key=lambda one: -one.ebops)


def final(
    spec: NetworkSpec,
    precision: LearnedPrecision,
    snapshot: Snapshot,
    ends: Mapping[str, tuple[NDArray[Any], NDArray[Any]]],
) -> MixedNetwork:
    """Return the network with weights on their grids, and quantizers that hold all values.

    `ends` are the smallest and largest values of the training set, by feature and layer.
    """
    variables = snapshot.variables

    def named(name: str, fractions: NDArray[Any]) -> NamedQuantizer:
        low, high = (end.astype(np.float64) for end in ends[name])
        return NamedQuantizer(
            name, _covering(low, high, fractions, precision.rounding, precision.overflow)
        )

    layers = learning_layers(spec)
    weights: Weights = {
        layer.name: {name: _on_grid(variables[layer.name], name) for name in ("kernel", "bias")}
        for layer in layers
    }
    mixed = MixedPrecision(
        tuple(named(n, variables[INPUTS][n]) for n in spec.features),
        tuple(
            named(layer.name, variables[layer.name]["activation_bits"])
            for layer in layers
            if layer.relu
        ),
        precision.input_bits,
    )
    return MixedNetwork(snapshot.epoch, weights, mixed, snapshot.ebops, snapshot.merits, variables)


def _on_grid(variables: dict[str, NDArray[Any]], name: str) -> NDArray[np.float32]:
    scale = np.exp2(np.rint(variables[f"{name}_bits"])).astype(np.float32)
    whole = np.floor(variables[name] * scale + np.float32(0.5))
    return np.asarray(whole / scale, np.float32)


def _covering(
    low: NDArray[Any],
    high: NDArray[Any],
    fractions: NDArray[Any],
    rounding: Rounding,
    overflow: Overflow,
) -> Quantizer:
    """Return the quantizer whose elements have these fractions and just hold `low` to `high`."""
    places = np.rint(fractions).astype(np.int64)
    top = np.rint(high * 2.0**places).astype(np.int64).tolist()
    bottom = np.rint(low * 2.0**places).astype(np.int64).tolist()
    signed = [b < 0 for b in bottom]
    sizes = [
        max(t.bit_length(), (-b - 1).bit_length() if b < 0 else 0)
        for t, b in zip(top, bottom, strict=True)
    ]
    bits = [n + s for n, s in zip(sizes, signed, strict=True)]
    integer = [n - int(f) if b else 0 for n, f, b in zip(sizes, places, bits, strict=True)]
    return Quantizer(tuple(signed), tuple(bits), tuple(integer), rounding, overflow)


_LEAST_HOLD = LEAST_EPOCHS - 1
"""Epochs before the EBOPs go down: those after the last but one of them are where they start."""

_PART = 65_536  # clusters
_FIRST_FACTOR = 1e-6
_NO_FACTOR = 1e-9
_PRUNED = -24.0
"""Bits behind the binary point with which every weight is zero."""


def train_learned(
    spec: NetworkSpec,
    precision: LearnedPrecision,
    recipe: Recipe,
    start: Weights,
    rows: Rows,
    session: Session,
) -> tuple[list[MixedNetwork], tuple[EpochRecord, ...]]:
    """Train weights and bits from `start`; return networks, largest first, and the history.

    Kept is every epoch that no other beats in EBOPs and in every monitor on the validation set
    (larger is better). The history tells, besides, `ebops` and `pressure` (factor of the cost in
    the loss). The rest as `engine.train`. Raise `ConfigError` if no network is left under the
    budget.
    """
    hold = min(recipe.epochs - 1, max(_LEAST_HOLD, round(precision.hold * recipe.epochs)))
    path = _Path(precision.budget_ebops, hold, recipe.epochs, rows.batches(recipe))
    variables = start_variables(spec, precision, start)
    program = _Learned(spec, precision, recipe, rows, variables, path)
    history = train(program, recipe, rows, session)
    if not program.kept:
        msg = f"budget_ebops {precision.budget_ebops:g}: no network was left of '{spec.name}'"
        raise ConfigError(msg)
    return program.finals(thinned(program.kept), rows), history


def refine_learned(
    spec: NetworkSpec,
    precision: LearnedPrecision,
    recipe: Recipe,
    network: MixedNetwork,
    rows: Rows,
    session: Session,
) -> list[MixedNetwork]:
    """Train the weights of `network` further, all bits fixed, weights of zero kept at zero.

    Return the epoch that is best in each monitor. Raise errors as `train_learned` does.
    """
    variables = {name: dict(values) for name, values in network.variables.items()}
    for layer, weights in network.weights.items():
        for name, values in weights.items():
            own = variables[layer]
            own[f"{name}_bits"] = np.where(values == 0, _PRUNED, own[f"{name}_bits"])
    program = _Learned(spec, precision, recipe, rows, variables, None)
    train(program, recipe, rows, session)
    return program.finals(program.kept, rows)


@dataclass(frozen=True, slots=True)
class _Path:
    """EBOPs over a training: free until `hold`, then evenly in the logarithm to the budget."""

    budget: float
    hold: int
    epochs: int
    batches: int

    def pressure(self, epoch: int, first: float) -> Pressure:
        """Return that of an epoch, `first` being the EBOPs before the last epoch of the hold."""
        steps = np.arange(1, self.batches + 1) / self.batches
        done = (epoch - self.hold + steps) / (self.epochs - self.hold)
        targets = log(first) + done * log(self.budget / first)
        follows = np.full(self.batches, epoch >= self.hold, np.float32)
        return Pressure(targets.astype(np.float32), follows)


_TREES = ("variables", "optimizer", "ranges")


class _Learned:
    """The `engine.Program` of learned bits.

    On a `path` it keeps every epoch after the hold that no other beats; without one the bits are
    fixed, and it keeps the epoch that is best in each monitor.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        precision: LearnedPrecision,
        recipe: Recipe,
        rows: Rows,
        variables: Any,
        path: _Path | None,
    ) -> None:
        import jax
        import jax.numpy as jnp

        softening = softening_of(recipe, taught=rows.soft_labels is not None)
        self._program = learned_program(spec, precision.without_budget(), softening)
        self._spec, self._precision = spec, precision
        self._grid = precision.input()
        self._path = path
        self._batches = rows.batches(recipe)
        self._clip = np.float32(clip_norm(recipe))
        self._bits_rate = np.float32(0.0 if path is None else 1.0)
        own = jax.tree.map(jnp.array, variables)
        factor = jnp.asarray(log(_NO_FACTOR if path is None else _FIRST_FACTOR), jnp.float32)
        self._state = LearnedState(own, self._program.start(own), start_ranges(own), factor)
        self._first = self._ebops = 1.0
        self._epochs = 0
        self.kept: list[Snapshot] = []

    def taken(self, inputs: Mapping[str, NDArray[Any]]) -> OnDevice:
        import jax.numpy as jnp

        return {n: jnp.asarray(self._grid.quantize(v), jnp.float32) for n, v in inputs.items()}

    def epoch(self, inputs: OnDevice, labels: Any, order: Any, rates: Any) -> dict[str, float]:
        number, self._epochs = self._epochs, self._epochs + 1
        if self._path is None or number < self._path.hold:
            pressure = Pressure(*np.zeros((2, self._batches), np.float32))
            self._first = max(self._ebops, 1.0)
        else:
            pressure = self._path.pressure(number, self._first)
        self._state, (loss, ebops) = self._program.epoch(
            self._state, inputs, labels, order, rates, pressure, self._clip, self._bits_rate
        )
        self._ebops = float(ebops)
        return {
            "train_loss": float(loss),
            "ebops": self._ebops,
            "pressure": exp(float(self._state.log_factor)),
        }

    def logits(self, inputs: OnDevice) -> Any:
        return self._program.logits(self._state.variables, inputs)[0]

    def keep(self, record: EpochRecord) -> None:
        new = _snapshot(record, self._state.variables)
        if self._path is None:
            self._keep_best(new)
        elif new.epoch >= self._path.hold and new.ebops > 0:
            keep_unbeaten(self.kept, new)

    def _keep_best(self, new: Snapshot) -> None:
        import jax

        best = {
            name: max((*self.kept, new), key=lambda one: (one.merits[name], -one.epoch))
            for name in new.merits
        }
        if any(one is new for one in best.values()):
            new.variables = jax.tree.map(np.array, new.variables)
        self.kept = list({one.epoch: one for one in best.values()}.values())

    def arrays(self) -> Arrays:
        return {
            **{name: _leaves(getattr(self._state, name)) for name in _TREES},
            "numbers": [np.asarray(self._state.log_factor), np.asarray([self._first, self._ebops])],
            "kept_epochs": [np.asarray([one.epoch for one in self.kept], np.int64)],
            **{f"kept_{one.epoch}": _leaves(one.variables) for one in self.kept},
        }

    def restore(self, arrays: Arrays, history: Sequence[EpochRecord]) -> None:
        import jax
        import jax.numpy as jnp

        def like(tree: Any, leaves: Sequence[NDArray[Any]], convert: Callable[..., Any]) -> Any:
            return jax.tree.unflatten(jax.tree.structure(tree), [convert(one) for one in leaves])

        fresh = self._state.variables
        variables, optimizer, ranges = (
            like(getattr(self._state, name), arrays[name], jnp.array) for name in _TREES
        )
        log_factor, numbers = arrays["numbers"]
        factor = jnp.asarray(log_factor, jnp.float32)
        self._state = LearnedState(variables, optimizer, ranges, factor)
        self._first, self._ebops = (float(one) for one in numbers)
        self._epochs = len(history)
        self.kept = [
            _snapshot(history[int(epoch)], like(fresh, arrays[f"kept_{epoch}"], np.array))
            for epoch in arrays["kept_epochs"][0]
        ]

    def finals(self, several: Sequence[Snapshot], rows: Rows) -> list[MixedNetwork]:
        """Return the networks of snapshots; one part of one table is on the device at a time."""
        ends: list[_Ends] = [{} for _ in several]
        for table in rows.shown:
            # What convolutions give is larger than the inputs: a large set goes part by part.
            for i in range(0, len(table), _PART):
                inputs = self.taken({n: v[i : i + _PART] for n, v in table.inputs.items()})
                for known, one in zip(ends, several, strict=True):
                    _widen(known, self._program.logits(one.variables, inputs)[1])
        return [
            final(self._spec, self._precision, one, known)
            for one, known in zip(several, ends, strict=True)
        ]


_Ends = dict[str, tuple[NDArray[Any], NDArray[Any]]]
"""Smallest and largest values by feature and layer."""


def _widen(known: _Ends, extremes: Mapping[str, tuple[Any, Any]]) -> None:
    """Make the smallest and largest values by name hold those of one more part."""
    for name, ends in extremes.items():
        low, high = (np.asarray(end) for end in ends)
        before = known.get(name, (low, high))
        known[name] = np.minimum(before[0], low), np.maximum(before[1], high)


def _snapshot(record: EpochRecord, variables: Any) -> Snapshot:
    start = "validation_"
    merits = {
        name.removeprefix(start): value
        for name, value in record.items()
        if name.startswith(start) and name != "validation_loss"
    }
    return Snapshot(int(record["epoch"]), record["ebops"], merits, variables)


def _leaves(tree: Any) -> list[NDArray[Any]]:
    import jax

    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]
