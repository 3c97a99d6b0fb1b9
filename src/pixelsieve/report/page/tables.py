"""Cells of the page's tables, numbers as they are in the run's JSON."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pixelsieve.core.config import from_mapping, to_plain
from pixelsieve.core.errors import ConfigError
from pixelsieve.metrics.statistics import METRICS
from pixelsieve.networks.precision import bits_text
from pixelsieve.report.evaluation_tables import robustness_tables
from pixelsieve.report.page.charts import DASH
from pixelsieve.report.tables import METRIC_TITLES
from pixelsieve.studies.robustness import RobustnessResult

__all__ = [
    "METRIC_ORDER",
    "command",
    "config_lines",
    "firmware_rows",
    "paired_rows",
    "resources_rows",
    "robustness_rows",
    "search_rows",
    "summary_rows",
    "warm_starts",
]

Row = dict[str, Any]

METRIC_ORDER = ("rejection_98", *(name for name in METRICS if name != "rejection_98"))
"""Columns of figures of merit: what a phone shows first is what the network is for."""


def summary_rows(metrics: Mapping[str, Any]) -> list[Row]:
    """Approaches and baselines: `name`, `bits`, and a cell a figure of merit."""
    found = []
    for row in [*metrics["rows"], *metrics["baselines"]]:
        seeds = len(row["by_seed"])
        cells = []
        for name in METRIC_ORDER:
            value, interval = row["summary"][name], row["bootstrap_68"][name]
            cells.append(
                {
                    "value": value["mean"],
                    "text": f"{value['mean']:.4f}",
                    "spread": f"± {value['spread']:.4f}" if seeds > 1 else "",
                    "interval": f"{interval['low']:.4f} {DASH} {interval['high']:.4f}",
                }
            )
        bits = row.get("bits")
        found.append(
            {
                "name": row["approach"],
                "bits": bits or ("float" if "recipe" in row else ""),
                "seeds": seeds if "recipe" in row else "",
                "baseline": "recipe" not in row,
                "cells": cells,
            }
        )
    return found


def paired_rows(metrics: Mapping[str, Any]) -> list[Row]:
    """All paired tests, numbers formatted."""
    return [
        {
            "bits": t["bits"],
            "metric": METRIC_TITLES[t["metric"]],
            "better": t["better"],
            "than": t["than"],
            "difference": f"{t['difference']:+.4f}" if t["difference"] else "equal",
            "interval": "not enough seeds"
            if t["p_value"] is None
            else f"{t['low']:+.4f} to {t['high']:+.4f}",
            "p": "" if t["p_value"] is None else f"{t['p_corrected']:.2g}",
            "p_value": t["p_corrected"],
        }
        for t in metrics["paired"]
    ]


def warm_starts(metrics: Mapping[str, Any]) -> list[Row]:
    """What the warm start of each quantized approach did, first seed."""
    found = []
    for row in metrics["rows"]:
        layers = (row.get("warm_start") or [None])[0]
        if row["bits"] is not None:
            copied = sum(r["status"] == "copied" for r in layers or [])
            found.append(
                {
                    "name": f"{row['approach']}, {bits_text(row['bits'])}",
                    "copied": f"{copied} of {len(layers)} layers copied" if layers else None,
                    "all": bool(layers) and copied == len(layers or []),
                    "layers": layers or [],
                }
            )
    return found


def firmware_rows(firmware: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """The gate of each firmware folder, Verilog or HLS hand-over."""
    return [_firmware(name, one) for name, one in firmware.items()]


def _firmware(name: str, one: Mapping[str, Any]) -> Row:
    checked = one.get("verification", one)
    counts = checked.get("mismatches", {})
    wrong = dict(counts) if isinstance(counts, Mapping) else {"C simulation": counts}
    for stage in ("netlist", "vhdl"):
        wrong |= (one.get(stage) or {}).get("mismatches", {})
    passed = one.get("passed", checked.get("passed", not any(wrong.values())))
    design, threshold = one.get("design", {}), one.get("threshold", {})
    facts: list[tuple[str, str]] = [
        ("test clusters", str(checked.get("clusters", DASH))),
        ("corner vectors", str(checked.get("corners", DASH))),
    ]
    if design:
        facts += [
            ("made from", one.get("from", "features")),
            ("latency", f"{design['latency']} clocks" if design["latency"] else "combinational"),
            ("LUTs (alkaid's estimate)", f"{design['lut_estimate']:.0f}"),
            ("levels of adders", f"{design['levels']:.0f}"),
            ("register bits", str(design["register_bits"])),
        ]
    if isinstance(threshold, Mapping) and "code" in threshold:
        facts += [
            ("threshold (code)", str(threshold["code"])),
            ("signal efficiency, validation", f"{threshold['validation_efficiency']:.4f}"),
            ("rejection, validation", f"{threshold['validation_rejection']:.4f}"),
        ]
    for made in one.get("synthesis") or []:
        facts.append((f"{made['measure']} ({made['tool']} {made['version']})", _synthesis(made)))
    tools = checked.get("tools") or one.get("versions") or {}
    facts += [(k, str(v)) for k, v in tools.items()]
    return {"name": name, "passed": passed, "mismatches": wrong, "facts": facts}


def _synthesis(made: Mapping[str, Any]) -> str:
    if made["status"] != "done":
        return str(made["status"])
    counted = made.get(made["measure"]) or {}
    whole = [
        f"{v:g} {k.replace('_', ' ')}" for k, v in counted.items() if isinstance(v, (int, float))
    ]
    return ", ".join(whole)


def resources_rows(resources: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """Costs of a run's models before any vendor tool."""
    return [
        {
            "model": name,
            "weights": one["weights"],
            "not_zero": one["weights_not_zero"],
            "latency": one["latency"] or DASH,
            "luts": f"{one['lut_estimate']:.0f}",
            "levels": f"{one['levels']:.0f}",
            "registers": one["register_bits"],
            "yosys": "; ".join(f"{s['measure']}: {_synthesis(s)}" for s in one["synthesis"])
            or DASH,
        }
        for name, one in resources.items()
    ]


def robustness_rows(result: Mapping[str, Any]) -> list[Row]:
    """Return per approach the rows of `robustness_tables`."""
    try:
        found = from_mapping(RobustnessResult, result, "robustness.json")
    except ConfigError as error:
        raise ValueError(str(error)) from error
    made = zip(found.approaches, robustness_tables(found), strict=True)
    return [
        {
            "name": one.approach,
            "networks": len(one.networks),
            "rows": list(map(_varied, table.rows)),
        }
        for one, table in made
    ]


def _varied(row: Any) -> Row:
    label, *merits, clusters, against = row.cells
    cells = [replace(one, value="" if one.value is None else one.value) for one in merits]
    read, lost = clusters.text.split("\n")
    return {"label": label, "against": against, "cells": cells, "read_out": read, "lost": lost}


def search_rows(metrics: Mapping[str, Any]) -> list[Row]:
    """The networks of a search's final table, cheap ones first."""
    metric = metrics["metric"]
    rows = sorted(metrics["rows"], key=lambda r: (r["kind"], r["luts"]["mean"]))
    return [
        {
            "name": r["name"],
            "network": r["network"],
            "inputs": r["inputs"],
            "bits": r["bits"],
            "parameters": r["parameters"],
            "luts": _spread(r["luts"], 0),
            "counted": _spread(r["counted_luts"], 0) if r.get("counted_luts") else _NOTHING,
            "levels": _spread(r["levels"], 1),
            "ebops": _spread(r["ebops"], 0),
            "validation": _spread(r["validation"], 4),
            "test": _spread(r["test"][metric], 4),
            "auc": _spread(r["test"]["auc"], 4),
            "on_front": r["on_front"],
        }
        for r in rows
    ]


_NOTHING: Row = {"value": -1, "text": DASH, "spread": ""}


def _spread(value: Mapping[str, float], digits: int) -> Row:
    spread = f"± {value['spread']:.{digits}f}" if value["spread"] else ""
    return {"value": value["mean"], "text": f"{value['mean']:.{digits}f}", "spread": spread}


def command(manifest: Mapping[str, Any]) -> str:
    """The command that made the run, to copy."""
    words = list(manifest.get("command") or [])
    if words and Path(words[0]).name in {"__main__.py", "pixelsieve"}:
        words[0] = "pixelsieve"
    return shlex.join(words)


def config_lines(value: Any, name: str = "") -> list[tuple[str, str]]:
    """A nested configuration as lines of dotted name and value; lists of plain values in one."""
    plain = to_plain(value)
    if isinstance(plain, Mapping):
        return [
            line
            for key, one in plain.items()
            for line in config_lines(one, f"{name}.{key}" if name else str(key))
        ]
    if _nested(plain):
        return [line for i, one in enumerate(plain) for line in config_lines(one, f"{name}[{i}]")]
    if isinstance(plain, list):
        return [(name, ", ".join(map(str, plain)) or "none")]
    return [(name, "none" if plain is None else str(plain))]


def _nested(plain: Any) -> bool:
    return (
        isinstance(plain, Sequence)
        and not isinstance(plain, str)
        and any(isinstance(one, (Mapping, list)) for one in plain)
    )
