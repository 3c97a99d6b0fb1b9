"""The trials of a search as files, their front, and how far it reaches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.config import from_mapping, to_plain
from pixelsieve.errors import ConfigError, RunError
from pixelsieve.evaluation.pareto import hypervolume, on_front
from pixelsieve.files import read_json
from pixelsieve.studies.search_sampler import Told
from pixelsieve.studies.search_space import Candidate
from pixelsieve.studies.trials import Goal, TrialResult

__all__ = [
    "TrialRecord",
    "front_of",
    "read_record",
    "told",
    "trial_name",
    "volumes",
    "why_no_front",
]

_COST_RANGE = (1.0, 2.0**20)
_CHANCE = {"accuracy": 0.5, "auc": 0.5}


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """What the file of a trial holds."""

    number: int
    candidate: Candidate
    result: TrialResult

    def point(self, goal: Goal) -> tuple[float, float] | None:
        """Quality and cost where the trial may be on the front: complete, exact, in the budget."""
        measured = self.result.measured
        if self.result.state != "complete" or measured is None:
            return None
        quality, cost = goal.point(measured)
        return None if goal.budget is not None and cost > goal.budget else (quality, cost)

    def to_plain(self) -> dict[str, Any]:
        """Plain data for metrics.json."""
        return {"number": self.number, **to_plain(self.candidate), **to_plain(self.result)}


def trial_name(number: int) -> str:
    """E.g. `trial_0007`: its file is trials/NAME.json, its network models/NAME.keras."""
    return f"trial_{number:04d}"


def read_record(path: Path, number: int, candidate: Candidate) -> TrialRecord | None:
    """The trial's file, None where it was not run yet.

    Raises `RunError` for a damaged file, and where it holds another trial.
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
    """What the sampler hears: stopped trials by their first training, those over budget as bad."""
    heard = []
    for record in records:
        point, last = record.point(goal), record.result.last
        if point is None and record.result.state != "failed" and last is not None:
            quality, cost = goal.point(last)
            over = goal.budget is not None and cost > goal.budget
            point = (0.0 if over else quality, cost)
        heard.append(Told(record.candidate, point, to_plain(record.result)))
    return heard


def volumes(goal: Goal, records: Sequence[TrialRecord]) -> list[float]:
    """Hypervolume of the front after each trial, in order of the numbers.

    The box reaches from chance to a quality of 1 and from a cost of 1 to about a million.
    """
    worst = _CHANCE.get(goal.metric, 0.0)
    found = []
    for stop in range(1, len(records) + 1):
        quality, cost, _ = _points(goal, records[:stop])
        found.append(hypervolume(quality, cost, (worst, 1.0), _COST_RANGE))
    return found


def front_of(goal: Goal, records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The trials that no other dominates on validation, by rising cost."""
    quality, cost, able = _points(goal, records)
    best = np.flatnonzero(on_front(quality, cost))
    return [able[i] for i in sorted(best, key=lambda i: (cost[i], able[i].number))]


def _points(
    goal: Goal, records: Sequence[TrialRecord]
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[TrialRecord]]:
    able = [(record, point) for record in records if (point := record.point(goal))]
    values = np.array([point for _, point in able]).reshape(-1, 2)
    return values[:, 0], values[:, 1], [record for record, _ in able]


def why_no_front(goal: Goal, records: Sequence[TrialRecord]) -> str:
    """Why no trial is on the front, in a line for the user."""
    costs = [goal.point(r.result.last)[1] for r in records if r.result.last]
    if goal.budget is not None and costs:
        return (
            f"budget {goal.budget:g} {goal.cost}: none of {len(records)} trials meets it, the "
            f"smallest needs {min(costs):.0f}; raise --budget, run more --trials or give smaller "
            "networks in --space"
        )
    reasons = [r.result.reason for r in records if r.result.reason]
    first = f", e.g. {reasons[0]}" if reasons else ""
    return f"none of {len(records)} trials gave a network{first}; widen --space"
