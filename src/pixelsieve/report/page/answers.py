"""What a comparison found, in words made from its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pixelsieve.networks.precision import bits_order
from pixelsieve.report.tables import METRIC_TITLES

__all__ = ["Answer", "answers"]

_METRICS = ("rejection_98", "accuracy", "auc")
_SURE = 0.05


@dataclass(frozen=True, slots=True)
class Answer:
    """What one width's networks say about one figure of merit: `head`, then a line a rival."""

    bits: int | str
    metric: str
    head: str
    lines: tuple[str, ...]


def answers(metrics: Mapping[str, Any]) -> list[Answer]:
    """For each width and figure of merit the best approach, and what it was tested against.

    A point is 0.01. Tests are those of `metrics.json`, corrected for their number.
    """
    rows = [r for r in metrics["rows"] if r["bits"]]
    found = []
    for bits in sorted({r["bits"] for r in rows}, key=bits_order):
        same = [r for r in rows if r["bits"] == bits]
        for metric in _METRICS:
            best = max(same, key=lambda r: float(r["summary"][metric]["mean"]))
            name, title = best["approach"], METRIC_TITLES[metric]
            value = _value(best, metric)
            tests = [
                t
                for t in metrics["paired"]
                if t["bits"] == bits and t["metric"] == metric and t["better"] == name
            ]
            head = f"{name} has the highest mean {title}" if tests else f"{name} has a {title} of"
            joint = ":" if tests else ""
            found.append(Answer(bits, metric, f"{head}{joint} {value}.", tuple(_lines(tests))))
    return found


def _lines(tests: Sequence[Mapping[str, Any]]) -> list[str]:
    return [_line(t) for t in sorted(tests, key=lambda t: float(t["difference"]))]


def _line(test: Mapping[str, Any]) -> str:
    points = f"{100 * test['difference']:.2f} points"
    if test["p_value"] is None:
        if not test["difference"]:
            return f"It equals {test['than']} in every seed."
        return f"{points} above {test['than']}; not enough seeds to tell this from chance."
    interval = f"{100 * test['low']:.2f} to {100 * test['high']:.2f}".replace("-", "\N{MINUS SIGN}")
    numbers = f"95 % interval {interval}, p = {test['p_corrected']:.2g}, {test['seeds']} seeds"
    if test["p_corrected"] < _SURE:
        return f"It beats {test['than']} by {points} ({numbers})."
    return f"It cannot be told apart from {test['than']}: {points} ({numbers})."


def _value(row: Mapping[str, Any], metric: str) -> str:
    summary = row["summary"][metric]
    if len(row["seeds"]) > 1:
        return f"{summary['mean']:.4f} ± {summary['spread']:.4f} over {len(row['seeds'])} seeds"
    return f"{summary['mean']:.4f} (one seed)"
