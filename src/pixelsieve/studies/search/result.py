"""The result of a search as values; its plain form is metrics.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from pixelsieve.core.config import Document, from_mapping, to_plain
from pixelsieve.core.errors import ConfigError, RunError
from pixelsieve.core.files import read_document
from pixelsieve.front_end import FrontEndSummary
from pixelsieve.metrics.metrics import LARGEST_TIE_LOSS
from pixelsieve.metrics.statistics import Mean, Metrics
from pixelsieve.networks.precision import LearnedPrecision, Precision
from pixelsieve.studies.search.goal import Cost
from pixelsieve.studies.search.records import TrialRecord
from pixelsieve.studies.summary import ClassCounts, CountedLuts
from pixelsieve.training.recipe import Recipe

_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class SearchRow:
    """A network of the final table, over all seeds.

    `luts`, `levels`, `ebops`, `validation` (the metric of the search), `validation_auc` and each
    figure of `test` are `mean` and `spread` over seeds; `by_seed` are all figures on the test
    split. `bits` are those of weights, activations and inputs as text. `feature_luts` are the LUTs
    that make the inputs from ADC codes, or None, and `feature_luts_missing` says why.
    `counted` are the LUTs by Yosys too, if they were counted.
    """

    name: str
    kind: Literal["front", "uniform"]
    trial: int | None
    network: str
    inputs: str
    parameters: int
    precision: Precision | LearnedPrecision | None
    bits: str
    recipe: Recipe
    luts: Mean
    feature_luts: float | None
    feature_luts_missing: str | None
    levels: Mean
    ebops: Mean
    validation: Mean
    validation_auc: Mean
    by_seed: tuple[Metrics, ...]
    test: dict[str, Mean]
    on_front: bool = False
    counted: CountedLuts | None = None

    def cost(self, name: Cost) -> float:
        """Return the mean of a cost."""
        mean: Mean = getattr(self, name)
        return mean.mean

    @property
    def is_coarse(self) -> bool:
        """Whether a seed loses much to ties at 98 % signal efficiency on test."""
        return any(one.tie_loss_98 > LARGEST_TIE_LOSS for one in self.by_seed)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A network that is not in the table, and why."""

    name: str
    network: str
    reason: str


@dataclass(frozen=True, slots=True)
class Smaller:
    """The cheapest network of the front that is as good on validation as the uniform one `than`.

    It costs `times` less; both are None if there is none.
    """

    than: str
    name: str | None
    times: float | None


@dataclass(frozen=True, slots=True)
class SearchResult:
    """All that a search found.

    `states` counts the trials by how they ended, `front` names the networks of the front,
    `hypervolume` is that of the front after each trial, `clusters` are signal and BIB by split.
    """

    metric: str
    cost: Cost
    budget: float | None
    split_by: str
    front_end: FrontEndSummary | None
    trials: tuple[TrialRecord, ...]
    states: dict[str, int]
    front: tuple[str, ...]
    hypervolume: tuple[float, ...]
    seeds: tuple[int, ...]
    clusters: dict[str, ClassCounts]
    rows: tuple[SearchRow, ...]
    left_out: tuple[LeftOut, ...]
    smaller: tuple[Smaller, ...]

    def to_plain(self) -> Document:
        """Return what metrics.json holds."""
        plain = {f.name: to_plain(getattr(self, f.name)) for f in fields(self)}
        plain["trials"] = [one.to_plain() for one in self.trials]
        for row in plain["rows"]:
            row.update(row.pop("counted") or {})
        return {"schema": _SCHEMA, **plain}

    @classmethod
    def from_plain(
        cls, plain: Mapping[str, Any], where: str, *, strict: bool = True
    ) -> SearchResult:
        """Read what metrics.json holds; raise `ConfigError` naming key and `where` if damaged.

        Unless `strict`, unknown keys are left out, for files that another version wrote.
        """
        whole = {key: value for key, value in plain.items() if key != "schema"}
        whole |= {"trials": (), "rows": ()}
        trials = [TrialRecord.from_plain(one, f"{where}: trial") for one in plain["trials"]]
        rows = [_row(one, f"{where}: row") for one in plain["rows"]]
        result = from_mapping(cls, whole, where, strict=strict)
        return replace(result, trials=tuple(trials), rows=tuple(rows))


def read_result(path: Path) -> SearchResult:
    """Read the metrics.json of a search; raise `RunError` if it is damaged."""
    try:
        return SearchResult.from_plain(read_document(path), str(path))
    except (ConfigError, KeyError, TypeError, AttributeError) as error:
        msg = f"{path}: no result of a search ({error}); the file is damaged, remove it"
        raise RunError(msg) from error


def _row(plain: Document, where: str) -> SearchRow:
    precision: Precision | LearnedPrecision
    if "budget_ebops" in plain["precision"]:
        precision = from_mapping(LearnedPrecision, plain["precision"], where)
    else:
        precision = from_mapping(Precision, plain["precision"], where)
    names = [f.name for f in fields(CountedLuts)]
    counted = {n: plain.get(n) for n in names} if "counted_luts" in plain else None
    told = {name: value for name, value in plain.items() if name != "counted_luts"}
    row = from_mapping(SearchRow, {**told, "precision": None, "counted": counted}, where)
    return replace(row, precision=precision)
