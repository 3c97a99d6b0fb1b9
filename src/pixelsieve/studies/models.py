"""The models of a run by approach, and clusters as a saved model saw them in training."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pixelsieve.core.config import differences
from pixelsieve.core.errors import ConfigError, RunError
from pixelsieve.core.files import read_json
from pixelsieve.core.runs import RunFolder, without_front
from pixelsieve.data.detector import Detector
from pixelsieve.formats.dataset import Dataset
from pixelsieve.front_end import FrontEnd
from pixelsieve.networks.model_file import Model, load_model


def front_end_of(model: Model) -> FrontEnd | None:
    """The front end that the model was trained with; None for none."""
    return model.card.front_end


def as_trained(model: Model, dataset: Dataset) -> Dataset:
    """Return the clusters as that front end reads them out."""
    return dataset.through(front_end_of(model))


def constants_that_differ(model: Model, detector: Detector) -> list[str]:
    """Constants of the detector that the training's had not; empty for models that name none."""
    trained = model.card.detector
    found = differences(detector, trained) if trained else {}
    return [f"{key} {now} (in training {then})" for key, (now, then) in found.items()]


_SEED = re.compile(r"_seed\d+$")


def approaches_of(run: Path, names: Sequence[str]) -> dict[str, list[Model]]:
    """Models of the run folder `run` by name of the approach, seeds in order.

    `names` are models (`sieve_4b_seed0`) or approaches (`sieve_4b`: all its seeds). By default the
    quantized approach with the best mean AUC on validation, the float one where there is no other.
    Raises `RunError` for a folder without models, `ConfigError` for unknown names and where
    nothing tells which of several is best.
    """
    paths = RunFolder(run).models()
    every: dict[str, list[str]] = {}
    for stem in sorted(without_front(paths), key=_by_seed):
        every.setdefault(_SEED.sub("", stem), []).append(stem)
    if not names:
        return _best(run, {a: [load_model(paths[s]) for s in every[a]] for a in every})
    found: dict[str, list[Model]] = {}
    for given in names:
        name = given.removesuffix(".keras")
        if name not in every and name not in paths:
            raise RunFolder(run).unknown_model(given, every, paths)
        found[name] = [load_model(paths[s]) for s in every.get(name, [name])]
    return found


def _by_seed(stem: str) -> tuple[str, int]:
    end = _SEED.search(stem)
    return (stem[: end.start()], int(end.group()[5:])) if end else (stem, 0)


def _best(run: Path, approaches: dict[str, list[Model]]) -> dict[str, list[Model]]:
    quantized = {n: ms for n, ms in approaches.items() if ms[0].precision is not None}
    chosen = quantized or approaches
    if len(chosen) > 1:
        aucs = {name: _validation_auc(run, models) for name, models in chosen.items()}
        untold = [name for name, auc in aucs.items() if auc is None]
        if untold:
            msg = f"{run}: several models; choose with --model: {', '.join(approaches)}"
            raise ConfigError(msg)
        name = max(chosen, key=lambda n: aucs[n] or 0.0)
        chosen = {name: chosen[name]}
    return chosen


def _validation_auc(run: Path, models: Sequence[Model]) -> float | None:
    """Mean over the networks at their best epoch, None where the run does not tell."""
    values = []
    for model in models:
        path = RunFolder(run).job(model.name)
        if not path.is_file():
            return None
        job = read_json(path)
        try:
            values.append(float(job["history"][job["best_epoch"]]["validation_auc"]))
        except (IndexError, KeyError, TypeError, ValueError) as error:
            msg = f"{path}: no result of a training; the file is damaged"
            raise RunError(msg) from error
    return float(np.mean(values))
