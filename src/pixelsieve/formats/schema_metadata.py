"""What the columns of a Parquet file cannot say: JSON in its schema, with a checksum."""

from __future__ import annotations

import itertools
import json
import operator
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pixelsieve.core.config import from_mapping, to_plain
from pixelsieve.core.errors import ConfigError, DataError, RunError
from pixelsieve.core.files import parse_json, take_hash, with_hash
from pixelsieve.data.detector import Detector

__all__ = ["detector_said", "metadata_said", "schema_metadata"]

_KEY = b"pixelsieve"
_SCHEMA = 1


def schema_metadata(
    detector: Detector,
    provenance: Mapping[str, Any] | None = None,
    columns: Sequence[str] = (),
) -> dict[bytes, str]:
    """What the columns of a Parquet file cannot say, and their names, for its schema."""
    said = {
        "schema": _SCHEMA,
        "detector": to_plain(detector),
        "provenance": to_plain(provenance or {}),
        "columns": list(columns),
    }
    return {_KEY: json.dumps(with_hash(said))}


def metadata_said(path: Path, file: pq.ParquetFile) -> dict[str, Any]:
    """What an open file says, empty where it says nothing; `DataError` where it is damaged."""
    text = (file.schema_arrow.metadata or {}).get(_KEY)
    if text is None:
        return {}
    try:
        said = parse_json(text, str(path))
    except RunError as error:
        msg = f"{path}: the schema's metadata 'pixelsieve' is not valid JSON; write the file again"
        raise DataError(msg) from error
    if not isinstance(said, dict) or said.get("schema") != _SCHEMA:
        msg = f"{path}: written with another schema; expected {_SCHEMA}"
        raise DataError(msg)
    if not take_hash(said):
        msg = f"{path}: the schema's metadata 'pixelsieve' was changed; fetch or write it again"
        raise DataError(msg)
    _refuse_misspelt(path, said.get("columns"), file.schema_arrow.names)
    return said


def _refuse_misspelt(path: Path, written: Any, names: list[str]) -> None:
    """Names of columns have no checksum: one letter other than written is damage."""
    if not isinstance(written, list) or not all(isinstance(name, str) for name in written):
        return
    lost = [n for n in written if n not in names]
    new = [n for n in names if n not in written]
    for one, name in itertools.product(lost, new):
        if len(one) == len(name) and sum(map(operator.ne, one, name)) == 1:
            msg = f"{path}: column '{one}' is now '{name}'; the file is damaged, fetch it again"
            raise DataError(msg)


def detector_said(path: Path, file: pq.ParquetFile) -> Detector | None:
    """The detector that the schema of an open file names, None where it names none."""
    said = metadata_said(path, file)
    if "detector" not in said:
        return None
    try:
        return from_mapping(Detector, said["detector"], f"{path}: detector")
    except ConfigError as error:
        raise DataError(str(error)) from error
