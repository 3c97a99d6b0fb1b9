"""Options that several verbs share, and how errors reach the user."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec, TypeVar

import typer

from pixelsieve.errors import ConfigError, PixelsieveError

if TYPE_CHECKING:
    from pixelsieve.networks import NetworkSpec
    from pixelsieve.training.recipe import Recipe

__all__ = [
    "BatchSize",
    "Data",
    "EndRate",
    "Epochs",
    "FloatEpochs",
    "FloatRecipe",
    "InitialRate",
    "Json",
    "MirrorX",
    "Network",
    "Power",
    "RecipesFile",
    "Time",
    "Workers",
    "chosen_float_recipe",
    "chosen_network",
    "chosen_recipes",
    "print_json",
    "shows_errors",
]

P = ParamSpec("P")
T = TypeVar("T")

Data = Annotated[
    list[str],
    typer.Option("--data", "-d", help="Parquet file, folder or quoted pattern; may be repeated."),
]
Network = Annotated[str, typer.Option(help="Network of the zoo.")]
Time = Annotated[
    str | None,
    typer.Option(help="Add an arrival time to the inputs: 30ps or 60ps.", metavar="RESOLUTION"),
]
MirrorX = Annotated[
    bool, typer.Option("--mirror-x", help="Mirror x where z < 0, so that both ends look alike.")
]
RecipesFile = Annotated[
    Path | None, typer.Option(help="TOML file with tables [recipes.NAME].", dir_okay=False)
]
FloatRecipe = Annotated[str, typer.Option(help="Recipe of the float network.")]
Epochs = Annotated[int | None, typer.Option(help="Epochs of quantized training.", min=1)]
FloatEpochs = Annotated[int | None, typer.Option(help="Epochs of float training.", min=1)]
InitialRate = Annotated[
    float | None, typer.Option(help="First learning rate of quantized training, e.g. 3e-4.")
]
EndRate = Annotated[float | None, typer.Option(help="Last learning rate of quantized training.")]
Power = Annotated[float | None, typer.Option(help="Power of the polynomial decay; 1 is linear.")]
BatchSize = Annotated[int | None, typer.Option(help="Clusters a batch, float and quantized.")]
Workers = Annotated[
    int | None, typer.Option(help="One-threaded worker processes (default: one a core).", min=1)
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


def shows_errors(verb: Callable[P, T]) -> Callable[P, T]:
    """Turn a `PixelsieveError` into one line on standard error and its exit code."""

    @functools.wraps(verb)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return verb(*args, **kwargs)
        except PixelsieveError as error:
            typer.echo(f"pixelsieve: {error}", err=True)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            typer.echo("pixelsieve: interrupted; the same command goes on from here", err=True)
            raise typer.Exit(130) from None

    return wrapped


def chosen_network(name: str, time: str | None) -> NetworkSpec:
    """The network of `--network`, with the time of `--time` (`30ps`, `60ps`) among its inputs."""
    from pixelsieve.networks import network

    return network(name, f"hit_time_{time}" if time else None)


def chosen_recipes(
    names: list[str],
    more: dict[str, Recipe],
    *,
    epochs: int | None = None,
    initial_rate: float | None = None,
    end_rate: float | None = None,
    power: float | None = None,
    batch_size: int | None = None,
) -> list[Recipe]:
    """The recipes of those names with the values given on the command line.

    `power` goes to polynomial decays and `end_rate` to those that are not constant; where no
    recipe can take them, `ConfigError`.
    """
    from pixelsieve.training.recipe import override, recipe

    bases = [recipe(name, more) for name in names]
    for option, value, decays in (
        ("--power", power, ("polynomial",)),
        ("--end-rate", end_rate, ("polynomial", "cosine")),
    ):
        if value is not None and not any(base.decay in decays for base in bases):
            msg = f"{option}: no recipe of {', '.join(names)} decays by {' or '.join(decays)}"
            raise ConfigError(msg)
    return [
        override(
            base,
            epochs=epochs,
            initial_rate=initial_rate,
            end_rate=end_rate if base.decay != "constant" else None,
            power=power if base.decay == "polynomial" else None,
            batch_size=batch_size,
        )
        for base in bases
    ]


def chosen_float_recipe(
    name: str, more: dict[str, Recipe], epochs: int | None, batch_size: int | None
) -> Recipe:
    """The recipe of `--float-recipe`; one that itself needs a float network is refused."""
    from dataclasses import replace

    (chosen,) = chosen_recipes([name], more, epochs=epochs, batch_size=batch_size)
    if chosen.needs_float:
        msg = f"--float-recipe: '{name}' starts from a float network; it cannot make one"
        raise ConfigError(msg)
    return replace(chosen, name="float")


def print_json(value: Any) -> None:
    """Print plain data to standard output."""
    import json

    from pixelsieve.config import to_plain

    typer.echo(json.dumps(to_plain(value), indent=1, allow_nan=False))
