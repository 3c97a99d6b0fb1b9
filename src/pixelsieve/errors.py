"""The errors that a user can mend: one line, no traceback, exit code 2."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "ConfigError",
    "DataError",
    "GuaranteeError",
    "PixelsieveError",
    "RunError",
    "ToolError",
    "WorkerError",
    "nearest",
]


class PixelsieveError(Exception):
    """A problem the user can mend; the command line prints it as one line."""

    exit_code = 2


class DataError(PixelsieveError):
    """A file or a table of clusters is not what it must be."""


class ConfigError(PixelsieveError):
    """An option, a recipe or a configuration file is not what it must be."""


class RunError(PixelsieveError):
    """A run folder cannot be written, read or continued."""


class ToolError(PixelsieveError):
    """An outside program or an optional package is missing or fails."""


class GuaranteeError(PixelsieveError):
    """Something the tool was asked to guarantee does not hold."""

    exit_code = 1


class WorkerError(PixelsieveError):
    """A defect of pixelsieve itself, met in a worker process; carries its traceback."""

    exit_code = 1


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ``" (did you mean 'x'?)"`` for the known word closest to `word`, or ``""``."""
    match = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" (did you mean '{match[0]}'?)" if match else ""
