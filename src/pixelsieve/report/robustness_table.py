"""How a frozen threshold fares on changed detectors, from the plain data of `robustness`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

__all__ = ["COLUMNS", "robustness_rows", "robustness_table"]

COLUMNS = {
    "signal_efficiency": "signal\nefficiency",
    "rejection": "BIB\nrejection",
    "rejection_reset": "rejection,\ncut set again",
    "auc": "\nAUC",
}
"""What a figure of merit is called, in the order of the columns."""

_CAPTION = (
    "Of the clusters that are read out. Second lines: difference to the nominal row and its "
    "statistical error (particles drawn again; the same ones for both, where they are the same)."
)


def robustness_table(result: Mapping[str, Any], approach: Mapping[str, Any]) -> Table:
    """One approach: a row a variation, sections by kind."""
    networks = len(approach["networks"])
    counted = f"mean ± spread of {networks} networks" if networks > 1 else "one network"
    title = (
        f"{approach['approach']}, {counted}, {result['split']} split: threshold frozen at "
        f"{100 * result['efficiency']:g} % signal efficiency on validation"
    )
    table = Table(
        title=title,
        title_justify="left",
        caption=_CAPTION,
        caption_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("detector")
    for name in (*COLUMNS.values(), "clusters,\nlost"):
        table.add_column(name, justify="right", no_wrap=True)
    kind = None
    for row in approach["rows"]:
        if kind not in (None, row["kind"]):
            table.add_section()
        kind = row["kind"]
        shown = [figure_text(row, name, spread=networks > 1) for name in COLUMNS]
        table.add_row(row["label"], *shown, "\n".join(read_out_text(row)))
    return table


def figure_text(row: Mapping[str, Any], name: str, *, spread: bool) -> str:
    """A figure of merit, with its spread over networks, and below it the difference.

    AUC stands without errors, to save room.
    """
    value, errors = row["figures"][name], name != "auc"
    if value["mean"] is None:
        return "-"
    first = f"{value['mean']:.4f}" + (_error(value["spread"]) if spread and errors else "")
    second = difference_text(row, name, errors=errors)
    return f"{first}\n{second.replace('0.', '.')}" if second else first


def difference_text(row: Mapping[str, Any], name: str, *, errors: bool = True) -> str:
    """The difference to the nominal row with its error, empty where there is none."""
    change = (row["difference"] or {}).get(name)
    if change is None or change["mean"] is None:
        return ""
    shown = f"{change['mean']:+.4f}"
    return shown + _error(change["error"]) if errors and change["error"] is not None else shown


def read_out_text(row: Mapping[str, Any]) -> tuple[str, str]:
    """How many clusters are read out, and the share that lost every pixel."""
    collected, read = (
        sum(one[what] for one in row["clusters"].values()) for what in ("collected", "read_out")
    )
    return str(read), f"{100 * (1 - read / collected):.2f} %"


def robustness_rows(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """By approach the rows of the page: `label`, `against`, `cells`, `read_out`, `lost`."""
    found = []
    for approach in result["approaches"]:
        several = len(approach["networks"]) > 1
        rows = []
        for row in approach["rows"]:
            read, lost = read_out_text(row)
            cells = [_cell(row, name, several) for name in COLUMNS]
            more = {"cells": cells, "read_out": read, "lost": lost}
            rows.append({"label": row["label"], "against": row["against"] or "", **more})
        networks = len(approach["networks"])
        found.append({"name": approach["approach"], "networks": networks, "rows": rows})
    return found


def _cell(row: Mapping[str, Any], name: str, several: bool) -> dict[str, Any]:
    value = row["figures"][name]
    if value["mean"] is None:
        return {"value": "", "text": "\N{EN DASH}", "spread": ""}
    return {
        "value": value["mean"],
        "text": f"{value['mean']:.4f}",
        "spread": f"± {value['spread']:.4f}" if several else "",
        "interval": difference_text(row, name),
    }


def _error(value: float) -> str:
    return f" ±{value:.4f}".replace("±0.", "±.")
