"""The models of a run by approach: networks that differ in their seed alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pixelsieve.core.errors import ConfigError, RunError
from pixelsieve.core.files import read_json
from pixelsieve.core.runs import RunFolder, without_front
from pixelsieve.networks.model_file import Model, load_model

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
