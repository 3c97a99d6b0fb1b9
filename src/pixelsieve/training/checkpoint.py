"""The state of a training run on disk, so that a killed run goes on where it was."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pixelsieve.core.archives import read_arrays
from pixelsieve.core.errors import RunError
from pixelsieve.core.files import parse_json, replacing

__all__ = ["Arrays", "Checkpoint", "Saved"]

Arrays = dict[str, list[np.ndarray]]
"""Lists of arrays by name."""


class Saved(NamedTuple):
    """Lists of arrays by name, and the history so far."""

    arrays: Arrays
    history: list[dict[str, float]]


@dataclass(slots=True)
class Checkpoint:
    """A checkpoint file of the job with the given fingerprint.

    It is written atomically, at most every `every_s` seconds; one of another job, or a damaged
    one, is ignored and the job starts again.
    """

    path: Path
    job: str
    every_s: float = 2.0
    _last: float = field(default_factory=time.monotonic)

    def load(self) -> Saved | None:
        """What was saved, or None."""
        if not self.path.exists():
            return None
        try:
            arrays = read_arrays(self.path, str(self.path))
            head = parse_json(str(arrays["head"]), str(self.path))
            if head["job"] != self.job:
                return None
            lists = {
                name: [arrays[f"{name}/{i}"] for i in range(count)]
                for name, count in head["counts"].items()
            }
            return Saved(lists, head["history"])
        except (RunError, KeyError, TypeError, AttributeError):
            return None

    def save_when_due(
        self,
        make_arrays: Callable[[], Arrays],
        history: list[dict[str, float]],
    ) -> None:
        """Save what `make_arrays()` gives, unless the last save was under `every_s` seconds ago."""
        if time.monotonic() - self._last < self.every_s:
            return
        arrays = make_arrays()
        counts = {name: len(values) for name, values in arrays.items()}
        head = json.dumps({"job": self.job, "counts": counts, "history": history})
        flat: dict[str, Any] = {
            f"{n}/{i}": a for n, values in arrays.items() for i, a in enumerate(values)
        }
        with replacing(self.path) as temporary, temporary.open("wb") as file:
            np.savez(file, head=np.array(head), **flat)
        self._last = time.monotonic()

    def remove(self) -> None:
        """Delete the file, if there is one."""
        self.path.unlink(missing_ok=True)
