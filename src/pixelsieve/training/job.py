"""One training job as values: a network, a precision, a recipe, a seed; its data, its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from numpy.typing import NDArray

from pixelsieve.core.config import Document, from_mapping, to_plain
from pixelsieve.core.errors import ConfigError, GuaranteeError, nearest
from pixelsieve.data.detector import Detector
from pixelsieve.features import FeatureTable
from pixelsieve.front_end import FrontEnd
from pixelsieve.networks.model_file import (
    Card,
    FileMark,
)
from pixelsieve.networks.precision import (
    LearnedPrecision,
    Precision,
    bits_of,
    bits_suffix,
    read_precision,
)
from pixelsieve.networks.spec import NetworkSpec
from pixelsieve.training.augmentation import Augmentation
from pixelsieve.training.engine import (
    EpochRecord,
)
from pixelsieve.training.recipe import OWN_FLOAT, Recipe
from pixelsieve.training.warm_start import WarmStartRow


@dataclass(frozen=True, slots=True)
class Job:
    """A network to train.

    `source` names the float job that warm starts take, and distillation from the own float
    network; `teacher` names the job of another teacher. `label` is the job's name if it is not
    made of recipe, bits and seed.
    """

    spec: NetworkSpec
    precision: Precision | LearnedPrecision | None
    recipe: Recipe
    seed: int
    source: str | None = None
    teacher: str | None = None
    label: str | None = None

    def __post_init__(self) -> None:
        layers = list(self.spec.variables())
        for name in self.recipe.skip_layers:
            if name not in layers:
                msg = (
                    f"recipe '{self.recipe.name}': skip_layers: network '{self.spec.name}' has no "
                    f"layer '{name}'{nearest(name, layers)}"
                )
                raise ConfigError(msg)
        learns = isinstance(self.precision, LearnedPrecision)
        if learns != self.recipe.learns_bits and self.precision is not None:
            kind = "uniform" if learns else "learned"
            msg = f"recipe '{self.recipe.name}': is for {kind} bits, not for {self.bits}"
            raise ConfigError(msg)
        taught = self.recipe.distillation > 0 and self.recipe.teacher != OWN_FLOAT
        if taught and self.teacher is None:
            msg = (
                f"recipe '{self.recipe.name}': teacher '{self.recipe.teacher}' is not trained here"
            )
            raise ConfigError(msg)

    @property
    def epochs(self) -> int:
        """Epochs of training, for progress."""
        return self.recipe.epochs

    @property
    def bits(self) -> int | str | None:
        """The precision as tables show it: bits of a weight, `learned:300`, None for float."""
        return bits_of(self.precision)

    @property
    def name(self) -> str:
        """E.g. `conservative_4b_seed0`, `learned_300ebops_seed0` or `float_seed0`."""
        if self.label is not None:
            return self.label
        bits = "" if self.bits is None else f"_{bits_suffix(self.bits)}"
        return f"{self.recipe.name}{bits}_seed{self.seed}"


@dataclass(frozen=True, slots=True)
class TrainingData:
    """The data that every job of a run shares.

    `others` are the training and validation clusters as teachers with other inputs see them,
    `groups` (n,) the particle groups of the training clusters, `augmented` the training clusters'
    copies by augmentation. `fingerprint` stands for the data and their features. `front_end` read
    the clusters out and `detector` is theirs, for the model's card.
    """

    training: FeatureTable
    validation: FeatureTable
    fingerprint: str
    front_end: FrontEnd | None = None
    detector: Detector | None = None
    others: tuple[tuple[FeatureTable, FeatureTable], ...] = ()
    groups: NDArray[Any] | None = None
    augmented: Mapping[Augmentation, tuple[FeatureTable, ...]] = field(default_factory=dict)

    def tables(self, features: tuple[str, ...]) -> tuple[FeatureTable, FeatureTable]:
        """Return the training and validation clusters as those features show them.

        Raise `GuaranteeError` for features of no table.
        """
        pairs = (*self.others, (self.training, self.validation))
        for training, validation in pairs:
            if training.features.names == features:
                return training, validation
        known = "; ".join(", ".join(pair[0].features.names) for pair in pairs)
        msg = f"training data: no table of {', '.join(features)}; there are those of {known}"
        raise GuaranteeError(msg)

    def copies(self, recipe: Recipe) -> tuple[FeatureTable, ...]:
        """Return the training clusters as the recipe varies them; none if it does not."""
        return () if recipe.augmentation is None else self.augmented[recipe.augmentation]


@dataclass(frozen=True, slots=True)
class OnTheWay:
    """A network that a training kept under a name of its own, largest first of learned bits.

    `exact` are figures of its integer program, if the job's ending measured it.
    """

    model: str
    epoch: int
    ebops: float | None
    merits: dict[str, float]
    exact: dict[str, int | float] | None = None

    def to_plain(self) -> Document:
        """Return what jobs/NAME.json holds of it."""
        return {n: value for n, value in to_plain(self).items() if (n, value) != ("exact", None)}


@dataclass(frozen=True, slots=True)
class JobResult:
    """The result of a job.

    `warm_start` has a row per layer, None without a warm start; `ebops` are of learned bits.
    `networks` are those kept under names of their own, `exact` are figures of the job's network if
    its ending measured it.
    """

    name: str
    fingerprint: str
    recipe: Recipe
    seed: int
    best_epoch: int
    precision: Precision | LearnedPrecision | None
    history: tuple[EpochRecord, ...]
    front_end: FrontEnd | None = None
    detector: Detector | None = None
    teacher: FileMark | None = None
    warm_start: tuple[WarmStartRow, ...] | None = None
    ebops: float | None = None
    networks: tuple[OnTheWay, ...] = ()
    exact: dict[str, int | float] | None = None

    @property
    def best(self) -> EpochRecord:
        """The figures of the epoch whose network was kept."""
        return self.history[self.best_epoch]

    @property
    def validation_auc(self) -> float:
        """Validation AUC of that network."""
        return self.best["validation_auc"]

    @property
    def card(self) -> Card:
        """The card of that network's model."""
        return Card(
            to_plain(self.recipe),
            self.seed,
            self.front_end,
            self.detector,
            self.teacher,
            self.best_epoch,
            self.precision if isinstance(self.precision, LearnedPrecision) else None,
        )

    def to_plain(self) -> Document:
        """Return what jobs/NAME.json holds."""
        more = {
            "ebops": self.ebops,
            "exact": self.exact,
            "networks": [one.to_plain() for one in self.networks] or None,
        }
        return {
            "name": self.name,
            "fingerprint": self.fingerprint,
            **self.card.to_plain(),
            "warm_start": to_plain(self.warm_start),
            "precision": to_plain(self.precision),
            "history": to_plain(self.history),
            **{name: value for name, value in more.items() if value is not None},
        }

    @staticmethod
    def from_plain(plain: Document, where: str) -> JobResult:
        """Read it back; raise `ConfigError` naming `where` and the field for what cannot be."""
        told = {name: value for name, value in plain.items() if name != "learned"}
        precision, history = told.pop("precision", None), told.pop("history", ())
        result = from_mapping(JobResult, {**told, "precision": None, "history": ()}, where)
        if precision is not None:
            precision = read_precision(precision, f"{where}: precision")
        return replace(result, precision=precision, history=tuple(history))


OVER_BUDGET = 1.25
"""A network with so many times the EBOPs of the budget may still stand for it."""


def over_budget(result: JobResult) -> str | None:
    """Return one line on a learned network that costs more than its budget, else None."""
    if result.ebops is None or not isinstance(result.precision, LearnedPrecision):
        return None
    budget = result.precision.budget_ebops
    if result.ebops <= OVER_BUDGET * budget:
        return None
    return (
        f"{result.name}: ends at {result.ebops:.0f} EBOPs, over the budget of {budget:g}; "
        "give more --epochs or a smaller --batch-size"
    )
