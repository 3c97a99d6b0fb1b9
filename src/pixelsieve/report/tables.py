"""Tables for the terminal, made from plain data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from pixelsieve.metrics.metrics import LARGEST_TIE_LOSS
from pixelsieve.networks.precision import bits_text

__all__ = [
    "COST_TITLES",
    "METRIC_TITLES",
    "TREES_NOTE",
    "coarse_lines",
    "collapsed_lines",
    "comparison_tables",
    "correction_line",
    "learned_table",
    "luts_table",
    "over_budget_lines",
    "paired_table",
    "read_out_table",
    "scores_table",
    "warm_start_table",
    "whole",
]

_SHOWN = {
    "accuracy": "accuracy",
    "auc": "AUC",
    "rejection_90": "rej. 90 %",
    "rejection_95": "rej. 95 %",
    "rejection_98": "rej. 98 %",
    "rejection_99": "rej. 99 %",
}
"""Columns of a comparison, with headings that leave room for the numbers."""
_FIRST = ("rejection_98", "auc", "accuracy", "rejection_99", "rejection_95", "rejection_90")
"""Which of them come first where a terminal has no room for all."""
_MEAN, _WITH_SPREAD, _FRAME = 6, 13, 3
"""Characters of a number, of one with its spread, and of a column's frame."""
TREES_NOTE = "boosted trees see the inputs without the cut at the ends of their range"
_RECIPE_COLUMNS = ("first rate", "last rate", "decay", "warm start")
_WIDE = 165
METRIC_TITLES = {
    "accuracy": "accuracy",
    "auc": "AUC",
    "rejection_90": "rejection at 90 %",
    "rejection_95": "rejection at 95 %",
    "rejection_98": "rejection at 98 %",
    "rejection_99": "rejection at 99 %",
}
"""What a figure of merit is called in tables."""

COST_TITLES = {"luts": "LUTs", "ebops": "EBOPs", "levels": "levels"}
"""What a cost is called in tables."""


def over_budget_lines(metrics: Mapping[str, Any]) -> list[str]:
    """A warning for each learned network that costs more than its budget."""
    return [f"warning: {line}" for row in metrics["rows"] for line in row.get("over_budget", [])]


def comparison_tables(metrics: Mapping[str, Any], width: int) -> list[Table]:
    """Approaches by rows: how each was trained, and its figures of merit over seeds.

    One table where `width` characters hold it, else two, of as many figures as there is room for.
    """
    seeds = len(metrics["rows"][0]["seeds"])
    counted = f"{seeds} seeds, mean ± spread over seeds" if seeds > 1 else "one seed: no spread"
    title = f"{metrics['network']}, test split, {counted}"
    if width >= _WIDE:
        table, shown = _approaches(title, metrics), list(_SHOWN)
        _add_recipe_columns(table)
        _add_figure_columns(table, shown)
        for row in metrics["rows"]:
            table.add_row(*_head(row), *_recipe_cells(row), *_cells(row, shown, seeds > 1))
        tables, fillers = [table], [""] * len(_RECIPE_COLUMNS)
    else:
        recipes = _approaches(f"{metrics['network']}, recipes", metrics)
        table, shown = _approaches(title, metrics), _that_fit(metrics, width, seeds > 1)
        _add_recipe_columns(recipes)
        _add_figure_columns(table, shown)
        for row in metrics["rows"]:
            recipes.add_row(*_head(row), *_recipe_cells(row))
            table.add_row(*_head(row), *_cells(row, shown, seeds > 1))
        tables, fillers = [recipes, table], []
    if metrics["baselines"]:
        table.add_section()
    for row in metrics["baselines"]:
        cells = _cells(row, shown, spread=False)
        table.add_row(row["approach"], "", *fillers, *cells)
    table.caption = "rej. 98 %: fraction of the BIB that is dropped if 98 % of the signal is kept"
    if any(row["approach"].startswith("boosted trees") for row in metrics["baselines"]):
        table.caption += f"; {TREES_NOTE}"
    if len(shown) < len(_SHOWN):
        table.caption += "; metrics.json and a wider terminal have more"
    return tables


def _longest_name(metrics: Mapping[str, Any]) -> int:
    """Of a recipe; the longer names of baselines may break into lines."""
    return max(len(row["approach"]) for row in metrics["rows"])


def _longest_bits(metrics: Mapping[str, Any]) -> int:
    return max(len(str(row["bits"] or "float")) for row in metrics["rows"])


def _that_fit(metrics: Mapping[str, Any], width: int, spread: bool) -> list[str]:
    """The figures that `width` characters hold beside the names, one at least."""
    room = width - 1 - (_longest_name(metrics) + _FRAME) - (_longest_bits(metrics) + _FRAME)
    number = _WITH_SPREAD if spread else _MEAN
    fitting: list[str] = []
    for name in _FIRST:
        room -= max(len(_SHOWN[name]), number) + _FRAME
        if room >= 0 or not fitting:
            fitting.append(name)
    return [name for name in _SHOWN if name in fitting]


def collapsed_lines(metrics: Mapping[str, Any]) -> list[str]:
    """A warning for each approach with networks that are hardly better than chance."""
    lines = []
    for row in metrics["rows"]:
        if row.get("collapsed"):  # older runs do not tell
            aucs = {s: f["auc"] for s, f in zip(row["seeds"], row["by_seed"], strict=True)}
            which = ", ".join(f"seed {s} (AUC {aucs[s]:.3f})" for s in row["collapsed"])
            name = ", ".join((row["approach"], bits_text(row["bits"])))
            lines.append(
                f"warning: {name}: {which} hardly better than chance; the training collapsed, "
                "and the mean and spread above contain it"
            )
    return lines


def _approaches(title: str, metrics: Mapping[str, Any]) -> Table:
    table = Table(title=title, title_justify="left", caption_justify="left")
    table.add_column("approach", min_width=_longest_name(metrics), overflow="fold")
    table.add_column("bits", justify="right", no_wrap=True)
    return table


def _add_recipe_columns(table: Table) -> None:
    for name in _RECIPE_COLUMNS:
        table.add_column(name, justify="right", no_wrap=True)


def _add_figure_columns(table: Table, shown: Sequence[str]) -> None:
    for name in shown:
        table.add_column(_SHOWN[name], justify="right", no_wrap=True)


def _head(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["approach"], str(row["bits"] or "float")


def _recipe_cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    recipe = row["recipe"]
    rates = (f"{recipe['initial_rate']:g}", f"{recipe['end_rate']:g}")
    return (*rates, _decay(recipe), _warm_start(row["warm_start"][0]))


def _decay(recipe: Mapping[str, Any]) -> str:
    return f"power {recipe['power']:g}" if recipe["decay"] == "polynomial" else recipe["decay"]


def _warm_start(rows: Sequence[Mapping[str, Any]] | None) -> str:
    if rows is None:
        return "-"
    return f"{sum(r['status'] == 'copied' for r in rows)} of {len(rows)}"


def _cells(row: Mapping[str, Any], shown: Sequence[str], spread: bool) -> list[str]:
    cells = []
    for name in shown:
        value = row["summary"][name]
        more = f" ±{value['spread']:.4f}".replace("±0.", "±.") if spread else ""
        cells.append(f"{value['mean']:.4f}{more}")
    return cells


def learned_table(result: Mapping[str, Any]) -> Table:
    """The networks of a training of bits, on validation, largest first; exact ones with LUTs."""
    table = Table(title=f"Networks of {result['name']}, validation", title_justify="left")
    networks = result["networks"]
    exact = "exact" in networks[0]
    merits = ["auc", "rejection_98"] if exact else list(networks[0]["merits"])
    costs = ["LUTs", "levels"] if exact else []
    titles = (METRIC_TITLES[merit] for merit in merits)
    table.add_column("network", no_wrap=True)
    for name in ("epoch", "EBOPs", *costs, *titles):
        table.add_column(name, justify="right")
    for one in networks:
        figures = one["exact"] if exact else one["merits"]
        sizes = [f"{figures['luts']:.0f}", f"{figures['levels']:.0f}"] if exact else []
        coarse = "~" if figures.get("tie_loss_98", 0.0) > LARGEST_TIE_LOSS else ""
        values = [f"{figures[merit]:.4f}" for merit in merits]
        values[-1] += coarse
        table.add_row(one["model"], str(one["epoch"]), f"{one['ebops']:.0f}", *sizes, *values)
    if exact:
        table.caption = (
            "LUTs: alkaid's estimate; '~': ties at the threshold cost over 0.01 of rejection"
        )
    return table


def luts_table(metrics: Mapping[str, Any]) -> Table | None:
    """LUTs of the quantized networks, estimated and counted; None if none was counted."""
    rows = [row for row in metrics["rows"] if "counted_luts" in row]
    if not rows:
        return None
    title = f"LUTs of {metrics['network']}, combinational, without its features"
    table = _approaches(title, metrics)
    for name in ("alkaid's estimate", "counted by Yosys"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*_head(row), whole(row["luts"]), whole(row["counted_luts"]))
    if any(row["counted_luts"] is None for row in rows):
        table.caption = "'-': a count failed or did not finish; resources.json says which"
    return table


def whole(value: Mapping[str, float] | None) -> str:
    """A mean of whole numbers with its spread, if any; "-" for None."""
    if value is None:
        return "-"
    more = f" ±{value['spread']:.0f}" if value["spread"] else ""
    return f"{value['mean']:.0f}{more}"


def coarse_lines(metrics: Mapping[str, Any]) -> list[str]:
    """A line for each approach with networks that lose much to ties at 98 % signal efficiency."""
    lines = []
    for row in metrics["rows"]:
        losses = [f.get("tie_loss_98", 0.0) for f in row["by_seed"]]  # older runs do not tell
        coarse = [loss for loss in losses if loss > LARGEST_TIE_LOSS]
        if coarse:
            name = ", ".join((row["approach"], bits_text(row["bits"])))
            lines.append(
                f"coarse logits: {name}: ties at the threshold cost up to {max(coarse):.3f} of "
                f"the rejection at 98 % ({len(coarse)} of {len(losses)} seeds)"
            )
    return lines


def paired_table(metrics: Mapping[str, Any], metric: str = "auc") -> Table | None:
    """Differences of recipes at equal bits, seed by seed; None if nothing is paired."""
    tests = [t for t in metrics["paired"] if t["metric"] == metric]
    if not tests:
        return None
    title = f"Paired over seeds: {METRIC_TITLES[metric]} (t-test)"
    table = Table(
        title=title, title_justify="left", caption_justify="left", pad_edge=False, show_lines=False
    )
    table.add_column("bits", justify="right")
    for name, key in (("higher mean", "better"), ("than", "than")):
        width = max(len(test[key]) for test in tests)
        table.add_column(name, min_width=width, overflow="fold")
    for name in ("by", "95 % interval", "p"):
        table.add_column(name, justify="right")
    for test in tests:
        untold = test["p_value"] is None
        table.add_row(
            str(test["bits"]),
            test["better"],
            test["than"],
            f"{test['difference']:+.4f}" if test["difference"] else "equal",
            "not enough seeds" if untold else f"{test['low']:+.4f} to {test['high']:+.4f}",
            "-" if untold else f"{test['p_corrected']:.2g}",
        )
    table.caption = correction_line(tests)
    return table


def correction_line(tests: Sequence[Mapping[str, Any]]) -> str:
    """Return what p means in the tests of a run, or of one figure of merit in it."""
    made = Counter(test["metric"] for test in tests if test["p_value"] is not None)
    number = max(made.values(), default=0)
    if not number:
        return "not enough seeds for a test: their differences tell no spread"
    return (
        f"better: p below 0.05, corrected for the {number} tests of a figure of merit (Holm); "
        "intervals are those of one test alone"
    )


def warm_start_table(name: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    """What a warm start did to each layer."""
    table = Table(title=f"Warm start of {name}: copied {_warm_start(rows)}", title_justify="left")
    for column in ("layer", "shape", "status", "largest change", "saturated weights"):
        table.add_column(column, justify="left" if column in ("layer", "status") else "right")
    for row in rows:
        table.add_row(
            row["layer"],
            " x ".join(map(str, row["shape"])),
            row["status"],
            f"{row['largest_change']:.4f}",
            f"{100 * row['saturated_share']:.1f} %",
        )
    return table


def scores_table(title: str, figures: Mapping[str, float], intervals: Mapping[str, Any]) -> Table:
    """Figures of merit of one model with their bootstrap intervals."""
    table = Table(title=title, title_justify="left")
    table.add_column("figure of merit")
    for column in ("value", "68 % interval", "achieved signal efficiency", "lost to ties"):
        table.add_column(column, justify="right")
    for name, text in METRIC_TITLES.items():
        achieved = figures.get(name.replace("rejection", "efficiency")) if "rej" in name else None
        lost = figures.get(name.replace("rejection", "tie_loss")) if "rej" in name else None
        interval = intervals[name]
        table.add_row(
            text,
            f"{figures[name]:.4f}",
            f"{interval['low']:.4f} to {interval['high']:.4f}",
            "" if achieved is None else f"{achieved:.4f}",
            "" if lost is None else f"{lost:.4f}",
        )
    return table


def read_out_table(front_end: Mapping[str, Any]) -> Table:
    """How many clusters have a pixel left after the front end; the others are not read out."""
    table = Table(title="Clusters read out by the front end", title_justify="left")
    table.add_column("split")
    for column in ("signal", "share", "BIB", "share"):
        table.add_column(column, justify="right")
    for name, by_class in front_end["clusters"].items():
        cells = [name]
        for kind in ("signal", "bib"):
            collected, seen = by_class[kind]["collected"], by_class[kind]["read_out"]
            cells += [f"{seen} of {collected}", f"{seen / collected:.4f}" if collected else "-"]
        table.add_row(*cells)
    return table
