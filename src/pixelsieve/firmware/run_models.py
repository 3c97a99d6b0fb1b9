"""The quantized models of a run folder."""

from __future__ import annotations

from pathlib import Path

from pixelsieve.errors import ConfigError, RunError, nearest
from pixelsieve.model_file import Model, load_model

__all__ = ["model_paths", "pick_model", "quantized_models"]


def model_paths(run: Path) -> dict[str, Path]:
    """The model files of a run folder by name; `RunError` for a folder without any."""
    paths = {p.stem: p for p in sorted((run / "models").glob("[!.]*.keras"))}
    if not paths:
        msg = f"{run}: no models in it; expected the folder of a run (models/NAME.keras)"
        raise RunError(msg)
    return paths


def quantized_models(run: Path, name: str | None = None) -> dict[str, Model]:
    """The quantized models of a run by name, or the one named.

    Raises `RunError` for a folder without models, `ConfigError` for an unknown name, a float
    model, and a run that has no other.
    """
    paths = model_paths(run)
    if name is not None:
        wanted = name.removesuffix(".keras")
        if wanted not in paths:
            msg = f"--model {name}{nearest(wanted, paths)}: not in {run}; it has {', '.join(paths)}"
            raise ConfigError(msg)
        paths = {wanted: paths[wanted]}
    models = {stem: load_model(path) for stem, path in paths.items()}
    quantized = {stem: m for stem, m in models.items() if m.precision is not None}
    if not quantized:
        what = "only float models" if name is None else f"{name} is a float network"
        msg = f"{run}: {what}; firmware needs a quantized one (train --bits N)"
        raise ConfigError(msg)
    return quantized


def pick_model(run: Path, name: str | None) -> Model:
    """The named model, or the only quantized one; `ConfigError` where there are several."""
    found = quantized_models(run, name)
    if len(found) > 1:
        msg = f"{run}: several quantized models; choose one with --model: {', '.join(found)}"
        raise ConfigError(msg)
    return next(iter(found.values()))
