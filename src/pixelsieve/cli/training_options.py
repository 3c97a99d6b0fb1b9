"""What `compare` and `train` have in common: their options, and what follows from them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from pixelsieve.cli import options

if TYPE_CHECKING:
    from pixelsieve.formats.dataset import Dataset

T = TypeVar("T")


_OF_THE_DATA = ("data", "front_end", "test_from", "same_clusters", "json")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOptions:
    """Options of every verb that trains; each field is one."""

    data: options.Data
    out: Annotated[Path, typer.Option(help="Run folder, e.g. runs/first.")]
    network: Annotated[
        str, typer.Option(help=f"Network: {options.KNOWN_NETWORKS}, or FILE.toml.")
    ] = "model2"
    time: Annotated[
        str | None,
        typer.Option(
            help="Add an arrival time to the inputs: 30ps, 60ps or measured (by the front end).",
            metavar="RESOLUTION",
        ),
    ] = None
    mirror_x: Annotated[
        bool, typer.Option("--mirror-x", help="Mirror x where z < 0, so that both ends look alike.")
    ] = False
    front_end: options.FrontEnd = None
    recipes_file: options.RecipesFile = None
    augment: Annotated[
        Path | None,
        typer.Option(
            help="TOML file of how the detector varies in training (docs/augmentation.md).",
            dir_okay=False,
        ),
    ] = None
    epochs: Annotated[
        int | None,
        typer.Option(
            help="Epochs of quantized training.",
            min=1,
            show_default="the recipe's: 50; of learned bits 2000",
        ),
    ] = None
    float_epochs: Annotated[
        int | None,
        typer.Option(
            help="Epochs of float training.", min=1, show_default="the float recipe's: 50"
        ),
    ] = None
    float_recipe: Annotated[
        str,
        typer.Option(
            help="Recipe of the float network: float, float_original, or one of --recipes-file."
        ),
    ] = "float"
    initial_rate: Annotated[
        float | None, typer.Option(help="First learning rate of quantized training, e.g. 3e-4.")
    ] = None
    end_rate: Annotated[
        float | None, typer.Option(help="Last learning rate of quantized training.")
    ] = None
    power: Annotated[
        float | None, typer.Option(help="Power of the polynomial decay; 1 is linear.")
    ] = None
    batch_size: Annotated[
        int | None,
        typer.Option(
            help="Clusters a batch, float and quantized.", show_default="the recipe's: 1024"
        ),
    ] = None
    test_from: options.TestFrom = None
    same_clusters: options.SameClusters = False
    scheduler: options.Scheduler = None
    json: options.Json = False

    def dataset(self) -> Dataset:
        """Return the data of `--data`, through the front end of `--front-end`."""
        from pixelsieve.api.data import load

        return load(
            self.data,
            self.front_end,
            test_from=self.test_from,
            same_clusters=self.same_clusters,
        )

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of `api.training.train` and `api.comparing.compare`."""
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        return {n: value for n, value in given.items() if n not in _OF_THE_DATA}


def takes_training_options(verb: Callable[..., T]) -> Callable[..., T]:
    """Let the command line give the fields of `TrainingOptions`, the verb's first argument."""
    shared = inspect.signature(TrainingOptions, eval_str=True).parameters
    own = list(inspect.signature(verb, eval_str=True).parameters.values())[1:]

    @functools.wraps(verb)
    def wrapped(**values: Any) -> T:
        training = TrainingOptions(**{name: values.pop(name) for name in shared})
        return verb(training, **values)

    parameters = [*shared.values()]
    parameters += [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
    wrapped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {p.name: p.annotation for p in parameters}
    return wrapped
