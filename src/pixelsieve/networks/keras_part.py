"""The Keras part of a model file, its configuration and variables, in a form to compare."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.archives import read_hdf5, read_isolated
from pixelsieve.core.errors import RunError

_METADATA, _CONFIG, _WEIGHTS = KERAS_MEMBERS = (
    "metadata.json",
    "config.json",
    "model.weights.h5",
)
"""The members of an archive that Keras writes and reads."""

_NUMBERED = re.compile(r"concatenate(_\d+)?")
"""A layer without a name of its own is numbered by Keras, on through a whole process."""


@dataclass(frozen=True, slots=True)
class KerasPart:
    """Keras's configuration, without what differs each time it is written, and all variables.

    `arrays` are by their path in `model.weights.h5`.
    """

    version: str
    config: Any
    arrays: Mapping[str, NDArray[Any]]

    def difference(self, other: KerasPart) -> str | None:
        """Return where the two first differ in what Keras would compute, or None.

        Settings that only one of two versions of Keras knows are no difference.
        """
        same_version = self.version == other.version
        if found := _differing(self.config, other.config, "config.json", strict=same_version):
            return found
        for path in sorted({*self.arrays, *other.arrays}):
            mine, its = self.arrays.get(path), other.arrays.get(path)
            if mine is None or its is None or not np.array_equal(mine, its):
                return f"{_WEIGHTS}: {path}"
        return None

    def digest(self) -> str:
        """Return a SHA-256 in hexadecimal that is the same each time the model is written."""
        found = hashlib.sha256(json.dumps(self.config, sort_keys=True).encode())
        for path, array in sorted(self.arrays.items()):
            found.update(f"{path} {array.dtype} {array.shape}".encode())
            found.update(np.ascontiguousarray(array).tobytes())
        return found.hexdigest()


def read_keras_part(
    members: Mapping[str, bytes], where: str, *, strange: bool = False
) -> KerasPart:
    """Return Keras's part of the members of an archive.

    The variables of a `strange` one are read in another process, since the HDF5 library crashes on
    some files. Raise `RunError` naming `where` if a member is missing, damaged, or holds anything
    but plain data; nothing is executed.
    """
    for name in KERAS_MEMBERS:
        if name not in members:
            msg = f"{where}: holds no {name}; expected a whole model file of pixelsieve"
            raise RunError(msg)
    metadata = _json(members, _METADATA, where)
    version = metadata.get("keras_version") if isinstance(metadata, dict) else None
    config = _json(members, _CONFIG, where)
    read = read_isolated if strange else read_hdf5
    arrays = read(members[_WEIGHTS], f"{where}: {_WEIGHTS}").arrays
    return KerasPart(str(version), _canonical(config, _names(config)), arrays)


def _json(members: Mapping[str, bytes], name: str, where: str) -> Any:
    """JSON as Keras writes it, with Infinity."""
    try:
        return json.loads(members[name])
    except (ValueError, RecursionError) as error:
        msg = f"{where}: {name}: not valid JSON ({error}); the file is damaged"
        raise RunError(msg) from error


def _names(config: Any) -> dict[str, str]:
    """New names of the layers that Keras has numbered, in their order."""
    inner = config.get("config") if isinstance(config, dict) else None
    layers = inner.get("layers") if isinstance(inner, dict) else None
    names = [one.get("name") for one in layers or [] if isinstance(one, dict)]
    numbered = [n for n in names if isinstance(n, str) and _NUMBERED.fullmatch(n)]
    return {name: f"concatenate {i}" for i, name in enumerate(numbered)}


def _canonical(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {k: _canonical(v, names) for k, v in value.items() if k != "shared_object_id"}
    if isinstance(value, list):
        return [_canonical(one, names) for one in value]
    return names.get(value, value) if isinstance(value, str) else value


def _differing(mine: Any, its: Any, where: str, *, strict: bool) -> str | None:
    """Return where two configurations first differ; unless `strict`, in what both hold."""
    if isinstance(mine, dict) and isinstance(its, dict):
        keys = {*mine, *its} if strict else {*mine} & {*its}
        pairs = ((f"{where}/{key}", mine.get(key), its.get(key)) for key in sorted(keys))
    elif isinstance(mine, list) and isinstance(its, list) and len(mine) == len(its):
        both = enumerate(zip(mine, its, strict=True))
        pairs = ((f"{where}/{i}", one, other) for i, (one, other) in both)
    else:
        return None if type(mine) is type(its) and mine == its else where
    found = (_differing(one, other, path, strict=strict) for path, one, other in pairs)
    return next((path for path in found if path), None)
