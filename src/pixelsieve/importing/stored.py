"""A Keras model file as plain data: its configuration and its variables, whatever the format."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from pixelsieve.core.archives import LARGEST_BYTES, Group, read_isolated, read_members
from pixelsieve.core.errors import ConfigError, RunError

Settings = Mapping[str, Any]
"""A JSON object of Keras or of QKeras: settings of layers that we do not know before we read."""

SUFFIXES = (".h5", ".hdf5", ".keras")
"""File names that end so are models."""

_LARGEST_BYTES = LARGEST_BYTES
_OWN_CARD = "pixelsieve.json"
_RANDOM_STATE = "seed_generator"
_MEMBERS = ("metadata.json", "config.json", "model.weights.h5")

_NORMALIZATION = ("gamma", "beta", "moving_mean", "moving_variance")
_DENSE = ("kernel", "bias", "iteration")
# The order in which .keras files number the variables of a layer.


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


def read_stored(path: Path) -> StoredModel:
    """Read a `.h5` or `.keras` file of Keras 2 or 3; nothing in it is executed.

    Raises `RunError` for files that are missing, damaged or no model, `ConfigError` for a model
    file of pixelsieve itself and for arrays that belong to nothing.
    """
    try:
        size = path.stat().st_size
        if path.is_dir():
            msg = f"{path}: is a folder; expected a model file (*.h5 or *.keras)"
            raise RunError(msg)
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror or error})"
        raise RunError(msg) from error
    if size > _LARGEST_BYTES:
        msg = f"{path}: {size} bytes; expected a model file of at most {_LARGEST_BYTES}"
        raise RunError(msg)
    if start.startswith(b"PK"):
        return _read_archive(path)
    if start == b"\x89HDF\r\n\x1a\n":
        return _read_legacy(path)
    msg = f"{path}: neither HDF5 (.h5) nor a zip archive (.keras); expected a model saved by Keras"
    raise RunError(msg)


def _read_legacy(path: Path) -> StoredModel:
    file = read_isolated(path, str(path))
    text = file.attributes[""].get("model_config")
    if not isinstance(text, str):
        msg = f"{path}: holds no model_config; save the whole model, not its weights alone"
        raise RunError(msg)
    version = file.attributes[""].get("keras_version", "unknown version")
    model = _json(text, f"{path}: model_config")
    variables, beside = [], {}
    claimed = set()
    for layer in _names(file, "model_weights", "layer_names", path):
        group = f"model_weights/{layer}"
        for name in _names(file, group, "weight_names", path):
            where = f"{group}/{name}"
            if where not in file.arrays:
                msg = f"{path}: variable '{where}' is named but not there; the file is damaged"
                raise RunError(msg)
            claimed.add(where)
            if _RANDOM_STATE in name:
                beside[where] = "state of a random generator, for training"
                continue
            role = name.rsplit("/", 1)[-1].split(":")[0]
            variables.append(Variable(where, layer, role, file.arrays[where]))
    for where in file.arrays:
        if where in claimed:
            continue
        if not where.startswith("optimizer_weights/"):
            raise ConfigError(_belongs_to_nothing(path, where))
        beside[where] = "state of the optimizer, for training"
    return StoredModel(f"HDF5 of Keras {version}", model, tuple(variables), beside)


def _read_archive(path: Path) -> StoredModel:
    members = _members(path)
    where = f"{path}: config.json"
    model = _json(members["config.json"], where)
    metadata = _json(members["metadata.json"], f"{path}: metadata.json")
    file = read_isolated(members["model.weights.h5"], f"{path}: model.weights.h5")
    groups = _layer_groups(model, file, path)
    variables, beside = [], {}
    for key, values in file.arrays.items():
        found = next((g for g in groups if key.startswith(f"{g}/")), None)
        if _RANDOM_STATE in key:
            beside[key] = "state of a random generator, for training"
        elif found is not None:
            layer, kind = groups[found]
            role = _role(kind, layer, key.removeprefix(f"{found}/"))
            variables.append(Variable(key, layer["name"], role, values))
        elif key.startswith(("optimizer/", "metrics/")):
            what = "the optimizer" if key.startswith("optimizer/") else "a metric"
            beside[key] = f"state of {what}, for training"
        else:
            raise ConfigError(_belongs_to_nothing(path, key))
    version = metadata.get("keras_version", "unknown version")
    return StoredModel(f"archive of Keras {version}", model, tuple(variables), beside)


def _members(path: Path) -> dict[str, bytes]:
    members = read_members(path, str(path), (), _LARGEST_BYTES)
    if _OWN_CARD in members:
        raise refused(
            str(path),
            "is a model file of pixelsieve already; evaluate, firmware and "
            "train --start take it as it is",
        )
    for name in members:
        if name not in _MEMBERS:
            raise ConfigError(_belongs_to_nothing(path, name))
    missing = [name for name in _MEMBERS if name not in members]
    if missing:
        msg = f"{path}: holds no {missing[0]}; expected a whole model saved by Keras"
        raise RunError(msg)
    return members


def _json(text: str | bytes, where: str) -> Settings:
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


def _names(file: Group, group: str, attribute: str, path: Path) -> list[str]:
    """A list of names in attributes; long ones are cut into `attribute0`, `attribute1`, ..."""
    attributes = file.attributes.get(group)
    if attributes is None:
        msg = f"{path}: group '{group}' is missing; the file is damaged"
        raise RunError(msg)
    numbered = (f"{attribute}{number}" for number in itertools.count())
    keys = (
        [attribute]
        if attribute in attributes
        else itertools.takewhile(attributes.__contains__, numbered)
    )
    parts = [attributes[key] for key in keys]
    names = [name for part in parts for name in (part if isinstance(part, tuple) else (part,))]
    if not parts or not all(isinstance(n, str) for n in names):
        msg = f"{path}: '{group}' has no list {attribute}; the file is damaged"
        raise RunError(msg)
    return names


def _layer_groups(model: Settings, file: Group, path: Path) -> dict[str, tuple[Settings, str]]:
    """Group of each layer in model.weights.h5 -> (its configuration with its name, its class).

    Keras calls the groups by class and a count (`dense`, `dense_1`, ...) in the order of the
    layers; newer files also say the layer's name, which must then agree.
    """
    config = model.get("config")
    layers = config.get("layers") if isinstance(config, dict) else None
    if not isinstance(layers, list):
        msg = f"{path}: config.json: no list of layers; expected a functional or sequential model"
        raise ConfigError(msg)
    sequential = model.get("class_name") == "Sequential"
    counts: dict[str, int] = {}
    groups: dict[str, tuple[Settings, str]] = {}
    for entry in layers:
        inner = entry.get("config") if isinstance(entry, dict) else None
        kind = entry.get("class_name") if isinstance(entry, dict) else None
        if not isinstance(kind, str) or not isinstance(inner, dict) or "name" not in inner:
            msg = f"{path}: config.json: a layer without class_name, config or name"
            raise RunError(msg)
        if sequential and kind == "InputLayer":
            continue
        snake = _snake(kind)
        number = counts[snake] = counts.get(snake, -1) + 1
        group = f"layers/{snake}_{number}" if number else f"layers/{snake}"
        said = file.attributes.get(f"{group}/vars", {}).get("name")
        if said is not None and said != inner["name"]:
            msg = f"{path}: '{group}' is of layer '{said}', expected '{inner['name']}'"
            raise RunError(msg)
        groups[group] = (inner, kind)
    return groups


def _snake(name: str) -> str:
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _role(kind: str, config: Settings, inside: str) -> str:
    """Name of the variable at `vars/0`, ... in a layer; the path itself if nothing is known."""
    match = re.fullmatch(r"(batchnorm/)?vars/(\d+)", inside)
    if match is None:
        return inside
    names = [name for name in _DENSE if name != "bias" or config.get("use_bias", True)]
    if match[1] or kind == "BatchNormalization":
        unused = {"gamma": not config.get("scale", True), "beta": not config.get("center", True)}
        names = [name for name in _NORMALIZATION if not unused.get(name)]
    return names[int(match[2])] if int(match[2]) < len(names) else inside


def refused(at: str, why: str) -> ConfigError:
    """Return the error for what has no counterpart here, at that place of a file."""
    return ConfigError(f"{at}: {why}")


def _belongs_to_nothing(path: Path, what: str) -> str:
    return f"{path}: '{what}' belongs to no layer of the model; expected a model saved by Keras"
