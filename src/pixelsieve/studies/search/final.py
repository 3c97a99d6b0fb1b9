"""The front and uniform networks trained with every seed, each network a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixelsieve.core.config import fingerprint, from_mapping
from pixelsieve.core.errors import ConfigError, RunError
from pixelsieve.core.files import read_json, replacing, write_json
from pixelsieve.core.workers import Task, Workers
from pixelsieve.networks.precision import LearnedPrecision, Precision
from pixelsieve.networks.spec import NetworkSpec
from pixelsieve.studies.search.goal import Goal, Measured
from pixelsieve.studies.search.trial import (
    BitsTrainer,
    LearnedNetwork,
    NoNetworkError,
    SearchData,
    Trainer,
    file_of,
)
from pixelsieve.training.recipe import Recipe

__all__ = [
    "Finalist",
    "Row",
    "Saved",
    "Uniform",
    "file_name",
    "front_rows",
    "read_saved",
    "train_rows",
    "uniform_rows",
]


@dataclass(frozen=True, slots=True)
class Assignment:
    """A float network of one seed, and the quantized ones that start from it."""

    spec: NetworkSpec
    float_recipe: Recipe
    mirror_x: bool
    seed: int
    quantized: tuple[tuple[Precision, Recipe], ...]


@dataclass(frozen=True, slots=True)
class LearnedAssignment:
    """A training of bits of one seed, and a network of it for each of `limits` (see `Finalist`)."""

    spec: NetworkSpec
    precision: LearnedPrecision
    recipe: Recipe
    mirror_x: bool
    seed: int
    goal: Goal
    limits: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Trained:
    """A network of an assignment: its file, and its figures or why it has none."""

    model: bytes
    measured: Measured | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Finalist:
    """A network of the front, to be trained again.

    With learned bits that is: the whole training, and of each seed's networks the best that costs
    no more than `limit`, or its smallest where none does, trained further with its bits where
    that is better.
    """

    name: str
    trial: int
    spec: NetworkSpec
    inputs: str
    precision: Precision | LearnedPrecision
    recipe: Recipe
    mirror_x: bool
    limit: float


@dataclass(frozen=True, slots=True)
class Uniform:
    """A network of the zoo, to be trained at each of `bits`."""

    name: str
    spec: NetworkSpec
    bits: tuple[int, ...]

    def __post_init__(self) -> None:
        for bits in self.bits:
            Precision(bits)  # raises for what cannot be


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: a network at one precision, over all seeds."""

    name: str
    kind: str
    network: str
    inputs: str
    parameters: int
    precision: Precision | LearnedPrecision
    recipe: Recipe
    trial: int | None


Jobs = dict[str, tuple[Assignment | LearnedAssignment, list[str]]]
"""By task what is trained, and the names of the networks that it gives."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What the file of a network of the final training holds."""

    fingerprint: str
    measured: Measured | None
    reason: str | None


def front_rows(
    finalists: Sequence[Finalist], goal: Goal, float_recipe: Recipe, seeds: Sequence[int]
) -> tuple[list[Row], Jobs]:
    """The rows of the front, and what is to be trained for them."""
    by_trial: dict[int, list[tuple[Finalist, Row]]] = {}
    for one in finalists:
        row = Row(
            one.name,
            "front",
            one.spec.name,
            one.inputs,
            one.spec.n_parameters,
            one.precision,
            one.recipe,
            one.trial,
        )
        by_trial.setdefault(one.trial, []).append((one, row))
    jobs: Jobs = {}
    for trial, pairs in by_trial.items():
        one = pairs[0][0]
        for i, seed in enumerate(seeds):
            what: Assignment | LearnedAssignment
            if isinstance(one.precision, LearnedPrecision):
                limits = tuple(finalist.limit for finalist, _ in pairs)
                what = LearnedAssignment(
                    one.spec, one.precision, one.recipe, one.mirror_x, seed, goal, limits
                )
            else:
                chosen = ((one.precision, one.recipe),)
                what = Assignment(one.spec, float_recipe, one.mirror_x, seed, chosen)
            jobs[f"trial {trial}, seed {i}"] = (what, [file_name(row, i) for _, row in pairs])
    return [row for pairs in by_trial.values() for _, row in pairs], jobs


def uniform_rows(
    uniform: Sequence[Uniform],
    float_recipe: Recipe,
    uniform_recipe: Recipe,
    seeds: Sequence[int],
    window: tuple[int, int],
) -> tuple[list[Row], Jobs]:
    """The rows of the zoo, and what is to be trained for them."""
    rows: list[Row] = []
    jobs: Jobs = {}
    for other in uniform:
        spec = other.spec.with_window(window)
        widths = [Precision(bits) for bits in other.bits]
        new = [
            Row(
                f"{other.name}_{precision.weight_bits}b",
                "uniform",
                spec.name,
                ", ".join(spec.features),
                spec.n_parameters,
                precision,
                uniform_recipe,
                None,
            )
            for precision in widths
        ]
        rows += new
        quantized = tuple((precision, uniform_recipe) for precision in widths)
        for i, seed in enumerate(seeds):
            what = Assignment(spec, float_recipe, False, seed, quantized)  # noqa: FBT003 (mirror)
            jobs[f"{other.name}, seed {i}"] = (what, [file_name(row, i) for row in new])
    return rows, jobs


def file_name(row: Row, seed_index: int) -> str:
    """Name of the files of a row's network of one seed."""
    return f"{row.name}_seed{seed_index}"


def train_rows(
    jobs: Jobs,
    folder: Path,
    pool: Workers,
    on_done: Callable[[int, int], None],
) -> dict[str, Saved]:
    """Train what is not saved yet; what is known of every network, by name."""
    saved: dict[str, Saved] = {}
    tasks = []
    for task, (assignment, names) in jobs.items():
        mark = fingerprint(assignment)
        found = {name: _read_whole(folder, name, mark) for name in names}
        if all(found.values()):
            saved |= {name: one for name, one in found.items() if one}
        else:
            tasks.append(Task(task, train_assignment, (assignment,)))
    total = sum(len(names) for _, names in jobs.values())
    on_done(len(saved), total)
    for task, results in pool.run(tasks):
        assignment, names = jobs[task]
        trained: list[Trained] = results
        for name, one in zip(names, trained, strict=True):
            if one.model:
                with replacing(folder / "models" / f"{name}.keras") as temporary:
                    temporary.write_bytes(one.model)
            saved[name] = Saved(fingerprint(assignment), one.measured, one.reason)
            write_json(folder / "final" / f"{name}.json", saved[name])
        on_done(len(saved), total)
    return saved


def _read_whole(folder: Path, name: str, mark: str) -> Saved | None:
    """As `read_saved`; None too where a network that was measured has lost its model file."""
    found = read_saved(folder / "final" / f"{name}.json", mark)
    lost = found and found.measured and not (folder / "models" / f"{name}.keras").is_file()
    return None if lost else found


def read_saved(path: Path, mark: str) -> Saved | None:
    """What the file of a network says; None without one, or where `mark` is not its fingerprint.

    Raises `RunError` for a damaged file.
    """
    if not path.exists():
        return None
    try:
        found = from_mapping(Saved, read_json(path), str(path))
    except (RunError, ConfigError) as error:
        msg = f"{error}; remove the file and the network is trained again"
        raise RunError(msg) from error
    return found if found.fingerprint == mark else None


def train_assignment(
    data: SearchData, one: Assignment | LearnedAssignment, _report: Callable[[Any], None]
) -> list[Trained]:
    """Train all networks of an assignment, in order."""
    if isinstance(one, LearnedAssignment):
        return _train_learned_assignment(data, one)
    results = []
    with Trainer(data, one.spec, one.float_recipe, one.mirror_x, one.seed) as trainer:
        for precision, recipe in one.quantized:
            try:
                measured, model = trainer.quantized(precision, recipe)
            except NoNetworkError as error:
                results.append(Trained(b"", None, str(error)))
                continue
            results.append(Trained(model, measured, None))
    return results


def _train_learned_assignment(data: SearchData, one: LearnedAssignment) -> list[Trained]:
    goal, part = one.goal, data.part(one.spec, one.mirror_x)
    trainer = BitsTrainer(part, one.spec, one.precision, one.recipe, one.seed, goal)
    try:
        found = trainer.networks()
    except NoNetworkError as error:
        return [Trained(b"", None, str(error)) for _ in one.limits]
    least = min(_cost(goal, network) for network in found)
    if goal.budget is not None and least > goal.budget:
        reason = f"the smallest of its networks costs {least:.1f} {goal.cost}, over the budget"
        return [Trained(b"", None, reason) for _ in one.limits]
    return [_fitting(trainer, found, max(limit, least)) for limit in one.limits]


def _fitting(trainer: BitsTrainer, found: Sequence[LearnedNetwork], limit: float) -> Trained:
    """The best that costs no more than `limit`, as it is or trained further with its bits."""
    goal = trainer.goal

    def best(networks: Sequence[LearnedNetwork]) -> LearnedNetwork:
        able = [network for network in networks if _cost(goal, network) <= limit]
        return max(able, key=lambda one: (goal.merit(one.measured), -_cost(goal, one)))

    chosen = best(found)
    chosen = best([chosen, *trainer.refined(chosen)])
    return Trained(file_of(chosen.model), chosen.measured, None)


def _cost(goal: Goal, network: LearnedNetwork) -> float:
    return goal.point(network.measured)[1]
