"""Options that several verbs share, and how errors reach the user."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec, TypeVar

import typer

from pixelsieve.core.errors import ConfigError, PixelsieveError, nearest

if TYPE_CHECKING:
    from pixelsieve.data.clusters import Clusters
    from pixelsieve.formats.dataset import Dataset
    from pixelsieve.networks.precision import LearnedPrecision
    from pixelsieve.report.spec import Table

P = ParamSpec("P")
T = TypeVar("T")

Data = Annotated[
    list[str],
    typer.Option(
        "--data", "-d", help="Parquet or ROOT file, folder, quoted pattern; may be repeated."
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
    typer.Option(help="Address of a Dask scheduler (default: processes here).", metavar="ADDRESS"),
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

    `interrupted` is the line for Ctrl-C; verbs that do not resume must give their own.
    """

    def decorate(verb: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(verb)
        def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return verb(*args, **kwargs)
            except PixelsieveError as error:
                typer.echo(f"pixelsieve: {error}", err=True)
                raise typer.Exit(error.exit_code) from None
            except KeyboardInterrupt:
                typer.echo(f"pixelsieve: {interrupted}", err=True)
                raise typer.Exit(130) from None

        return wrapped

    return decorate


def bits(text: str, option: str) -> tuple[int, ...]:
    """Widths from a list such as `2,3,4`; raises `ConfigError` naming the option."""
    try:
        widths = tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError as error:
        msg = f"{option}: {text!r}; expected numbers such as 4 or 2,3,4"
        raise ConfigError(msg) from error
    for width in widths:
        require_bits(width, option)
    return widths


def precisions(text: str, option: str) -> tuple[int | LearnedPrecision, ...]:
    """Uniform widths and learned bits from a list such as `2,4,learned:300`.

    Raise `ConfigError` naming the option for anything else.
    """
    from pixelsieve.networks.precision import parse_bits

    parts = text.split(",")
    for part in parts:
        if part.strip().isdecimal():
            require_bits(int(part), option)
    try:
        return tuple(dict.fromkeys(map(parse_bits, parts)))
    except ConfigError as error:
        msg = f"{option}: {error}"
        raise ConfigError(msg) from error


def require_one(workers: int | None, scheduler: str | None) -> None:
    """Raise `ConfigError` if both say where the work goes."""
    if scheduler is not None and workers is not None:
        msg = "--workers: counts processes here; leave it out with --scheduler"
        raise ConfigError(msg)


def require_bits(width: int, option: str) -> None:
    """Raise `ConfigError` naming the option where no weight has that many bits."""
    from pixelsieve.networks.precision import LARGEST_BITS, SMALLEST_BITS

    if not SMALLEST_BITS <= width <= LARGEST_BITS:
        msg = f"{option} is {width}; expected {SMALLEST_BITS} to {LARGEST_BITS}"
        raise ConfigError(msg)


def require_efficiency(efficiency: float) -> None:
    """Raise `ConfigError` where `--efficiency` is no share, before any data are read."""
    if not 0 < efficiency <= 1:
        percent = 50 <= efficiency <= 100  # noqa: PLR2004 (as per cent are given)
        meant = f" (did you mean {efficiency / 100:g}?)" if percent else ""
        msg = f"--efficiency is {efficiency:g}; expected a share above 0, at most 1{meant}"
        raise ConfigError(msg)


def time_feature(time: str | None) -> str | None:
    """The input that `--time` adds; raises `ConfigError` for another than the known ones."""
    from pixelsieve.features import REGISTRY

    prefix = "hit_time_"
    known = [name.removeprefix(prefix) for name in REGISTRY if name.startswith(prefix)]
    if time is not None and time not in known:
        msg = f"--time is '{time}'{nearest(time, known)}; expected one of {', '.join(known)}"
        raise ConfigError(msg)
    return None if time is None else prefix + time


def open_dataset(patterns: Sequence[str], front_end: Path | None = None) -> Dataset:
    """`formats.dataset.open_dataset` with the front end of a TOML file.

    Warn of missing files, and of doubtful units when the clusters are read.
    """
    from pixelsieve.formats import dataset
    from pixelsieve.formats.labels import doubtful_units
    from pixelsieve.front_end import read_front_end

    said: list[str] = []

    def warn_of_units(clusters: Clusters) -> None:
        if not said:
            said.extend(doubtful_units([clusters]))
            for text in said:
                warn(text)

    chosen = read_front_end(front_end) if front_end else None
    found = dataset.open_dataset(patterns, chosen, on_stretch=warn_of_units)
    _warn_of_missing(patterns)
    return found


def load(patterns: Sequence[str], *, whole: bool = True) -> Dataset:
    """`formats.dataset.load`, or `read_parts` if it need not be whole.

    Warn of missing files and of doubtful units.
    """
    from pixelsieve.formats import dataset
    from pixelsieve.formats.labels import doubtful_units

    found = dataset.load(patterns) if whole else dataset.read_parts(patterns)
    _warn_of_missing(patterns)
    for text in doubtful_units(found.parts.values()):
        warn(text)
    return found


def _warn_of_missing(patterns: Sequence[str]) -> None:
    """Warn of simulated samples of which clusters are missing, unless files are splits by name."""
    from pixelsieve.formats.dataset import splits_by_name
    from pixelsieve.formats.sources import find_files, incomplete_samples

    files = find_files(patterns)
    if not splits_by_name(files):
        for text in incomplete_samples(files):
            warn(text)


def warn(text: str) -> None:
    """Print one line of warning on standard error."""
    typer.echo(f"pixelsieve: warning: {text}", err=True)


def show(*parts: Table | str) -> None:
    """Print tables and lines to standard output; lines are not broken."""
    from rich.console import Console

    from pixelsieve.report import terminal

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


def step(text: str) -> None:
    """Tell on standard error what is being done."""
    typer.echo(f"{text} ...", err=True)


def print_json(value: Any) -> None:
    """Print plain data to standard output."""
    import json

    from pixelsieve.core.config import to_plain

    typer.echo(json.dumps(to_plain(value), indent=1, allow_nan=False))
