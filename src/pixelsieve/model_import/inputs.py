"""Which of our features each input of a foreign model is: the file cannot say how it was scaled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from pixelsieve.errors import ConfigError
from pixelsieve.features import REGISTRY, WINDOW
from pixelsieve.layers import Shape

__all__ = ["assign_features"]


def assign_features(
    shapes: Mapping[str, Shape], stated: Sequence[str] | None, where: str
) -> tuple[dict[str, tuple[str, ...]], tuple[int, int]]:
    """Features of each input, and the window (rows, columns) that their shapes tell.

    `shapes` are those of the model's inputs in its order. Without `stated` features the inputs
    must bear names of features. Stated ones go to the inputs in order: one each where there are as
    many, else as many as fill each input. Raises `ConfigError` where that leaves a doubt.
    """
    sizes = {name: prod(shape) for name, shape in shapes.items()}
    if stated is None:
        unknown = [name for name in sizes if name not in REGISTRY]
        if unknown:
            listed = ", ".join(f"{name} ({size})" for name, size in sizes.items())
            msg = (
                f"{where}: input '{unknown[0]}' is no feature's name; say what the inputs "
                f"{listed} are, in this order: --features NAME,NAME,..."
            )
            raise ConfigError(msg)
        found: dict[str, tuple[str, ...]] = {name: (name,) for name in sizes}
    else:
        found = _filled(sizes, stated, where)
        for name, features in found.items():
            if name in REGISTRY and features != (name,):
                told = "+".join(features) or "nothing"
                msg = f"{where}: input '{name}' is stated to be {told}; check --features' order"
                raise ConfigError(msg)
    names = [feature for features in found.values() for feature in features]
    for name in names:
        if names.count(name) > 1:
            msg = f"{where}: feature '{name}' is named twice; expected each input once"
            raise ConfigError(msg)
    window = _window(shapes, found)
    for name, features in found.items():
        if len(shapes[name]) > 1 and [REGISTRY[f].along for f in features] != ["pixels"]:
            told = "+".join(features)
            msg = f"{where}: input '{name}' is an image of {shapes[name]}; {told} is none"
            raise ConfigError(msg)
        needed = sum(REGISTRY[f].size(window) for f in features)
        if needed != sizes[name]:
            msg = (
                f"{where}: input '{name}' holds {sizes[name]} numbers, {'+'.join(features)} "
                f"{needed} for windows of {window[0]} x {window[1]} pixels"
            )
            raise ConfigError(msg)
    return found, window


def _filled(
    sizes: Mapping[str, int], stated: Sequence[str], where: str
) -> dict[str, tuple[str, ...]]:
    for name in stated:
        if name not in REGISTRY:
            msg = f"--features: unknown feature '{name}'; known: {', '.join(REGISTRY)}"
            raise ConfigError(msg)
    if len(stated) == len(sizes):
        return {name: (feature,) for name, feature in zip(sizes, stated, strict=True)}
    left = list(stated)
    found = {}
    for name, size in sizes.items():
        taken: list[str] = []
        while left and sum(REGISTRY[f].size() for f in taken) < size:
            taken.append(left.pop(0))
        found[name] = tuple(taken)
    if left:
        msg = f"{where}: --features: no input is left for {', '.join(left)}"
        raise ConfigError(msg)
    return found


def _window(shapes: Mapping[str, Shape], found: Mapping[str, tuple[str, ...]]) -> tuple[int, int]:
    """Rows and columns by the shapes of lone profiles and images; else the muon collider's."""
    rows, columns = WINDOW
    for name, features in found.items():
        along = REGISTRY[features[0]].along if len(features) == 1 else None
        if along == "rows":
            rows = shapes[name][0]
        elif along == "columns":
            columns = shapes[name][0]
        elif along == "pixels" and len(shapes[name]) > 1:
            rows, columns = shapes[name][:2]
    return rows, columns
