"""The result of a search as values: trials as files, their front, the table; metrics.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from math import log
from pathlib import Path
from typing import Any, Literal

from pixelsieve.core.config import Document, from_mapping, to_plain
from pixelsieve.core.errors import ConfigError, RunError
from pixelsieve.core.files import read_document, read_json
from pixelsieve.front_end import FrontEndSummary
from pixelsieve.metrics.metrics import LARGEST_TIE_LOSS
from pixelsieve.metrics.statistics import Mean, Metrics
from pixelsieve.networks.precision import LearnedPrecision, Precision, read_precision
from pixelsieve.studies.search.goal import Cost, Goal, Measured
from pixelsieve.studies.search.sampler import Told
from pixelsieve.studies.search.space import Candidate
from pixelsieve.studies.search.trial import TrialResult
from pixelsieve.studies.summary import ClassCounts, CountedLuts
from pixelsieve.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """The contents of the file of a trial."""

    number: int
    candidate: Candidate
    result: TrialResult

    def within(self, goal: Goal) -> list[tuple[int, Measured]]:
        """Its networks in the budget, with their places among all of them."""
        return [
            (index, one)
            for index, one in enumerate(self.result.networks)
            if goal.budget is None or goal.point(one)[1] <= goal.budget
        ]

    def model(self, index: int) -> str:
        """Name of a network's file: `trial_0007`, or `trial_0007_02` of one with learned bits."""
        several = self.candidate.kind == "learned"
        return trial_name(self.number) + (f"_{index:02d}" if several else "")

    def to_plain(self) -> dict[str, Any]:
        """Return plain data for metrics.json."""
        named = [
            {"name": self.model(i), **to_plain(one)} for i, one in enumerate(self.result.networks)
        ]
        result = {**to_plain(self.result), "networks": named}
        return {"number": self.number, **to_plain(self.candidate), **result}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any], where: str) -> TrialRecord:
        """Read what metrics.json holds of a trial."""
        networks = [{k: v for k, v in one.items() if k != "name"} for one in plain["networks"]]
        told = {**plain, "networks": networks}
        parts = {
            name: {f.name: told[f.name] for f in fields(kind) if f.name in told}
            for name, kind in (("candidate", Candidate), ("result", TrialResult))
        }
        return from_mapping(cls, {"number": plain["number"], **parts}, where)


@dataclass(frozen=True, slots=True)
class FrontPoint:
    """A network of a trial that no other dominates on validation."""

    record: TrialRecord
    index: int
    measured: Measured

    @property
    def name(self) -> str:
        """Name of its file."""
        return self.record.model(self.index)


def trial_name(number: int) -> str:
    """E.g. `trial_0007`: its file is trials/NAME.json."""
    return f"trial_{number:04d}"


def read_record(path: Path, number: int, candidate: Candidate) -> TrialRecord | None:
    """The trial's file, None where it was not run yet.

    Raise `RunError` for a damaged file, and if it holds another trial.
    """
    if not path.exists():
        return None
    remedy = "remove the file and the trial is run again"
    try:
        record = from_mapping(TrialRecord, read_json(path), str(path))
    except (RunError, ConfigError) as error:
        msg = f"{error}; {remedy}"
        raise RunError(msg) from error
    if record.number != number or record.candidate != candidate:
        msg = f"{path}: holds another trial than this search asks for; {remedy}"
        raise RunError(msg)
    return record


def told(goal: Goal, records: Sequence[TrialRecord]) -> list[Told]:
    """Return the trials for the sampler: of each one point, since Optuna knows none of several.

    The network with the largest hypervolume of its own; of a stopped trial its first training. What
    is over the budget counts as of no quality.
    """
    heard = []
    for record in records:
        result = record.result
        within = [one for _, one in record.within(goal)]
        able = within or list(result.networks) or [one for one in (result.first,) if one]
        point = None
        if able and result.state != "failed":
            quality, cost = goal.point(max(able, key=lambda one: goal.volume([one])))
            over = goal.budget is not None and cost > goal.budget
            point = (0.0 if over else quality, cost)
        heard.append(Told(record.candidate, point, to_plain(result)))
    return heard


def volumes(goal: Goal, records: Sequence[TrialRecord]) -> list[float]:
    """Hypervolume of the front after each trial, in order of the numbers."""
    met: list[Measured] = []
    found = []
    for record in records:
        met += [one for _, one in record.within(goal)]
        found.append(goal.volume(met))
    return found


def front_of(goal: Goal, records: Sequence[TrialRecord]) -> list[FrontPoint]:
    """The networks in the budget that no other dominates on validation, by rising cost."""
    points = [FrontPoint(r, index, one) for r in records for index, one in r.within(goal)]
    return [points[i] for i in goal.front([p.measured for p in points])]


def spaced(goal: Goal, front: Sequence[FrontPoint], factor: float) -> list[FrontPoint]:
    """The front with one point, the best, wherever several lie within a `factor` in cost."""
    last: dict[int, FrontPoint] = {}
    for point in front:
        last[int(log(goal.point(point.measured)[1]) / log(factor))] = point
    return list(last.values())


def why_no_front(goal: Goal, records: Sequence[TrialRecord]) -> str:
    """Why no trial is on the front, in a line for the user."""
    met = [one for r in records for one in (r.result.first, *r.result.networks) if one]
    if goal.budget is not None and met:
        least = min(goal.point(one)[1] for one in met)
        return (
            f"budget {goal.budget:g} {goal.cost}: none of {len(records)} trials meets it, the "
            f"smallest network needs {least:.0f}; raise --budget, run more --trials or give "
            "smaller networks in --space"
        )
    reasons = [r.result.reason for r in records if r.result.reason]
    first = f", e.g. {reasons[0]}" if reasons else ""
    return f"none of {len(records)} trials gave a network{first}; widen --space"


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
    precision = read_precision(plain["precision"], where)
    names = [f.name for f in fields(CountedLuts)]
    counted = {n: plain.get(n) for n in names} if "counted_luts" in plain else None
    told = {name: value for name, value in plain.items() if name != "counted_luts"}
    row = from_mapping(SearchRow, {**told, "precision": None, "counted": counted}, where)
    return replace(row, precision=precision)
