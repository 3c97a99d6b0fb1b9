"""Values that all readers of foreign models share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from pixelsieve.core.errors import ConfigError, RunError

Settings = Mapping[str, Any]
"""A JSON object of Keras or of QKeras: settings of layers that we do not know before we read."""

RANDOM_STATE = "seed_generator"
"""Part of the names of variables that a random generator keeps."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One stored array: its `path` in the file, the layer it is of, its `role` in that layer."""

    path: str
    layer: str
    role: str
    values: NDArray[Any]


@dataclass(frozen=True, slots=True)
class StoredModel:
    """The content of a file.

    `model` is Keras's JSON of the network, `variables` are those of its layers, `beside` are the
    paths of all other arrays (optimizer, metrics) with the reason that nobody needs them.
    """

    format: str
    model: Settings
    variables: tuple[Variable, ...]
    beside: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Architecture:
    """Keras's JSON of a network, for files that hold weights alone.

    `said` names where it comes from, `stated` tells that the user gave it as a file: it must then
    belong to the weights, names and all, and a whole model is refused beside it.
    """

    model: Settings
    said: str
    stated: bool


def parse_settings(text: str | bytes, where: str) -> Settings:
    """Return a JSON object as Keras writes it, Infinity and all; raise `RunError` if it is none."""
    try:
        value = json.loads(text if isinstance(text, str) else text.decode("utf-8"))
    except UnicodeDecodeError as error:
        msg = f"{where}: is no text; the file is damaged"
        raise RunError(msg) from error
    except (ValueError, RecursionError) as error:
        msg = f"{where}: not valid JSON ({type(error).__name__}); the file is damaged"
        raise RunError(msg) from error
    if not isinstance(value, dict):
        msg = f"{where}: expected a JSON object; the file is damaged"
        raise RunError(msg)
    return value


def refused(at: str, why: str) -> ConfigError:
    """Return the error for what has no counterpart here, at that place of a file."""
    return ConfigError(f"{at}: {why}")


def belongs_to_nothing(path: Path, what: str) -> str:
    """Return the line for an array or a member that no layer owns."""
    return f"{path}: '{what}' belongs to no layer of the model; expected a model saved by Keras"
