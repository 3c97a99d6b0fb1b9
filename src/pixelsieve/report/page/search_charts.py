"""Charts of a search: its front and how it grew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pixelsieve.report.colours import INK
from pixelsieve.report.page.charts import Figure, short
from pixelsieve.report.tables import METRIC_TITLES

__all__ = ["COST_TITLES", "pareto_figure", "volume_figure"]

COST_TITLES = {"luts": "LUTs (alkaid's estimate)", "ebops": "EBOPs", "levels": "levels of adders"}
"""What costs are called on axes."""


def pareto_figure(metrics: Mapping[str, Any]) -> Figure:
    """Quality against cost: on validation every trial and the front; on test the final table."""
    return [
        {"label": "validation", "charts": [_validation(metrics)]},
        {"label": "test, final training", "charts": [_test(metrics)]},
    ]


def _axes(metrics: Mapping[str, Any], split: str) -> dict[str, Any]:
    title = METRIC_TITLES.get(metrics["metric"], metrics["metric"])
    return {
        "wide": True,
        "x": {"label": COST_TITLES.get(metrics["cost"], metrics["cost"]), "scale": "log"},
        "y": {"label": f"{title}, {split}", "scale": "linear"},
    }


def _validation(metrics: Mapping[str, Any]) -> dict[str, Any]:
    metric, cost = metrics["metric"], metrics["cost"]
    front: list[list[Any]] = []
    others: list[list[Any]] = []
    for one in metrics["trials"]:
        bits = "/".join(str(one[f"{what}_bits"]) for what in ("weight", "activation", "input"))
        bits = "learned" if one["kind"] == "learned" else bits
        widths = " - ".join(map(str, one["widths"][: one["depth"]]))
        told = f"{widths}, {one['inputs']}, {bits} bits"
        for network in one["networks"]:
            if not network[cost] > 0:
                continue
            values = [short(network[cost]), short(network[metric]), None, None]
            point = [*values, f"{network['name']}: {told}"]
            (front if network["name"] in metrics["front"] else others).append(point)
    return {
        **_axes(metrics, "validation"),
        "series": [
            {"name": "trial", "colour": "grey", "draw": "points", "points": others},
            {"name": "front", "colour": 0, "draw": "front", "points": sorted(front)},
            _rows(metrics, "uniform", "validation"),
        ],
    }


def _test(metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **_axes(metrics, "test"),
        "series": [_rows(metrics, "front", "test"), _rows(metrics, "uniform", "test")],
    }


def _rows(metrics: Mapping[str, Any], kind: str, split: str) -> dict[str, Any]:
    points = []
    for row in metrics["rows"]:
        if (row["kind"] == "front") != (kind == "front"):
            continue
        value = row["validation"] if split == "validation" else row["test"][metrics["metric"]]
        mean, spread = value["mean"], value["spread"]
        at = row[metrics["cost"]]["mean"]
        told = f"{row['name']}: {row['network']}, {row['bits']} bits"
        points.append([short(at), short(mean), short(mean - spread), short(mean + spread), told])
    name, colour = ("front, mean of seeds", 0) if kind == "front" else ("same bits everywhere", 1)
    return {"name": name, "colour": colour, "draw": "points", "points": points}


def volume_figure(metrics: Mapping[str, Any]) -> Figure:
    """Hypervolume of the front after each trial."""
    points = [[i, short(v)] for i, v in enumerate(metrics["hypervolume"], start=1)]
    series = [{"name": "hypervolume", "colour": INK, "draw": "line", "points": points}]
    x = {"label": "trial", "scale": "linear", "whole": True}
    y = {"label": "hypervolume of the front", "scale": "linear"}
    return [{"label": "", "charts": [{"wide": True, "x": x, "y": y, "series": series}]}]
