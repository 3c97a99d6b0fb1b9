"""Options that several verbs share, and how errors reach the user."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, ParamSpec, TextIO, TypeVar

import typer

from pixelsieve.core.errors import PixelsieveError, PixelsieveWarning

if TYPE_CHECKING:
    from pixelsieve.display.spec import Table

P = ParamSpec("P")
T = TypeVar("T")

_SHOW_WARNING: Callable[..., None] = warnings.showwarning

Data = Annotated[
    list[str],
    typer.Option(
        "--data", "-d", help="Parquet or ROOT file, folder, quoted pattern; may be repeated."
    ),
]
TestFrom = Annotated[
    Literal["validation", "train"] | None,
    typer.Option(help="Take a test split from this one, by particle group, if files name none."),
]
SameClusters = Annotated[
    bool,
    typer.Option(
        "--same-clusters", help="Take files that hold the same clusters; they count twice."
    ),
]
FrontEnd = Annotated[
    Path | None,
    typer.Option(help="TOML file of a chip's front end (docs/front_end.md).", dir_okay=False),
]
Workers = Annotated[
    int | None, typer.Option(help="One-threaded worker processes (default: one a core).", min=1)
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        help="Dask scheduler, tls://HOST:PORT (or tcp://, open to all who reach it; "
        "default: processes here).",
        metavar="ADDRESS",
    ),
]
CountLuts = Annotated[
    bool,
    typer.Option(
        "--luts",
        help="Count the LUTs of the table's networks with Yosys too: seconds each for small ones.",
    ),
]
RecipesFile = Annotated[
    Path | None, typer.Option(help="TOML file with tables recipes.NAME.", dir_okay=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


KNOWN_RECIPES = "original, first_attempt, conservative, sieve"
KNOWN_NETWORKS = "model1, model2, model2_5, model3, asic, model2_codes, model2_abs_z"
"""For help texts, which must not wait for the modules that define them."""


def shows_errors(
    *, interrupted: str = "interrupted; the same command goes on from here"
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Turn a `PixelsieveError` into one line on standard error and its exit code.

    So are warnings. `interrupted` is the line for Ctrl-C; verbs that do not resume must give their
    own.
    """

    def decorate(verb: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(verb)
        def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("always", PixelsieveWarning)
                    warnings.showwarning = _show_warning
                    return verb(*args, **kwargs)
            except PixelsieveError as error:
                typer.echo(f"pixelsieve: {error.line}", err=True)
                raise typer.Exit(error.exit_code) from None
            except KeyboardInterrupt:
                typer.echo(f"pixelsieve: {interrupted}", err=True)
                raise typer.Exit(130) from None

        return wrapped

    return decorate


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    if isinstance(message, PixelsieveWarning):
        typer.echo(f"pixelsieve: warning: {message.line}", err=True)
    else:
        _SHOW_WARNING(message, category, filename, lineno, file, line)


def show(*parts: Table | str) -> None:
    """Print tables and lines to standard output; lines are not broken."""
    from rich.console import Console

    from pixelsieve.display import terminal

    console = Console()
    for part in parts:
        if isinstance(part, str):
            console.print(part, soft_wrap=True, highlight=False, markup=False)
        else:
            console.print(*terminal.tables(part, console.width), sep="\n")


def answer(plain: Any, *parts: Table | str) -> None:
    """Print plain data as JSON; if it is None, the tables and lines."""
    if plain is None:
        show(*parts)
    else:
        print_json(plain)


def print_json(value: Any) -> None:
    """Print plain data to standard output."""
    import json

    from pixelsieve.core.config import to_plain

    typer.echo(json.dumps(to_plain(value), indent=1, allow_nan=False))
