"""How a frozen threshold fares on changed detectors, from the plain data of `robustness`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

__all__ = ["CAPTION", "COLUMNS", "cells", "robustness_table"]

COLUMNS = {
    "signal_efficiency": "signal efficiency",
    "rejection": "rejection",
    "rejection_reset": "rejection, threshold set again",
    "auc": "AUC",
}
"""What a figure of merit is called, in the order of the columns."""

CAPTION = (
    "Of the clusters that are read out. Below each value the difference to the nominal row and its "
    "statistical error (particles drawn again, the same ones for both where they are the same)."
)


def robustness_table(result: Mapping[str, Any], approach: Mapping[str, Any]) -> Table:
    """One approach: a row a variation, sections by kind."""
    seeds = len(approach["networks"])
    counted = f"mean ± spread of {seeds} networks" if seeds > 1 else "one network"
    share = f"{100 * result['efficiency']:g} %"
    title = (
        f"{approach['approach']}, {counted}, {result['split']} split: threshold frozen at {share} "
        "signal efficiency on validation"
    )
    table = Table(title=title, title_justify="left", caption=CAPTION, caption_justify="left")
    table.add_column("detector")
    for name in (*COLUMNS.values(), "clusters", "not read out"):
        table.add_column(name, justify="right")
    kind = None
    for row in approach["rows"]:
        if kind not in (None, row["kind"]):
            table.add_section()
        kind = row["kind"]
        table.add_row(row["label"], *(joined for _, joined in cells(row, spread=seeds > 1)))
    return table


def cells(row: Mapping[str, Any], *, spread: bool) -> list[tuple[float | None, str]]:
    """Number and text of each cell of a row: `COLUMNS`, clusters read out, share that is not."""
    found: list[tuple[float | None, str]] = []
    for name in COLUMNS:
        value = row["figures"][name]
        lines = [_value(value, spread=spread)]
        if row["difference"] is not None:
            lines.append(_difference(row["difference"][name]))
        found.append((value["mean"], "\n".join(lines)))
    collected, read = (
        sum(one[what] for one in row["clusters"].values()) for what in ("collected", "read_out")
    )
    lost = 1 - read / collected
    return [*found, (read, str(read)), (lost, f"{100 * lost:.2f} %")]


def _value(value: Mapping[str, Any], *, spread: bool) -> str:
    if value["mean"] is None:
        return "-"
    return f"{value['mean']:.4f}" + (_error(value["spread"]) if spread else "")


def _difference(value: Mapping[str, Any]) -> str:
    if value["mean"] is None:
        return "-"
    return f"{value['mean']:+.4f}" + ("" if value["error"] is None else _error(value["error"]))


def _error(value: float) -> str:
    return f" ±{value:.4f}".replace("±0.", "±.")
