"""`SearchSpace`: what a search may choose from, and `Candidate`: what it chose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pixelsieve.core.config import from_mapping, read_toml
from pixelsieve.core.errors import ConfigError, nearest
from pixelsieve.features import WINDOW, FeatureSet
from pixelsieve.networks.layers import Dense
from pixelsieve.networks.precision import LearnedPrecision, Precision
from pixelsieve.networks.spec import NetworkSpec
from pixelsieve.training.job import Job
from pixelsieve.training.recipe import (
    FLOAT,
    LEARNED,
    LEAST_EPOCHS,
    OWN_FLOAT,
    Recipe,
    override,
    read_recipes,
    recipe,
)

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

_MOST_UNITS = 512
_MOST_LAYERS = 8
_ALONG_BEAM = (
    "x_profile",
    "x_code_profile",
    "x_count_profile",
    "x_size",
    "z_global",
    "abs_z_global",
)
"""Features of the first branch; all others enter the second."""

Kind = Literal["uniform", "learned"]

Pick = Callable[[str, "BaseDistribution"], Any]


def _require_some(owner: object) -> None:
    for name in type(owner).__dataclass_fields__:  # type: ignore[attr-defined]
        values = getattr(owner, name)
        if isinstance(values, tuple) and not values:
            msg = f"{name} is empty; expected at least one value"
            raise ConfigError(msg)
        if isinstance(values, tuple) and len(set(values)) < len(values) and name != "initial_rates":
            msg = f"{name} is {list(values)}; a value appears twice"
            raise ConfigError(msg)


def _require_in(values: tuple[int, ...], low: int, high: int, where: str) -> None:
    for value in values:
        if not low <= value <= high:
            msg = f"{where} holds {value}; expected {low} to {high}"
            raise ConfigError(msg)


@dataclass(frozen=True, slots=True)
class InputSet:
    """Features that a network may be given together, under a name."""

    name: str
    features: tuple[str, ...]
    mirror_x: bool = False

    def __post_init__(self) -> None:
        try:
            FeatureSet(self.features)
        except ConfigError as error:
            msg = f"inputs '{self.name}': {error}"
            raise ConfigError(msg) from error
        if len(set(self.features)) < len(self.features):
            msg = f"inputs '{self.name}': a feature appears twice"
            raise ConfigError(msg)


_INPUTS = (
    InputSet("scalars", ("x_size", "y_size", "z_global", "y_local"), mirror_x=True),
    InputSet("profiles", ("x_profile", "z_global", "y_profile", "y_local"), mirror_x=True),
)


@dataclass(frozen=True, slots=True)
class Architecture:
    """Dense networks: how many hidden layers, how wide each may be.

    With `branches` the first layer is two: of what lies along the beam, and of the rest.
    """

    depths: tuple[int, ...] = (1, 2, 3)
    widths: tuple[int, ...] = (4, 8, 16, 32)
    branches: tuple[bool, ...] = (False, True)

    def __post_init__(self) -> None:
        _require_some(self)
        _require_in(self.depths, 1, _MOST_LAYERS, "depths")
        _require_in(self.widths, 1, _MOST_UNITS, "widths")


@dataclass(frozen=True, slots=True)
class PrecisionChoices:
    """Uniform widths in bits of weights, hidden activations and inputs, or learned ones.

    Learned bits start from inputs of `inputs` bits and go down to one of `budgets`, in effective
    bit operations (`LearnedPrecision`); `weights` and `activations` are for uniform ones.
    """

    kinds: tuple[Kind, ...] = ("uniform", "learned")
    weights: tuple[int, ...] = (2, 3, 4, 5, 6, 8)
    activations: tuple[int, ...] = (3, 4, 5, 6, 8)
    inputs: tuple[int, ...] = (4, 5, 6, 8)
    budgets: tuple[float, ...] = (100.0, 300.0, 1000.0)

    def __post_init__(self) -> None:
        _require_some(self)
        for name in ("weights", "activations", "inputs"):
            _require_in(getattr(self, name), 2, 16, name)
        for budget in self.budgets:
            LearnedPrecision(budget)  # raises for what cannot be


@dataclass(frozen=True, slots=True)
class RecipeChoices:
    """The training of networks: recipes by name, first rates from low to high, epochs.

    Learned bits have a recipe of their own (`training.learned.LEARNED`), of `learned_epochs`.
    `float_epochs` are those of the float network that a recipe starts from, `trial_epochs` those
    of the first, short training after which hopeless trials stop (0: none).
    """

    names: tuple[str, ...] = ("sieve",)
    initial_rates: tuple[float, float] = (3e-3, 3e-2)
    epochs: tuple[int, ...] = (100,)
    learned_epochs: tuple[int, ...] = (300,)
    float_epochs: int = 50
    trial_epochs: int = 15
    batch_size: int = 1024

    def __post_init__(self) -> None:
        _require_some(self)
        _require_in(self.epochs, 1, 100_000, "epochs")
        _require_in(self.learned_epochs, LEAST_EPOCHS, 100_000, "learned_epochs")
        _require_in((self.float_epochs, self.batch_size), 1, 10**9, "float_epochs, batch_size")
        _require_in((self.trial_epochs,), 0, 100_000, "trial_epochs")
        low, *rest = self.initial_rates
        if len(rest) != 1 or not 0 < low <= rest[0] < inf:
            msg = (
                f"initial_rates is {list(self.initial_rates)}; expected the lowest and "
                "the highest, both above 0"
            )
            raise ConfigError(msg)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One choice out of a `SearchSpace`.

    Everything is drawn, whether it is used or not: of `widths` the first `depth` are, and what is
    for the other `kind` of precision is not.
    """

    inputs: str
    branches: bool
    depth: int
    widths: tuple[int, ...]
    kind: Kind
    weight_bits: int
    activation_bits: int
    input_bits: int
    budget_ebops: float
    recipe: str
    initial_rate: float
    epochs: int
    learned_epochs: int

    @property
    def hidden(self) -> tuple[int, ...]:
        """Units of the hidden layers."""
        return self.widths[: self.depth]

    @property
    def precision(self) -> Precision | LearnedPrecision:
        """The bits."""
        if self.kind == "learned":
            return LearnedPrecision(self.budget_ebops, input_bits=self.input_bits)
        return Precision(
            self.weight_bits, activation_bits=self.activation_bits, input_bits=self.input_bits
        )


@dataclass(frozen=True, slots=True)
class SearchSpace:
    """Everything that a search may choose from; the product of all lists.

    Raise `ConfigError` if a list is empty or holds a value that cannot be.
    """

    inputs: tuple[InputSet, ...] = _INPUTS
    architecture: Architecture = Architecture()
    precision: PrecisionChoices = PrecisionChoices()
    recipe: RecipeChoices = RecipeChoices()
    recipes: tuple[Recipe, ...] = ()

    def __post_init__(self) -> None:
        if not self.inputs:
            msg = "inputs is empty; expected at least one table [[inputs]]"
            raise ConfigError(msg)
        names = [one.name for one in self.inputs]
        if len(set(names)) < len(names):
            msg = "inputs: a name appears twice; every table [[inputs]] needs one of its own"
            raise ConfigError(msg)
        for name in self.recipe.names:
            chosen = self._recipe(name)
            if chosen.decay == "constant" or name == FLOAT.name:
                msg = f"recipe: '{name}' cannot be searched; expected one whose rate decays"
                raise ConfigError(msg)
            if chosen.augmentation is not None:
                msg = f"recipe: '{name}' has an augmentation, which a search does not train with"
                raise ConfigError(msg)
            if chosen.distillation and chosen.teacher != OWN_FLOAT:
                msg = (
                    f"recipe: '{name}' has the teacher '{chosen.teacher}', which a search does not "
                    "train; expected 'float'"
                )
                raise ConfigError(msg)
        self._try()

    def _recipe(self, name: str) -> Recipe:
        return recipe(name, {r.name: r for r in self.recipes})

    def _try(self) -> None:
        """Make every kind of network once, so that no trial comes upon one that cannot be."""
        choices = self.architecture
        recipes = [self._recipe(name) for name in self.recipe.names]
        for one, depth, branches in product(self.inputs, choices.depths, choices.branches):
            try:
                spec = _network(one, choices.widths[:1] * depth, WINDOW, branches)
            except ConfigError as error:
                msg = f"inputs '{one.name}': {error}"
                raise ConfigError(msg) from error
            for chosen in recipes if "uniform" in self.precision.kinds else ():
                Job(spec, None, chosen, 0)  # raises for layers that are not there

    def with_feature(self, feature: str) -> SearchSpace:
        """The same space with one more feature in every set of inputs that lacks it."""
        return replace(
            self,
            inputs=tuple(
                one if feature in one.features else replace(one, features=(*one.features, feature))
                for one in self.inputs
            ),
        )

    def choose(self, pick: Pick) -> Candidate:
        """Ask `pick` for a value of each dimension, in a fixed order.

        Widths are asked for up to the largest depth, so that the dimensions are always the same.
        """
        from optuna.distributions import CategoricalDistribution, FloatDistribution

        def among(name: str, values: tuple[Any, ...]) -> Any:
            return pick(name, CategoricalDistribution(values))

        deepest = max(self.architecture.depths)
        inputs = among("inputs", tuple(one.name for one in self.inputs))
        branches = among("branches", self.architecture.branches)
        depth = among("depth", self.architecture.depths)
        widths = [among(f"width_{i + 1}", self.architecture.widths) for i in range(deepest)]
        low, high = self.recipe.initial_rates
        return Candidate(
            inputs,
            branches,
            depth,
            tuple(widths),
            among("kind", self.precision.kinds),
            among("weight_bits", self.precision.weights),
            among("activation_bits", self.precision.activations),
            among("input_bits", self.precision.inputs),
            among("budget_ebops", self.precision.budgets),
            among("recipe", self.recipe.names),
            pick("initial_rate", FloatDistribution(low, high, log=True)),
            among("epochs", self.recipe.epochs),
            among("learned_epochs", self.recipe.learned_epochs),
        )

    def input_set(self, name: str) -> InputSet:
        """The inputs of that name."""
        return next(one for one in self.inputs if one.name == name)

    def spec(self, candidate: Candidate, window: tuple[int, int]) -> NetworkSpec:
        """The candidate's network."""
        one = self.input_set(candidate.inputs)
        return _network(one, candidate.hidden, window, candidate.branches)

    def trained_by(self, candidate: Candidate) -> Recipe:
        """The candidate's recipe."""
        if candidate.kind == "learned":
            batch_size = self.recipe.batch_size
            return override(LEARNED, epochs=candidate.learned_epochs, batch_size=batch_size)
        return override(
            self._recipe(candidate.recipe),
            epochs=candidate.epochs,
            initial_rate=candidate.initial_rate,
            batch_size=self.recipe.batch_size,
        )

    @property
    def float_recipe(self) -> Recipe:
        """The recipe of the float networks."""
        return override(FLOAT, epochs=self.recipe.float_epochs, batch_size=self.recipe.batch_size)


def _network(
    inputs: InputSet, hidden: tuple[int, ...], window: tuple[int, int], branches: bool
) -> NetworkSpec:
    features = inputs.features
    along = tuple(f for f in features if f in _ALONG_BEAM)
    across = tuple(f for f in features if f not in _ALONG_BEAM)
    first, *rest = hidden
    if branches and along and across:
        layers = [Dense("x_dense1", first, along), Dense("y_dense1", first, across)]
    else:
        layers = [Dense("dense1", first, features)]
    sources = tuple(layer.name for layer in layers)
    for number, units in enumerate(rest, start=2):
        layers.append(Dense(f"dense{number}", units, sources))
        sources = (f"dense{number}",)
    layers.append(Dense("output", 1, sources, relu=False))
    kind = "branches" if len(layers) > len(hidden) + 1 else "dense"
    name = "_".join([kind, *map(str, hidden)])
    return NetworkSpec(name, tuple(layers), window)


def read_space(path: Path | None, recipes_file: Path | None = None) -> SearchSpace:
    """Read a search space from TOML (docs/search.md); None is the default one.

    Raise `ConfigError` naming file, table and key.
    """
    more = tuple(read_recipes(recipes_file).values()) if recipes_file else ()
    if path is None:
        return SearchSpace(recipes=more)
    data = read_toml(path)
    if "recipes" in data:
        msg = f"{path}: unknown key 'recipes'{nearest('recipes', ['recipe'])}; recipes of your own "
        raise ConfigError(msg + "belong in --recipes-file")
    return from_mapping(SearchSpace, {**data, "recipes": more}, str(path))
