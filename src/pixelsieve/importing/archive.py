"""`model.weights.h5` of Keras, alone or in a `.keras` archive: whose variable each array is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixelsieve.core.archives import Group
from pixelsieve.core.errors import ConfigError, RunError
from pixelsieve.importing.values import RANDOM_STATE, Settings, Variable, belongs_to_nothing

_CONTAINERS = ("layers", "_layer_checkpoint_dependencies")  # the latter of Keras 2.12 to 2.14
_NORMALIZATION = ("gamma", "beta", "moving_mean", "moving_variance")
_DENSE = ("kernel", "bias", "iteration")
# The order in which the variables of a layer are numbered.

_WRAP = "WRAP"
_PRUNING = "PruneLowMagnitude"


@dataclass(frozen=True, slots=True)
class _Owner:
    """The layer of a group: its settings with its name, its class."""

    config: Settings
    kind: str


def archive_variables(
    model: Settings, file: Group, path: Path, *, names_bind: bool
) -> tuple[list[Variable], dict[str, str]]:
    """Return the variables of the layers of `model`, and the paths of all else with the reason.

    Raise `ConfigError` for arrays of no layer, and `RunError` if the file names another layer
    (unless names do not bind) or `model` is damaged.
    """
    groups = _layer_groups(model, file, path, names_bind=names_bind)
    variables, beside = [], {}
    for key, values in file.arrays.items():
        found = next((g for g in groups if key.startswith(f"{g}/")), None)
        if RANDOM_STATE in key:
            beside[key] = "state of a random generator, for training"
        elif found is not None:
            owner = groups[found]
            role = _role(owner, key.removeprefix(f"{found}/"), values)
            variables.append(Variable(key, owner.config["name"], role, values))
        elif key.startswith(("optimizer/", "_optimizer/", "metrics/")):
            what = "a metric" if key.startswith("metrics/") else "the optimizer"
            beside[key] = f"state of {what}, for training"
        else:
            raise ConfigError(belongs_to_nothing(path, key))
    return variables, beside


def _layer_groups(
    model: Settings, file: Group, path: Path, *, names_bind: bool
) -> dict[str, _Owner]:
    """Group of each layer.

    Keras calls the groups by class and a count (`dense`, `dense_1`, ...) in the order of the
    layers. Keras 2.13 counts layers with weights twice (`dense`, `dense_2`, ...), so the numbers
    that are there go to the layers in order. Newer files also say the layer's name.
    """
    inside = next((c for c in _CONTAINERS if c in file.attributes), _CONTAINERS[0])
    stored: dict[str, list[int]] = {}
    for group in file.attributes:
        match = re.fullmatch(rf"{inside}/(\w*?)(?:_(\d+))?", group, re.ASCII)
        if match:
            stored.setdefault(match[1], []).append(int(match[2] or 0))
    by_class: dict[str, list[_Owner]] = {}
    for owner in _owners(model, path):
        by_class.setdefault(_snake(owner.kind), []).append(owner)
    groups = {}
    for snake, owners in by_class.items():
        numbers = sorted(stored.get(snake, []))
        if len(numbers) != len(owners):  # of layers without variables some versions write none
            numbers = list(range(len(owners)))
        for number, owner in zip(numbers, owners, strict=True):
            group = f"{inside}/{snake}_{number}" if number else f"{inside}/{snake}"
            said = file.attributes.get(f"{group}/vars", {}).get("name")
            if names_bind and said is not None and said != owner.config["name"]:
                msg = f"{path}: '{group}' is of layer '{said}', expected '{owner.config['name']}'"
                raise RunError(msg)
            groups[group] = owner
    return groups


def _owners(model: Settings, path: Path) -> Iterator[_Owner]:
    config = model.get("config")
    layers = config.get("layers") if isinstance(config, dict) else None
    if not isinstance(layers, list):
        msg = f"{path}: config.json: no list of layers; expected a functional or sequential model"
        raise ConfigError(msg)
    for entry in layers:
        inner = entry.get("config") if isinstance(entry, dict) else None
        kind = entry.get("class_name") if isinstance(entry, dict) else None
        if not isinstance(kind, str) or not isinstance(inner, dict) or "name" not in inner:
            msg = f"{path}: config.json: a layer without class_name, config or name"
            raise RunError(msg)
        if model.get("class_name") != "Sequential" or kind != "InputLayer":
            yield _Owner(inner, kind.rsplit(">", 1)[-1])


def _snake(name: str) -> str:
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _role(owner: _Owner, inside: str, values: Any) -> str:
    """Name of the variable at `vars/0`, ... in a layer; the path itself if nothing is known."""
    if owner.kind == _PRUNING:
        return _pruned_role(owner, inside, values)
    match = re.fullmatch(r"(iq|kq|bq|oq)/quantizer/vars/(\d)", inside)
    if match:
        return f"{match[1]}/{_bit_of(owner.config.get(f'{match[1]}_conf'), int(match[2]))}"
    match = re.fullmatch(r"(batchnorm/)?vars/(\d+)", inside)
    if match is None:
        return inside
    config = owner.config
    names = [name for name in _DENSE if name != "bias" or config.get("use_bias", True)]
    if match[1] or owner.kind in ("BatchNormalization", "QBatchNormalization"):
        unused = {"gamma": not config.get("scale", True), "beta": not config.get("center", True)}
        names = [name for name in _NORMALIZATION if not unused.get(name)]
    elif config.get("enable_ebops"):  # of HGQ2
        names = [*names[:-1], "beta", "ebops"]
    return names[int(match[2])] if int(match[2]) < len(names) else inside


def _pruned_role(owner: _Owner, inside: str, values: Any) -> str:
    """Roles of a pruning wrapper: those of the layer in it, and its own by their shapes."""
    layer = owner.config.get("layer")
    inner = layer.get("config") if isinstance(layer, dict) else None
    if inside.startswith("layer/") and isinstance(layer, dict) and isinstance(inner, dict):
        kind = str(layer.get("class_name")).rsplit(">", 1)[-1]
        return _role(_Owner(inner, kind), inside.removeprefix("layer/"), values)
    if re.fullmatch(r"vars/\d+", inside):
        return "mask" if values.ndim else f"pruning state {inside.removeprefix('vars/')}"
    return inside


def _bit_of(conf: Any, number: int) -> str:
    """Return which of HGQ2's `k`, `b`, `i`, `f` a quantizer's variable is: trained ones first."""
    config: Mapping[str, Any] = conf.get("config", {}) if isinstance(conf, dict) else {}
    first, second = ("i", "f") if config.get("q_type") == "kif" else ("b", "i")
    order = [first, second, "k"]
    if config.get("overflow_mode") == _WRAP:
        trained = "f" if first == "i" else "b"
        order = [trained, "k", "i", "i_decay_speed"]
    return order[number] if number < len(order) else str(number)
