"""The models of a run folder, by name and by approach."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from pixelsieve.core.errors import ConfigError, RunError, nearest
from pixelsieve.core.files import read_json
from pixelsieve.core.runs import RunFolder
from pixelsieve.networks.model_file import Model, load_model

_ON_THE_WAY = re.compile(r"_\d\d+$")


def without_front(names: Iterable[str]) -> list[str]:
    """Leave out what a training of bits kept on its way (`NAME_00`, ... beside `NAME`)."""
    names = list(names)
    return [n for n in names if (base := _ON_THE_WAY.sub("", n)) == n or base not in names]


def unknown_model(
    run: Path, name: str, known: Iterable[str], more: Iterable[str] = ()
) -> ConfigError:
    """For `--model NAME` of what a run does not have; `more` are also taken, but not told."""
    known = list(known)
    near = nearest(name.removesuffix(".keras"), [*known, *more])
    return ConfigError(f"--model {name}{near}: not in {run}; it has {', '.join(known)}")


def _named(run: Path, name: str | None) -> dict[str, Path]:
    paths = RunFolder(run).models()
    if name is None:
        return paths
    wanted = name.removesuffix(".keras")
    if wanted not in paths:
        raise unknown_model(run, name, paths)
    return {wanted: paths[wanted]}


def the_path(where: Path, name: str | None) -> Path:
    """The model file that `where` is, or the named one of the run folder that it is.

    Raises `RunError` for a folder without models, `ConfigError` for an unknown name, a run of
    several models and no name, and a name for a file.
    """
    if not where.is_dir():
        if name is not None:
            msg = f"--model {name}: chooses from a run; {where} is no folder"
            raise ConfigError(msg)
        return where
    paths = _named(where, name)
    if len(paths) > 1:
        first = next(iter(paths))
        msg = f"{where}: is a run; choose one of its models, e.g. --model {first}: "
        raise ConfigError(msg + ", ".join(paths))
    return next(iter(paths.values()))


def quantized_models(run: Path, name: str | None = None) -> dict[str, Model]:
    """The quantized models of a run by name, or the one named.

    Raises `RunError` for a folder without models, `ConfigError` for an unknown name, a float
    model, and a run that has no other.
    """
    paths = _named(run, name)
    models = {stem: load_model(path) for stem, path in paths.items()}
    quantized = {stem: m for stem, m in models.items() if m.precision is not None}
    if not quantized:
        what = "only float models" if name is None else f"{name} is a float network"
        msg = f"{run}: {what}; firmware needs a quantized one (train --bits N)"
        raise ConfigError(msg)
    return quantized


def pick_model(run: Path, name: str | None) -> Model:
    """The named model, or the only quantized one; `ConfigError` where there are several.

    What a training of bits kept on its way counts only by name.
    """
    found = quantized_models(run, name)
    names = without_front(found)
    if len(names) > 1:
        msg = f"{run}: several quantized models; choose one with --model: {', '.join(names)}"
        raise ConfigError(msg)
    return found[names[0]]


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
            raise unknown_model(run, given, every, paths)
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
