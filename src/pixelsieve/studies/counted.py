"""Counted LUTs beside the estimates in the tables of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pixelsieve.evaluation.scores import mean_and_spread
from pixelsieve.files import write_json
from pixelsieve.firmware.resources import counted_luts

__all__ = ["with_counted_luts"]


def with_counted_luts(
    run: Path,
    metrics: dict[str, Any],
    models: Mapping[int, Sequence[str]],
    on_model: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Count the LUTs of rows of `metrics` by Yosys; return and write what metrics.json then holds.

    `models` are the names of each row's models, one per seed, by the row's place. A row gets
    `luts` (alkaid's estimate) and `counted_luts`, mean and spread over seeds, or None if one of
    them is not known. The counts are kept in resources.json, so that an interrupted count is
    resumed.
    """
    for place, names in models.items():
        counted = counted_luts(run, names, on_model)
        metrics["rows"][place] |= {
            "luts": _of_all([one.estimate for one in counted]),
            "counted_luts": _of_all([one.luts for one in counted]),
        }
        write_json(run / "metrics.json", metrics)
    return metrics


def _of_all(values: Sequence[float | None]) -> dict[str, float] | None:
    known = [value for value in values if value is not None]
    return mean_and_spread(known) if len(known) == len(values) else None
