"""What the validation set chooses of `learned_front.py`'s points, and the tables of it."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from learned_cases import CASES, Case
from numpy.typing import NDArray

from pixelsieve.metrics.metrics import (
    EFFICIENCY,
    LARGEST_TIE_LOSS,
    rejection_at,
    roc_auc,
    tie_loss_at,
)


def merits(scores: NDArray[Any], labels: NDArray[Any]) -> dict[str, float]:
    """`auc`, `rejection` of BIB at `EFFICIENCY`, and `tie_loss`, what ties cost of that."""
    return {
        "auc": roc_auc(scores, labels),
        "rejection": rejection_at(scores, labels, EFFICIENCY)[0],
        "tie_loss": tie_loss_at(scores, labels, EFFICIENCY),
    }


def best_under(points: Sequence[Any], merit: str, limit: float) -> Any:
    """The best of at most `limit` LUTs on the validation set, None where there is none."""
    able = fine([p for p in points if p["luts"] <= limit])
    return max(able, key=lambda p: p[merit], default=None)


def smallest_with(points: Sequence[Any], merit: str, level: float) -> Any:
    """The smallest that reaches `level` on the validation set."""
    able = fine([p for p in points if p[merit] >= level])
    return min(able, key=lambda p: p["luts"], default=None)


def fine(points: Sequence[Any]) -> Sequence[Any]:
    """Those of which ties cost little of the rejection, all where there is none."""
    return [p for p in points if p["tie_loss"] <= LARGEST_TIE_LOSS] or points


def choices(case: Case, points: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """The lines of the table, each with the point that the validation set chose, if any."""
    for limit in case.limits:
        yield f"best of <= {limit} LUTs", best_under(points, case.merit, limit)
    for merit, levels in case.levels.items():
        for level in levels:
            yield f"smallest with {merit} >= {level}", smallest_with(points, merit, level)


def spread(values: Sequence[float], digits: int) -> str:
    more = f" +- {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{more}"


def all_known(values: Sequence[float | None], otherwise: str) -> str:
    known = [value for value in values if value is not None]
    return spread(known, 0) if len(known) == len(values) else otherwise


def row(what: str, chosen: Sequence[Any], *, test: bool) -> str:
    found = [p for p in chosen if p is not None]
    if not found:
        return f"| {what} | 0 of {len(chosen)} | | | | | | | |"
    coarse = "~" if any(p["tie_loss"] > LARGEST_TIE_LOSS for p in found) else ""
    cells = [
        f"{len(found)} of {len(chosen)}{coarse}",
        spread([p["luts"] for p in found], 0),
        all_known([p["counted_luts"] for p in found], "not finished"),
        all_known([p["whole_luts"] for p in found], "none"),
        spread([p["auc"] for p in found], 4),
        spread([p["rejection"] for p in found], 3),
        spread([p["test_auc"] for p in found], 4) if test else "",
        spread([p["test_rejection"] for p in found], 3) if test else "",
    ]
    return f"| {what} | {' | '.join(cells)} |"


HEAD = (
    "| choice on validation | seeds | LUTs | LUTs by Yosys | with features | val AUC "
    "| val rejection | test AUC | test rejection |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


def tables(results: dict[str, list[Any]], *, test: bool) -> str:
    parts = []
    for name, runs in results.items():
        case = CASES[name]
        lines = [f"**{name}** (rejection at 98 % efficiency; best by {case.merit})", "", HEAD]
        by_seed = [list(choices(case, points)) for points in runs]
        lines += [
            row(line[0][0], [point for _, point in line], test=test)
            for line in zip(*by_seed, strict=True)
        ]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)
