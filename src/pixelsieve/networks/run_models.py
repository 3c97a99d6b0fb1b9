"""The models of a run folder."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from pixelsieve.core.errors import ConfigError, nearest
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
