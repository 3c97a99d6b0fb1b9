"""Recipes: everything that decides how a network is trained, as frozen data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf, isfinite
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.config import Document, from_mapping, read_toml
from pixelsieve.core.errors import ConfigError, nearest
from pixelsieve.display.shown import ShowsFields, changes, one_line
from pixelsieve.training.augmentation import Augmentation

_NUMBERS = ("initial_rate", "end_rate", "power", "warm_up", "distillation", "temperature")
_HOTTEST = 100.0

OWN_FLOAT = "float"
"""Teacher: the float network of the same seed."""

BOOSTED_TREES = "boosted_trees"
"""Teacher: boosted trees on the student's inputs and on profiles, sizes, charge and position."""

LEAST_EPOCHS = 3
"""Fewest epochs of a training of bits: two in which they are free, one to lead them down."""

_OF_UNIFORM_BITS: Mapping[str, str | bool | None] = {
    "scales": "fixed",
    "keep_in_range": False,
    "patience": None,
}
"""Settings that learned bits do not have, and what they are then."""

_NAME = re.compile(r"\w[\w.-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Recipe(ShowsFields):
    """The way to train one network.

    - `epochs`, `batch_size`; the last incomplete batch of an epoch is left out, rows are
      reshuffled every epoch.
    - `initial_rate` to `end_rate` by `decay` over epochs x batches steps; `power` is that of the
      polynomial; the first `warm_up` share of the steps rises linearly from zero.
    - `warm_start`: start from the float network of the same seed, all layers but `skip_layers`.
    - `clip_norm`: clip gradients by their global norm.
    - `scales`: `fixed` integer bits of the precision, or `per_layer` powers of two that fit the
      float weights best.
    - `keep_in_range`: after each step put weights back onto the range of their grid, where a
      saturated weight still has a gradient.
    - `distillation`: share of a teacher's probabilities in the labels, 0 to 1. `teacher` is
      `float` (the network's own float network), `boosted_trees`, or a float network of the zoo
      or of a TOML file. With a `temperature` T other than 1 both sides' logits are divided by T
      in the teacher's share of the loss, which is multiplied by T^2 (Hinton et al. 2015).
    - `patience`: stop after so many epochs without a better validation loss (None: never).
    - `augmentation`: how the detector varies in training; validation stays as it is (None: train
      on the clusters as they are). A float network to start from is trained in the same way.
    - `learns_bits`: for learned bits, not for uniform ones; `scales`, `keep_in_range` and
      `patience` are of uniform bits alone.

    With uniform bits the epoch with the lowest validation loss is kept. Raise `ConfigError` for
    values out of range.

    Examples
    --------
    >>> recipe = ps.Recipe("mine", epochs=80, initial_rate=5e-3, decay="cosine", scales="per_layer")
    >>> recipe.needs_float
    True
    """

    name: str
    epochs: int = 50
    batch_size: int = 1024
    initial_rate: float = 1e-3
    end_rate: float = 1e-4
    decay: Literal["constant", "polynomial", "cosine"] = "polynomial"
    power: float = 2.0
    warm_up: float = 0.0
    warm_start: bool = True
    skip_layers: tuple[str, ...] = ()
    clip_norm: float | None = None
    scales: Literal["fixed", "per_layer"] = "fixed"
    keep_in_range: bool = False
    distillation: float = 0.0
    teacher: str = "float"
    temperature: float = 1.0
    patience: int | None = None
    augmentation: Augmentation | None = None
    learns_bits: bool = False

    def __repr__(self) -> str:
        every = [self.name, f"{self.epochs} epochs", f"rate {self.initial_rate:g}"]
        varied = ["augmentation"] if self.augmentation else []
        more = changes(self, "name", "epochs", "initial_rate", "augmentation")
        return one_line("Recipe", *every, *varied, *more)

    def __post_init__(self) -> None:
        rules = (
            ("name", bool(_NAME.fullmatch(self.name)), "letters, digits, '_', '-' and '.'"),
            ("epochs", self.epochs >= 1, "at least 1"),
            (
                "epochs",
                self.epochs >= LEAST_EPOCHS or not self.learns_bits,
                f"at least {LEAST_EPOCHS}, since the recipe learns bits",
            ),
            ("batch_size", self.batch_size >= 1, "at least 1"),
            ("initial_rate", self.initial_rate > 0, "above 0"),
            ("end_rate", 0 <= self.end_rate <= self.initial_rate, "from 0 to initial_rate"),
            ("power", self.power > 0, "above 0"),
            ("warm_up", 0 <= self.warm_up < 1, "from 0, below 1"),
            (
                "clip_norm",
                self.clip_norm is None or 0 < self.clip_norm < inf,
                "above 0 (or 'none')",
            ),
            ("distillation", 0 <= self.distillation <= 1, "from 0 to 1"),
            ("temperature", 0 < self.temperature <= _HOTTEST, f"above 0, at most {_HOTTEST:g}"),
            (
                "teacher",
                self.distillation > 0 or (self.teacher, self.temperature) == (OWN_FLOAT, 1.0),
                "'float', at temperature 1, where there is no distillation",
            ),
            ("patience", self.patience is None or self.patience >= 1, "at least 1"),
            *((f, isfinite(getattr(self, f)), "a finite number") for f in _NUMBERS),
            (
                "end_rate",
                self.decay != "constant" or self.end_rate == self.initial_rate,
                "initial_rate, since the decay is constant",
            ),
            (
                "scales",
                self.scales == "fixed" or self.warm_start,
                "'fixed' where there is no warm start to fit scales to",
            ),
            *(
                (
                    name,
                    not self.learns_bits or getattr(self, name) == usual,
                    f"{usual!r}, since the recipe learns bits",
                )
                for name, usual in _OF_UNIFORM_BITS.items()
            ),
            (
                "skip_layers",
                not self.skip_layers or self.warm_start,
                "empty where there is no warm start",
            ),
        )
        for name, holds, expected in rules:
            if not holds:
                msg = (
                    f"recipe '{self.name}': {name} is {getattr(self, name)!r}; expected {expected}"
                )
                raise ConfigError(msg)

    @property
    def needs_float(self) -> bool:
        """Whether the float network of the same seed must be trained first."""
        return self.warm_start or (self.distillation > 0 and self.teacher == OWN_FLOAT)


FLOAT = Recipe(
    "float", initial_rate=6e-3, end_rate=1e-5, decay="cosine", warm_up=0.08, warm_start=False
)
"""The recipe of the float network: the best found on validation (docs/recipes.md)."""

FLOAT_ORIGINAL = Recipe("float_original", warm_start=False)
"""The field's recipe for it: 1e-3 to 1e-4, power 2."""

RECIPES = MappingProxyType(
    {
        r.name: r
        for r in (
            Recipe("original", warm_start=False, decay="constant", end_rate=1e-3),
            Recipe("first_attempt", skip_layers=("output",)),
            Recipe("conservative", initial_rate=5e-4, end_rate=1e-5, clip_norm=1.0),
            Recipe(
                "sieve",
                initial_rate=1e-2,
                end_rate=1e-5,
                decay="cosine",
                warm_up=0.08,
                clip_norm=1.0,
                scales="per_layer",
                keep_in_range=True,
                distillation=0.5,
            ),
        )
    }
)
"""Named recipes for quantized networks, read-only."""


LEARNED = Recipe(
    "learned",
    epochs=2000,
    initial_rate=8e-3,
    end_rate=8e-4,
    decay="cosine",
    warm_start=False,
    learns_bits=True,
)
"""The recipe of weights and bits; slow, since bits follow weights only slowly."""

REFINED = replace(LEARNED, name="refined", epochs=60, initial_rate=1e-3, end_rate=1e-6)
"""The recipe of a candidate's weights, trained further with its bits as they are."""


def read_recipes(path: Path) -> dict[str, Recipe]:
    """Read `[recipes.NAME]` tables from TOML; `base = "conservative"` starts from a known one.

    Raise `ConfigError` naming file, table and key.
    """
    data = read_toml(path)
    tables = data.get("recipes")
    if not isinstance(tables, dict) or not tables or set(data) != {"recipes"}:
        msg = f"{path}: expected nothing but tables [recipes.NAME]"
        raise ConfigError(msg)
    found: dict[str, Recipe] = {}
    for name, table in tables.items():
        where = f"{path} [recipes.{name}]"
        if not isinstance(table, dict) or name in (FLOAT.name, FLOAT_ORIGINAL.name):
            msg = f"{where}: expected a table under a name that is not taken"
            raise ConfigError(msg)
        values = dict(table)
        start: Document = {}
        if "base" in values:
            try:
                base = recipe(str(values.pop("base")), found)
            except ConfigError as error:
                msg = f"{where}: base: {error}"
                raise ConfigError(msg) from error
            start = {f: getattr(base, f) for f in Recipe.__dataclass_fields__}
        found[name] = from_mapping(Recipe, {**start, **values, "name": name}, where)
    return found


def recipe(name: str, more: dict[str, Recipe] | None = None) -> Recipe:
    """The recipe of that name, from `more` or the built-in ones."""
    own = (FLOAT, FLOAT_ORIGINAL, *RECIPES.values(), LEARNED)
    known = {**{one.name: one for one in own}, **(more or {})}
    if name not in known:
        msg = f"unknown recipe '{name}'{nearest(name, known)}; known: {', '.join(known)}"
        raise ConfigError(msg)
    return known[name]


def override(base: Recipe, **changes: Any) -> Recipe:
    """The recipe with those of `changes` that are not None; the end rate stays below the start."""
    given = {k: v for k, v in changes.items() if v is not None}
    if "initial_rate" in given and "end_rate" not in given:
        constant = given.get("decay", base.decay) == "constant"
        start = given["initial_rate"]
        given["end_rate"] = start if constant else min(base.end_rate, start)
    return replace(base, **given)


def learning_rates(recipe: Recipe, batches: int) -> NDArray[np.float32]:
    """Return the learning rate of every step, float32 of shape (epochs x batches,).

    The decay ends with the last step; its length comes from epochs x batches.
    """
    import optax

    steps = recipe.epochs * batches
    warm_up = round(recipe.warm_up * steps)
    rest = max(1, steps - warm_up)
    if recipe.decay == "constant":
        decay = optax.constant_schedule(recipe.initial_rate)
    elif recipe.decay == "polynomial":
        decay = optax.polynomial_schedule(
            recipe.initial_rate, recipe.end_rate, recipe.power, transition_steps=rest
        )
    else:
        share = recipe.end_rate / recipe.initial_rate
        decay = optax.cosine_decay_schedule(recipe.initial_rate, rest, alpha=share)
    schedule = (
        optax.join_schedules(
            [optax.linear_schedule(0.0, recipe.initial_rate, warm_up), decay], [warm_up]
        )
        if warm_up
        else decay
    )
    return np.asarray(schedule(np.arange(steps)), dtype=np.float32) * np.ones(steps, np.float32)
