"""Train one network; nothing is chosen or scored on the test split."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixelsieve.core.config import to_plain
from pixelsieve.core.errors import ConfigError
from pixelsieve.core.files import replacing
from pixelsieve.core.runs import RunFolder
from pixelsieve.core.workers import Scheduler, run_tasks
from pixelsieve.features import FeatureSet, Scale
from pixelsieve.formats.dataset import Dataset
from pixelsieve.networks.precision import LearnedPrecision, Precision
from pixelsieve.networks.spec import NetworkSpec
from pixelsieve.studies.endings import Refined
from pixelsieve.studies.jobs import (
    Shared,
    float_recipe_for,
    teachers_of,
    training_data,
    training_tasks,
)
from pixelsieve.training.job import Job, JobResult
from pixelsieve.training.recipe import FLOAT, Recipe
from pixelsieve.training.run import Ending
from pixelsieve.training.teachers import TreesTeacher

_START = "start"


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """One network to train, or with learned bits those of one training, with each of some seeds.

    `bits` None is float, by `float_recipe` alone. The seeds are `seed` and those that follow, in
    all `seeds`. With `refine` the networks of learned bits of at most so many EBOPs are measured
    exactly and those on the front trained further (`endings.Refined`).

    `start` is the hash of the model file that quantized training starts from, where that is not a
    float network of its own, `scales` what it takes otherwise than the registry. Raise
    `ConfigError` if nothing would be taken from it.
    """

    spec: NetworkSpec
    bits: int | Precision | LearnedPrecision | None
    recipe: Recipe
    seed: int
    float_recipe: Recipe = FLOAT
    mirror_x: bool = False
    start: str | None = None
    seeds: int = 1
    refine: float | None = None
    scales: tuple[Scale, ...] = ()

    def __post_init__(self) -> None:
        if self.seeds < 1:
            msg = f"seeds is {self.seeds}; expected at least 1"
            raise ConfigError(msg)
        if self.refine is not None and not isinstance(self.bits, LearnedPrecision):
            msg = "--refine: for learned bits; give --bits learned:EBOPS"
            raise ConfigError(msg)
        if self.start is not None and (self.bits is None or not self.recipe.needs_float):
            lacking = "--bits" if self.bits is None else "a recipe that warm-starts or distills"
            msg = f"--start: training takes nothing from it; give {lacking}"
            raise ConfigError(msg)

    def jobs(self) -> list[Job]:
        """Return the float jobs, if they are needed, and the quantized ones."""
        if self.bits is None:
            return [Job(self.spec, None, self.float_recipe, seed) for seed in self._every]
        if self.start is not None or not self.recipe.needs_float:
            source = None if self.start is None else _START
            return [self._quantized(self.bits, seed, source) for seed in self._every]
        how = float_recipe_for(self.recipe, self.float_recipe, [self.recipe])
        found = []
        for seed in self._every:
            one = Job(self.spec, None, how, seed)
            found += [one, self._quantized(self.bits, seed, one.name)]
        return found

    def teachers(self) -> list[Job | TreesTeacher]:
        """Return whom the quantized jobs learn from, if not from their own float networks."""
        seeds = () if self.bits is None else self._every
        return [one for seed in seeds for one in self._teachers(seed).values()]

    @property
    def _every(self) -> range:
        return range(self.seed, self.seed + self.seeds)

    def identity(self) -> dict[str, Any]:
        """Return what tells runs apart, as plain data."""
        return {
            name: value
            for name, value in to_plain(self).items()
            if (name, value) not in (("seeds", 1), ("refine", None), ("scales", []))
        }

    def endings(self) -> dict[str, Ending]:
        """Return how jobs end, by name, if not in the usual way."""
        return {
            job.name: Refined(job.name, job.precision, self.refine)
            for job in self.jobs()
            if self.refine is not None and isinstance(job.precision, LearnedPrecision)
        }

    def _teachers(self, seed: int) -> dict[str, Job | TreesTeacher]:
        return teachers_of([self.recipe], self.spec, self.float_recipe, seed)

    def _quantized(
        self, bits: int | Precision | LearnedPrecision, seed: int, source: str | None
    ) -> Job:
        teacher = next((t.name for t in self._teachers(seed).values()), None)
        precision = Precision(bits) if isinstance(bits, int) else bits
        return Job(self.spec, precision, self.recipe, seed, source, teacher)


def train_one(
    config: TrainConfig,
    dataset: Dataset,
    out: Path,
    start: Path | None = None,
    workers: int = 1,
    scheduler: Scheduler | None = None,
    on_report: Callable[[str, Any], None] | None = None,
    on_done: Callable[[str], None] | None = None,
) -> list[JobResult]:
    """Train into the run folder `out` (models/*.keras, jobs/*.json).

    Return the results in order of training. `start` is the model file that `config.start` is the
    hash of; the run keeps a copy. Run again with the same arguments to resume an interrupted
    training. `scheduler` as in `compare`.
    """
    spec = config.spec
    features = FeatureSet(spec.features, config.mirror_x, window=spec.window, scales=config.scales)
    jobs, teachers = config.jobs(), config.teachers()
    data = training_data(dataset, features, [j.recipe for j in jobs], teachers)
    identity = {**config.identity(), **dataset.identity}
    identity |= {"teachers": to_plain(teachers)} if teachers else {}
    with RunFolder(out).claimed(identity) as run:
        run.make()
        if start is not None:
            with replacing(run.model(_START)) as copy:
                shutil.copyfile(start, copy)
        shared = [Shared(out.absolute(), data)]
        del data  # so that the worker alone holds it
        results = run_tasks(
            training_tasks(jobs, teachers, config.endings()),
            shared.pop(),
            workers=workers,
            scheduler=scheduler,
            on_report=on_report,
            on_done=on_done,
        )
        return [results[j.name] for j in jobs]
