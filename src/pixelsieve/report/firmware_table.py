"""Tables of a firmware result for the terminal, made from plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

__all__ = ["firmware_tables", "hand_over_table", "resources_table", "vendor_table"]


def firmware_tables(result: Mapping[str, Any]) -> list[Table]:
    """What was built, what the layers' sums did, what was compared, and what was asked besides."""
    tables = [_built(result), _layers(result["verification"]), _compared(result)]
    if result["synthesis"]:
        tables.append(_synthesized(result["synthesis"]))
    if result["bit_flips"]:
        tables.append(_flips(result["bit_flips"]))
    return tables


def resources_table(found: Sequence[Mapping[str, Any]]) -> Table:
    """Costs of networks, a row each."""
    table = Table(title="costs before any vendor tool", title_justify="left")
    measures = list(dict.fromkeys(s["measure"] for row in found for s in row["synthesis"]))
    for column in (
        *("run", "model", "weights", "not 0", "clocks", "LUTs (alkaid's estimate)", "levels"),
        *("register bits", *(_YOSYS[m] for m in measures)),
    ):
        table.add_column(column, justify="left" if column in {"run", "model"} else "right")
    for row in found:
        counts = {s["measure"]: _count(s) for s in row["synthesis"]}
        table.add_row(
            escape(Path(row["run"]).name),
            escape(row["model"]),
            str(row["weights"]),
            str(row["weights_not_zero"]),
            str(row["latency"] or "-"),
            f"{row['lut_estimate']:.0f}",
            f"{row['levels']:.0f}",
            str(row["register_bits"]),
            *(counts.get(m, "-") for m in measures),
        )
    if measures:
        one = next(s for row in found for s in row["synthesis"])
        table.caption = f"{one['tool']} {one['version']}, family {one['settings']['family']}"
    return table


def vendor_table(reports: Sequence[Mapping[str, Any]]) -> Table:
    """What vendor tools said; never mixed with our own counts."""
    table = Table(title="vendor reports", title_justify="left")
    names = ("lut", "ff", "dsp", "bram_18k")
    for column in ("model", "report", "file", *names, "clock ns (asked)", "latency", "interval"):
        table.add_column(column, justify="left" if column in {"model", "report"} else "right")
    for row in reports:
        table.add_row(
            escape(row["model"] or row["top"] or "-"),
            f"{row['kind']} ({row['stage']})" if row["stage"] else row["kind"],
            escape(Path(row["file"]).name),
            *(_or_dash(row[n]) for n in names),
            f"{_or_dash(row['achieved_clock_ns'])} ({_or_dash(row['target_clock_ns'])})",
            _or_dash(row["latency_max_cycles"]),
            _or_dash(row["interval_max_cycles"]),
        )
    return table


def hand_over_table(result: Mapping[str, Any]) -> Table:
    """An HLS project: its settings and what its C simulation was compared with."""
    settings = result["settings"]
    title = f"hls4ml project {result['top']}"
    table = Table(title=title, title_justify="left", show_header=False)
    for name, value in (
        ("backend", f"{settings['backend']}, {settings['io_type']}, {settings['strategy']}"),
        ("part", str(settings["part"])),
        ("clock", f"{settings['clock_ns']:g} ns"),
        ("reuse factor", str(settings["reuse_factor"])),
        ("clusters and corner vectors", f"{result['clusters']} + {result['corners']}"),
        ("C simulation against the integer program", f"{result['mismatches']} mismatches"),
        *(("note", escape(note)) for note in result["notes"]),
    ):
        table.add_row(name, value)
    return table


_YOSYS = {"luts": "LUTs (Yosys)", "gates": "NAND2 equivalents (Yosys)"}


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


def _count(synthesis: Mapping[str, Any]) -> str:
    """The one number of a measurement, or why there is none."""
    if synthesis["luts"]:
        return str(synthesis["luts"]["total"])
    if synthesis["gates"]:
        return f"{synthesis['gates']['nand2_equivalents']:.0f}"
    return str(synthesis["status"])


def _synthesized(rows: Sequence[Mapping[str, Any]]) -> Table:
    one = rows[0]
    table = Table(title=f"{one['tool']} {one['version']}", title_justify="left", show_header=False)
    for row in rows:
        name = _YOSYS[row["measure"]].removesuffix(" (Yosys)")
        table.add_row(name, _count(row), f"{row['seconds']:.0f} s")
        if row["luts"]:
            luts = row["luts"]
            table.add_row("logic cells, two small LUTs sharing one", _or_dash(luts["logic_cells"]))
            table.add_row("flip-flops", str(luts["flip_flops"]))
            table.add_row("CARRY4", str(luts["carry"]))
        if row["gates"]:
            table.add_row("gates on the longest path", str(row["gates"]["depth"]))
    return table


def _flips(study: Mapping[str, Any]) -> Table:
    how = "every stored bit" if study["exhaustive"] else "a sample of the stored bits"
    title = (
        f"one flipped weight bit ({how}): loss of rejection at {study['efficiency']:.0%} "
        f"signal efficiency, from {study['rejection']:.4f}, validation"
    )
    table = Table(title=title, title_justify="left")
    for column in ("weights", "bit", "flips", "mean loss", "worst loss"):
        table.add_column(column, justify="left" if column == "weights" else "right")
    for row in study["rows"]:
        table.add_row(
            row["layer"],
            str(row["bit"]),
            f"{row['flips']} of {row['stored_bits']}",
            f"{row['mean_rejection_loss']:.4f}",
            f"{row['worst_rejection_loss']:.4f}",
        )
    return table


def _built(result: Mapping[str, Any]) -> Table:
    made, chosen = result["design"], result["threshold"]
    table = Table(title=f"module {made['top']}", title_justify="left", show_header=False)
    latency = f"{made['latency']} clocks" if made["latency"] else "combinational"
    for name, value in (
        ("latency", latency),
        ("LUTs (alkaid's estimate)", f"{made['lut_estimate']:.0f}"),
        *_pixel_rows(result["pixel_cost"]),
        ("longest path (levels of adders)", f"{made['levels']:.1f}"),
        ("register bits", str(made["register_bits"])),
        ("logit", f"{made['logit']['bits']} bits"),
        ("threshold code", str(chosen["code"])),
        ("signal efficiency, validation", f"{chosen['validation_efficiency']:.4f}"),
        ("background rejection, validation", f"{chosen['validation_rejection']:.4f}"),
        ("  lost to ties at the threshold", f"{chosen['validation_tie_loss']:.4f}"),
    ):
        table.add_row(name, value)
    return table


def _pixel_rows(cost: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Estimates of the parts; made as one they may share logic."""
    if cost is None:
        return []
    return [(f"  of these, {n} alone", f"{cost[n]:.0f}") for n in ("features", "network")]


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


def _compared(result: Mapping[str, Any]) -> Table:
    checked, netlist = result["verification"], result["netlist"]
    n = checked["clusters"] + checked["corners"]
    title = f"{checked['clusters']} clusters and {checked['corners']} corner vectors"
    table = Table(title=title, title_justify="left")
    for column in ("against the integer program", "vectors", "mismatches"):
        table.add_column(column, justify="left" if column.startswith("a") else "right")
    names = {"keras": "Keras logit", "verilog_logit": "Verilog logit", "verilog_keep": "keep bit"}
    for stage, mismatches in checked["mismatches"].items():
        table.add_row(names[stage], str(n), str(mismatches))
    for what, check in (("netlist", netlist), ("VHDL", result["vhdl"])):
        if check and not check["vectors"]:
            table.add_row(f"{what} {escape(check['tool'])}", "0", "-")
        for stage, mismatches in check["mismatches"].items() if check else ():
            part = "logit" if stage.endswith("logit") else "keep bit"
            table.add_row(f"{what} {part}", str(check["vectors"]), str(mismatches))
    table.caption = f"{checked['tools']['simulator']}, alkaid {checked['tools']['alkaid']}"
    return table
