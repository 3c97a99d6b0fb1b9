"""Models on disk: plain data that say everything, and a Keras model for other tools."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.archives import HDF5_START, read_arrays, read_members, unzipped
from pixelsieve.core.config import Document, from_mapping, to_plain
from pixelsieve.core.errors import ConfigError, RunError
from pixelsieve.core.files import is_pointer, not_fetched, parse_json, replacing
from pixelsieve.core.processes import scratch_folder
from pixelsieve.core.runs import RunFolder, without_front
from pixelsieve.data.detector import Detector
from pixelsieve.display.html import table_html
from pixelsieve.display.shown import one_line
from pixelsieve.features import FeatureSet, FeatureTable
from pixelsieve.front_end import FrontEnd
from pixelsieve.networks.build import build, logits_function
from pixelsieve.networks.keras_part import KERAS_MEMBERS, read_keras_part
from pixelsieve.networks.precision import LearnedPrecision, MixedPrecision, Precision, bits_text
from pixelsieve.networks.spec import NetworkSpec, Weights
from pixelsieve.networks.tables import model_table

if TYPE_CHECKING:
    import keras

_CARD = "pixelsieve.json"
_WEIGHTS = "pixelsieve_weights.npz"
_SCHEMA = 1
_CHUNK = 65_536


@dataclass(frozen=True, slots=True)
class FileMark:
    """A file of a run by its name there and its hash."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Card:
    """The record beside the network in a model file: how the network came about.

    `front_end` and `detector` are those of the training clusters, None if there is none or it is
    not known; `teacher` is the file that it learned from, `learned` what bits were learned by.
    `recipe` is plain data, since recipes belong to a higher layer, and so are `others`: what
    imported models and files of other versions say under names of their own.
    """

    recipe: Document | None = None
    seed: int | None = None
    front_end: FrontEnd | None = None
    detector: Detector | None = None
    teacher: FileMark | None = None
    best_epoch: int | None = None
    learned: LearnedPrecision | None = None
    others: Document = field(default_factory=dict)

    def to_plain(self) -> Document:
        """Return what JSON holds: a training's front end and detector, else what is not None."""
        always = () if self.recipe is None else ("front_end", "detector")
        named = {name: getattr(self, name) for name in _CARD_FIELDS}
        told = {n: to_plain(v) for n, v in named.items() if v is not None or n in always}
        return {**told, **to_plain(self.others)}

    @staticmethod
    def from_plain(plain: Document, where: str) -> Card:
        """Read it back; raise `ConfigError` naming `where` and the field for what cannot be."""
        told = {n: plain[n] for n in _CARD_FIELDS if plain.get(n) is not None}
        others = {n: v for n, v in plain.items() if n not in _CARD_FIELDS}
        recipe = told.pop("recipe", None)
        if not isinstance(recipe, dict | None):
            msg = f"{where}: recipe: expected a table"
            raise ConfigError(msg)
        parts = {
            name: from_mapping(kind, told.pop(name), f"{where}: {name}")
            for name, kind in _CARD_PARTS.items()
            if name in told
        }
        return replace(from_mapping(Card, told, where), recipe=recipe, others=others, **parts)


_CARD_PARTS: Mapping[str, type[Any]] = {
    "front_end": FrontEnd,
    "detector": Detector,
    "teacher": FileMark,
    "learned": LearnedPrecision,
}
_CARD_FIELDS = tuple(f.name for f in fields(Card) if f.name != "others")


@dataclass(frozen=True, slots=True)
class Model:
    """A trained network and how its inputs are made.

    `path` is the file that it was read from, None for a model made in memory.

    Examples
    --------
    >>> model.name, model.spec.name, model.precision.weight_bits
    ('sieve_4b_seed0', 'model1', 4)
    >>> keras_model = model.keras_model()
    """

    spec: NetworkSpec
    precision: Precision | MixedPrecision | None
    weights: Weights
    features: FeatureSet
    card: Card = field(default_factory=Card)
    path: Path | None = None

    @property
    def name(self) -> str:
        """The file's name without its ending; in memory the network's name."""
        return self.path.stem if self.path else self.spec.name

    @property
    def origin(self) -> str:
        """The name for messages: the file, or the network's name."""
        return str(self.path or self.spec.name)

    def __repr__(self) -> str:
        learned = self.card.learned.label if self.card.learned else "mixed bits"
        uniform = self.precision.weight_bits if isinstance(self.precision, Precision) else None
        bits = learned if isinstance(self.precision, MixedPrecision) else bits_text(uniform)
        told = (self.spec.name, bits, f"{self.spec.n_parameters} parameters")
        return one_line("Model", *([self.name] if self.path else []), ", ".join(told))

    def _repr_html_(self) -> str:
        return table_html(model_table(self))

    def keras_model(self) -> keras.Model:
        """The Keras model with these weights."""
        return build(self.spec, self.precision, self.weights)

    def logits(self, table: FeatureTable) -> NDArray[np.float32]:
        """Logits, (n,); refuses inputs that were scaled another way than in training."""
        table.require(self.features, self.origin)
        return self.scorer()(table)

    def scorer(self) -> Callable[[FeatureTable], NDArray[np.float32]]:
        """Return `logits` with the Keras model built once: for many tables."""
        model = self.keras_model()
        weights = [np.asarray(v.value) for v in model.trainable_variables]
        grids = [np.asarray(v.value) for v in model.non_trainable_variables]
        bare = None if self.precision is None else self.precision.without_bits()
        function = _compiled(self.spec, bare)

        def logits(table: FeatureTable) -> NDArray[np.float32]:
            table.require(self.features, self.origin)
            parts = []
            for start in range(0, len(table), _CHUNK):
                rows = slice(start, start + _CHUNK)
                inputs = {n: table.inputs[n][rows] for n in self.features.names}
                parts.append(np.asarray(function(weights, grids, inputs)))
            return np.concatenate(parts)

        return logits


@lru_cache(maxsize=16)
def _compiled(spec: NetworkSpec, bare: Precision | MixedPrecision | None) -> Any:
    import jax

    return jax.jit(logits_function(spec, bare))


def save_model(path: Path, model: Model) -> None:
    """Write a `.keras` archive, whole or not at all.

    Plain Keras (with HGQ2) loads it too. Besides Keras's members it holds `pixelsieve.json`
    (network, precision, features and their scaling, card) and `pixelsieve_weights.npz`.
    """
    import jax

    keras_model = model.keras_model()
    head = {
        "schema": _SCHEMA,
        "features": model.features.to_plain(),
        "network": to_plain(model.spec),
        "precision": to_plain(model.precision),
        "card": model.card.to_plain(),
    }
    arrays: dict[str, Any] = {
        f"{layer}/{name}": v for layer, vs in model.weights.items() for name, v in vs.items()
    }
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    with replacing(path) as temporary:
        # Keras looks at every property of a layer as it saves; under eval_shape HGQ2's derived
        # ones are traced instead of compiled one by one (0.6 s instead of 9 s).
        jax.eval_shape(lambda: keras_model.save(temporary))
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.writestr(_CARD, json.dumps(head, indent=1, allow_nan=False))
            archive.writestr(_WEIGHTS, buffer.getvalue())


def load_model(path: Path) -> Model:
    """Read a model saved by `save_model`; nothing in the file is executed.

    Raise `RunError` if the file is missing, damaged or not one of ours, and `ConfigError`
    if its features are scaled differently today or its card names a front end or a detector
    that cannot be.
    """
    members = _members(path)
    missing = [name for name in (_CARD, _WEIGHTS) if name not in members]
    if missing:
        msg = (
            f"{path}: holds no {missing[0]}; expected a whole model file of pixelsieve (a Keras or "
            "QKeras model: pixelsieve convert it first)"
        )
        raise RunError(msg)
    head = parse_json(members[_CARD], f"{path}: {_CARD}")
    arrays = read_arrays(members[_WEIGHTS], f"{path}: {_WEIGHTS}")
    if not isinstance(head, dict) or head.get("schema") != _SCHEMA:
        msg = f"{path}: written by another version of pixelsieve; expected schema {_SCHEMA}"
        raise RunError(msg)
    missing = [k for k in ("network", "precision", "features", "card") if k not in head]
    if missing or not isinstance(head["card"], dict):
        msg = f"{path}: {_CARD} has no {(missing or ['card'])[0]}; the file is damaged"
        raise RunError(msg)
    spec = from_mapping(NetworkSpec, head["network"], f"{path}: network")
    weights: Weights = {}
    for layer, shapes in spec.variables().items():
        for name, shape in shapes.items():
            array = arrays.get(f"{layer}/{name}")
            if array is None or array.shape != shape or array.dtype.kind != "f":
                msg = f"{path}: layer '{layer}' has no {name} of shape {shape}; it is damaged"
                raise RunError(msg)
            if not np.isfinite(array).all():
                msg = f"{path}: layer '{layer}': its {name} is not finite; train it again"
                raise RunError(msg)
            weights.setdefault(layer, {})[name] = array.astype(np.float32)
    precision = _precision(head["precision"], f"{path}: precision")
    features = FeatureSet.from_plain(head["features"], str(path))
    if set(features.names) != set(spec.features) or features.window != spec.window:
        msg = f"{path}: its features are not those of its network; the file is damaged"
        raise RunError(msg)
    card = Card.from_plain(head["card"], f"{path}: card")
    return Model(spec, precision, weights, features, card, path)


def model_hash(path: Path) -> str:
    """Return the SHA-256, in hexadecimal, of all that a model file holds.

    The file itself has another hash each time it is written: Keras's part holds a date and
    addresses. Raise `RunError` if it is missing or damaged.
    """
    members = _members(path)
    ours = b"".join(members.get(name, b"") for name in (_CARD, _WEIGHTS))
    keras = read_keras_part(members, str(path)).digest()
    return hashlib.sha256(ours + keras.encode()).hexdigest()


def require_same_keras(model: Model) -> None:
    """Raise `RunError` if Keras would load another network from the model's file than we do.

    A file holds its network twice: in our own members, which are read strictly and which everything
    here uses, and in Keras's. A model made in memory has none.
    """
    if model.path is not None:
        _checked_members(model, model.path)


def stored_keras_model(model: Model) -> keras.Model:
    """Return the Keras model that any user of Keras and HGQ2 loads from the model's file.

    Only a file whose Keras part is what our own members say is handed to Keras; raise `RunError`
    as `require_same_keras` does. For a model made in memory return `Model.keras_model`.
    """
    if model.path is None:
        return model.keras_model()
    import hgq.layers  # noqa: F401 (registers the layers that Keras then finds)
    import keras

    members = _checked_members(model, model.path)
    with scratch_folder() as folder:
        copy = folder / "model.keras"  # of what was checked
        with zipfile.ZipFile(copy, "w") as archive:
            for name in KERAS_MEMBERS:
                archive.writestr(name, members[name])
        return keras.saving.load_model(copy, compile=False, safe_mode=True)


def _checked_members(model: Model, path: Path) -> dict[str, bytes]:
    members = _members(path)
    stored = read_keras_part(members, str(path), strange=True)
    with scratch_folder() as folder:
        again = folder / path.name
        save_model(again, model)
        expected = read_keras_part(_members(again), str(again))
    if where := expected.difference(stored):
        msg = (
            f"{path}: its Keras part ({where}) is not the network of its pixelsieve part; the file "
            "was changed after it was saved: fetch it again, or train again"
        )
        raise RunError(msg)
    return members


def _members(path: Path) -> dict[str, bytes]:
    if is_pointer(path):
        raise RunError(not_fetched(path))
    with contextlib.suppress(OSError), path.open("rb") as file:
        if file.read(len(HDF5_START)) == HDF5_START:
            msg = (
                f"{path}: a model of Keras in HDF5; expected a model file of pixelsieve: "
                "`pixelsieve convert` it first"
            )
            raise RunError(msg)
    return read_members(path, str(path), (*KERAS_MEMBERS, _CARD, _WEIGHTS))


def _precision(plain: Any, where: str) -> Precision | MixedPrecision | None:
    mixed = isinstance(plain, dict) and "activations" in plain
    kind: type[Precision | MixedPrecision] = MixedPrecision if mixed else Precision
    return None if plain is None else from_mapping(kind, plain, where)


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
    if line := unzipped(where):
        raise RunError(line)
    paths = RunFolder(where).models(name)
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
    models = {stem: load_model(path) for stem, path in RunFolder(run).models(name).items()}
    quantized = {stem: m for stem, m in models.items() if m.precision is not None}
    if not quantized:
        what = "only float models" if name is None else f"{name} is a float network"
        msg = f"{run}: {what}; firmware needs a quantized one (train --bits N)"
        raise ConfigError(msg)
    return quantized


def pick_model(run: Path, name: str | None) -> Model:
    """The named model, or the only quantized one; `ConfigError` if there are several.

    What a training of bits kept on its way counts only by name.
    """
    found = quantized_models(run, name)
    names = without_front(found)
    if len(names) > 1:
        msg = f"{run}: several quantized models; choose one with --model: {', '.join(names)}"
        raise ConfigError(msg)
    return found[names[0]]
