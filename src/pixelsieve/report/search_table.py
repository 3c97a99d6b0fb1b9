"""The table of a search, from its metrics.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

from pixelsieve.metrics.metrics import LARGEST_TIE_LOSS
from pixelsieve.report.tables import COST_TITLES, METRIC_TITLES, whole

__all__ = ["search_lines", "search_tables"]

_WIDE = 150


def search_tables(metrics: Mapping[str, Any], width: int) -> list[Table]:
    """The front and the uniform networks, means ± spread over seeds.

    One table where `width` characters hold it, else one of the networks and one of their figures.
    """
    seeds = len(metrics["seeds"])
    over_seeds = f"{seeds} seeds, mean ± spread" if seeds > 1 else "one seed: no spread"
    title = f"Smallest networks, {over_seeds}"
    rows = sorted(metrics["rows"], key=lambda r: (r["kind"], r["luts"]["mean"]))
    metric, counted = metrics["metric"], any("counted_luts" in r for r in rows)
    if width >= _WIDE:
        tables = [_table(title)]
        _add_network_columns(tables[0])
        _add_figure_columns(tables[0], metric, counted=counted)
    else:
        tables = [_table("Smallest networks"), _table(title)]
        _add_network_columns(tables[0])
        _add_figure_columns(tables[1], metric, counted=counted)
    for table in tables:
        kind = rows[0]["kind"]
        for row in rows:
            if row["kind"] != kind:
                table.add_section()
            kind = row["kind"]
            cells = [escape(row["name"])]
            cells += _network_cells(row) if table is tables[0] else []
            cells += _figure_cells(row, metric, counted=counted) if table is tables[-1] else []
            table.add_row(*cells)
    return tables


def _table(title: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("network", no_wrap=True)
    return table


def _add_network_columns(table: Table) -> None:
    table.add_column("layers")
    table.add_column("inputs")
    for name in ("bits w/a/i", "parameters"):
        table.add_column(name, justify="right", no_wrap=True)


def _add_figure_columns(table: Table, metric: str, *, counted: bool) -> None:
    yosys = ["LUTs by Yosys"] if counted else []
    for name in ("LUTs (estimate)", *yosys, "with features", "levels"):
        table.add_column(name, justify="right")
    shown = METRIC_TITLES[metric]
    titles = [f"{shown}, validation", f"{shown}, test"]
    titles += [] if metric == "auc" else [f"{METRIC_TITLES['auc']}, test"]
    for name in titles:
        table.add_column(name, justify="right")
    table.add_column("front")


def _network_cells(row: Mapping[str, Any]) -> list[str]:
    return [escape(row["network"]), escape(row["inputs"]), row["bits"], str(row["parameters"])]


def _figure_cells(row: Mapping[str, Any], metric: str, *, counted: bool) -> list[str]:
    shares = [_share(row["validation"]), _share(row["test"][metric])]
    shares += [] if metric == "auc" else [_share(row["test"]["auc"])]
    return [
        whole(row["luts"]) + ("~" if _is_coarse(row) else ""),
        *([whole(row.get("counted_luts"))] if counted else []),
        "-" if row["feature_luts"] is None else f"{row['luts']['mean'] + row['feature_luts']:.0f}",
        whole(row["levels"]),
        *shares,
        "*" if row["on_front"] else "",
    ]


def _is_coarse(row: Mapping[str, Any]) -> bool:
    """Whether a seed loses much to ties at 98 % signal efficiency on test."""
    return any(one.get("tie_loss_98", 0.0) > LARGEST_TIE_LOSS for one in row["by_seed"])


def _share(value: Mapping[str, float]) -> str:
    more = f" ±{value['spread']:.4f}".replace("±0.", "±.") if value["spread"] else ""
    return f"{value['mean']:.4f}{more}"


def search_lines(metrics: Mapping[str, Any], folder: str) -> list[str]:
    """What the table leaves to say: how the trials ended, what is smaller than what, and where."""
    states = metrics["states"]
    made = len(metrics["trials"])
    ended = ", ".join(f"{states[s]} {s}" for s in ("complete", "stopped", "failed"))
    volume = metrics["hypervolume"][-1]
    lines = [f"{made} trials: {ended}; hypervolume of the front {volume:.4f}"]
    lines.append("'*': on the front of the means over seeds, on validation")
    if any(_is_coarse(row) for row in metrics["rows"]):
        lines.append(
            f"'~': coarse logits, of which ties cost a seed over {LARGEST_TIE_LOSS:g} of rejection"
        )
    cost = COST_TITLES[metrics["cost"]]
    metric = METRIC_TITLES[metrics["metric"]]
    rows = {row["name"]: row for row in metrics["rows"]}
    for one in metrics["smaller"]:
        than = rows[one["than"]]
        if one["times"] is None:
            lines.append(f"no network of the front has the {metric} of {one['than']} on validation")
            continue
        best = rows[one["name"]]
        lines.append(
            f"{one['name']} is {one['times']:.1f} times smaller than {one['than']} in {cost} "
            f"({best[metrics['cost']]['mean']:.0f} against {than[metrics['cost']]['mean']:.0f}) at "
            f"{metric} {best['validation']['mean']:.4f} against {than['validation']['mean']:.4f} "
            f"on validation, {best['test'][metrics['metric']]['mean']:.4f} against "
            f"{than['test'][metrics['metric']]['mean']:.4f} on test"
        )
    missing = {row.get("feature_luts_missing") for row in metrics["rows"]} - {None}
    lines += [f"'-' with features: {why}" for why in sorted(missing)]
    lines += [
        f"left out: {one['name']} ({one['network']}): {one['reason']}"
        for one in metrics["left_out"]
    ]
    lines.append(
        f"{folder}: manifest, metrics.json, trials, models, figures, study.journal for Optuna"
    )
    return lines
