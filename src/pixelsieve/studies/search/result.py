"""The result of a search as values; its plain form is metrics.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from pixelsieve.core.config import from_mapping, to_plain
from pixelsieve.core.errors import ConfigError, RunError
from pixelsieve.core.files import read_document
from pixelsieve.networks.precision import LearnedPrecision, Precision
from pixelsieve.studies.search.records import TrialRecord
from pixelsieve.training.recipe import Recipe

__all__ = ["LeftOut", "SearchResult", "SearchRow", "Smaller", "read_result"]

_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class SearchRow:
    """A network of the final table, over all seeds.

    `luts`, `levels`, `ebops`, `validation` (the metric of the search), `validation_auc` and each
    figure of `test` are `mean` and `spread` over seeds; `by_seed` are all figures on the test
    split. `bits` are those of weights, activations and inputs as text. `feature_luts` are the LUTs
    that make the inputs from ADC codes, or None, and `feature_luts_missing` says why.
    `counted_luts` are Yosys's: empty if not counted, None if a count failed.
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
    luts: dict[str, float]
    feature_luts: float | None
    feature_luts_missing: str | None
    levels: dict[str, float]
    ebops: dict[str, float]
    validation: dict[str, float]
    validation_auc: dict[str, float]
    by_seed: tuple[dict[str, float], ...]
    test: dict[str, dict[str, float]]
    on_front: bool = False
    counted_luts: dict[str, float] | None = field(default_factory=dict)


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
    cost: Literal["luts", "ebops", "levels"]
    budget: float | None
    split_by: str
    front_end: dict[str, Any] | None
    trials: tuple[TrialRecord, ...]
    states: dict[str, int]
    front: tuple[str, ...]
    hypervolume: tuple[float, ...]
    seeds: tuple[int, ...]
    clusters: dict[str, dict[str, int]]
    rows: tuple[SearchRow, ...]
    left_out: tuple[LeftOut, ...]
    smaller: tuple[Smaller, ...]

    def to_plain(self) -> dict[str, Any]:
        """Return what metrics.json holds."""
        plain = {f.name: to_plain(getattr(self, f.name)) for f in fields(self)}
        plain["trials"] = [one.to_plain() for one in self.trials]
        for row in plain["rows"]:
            if row["counted_luts"] == {}:
                del row["counted_luts"]
        return {"schema": _SCHEMA, **plain}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any], where: str) -> SearchResult:
        """Read what metrics.json holds; raise `ConfigError` naming key and `where` if damaged."""
        whole = {key: value for key, value in plain.items() if key != "schema"}
        whole |= {"trials": (), "rows": ()}
        trials = [TrialRecord.from_plain(one, f"{where}: trial") for one in plain["trials"]]
        rows = [_row(one, f"{where}: row") for one in plain["rows"]]
        return replace(from_mapping(cls, whole, where), trials=tuple(trials), rows=tuple(rows))


def read_result(path: Path) -> SearchResult:
    """Read the metrics.json of a search; raise `RunError` if it is damaged."""
    try:
        return SearchResult.from_plain(read_document(path), str(path))
    except (ConfigError, KeyError, TypeError, AttributeError) as error:
        msg = f"{path}: no result of a search ({error}); the file is damaged, remove it"
        raise RunError(msg) from error


def _row(plain: Mapping[str, Any], where: str) -> SearchRow:
    learned = "budget_ebops" in plain["precision"]
    precision: Precision | LearnedPrecision = (
        from_mapping(LearnedPrecision, plain["precision"], where)
        if learned
        else from_mapping(Precision, plain["precision"], where)
    )
    row = from_mapping(SearchRow, {**plain, "precision": None}, where)
    return replace(row, precision=precision)
