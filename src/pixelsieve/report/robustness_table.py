"""How a frozen threshold fares on changed detectors, from the plain data of `robustness`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

__all__ = ["CAPTION", "COLUMNS", "figure_text", "read_out_text", "robustness_table"]

COLUMNS = {
    "signal_efficiency": "signal\nefficiency",
    "rejection": "BIB\nrejection",
    "rejection_reset": "rejection,\ncut set again",
    "auc": "\nAUC",
}
"""What a figure of merit is called, in the order of the columns."""

CAPTION = (
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
        caption=CAPTION,
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
    value, brief = row["figures"][name], name == "auc"
    if value["mean"] is None:
        return "-"
    first = f"{value['mean']:.4f}" + (_error(value["spread"]) if spread and not brief else "")
    change = (row["difference"] or {}).get(name)
    if change is None or change["mean"] is None:
        return first
    second = f"{change['mean']:+.4f}".replace("0.", ".", 1)
    if brief or change["error"] is None:
        return f"{first}\n{second}"
    return f"{first}\n{second}{_error(change['error'])}"


def read_out_text(row: Mapping[str, Any]) -> tuple[str, str]:
    """How many clusters are read out, and the share that lost every pixel."""
    collected, read = (
        sum(one[what] for one in row["clusters"].values()) for what in ("collected", "read_out")
    )
    return str(read), f"{100 * (1 - read / collected):.2f} %"


def _error(value: float) -> str:
    return f" ±{value:.4f}".replace("±0.", "±.")
