"""Train one network; nothing is chosen or scored on the test split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixelsieve.config import to_plain
from pixelsieve.features import FeatureSet
from pixelsieve.formats.dataset import Dataset
from pixelsieve.networks import NetworkSpec
from pixelsieve.parallel import run_tasks
from pixelsieve.precision import Precision
from pixelsieve.runs import RunFolder
from pixelsieve.studies.tasks import Shared, training_data, training_tasks
from pixelsieve.training.job import Job, JobResult
from pixelsieve.training.recipe import FLOAT, Recipe

__all__ = ["TrainConfig", "train_one"]


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """One network to train; `bits` None is float, by `float_recipe` alone."""

    spec: NetworkSpec
    bits: int | None
    recipe: Recipe
    seed: int
    float_recipe: Recipe = FLOAT
    mirror_x: bool = False

    def jobs(self) -> list[Job]:
        """The float job, where it is needed, and the quantized one."""
        floats = Job(self.spec, None, self.float_recipe, self.seed)
        if self.bits is None:
            return [floats]
        needed = self.recipe.needs_float
        source = floats.name if needed else None
        quantized = Job(self.spec, Precision(self.bits), self.recipe, self.seed, source)
        return [floats, quantized] if needed else [quantized]


def train_one(
    config: TrainConfig,
    dataset: Dataset,
    out: Path,
    on_report: Callable[[str, Any], None] | None = None,
    on_done: Callable[[str], None] | None = None,
) -> list[JobResult]:
    """Train into the run folder `out` (models/*.keras, jobs/*.json); results in order of training.

    Runs again from where an interrupted call stopped.
    """
    identity = {**to_plain(config), **dataset.identity}
    features = FeatureSet(config.spec.features, config.mirror_x, window=config.spec.window)
    jobs = config.jobs()
    data = training_data(dataset, features, [j.recipe for j in jobs])
    with RunFolder(out, identity) as run:
        run.prepare()
        shared = Shared(out, data)
        results = run_tasks(
            training_tasks(jobs), shared, workers=1, on_report=on_report, on_done=on_done
        )
        return [results[j.name] for j in jobs]
