"""Arguments as callers give them: names, files or values become values."""

from __future__ import annotations

import atexit
import functools
import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from pixelsieve.core.config import Document, read_toml
from pixelsieve.core.errors import ConfigError, PixelsieveError, PixelsieveWarning, nearest
from pixelsieve.core.processes import scratch_folder
from pixelsieve.core.workers import default_workers
from pixelsieve.features import REGISTRY
from pixelsieve.front_end import FrontEnd, read_front_end
from pixelsieve.networks.model_file import Model, the_path
from pixelsieve.networks.model_file import load_model as read_model
from pixelsieve.networks.precision import (
    LARGEST_BITS,
    SMALLEST_BITS,
    LearnedPrecision,
    Precision,
    parse_bits,
)
from pixelsieve.networks.spec import NetworkSpec
from pixelsieve.networks.spec import network as named_network
from pixelsieve.training.augmentation import Augmentation, read_augmentation
from pixelsieve.training.recipe import LEARNED, RECIPES, Recipe, override, read_recipes
from pixelsieve.training.recipe import recipe as named_recipe

P = ParamSpec("P")
T = TypeVar("T")

Place = str | Path
Bits = int | str | Precision | LearnedPrecision
"""Bits of a weight, all of them as `ps.Uniform(4)`, or `ps.Learned(300)`, also `"learned:300"`."""

_TIME = "hit_time_"
_OF_DATA = ("test_from", "same_clusters")
"""Arguments of `load` that errors of any function name, for they may come of its data."""

_scratch = ExitStack()
atexit.register(_scratch.close)


def public(function: Callable[P, T]) -> Callable[P, T]:
    """Let errors name arguments as Python does; the command line names them as options."""
    names = [*inspect.signature(function).parameters, *_OF_DATA]

    @functools.wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except PixelsieveError as error:
            error.name_arguments(names)
            raise

    return called


def warn(text: str) -> None:
    """Warn whoever called the package."""
    level, frame = 1, inspect.currentframe()
    while frame is not None and str(frame.f_globals.get("__name__")).startswith("pixelsieve."):
        level, frame = level + 1, frame.f_back
    warnings.warn(PixelsieveWarning(text), stacklevel=level)


def folder_for(out: Place | None) -> Path:
    """Return `out`, or a new folder that is removed when this process ends, killed or not."""
    return Path(out) if out is not None else _scratch.enter_context(scratch_folder())


def number_of_workers(
    workers: int | None, scheduler: object | None, usual: int | None = None
) -> int:
    """Return `workers`, else `usual`, else one per core; raise `ConfigError` if both are given."""
    if workers is not None and scheduler is not None:
        msg = "--workers: counts those of this machine; leave it out with --scheduler"
        raise ConfigError(msg)
    return workers or usual or default_workers()


def require_efficiency(efficiency: float) -> None:
    """Raise `ConfigError` if that is no signal efficiency."""
    if not 0 < efficiency <= 1:
        percent = 50 <= efficiency <= 100  # noqa: PLR2004 (in per cent)
        meant = f" (did you mean {efficiency / 100:g}?)" if percent else ""
        msg = f"--efficiency is {efficiency:g}; expected a fraction above 0, at most 1{meant}"
        raise ConfigError(msg)


@public
def load_model(path: Place, name: str | None = None) -> Model:
    """Read a model from its file, or the one called `name` from a run folder.

    `name` may be left out if the run has only one. Raise `RunError` for a damaged file.

    Examples
    --------
    >>> ps.load_model("runs/first", "sieve_4b_seed0")  # doctest: +SKIP
    """
    return read_model(the_path(Path(path), name))


def warn_of_assumed_scaling(model: Model) -> None:
    """Warn of an imported model of whose inputs nobody said how they were scaled."""
    if "imported" in model.card.others and (assumed := model.features.assumed):
        warn(
            f"{model.origin}: imported, and nothing says how these inputs were scaled, so assumed: "
            f"{', '.join(assumed)}; convert it again with --divide or --scaling"
        )


def model_of(model: object) -> Model:
    """Return the model, read from its file or from the run folder of only one."""
    if isinstance(model, str | Path):
        return read_model(the_path(Path(model), None))
    if not isinstance(model, Model):
        msg = f"model is a {type(model).__name__}; expected a model, its file or a run folder"
        raise ConfigError(msg)
    return model


def front_end_of(front_end: FrontEnd | Place | None) -> FrontEnd | None:
    """Return a chip's front end, read if it is a TOML file."""
    if front_end is None or isinstance(front_end, FrontEnd):
        return front_end
    return read_front_end(Path(front_end))


def table_of(config: Place | Mapping[str, Any] | None) -> Document:
    """Return plain data, read if they are a TOML file."""
    return read_toml(Path(config)) if isinstance(config, str | Path) else dict(config or {})


def precisions(
    bits: Bits | Sequence[Bits], name: str = "--bits"
) -> tuple[int | Precision | LearnedPrecision, ...]:
    """Return uniform widths and learned bits, each once; text is e.g. `2,4,learned:300`."""
    several = bits if isinstance(bits, list | tuple) else [bits]
    found: list[int | Precision | LearnedPrecision] = []
    for one in several:
        parts = one.split(",") if isinstance(one, str) else [one]
        found += [_precision(part, name) for part in parts]
    return tuple(dict.fromkeys(found))


def _precision(bits: object, name: str) -> int | Precision | LearnedPrecision:
    if isinstance(bits, str) and bits.strip().isdecimal():
        bits = int(bits)
    if isinstance(bits, int):
        if not SMALLEST_BITS <= bits <= LARGEST_BITS:
            msg = f"{name} is {bits}; expected {SMALLEST_BITS} to {LARGEST_BITS}"
            raise ConfigError(msg)
        return bits
    if isinstance(bits, Precision):
        return bits.weight_bits if bits == Precision(bits.weight_bits) else bits
    if isinstance(bits, LearnedPrecision):
        return bits
    if not isinstance(bits, str):
        msg = f"{name} is {bits!r}; expected bits such as 4, or ps.Learned(300)"
        raise ConfigError(msg)
    try:
        return parse_bits(bits)
    except ConfigError as error:
        msg = f"{name}: {error}"
        raise ConfigError(msg) from error


def time_feature(time: str | None) -> str | None:
    """Return the input of an arrival time; raise `ConfigError` for none of the known ones."""
    known = [name.removeprefix(_TIME) for name in REGISTRY if name.startswith(_TIME)]
    if time is not None and time not in known:
        msg = f"--time is '{time}'{nearest(time, known)}; expected one of {', '.join(known)}"
        raise ConfigError(msg)
    return None if time is None else f"{_TIME}{time}"


def network_for(network: Place | NetworkSpec, time: str | None) -> NetworkSpec:
    """Return the network, with an arrival time among its inputs if asked for."""
    feature = time_feature(time)
    if not isinstance(network, NetworkSpec):
        return named_network(str(network), feature)
    return network.with_time(feature) if feature else network


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeChanges:
    """Values in place of those of the recipes; None leaves theirs.

    `power` goes to polynomial decays and `end_rate` to those that are not constant.
    """

    recipes_file: Place | None = None
    epochs: int | None = None
    float_epochs: int | None = None
    float_recipe: str | Recipe = "float"
    initial_rate: float | None = None
    end_rate: float | None = None
    power: float | None = None
    batch_size: int | None = None
    augment: Augmentation | Place | None = None

    def recipes(self, chosen: Sequence[str | Recipe]) -> tuple[Recipe, ...]:
        """Return the recipes, changed; raise `ConfigError` if none can take a value."""
        bases = [self._named(one) for one in dict.fromkeys(chosen)]
        for name, value, decays in (
            ("--power", self.power, ("polynomial",)),
            ("--end-rate", self.end_rate, ("polynomial", "cosine")),
        ):
            if value is not None and not any(base.decay in decays for base in bases):
                names = ", ".join(base.name for base in bases)
                msg = f"{name}: no recipe of {names} decays by {' or '.join(decays)}"
                raise ConfigError(msg)
        augmentation = self._augmentation()
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
        """Return the recipe of float networks; raise `ConfigError` for one of other networks."""
        chosen = override(
            self._named(self.float_recipe),
            epochs=self.float_epochs,
            batch_size=self.batch_size,
            augmentation=self._augmentation(),
        )
        for wrong, why in (
            (chosen.needs_float, "starts from a float network; it cannot make one"),
            (chosen.learns_bits, "learns bits; a float network has none"),
        ):
            if wrong:
                msg = f"--float-recipe: '{chosen.name}' {why}"
                raise ConfigError(msg)
        return replace(chosen, name="float")

    def usual(self, bits: Sequence[int | Precision | LearnedPrecision]) -> list[str]:
        """Return the recipes of a comparison that names none: all for its kinds of bits."""
        kinds = {isinstance(one, LearnedPrecision) for one in bits}
        known = {**RECIPES, LEARNED.name: LEARNED, **self._more()}
        return [name for name, one in known.items() if one.learns_bits in kinds]

    def _named(self, one: str | Recipe) -> Recipe:
        return named_recipe(one, self._more()) if isinstance(one, str) else one

    def _more(self) -> dict[str, Recipe]:
        return read_recipes(Path(self.recipes_file)) if self.recipes_file else {}

    def _augmentation(self) -> Augmentation | None:
        if self.augment is None or isinstance(self.augment, Augmentation):
            return self.augment
        return read_augmentation(Path(self.augment))
