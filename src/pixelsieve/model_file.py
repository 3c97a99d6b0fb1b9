"""Models on disk: a Keras archive that carries its features, precision and recipe with it."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.errors import RunError
from pixelsieve.features import FeatureSet, FeatureTable
from pixelsieve.files import replacing

if TYPE_CHECKING:
    import keras

__all__ = ["Model", "load_model", "save_model"]

_CARD = "pixelsieve.json"
_SCHEMA = 1
_CHUNK = 65_536


@dataclass(frozen=True, slots=True)
class Model:
    """A Keras model with the features it was trained on.

    `card` is plain data: network, precision, recipe, seed, and what else was saved.
    """

    keras_model: keras.Model
    features: FeatureSet
    card: dict[str, Any]
    origin: str

    def logits(self, table: FeatureTable) -> NDArray[np.float32]:
        """Logits, (n,); refuses inputs that were scaled another way than in training."""
        table.require(self.features, self.origin)
        parts = []
        for start in range(0, len(table), _CHUNK):
            rows = slice(start, start + _CHUNK)
            inputs = {n: table.inputs[n][rows] for n in self.features.names}
            parts.append(np.asarray(self.keras_model(inputs, training=False))[:, 0])
        return np.concatenate(parts)


def save_model(path: Path, model: keras.Model, features: FeatureSet, card: dict[str, Any]) -> None:
    """Write a `.keras` archive that plain Keras (with HGQ2) can also load; whole or not at all."""
    text = json.dumps({"schema": _SCHEMA, "features": features.to_plain(), **card}, indent=1)
    with replacing(path) as temporary:
        model.save(temporary)
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.writestr(_CARD, text)


def load_model(path: Path) -> Model:
    """Read a model saved by `save_model`.

    Raises `RunError` where the file is missing, damaged or not one of ours, and `ConfigError`
    where its features are scaled differently today.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            card = json.loads(archive.read(_CARD))
    except FileNotFoundError as error:
        msg = f"{path}: no such model file"
        raise RunError(msg) from error
    except KeyError as error:
        msg = f"{path}: holds no {_CARD}; expected a model written by pixelsieve"
        raise RunError(msg) from error
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        msg = f"{path}: not a whole model file ({error}); fetch or train it again"
        raise RunError(msg) from error
    if card.pop("schema", None) != _SCHEMA:
        msg = f"{path}: written by another version of pixelsieve; expected schema {_SCHEMA}"
        raise RunError(msg)
    features = FeatureSet.from_plain(card.pop("features"), str(path))
    import hgq.layers  # noqa: F401 (registers the quantized layers with Keras)
    import keras

    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except (ValueError, TypeError, KeyError, OSError) as error:
        reason = str(error).splitlines()[0]
        msg = f"{path}: Keras cannot read it ({reason}); fetch or train it again"
        raise RunError(msg) from error
    return Model(model, features, card, str(path))
