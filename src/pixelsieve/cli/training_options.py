"""What `compare` and `train` have in common: their options, and what follows from them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from pixelsieve.cli import options
from pixelsieve.core.errors import ConfigError

if TYPE_CHECKING:
    from pixelsieve.formats.dataset import Dataset
    from pixelsieve.networks.spec import NetworkSpec
    from pixelsieve.training.augmentation import Augmentation
    from pixelsieve.training.recipe import Recipe

T = TypeVar("T")


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
    scheduler: options.Scheduler = None
    json: options.Json = False

    def spec(self) -> NetworkSpec:
        """The network, with the time of `--time` among its inputs."""
        from pixelsieve.networks.spec import network

        return network(self.network, options.time_feature(self.time))

    def more_recipes(self) -> dict[str, Recipe]:
        """The recipes of `--recipes-file` by name."""
        from pixelsieve.training.recipe import read_recipes

        return read_recipes(self.recipes_file) if self.recipes_file else {}

    def recipes(self, names: list[str]) -> tuple[Recipe, ...]:
        """The recipes of those names with the values given on the command line, `--augment` too.

        `power` goes to polynomial decays and `end_rate` to those that are not constant; where no
        recipe can take them, `ConfigError`.
        """
        from pixelsieve.training.recipe import override, recipe

        more, augmentation = self.more_recipes(), self._augmentation()
        bases = [recipe(name, more) for name in names]
        for option, value, decays in (
            ("--power", self.power, ("polynomial",)),
            ("--end-rate", self.end_rate, ("polynomial", "cosine")),
        ):
            if value is not None and not any(base.decay in decays for base in bases):
                msg = f"{option}: no recipe of {', '.join(names)} decays by {' or '.join(decays)}"
                raise ConfigError(msg)
        return tuple(
            override(
                base,
                epochs=self.epochs,
                initial_rate=self.initial_rate,
                end_rate=self.end_rate if base.decay != "constant" else None,
                power=self.power if base.decay == "polynomial" else None,
                batch_size=self.batch_size,
                augmentation=augmentation,
            )
            for base in bases
        )

    def chosen_float_recipe(self) -> Recipe:
        """The recipe of `--float-recipe`; one that itself needs a float network is refused."""
        from dataclasses import replace

        from pixelsieve.training.recipe import override, recipe

        chosen = override(
            recipe(self.float_recipe, self.more_recipes()),
            epochs=self.float_epochs,
            batch_size=self.batch_size,
            augmentation=self._augmentation(),
        )
        for wrong, why in (
            (chosen.needs_float, "starts from a float network; it cannot make one"),
            (chosen.learns_bits, "learns bits; a float network has none"),
        ):
            if wrong:
                msg = f"--float-recipe: '{self.float_recipe}' {why}"
                raise ConfigError(msg)
        return replace(chosen, name="float")

    def _augmentation(self) -> Augmentation | None:
        from pixelsieve.training.augmentation import read_augmentation

        return read_augmentation(self.augment) if self.augment else None

    def dataset(self) -> Dataset:
        """The data of `--data`, through the front end of `--front-end`; read when asked for."""
        return options.open_dataset(self.data, self.front_end)


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
