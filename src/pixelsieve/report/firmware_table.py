"""Tables of a firmware result for the terminal, made from plain data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

__all__ = ["firmware_tables"]


def firmware_tables(result: Mapping[str, Any]) -> list[Table]:
    """What was built, what the layers' sums did on the clusters, and what was compared."""
    return [_built(result), _layers(result["verification"]), _compared(result["verification"])]


def _built(result: Mapping[str, Any]) -> Table:
    made, chosen = result["design"], result["threshold"]
    table = Table(title=f"module {made['top']}", title_justify="left", show_header=False)
    latency = f"{made['latency']} clocks" if made["latency"] else "combinational"
    for name, value in (
        ("latency", latency),
        ("LUTs (alkaid's estimate)", f"{made['lut_estimate']:.0f}"),
        ("longest path (levels of adders)", f"{made['levels']:.1f}"),
        ("register bits", str(made["register_bits"])),
        ("logit", f"{made['logit']['bits']} bits"),
        ("threshold code", str(chosen["code"])),
        ("signal efficiency, validation", f"{chosen['validation_efficiency']:.4f}"),
        ("background rejection, validation", f"{chosen['validation_rejection']:.4f}"),
    ):
        table.add_row(name, value)
    return table


def _layers(checked: Mapping[str, Any]) -> Table:
    table = Table(title="integer program on the clusters", title_justify="left")
    for column in ("layer", "bits of a sum", "values", "saturated", "below 0"):
        table.add_column(column, justify="left" if column == "layer" else "right")
    for row in checked["counters"]:
        values = max(row["values"], 1)
        table.add_row(
            row["layer"],
            str(row["sum_bits"]),
            str(row["values"]),
            f"{100 * row['saturated'] / values:.2f} %",
            f"{100 * row['below'] / values:.2f} %",
        )
    return table


def _compared(checked: Mapping[str, Any]) -> Table:
    n = checked["clusters"] + checked["corners"]
    title = f"{checked['clusters']} clusters and {checked['corners']} corner vectors"
    table = Table(title=title, title_justify="left")
    for column in ("against the integer program", "vectors", "mismatches"):
        table.add_column(column, justify="left" if column.startswith("a") else "right")
    names = {"keras": "Keras logit", "verilog_logit": "Verilog logit", "verilog_keep": "keep bit"}
    for stage, mismatches in checked["mismatches"].items():
        table.add_row(names[stage], str(n), str(mismatches))
    table.caption = f"{checked['tools']['simulator']}, alkaid {checked['tools']['alkaid']}"
    return table
