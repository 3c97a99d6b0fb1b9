"""A Keras model file as plain data: its configuration and its variables, whatever the format."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from pixelsieve.core.archives import (
    HDF5_START,
    LARGEST_BYTES,
    Group,
    read_isolated,
    read_members,
    unzipped,
)
from pixelsieve.core.errors import ConfigError, RunError
from pixelsieve.core.files import is_pointer, not_fetched
from pixelsieve.importing.archive import archive_variables
from pixelsieve.importing.values import (
    RANDOM_STATE,
    Architecture,
    StoredModel,
    Variable,
    belongs_to_nothing,
    parse_settings,
    refused,
)

SUFFIXES = (".h5", ".hdf5", ".keras")
"""File names that end so are models."""

_LARGEST_BYTES = LARGEST_BYTES
_OWN_CARD = "pixelsieve.json"
_MEMBERS = ("metadata.json", "config.json", "model.weights.h5")

_QUANTIZED = re.compile(r"(^|/)q_?(dense|conv|activation)", re.IGNORECASE)


def read_stored(path: Path, architecture: Architecture | None = None) -> StoredModel:
    """Read a `.h5` or `.keras` file of Keras 2 or 3; nothing in it is executed.

    `architecture` is for files that hold weights alone. Raise `RunError` for files that are
    missing, damaged or no model, `ConfigError` for a model file of pixelsieve itself, for arrays
    that belong to nothing, and for weights without an architecture or a whole model beside one.
    """
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise RunError(unzipped(path) or f"{path}: is a folder; expected *.h5 or *.keras")
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror or error})"
        raise RunError(msg) from error
    if size > _LARGEST_BYTES:
        msg = f"{path}: {size} bytes; expected a model file of at most {_LARGEST_BYTES}"
        raise RunError(msg)
    if start.startswith(b"PK"):
        _require_unstated(path, architecture)
        return _read_archive(path)
    if start == HDF5_START:
        return _read_hdf5(path, architecture)
    if is_pointer(path):
        raise RunError(not_fetched(path))
    msg = f"{path}: neither HDF5 (.h5) nor a zip archive (.keras); expected a model saved by Keras"
    raise RunError(msg)


def _require_unstated(path: Path, architecture: Architecture | None) -> None:
    if architecture is not None and architecture.stated:
        msg = f"{path}: holds its own architecture; leave out --architecture"
        raise ConfigError(msg)


def _read_hdf5(path: Path, architecture: Architecture | None) -> StoredModel:
    file = read_isolated(path, str(path))
    head = file.attributes[""]
    text = head.get("model_config")
    version = head.get("keras_version", "unknown version")
    if isinstance(text, str):
        _require_unstated(path, architecture)
        model = parse_settings(text, f"{path}: model_config")
        variables, beside = _legacy(file, "model_weights/", path)
        return StoredModel(f"HDF5 of Keras {version}", model, tuple(variables), beside)
    numbered = any("/vars/" in key for key in file.arrays)
    legacy = "layer_names" in head or "layer_names0" in head
    if not (numbered or legacy):
        msg = f"{path}: holds no model_config and no weights of Keras; expected a model saved by it"
        raise RunError(msg)
    if architecture is None:
        msg = (
            f"{path}: holds weights alone; say their network: --architecture FILE.json (`to_json` "
            "of the Keras model) or --network NAME of the zoo"
        )
        raise ConfigError(msg)
    if not architecture.stated:
        _require_no_quantized(path, file.attributes)
    if legacy:
        variables, beside = _legacy(file, "", path)
        variables = _by_name_or_order(variables, architecture, path)
    else:
        variables, beside = archive_variables(
            architecture.model, file, path, names_bind=architecture.stated
        )
    said = f"weights of Keras {version}" if legacy else "weights of Keras"
    form = f"{said}, network of {architecture.said}"
    return StoredModel(form, architecture.model, tuple(variables), beside)


def _require_no_quantized(path: Path, names: Iterable[str]) -> None:
    for name in names:
        if _QUANTIZED.search(name):
            msg = (
                f"{path}: '{name}' is of a quantized network, whose bits no file of weights "
                "holds; give its --architecture FILE.json"
            )
            raise ConfigError(msg)


def _by_name_or_order(
    variables: Sequence[Variable], architecture: Architecture, path: Path
) -> list[Variable]:
    """Variables with the layer names of the architecture, else in its order, as Keras takes them.

    Raise `ConfigError` if that has another number of layers with weights.
    """
    entries = architecture.model.get("config", {}).get("layers", [])
    expected = [e["config"]["name"] for e in entries if _has_weights(e)]
    stored = list(dict.fromkeys(variable.layer for variable in variables))
    if set(stored) <= {e["config"]["name"] for e in entries if _named(e)}:
        return list(variables)
    if len(stored) != len(expected):
        raise refused(
            str(path),
            f"has {len(stored)} layers with weights ({', '.join(stored)[:80]}), "
            f"{architecture.said} {len(expected)}; expected the weights of that network",
        )
    names = dict(zip(stored, expected, strict=True))
    return [Variable(v.path, names[v.layer], v.role, v.values) for v in variables]


def _named(entry: object) -> bool:
    config = entry.get("config") if isinstance(entry, dict) else None
    return isinstance(config, dict) and isinstance(config.get("name"), str)


def _has_weights(entry: object) -> bool:
    if not _named(entry) or not isinstance(entry, dict):
        return False
    return bool(re.search(r"Dense|Conv|Normalization|Prune", str(entry.get("class_name"))))


def _legacy(file: Group, root: str, path: Path) -> tuple[list[Variable], dict[str, str]]:
    """The variables of HDF5 of Keras 2, which names them in attributes, and what else there is."""
    variables, beside = [], {}
    claimed = set()
    for layer in _names(file, root.rstrip("/"), "layer_names", path):
        group = f"{root}{layer}"
        for name in _names(file, group, "weight_names", path):
            where = f"{group}/{name}"
            if where not in file.arrays:
                msg = f"{path}: variable '{where}' is named but not there; the file is damaged"
                raise RunError(msg)
            claimed.add(where)
            if RANDOM_STATE in name:
                beside[where] = "state of a random generator, for training"
                continue
            variables.append(Variable(where, layer, _role(name), file.arrays[where]))
    for where in file.arrays:
        if where in claimed:
            continue
        if not where.startswith("optimizer_weights/"):
            raise ConfigError(belongs_to_nothing(path, where))
        beside[where] = "state of the optimizer, for training"
    return variables, beside


def _role(name: str) -> str:
    """Return the last part of a variable's name; of HGQ2's quantizers also whose bits it is."""
    last = name.rsplit("/", 1)[-1].split(":", maxsplit=1)[0]
    quantizer = re.search(r"_(iq|kq|bq|oq)/[^/]+/[^/]+$", name)
    return f"{quantizer[1]}/{last}" if quantizer else last


def _read_archive(path: Path) -> StoredModel:
    members = _members(path)
    where = f"{path}: config.json"
    model = parse_settings(members["config.json"], where)
    metadata = parse_settings(members["metadata.json"], f"{path}: metadata.json")
    file = read_isolated(members["model.weights.h5"], f"{path}: model.weights.h5")
    variables, beside = archive_variables(model, file, path, names_bind=True)
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
            raise ConfigError(belongs_to_nothing(path, name))
    missing = [name for name in _MEMBERS if name not in members]
    if missing:
        msg = f"{path}: holds no {missing[0]}; expected a whole model saved by Keras"
        raise RunError(msg)
    return members


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
