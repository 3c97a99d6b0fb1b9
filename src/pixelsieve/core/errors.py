"""The errors that a user can mend: one line, no traceback, exit code 2."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

_LONGEST = 1000


class PixelsieveError(Exception):
    """A problem the user can mend; the command line prints it as one line.

    Messages quote files of strangers: line ends, control characters (a terminal would obey them)
    and the middle of what is very long are not printed as they stand.

    Examples
    --------
    >>> try:
    ...     ps.load("none.parquet")
    ... except ps.PixelsieveError as error:
    ...     print(error)
    none.parquet: ...
    """

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(_one_line(message))

    @property
    def line(self) -> str:
        """The message with the names of options, as the command line prints it."""
        return str(self.__dict__.get("_line", self))

    def name_arguments(self, names: Iterable[str]) -> None:
        """Call options by the names of Python's arguments: `--float-epochs` is `float_epochs`."""
        self.__dict__["_line"] = line = self.line
        self.args = (_with_arguments(line, "|".join(name.replace("_", "-") for name in names)),)


class PixelsieveWarning(UserWarning):
    """Something that a user should know, in one line, of work that goes on.

    `line` is the message with the names of options, as the command line prints it.

    Examples
    --------
    >>> import warnings
    >>> warnings.simplefilter("ignore", ps.PixelsieveWarning)
    """

    def __init__(self, line: str) -> None:
        super().__init__(_with_arguments(line, "[a-z][a-z-]*"))
        self.line = line


class DataError(PixelsieveError):
    """A file or a table of clusters is not what it must be."""


class ConfigError(PixelsieveError):
    """An option, a recipe or a configuration file is not what it must be."""


class ConstantLogitError(ConfigError):
    """A network whose logit is the same for every input; there is nothing to build of it."""


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

    def __init__(self, message: str) -> None:
        Exception.__init__(self, message)


def _with_arguments(line: str, options: str) -> str:
    """`options` is a regular expression of their names without the dashes."""
    return re.sub(rf"--({options})\b(?!-)", lambda found: found[1].replace("-", "_"), line)


def _one_line(message: str) -> str:
    if len(message) > _LONGEST:
        message = f"{message[: _LONGEST // 2]} [...] {message[-_LONGEST // 2 :]}"
    if message.isprintable():
        return message
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in message)


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ``" (did you mean 'x'?)"`` for the known word closest to `word`, or ``""``."""
    match = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" (did you mean '{match[0]}'?)" if match else ""
