"""Tables and sentences of comparisons and trainings, for a terminal and for a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pixelsieve.display.spec import Cell, Column, Row, Table, numbers, row_of, table
from pixelsieve.metrics.metrics import LARGEST_TIE_LOSS
from pixelsieve.metrics.statistics import METRICS, Interval, Mean, PairedTest
from pixelsieve.networks.precision import bits_order, bits_text

if TYPE_CHECKING:
    from pixelsieve.studies.summary import Baseline, ComparedRow, Comparison, PairedRow
    from pixelsieve.training.job import JobResult
    from pixelsieve.training.recipe import Recipe
    from pixelsieve.training.warm_start import WarmStartRow

METRIC_TITLES = {
    "accuracy": "accuracy",
    "auc": "AUC",
    "rejection_90": "rejection at 90 %",
    "rejection_95": "rejection at 95 %",
    "rejection_98": "rejection at 98 %",
    "rejection_99": "rejection at 99 %",
}
"""Names of the figures of merit in tables."""

_ORDER = ("rejection_98", *(name for name in METRICS if name != "rejection_98"))
"""Columns of figures of merit: what a phone shows first is what the network is for."""
_RANKS = ("rejection_98", "auc", "accuracy", "rejection_99", "rejection_95", "rejection_90")
"""Which of them come first if a terminal has no room for all."""
_TREES_NOTE = "boosted trees see the inputs without the cut at the ends of their range"
_DASH = "\N{EN DASH}"
_RECIPE, _FIGURES = "recipes", "figures of merit"


def comparison_table(comparison: Comparison, *, recipes: bool = True) -> Table:
    """Return the figures of merit of each approach over seeds, and its recipe if asked for."""
    seeds = len(comparison.rows[0].seeds) if comparison.rows else 0
    counted = f"{seeds} seeds, mean ± spread over seeds" if seeds > 1 else "one seed: no spread"
    caption = "rejection at 98 %: fraction of the BIB that is dropped if 98 % of the signal is kept"
    if any(row.approach.startswith("boosted trees") for row in comparison.baselines):
        caption += f"; {_TREES_NOTE}"
    recipe = ("first rate", "last rate", "decay", "warm start") if recipes else ()
    return Table(
        f"{comparison.network}, test split, {counted}",
        (*approach_columns(), *(Column(name, number=True, group=_RECIPE) for name in recipe)),
        approach_rows(comparison, recipes=recipes),
        caption,
        "metrics.json",
    )


def approach_columns() -> tuple[Column, ...]:
    """Return the columns of an approach: its name, its bits, its figures of merit."""
    return (
        Column("approach"),
        Column("bits", number=True),
        *(
            Column(
                METRIC_TITLES[name].replace(" %", "\N{NO-BREAK SPACE}%"),
                number=True,
                short=METRIC_TITLES[name].replace("rejection at", "rej."),
                rank=_RANKS.index(name),
                group=_FIGURES,
            )
            for name in _ORDER
        ),
    )


def approach_rows(comparison: Comparison, *, recipes: bool) -> tuple[Row, ...]:
    """Return a row per approach and baseline, as `approach_columns` and then its recipe."""
    rows = []
    for row in comparison.rows:
        told = (*_recipe_cells(row.recipe), _copied(row.warm_start[0])) if recipes else ()
        rows.append(row_of(row.approach, _bits_cell(row.bits), *_figure_cells(row), *told))
    for i, one in enumerate(comparison.baselines):
        told = ("",) * 4 if recipes else ()
        cells = (one.approach, Cell("", value=_LAST), *_figure_cells(one), *told)
        rows.append(row_of(*cells, section=i == 0, muted=True))
    return tuple(rows)


_LAST = 100.0
"""Sort key of baselines in a column of bits; float and learned bits come before them."""


def _bits_cell(bits: int | str | None) -> Cell:
    value = _LAST - 1 if bits is None else _LAST - 2 if isinstance(bits, str) else float(bits)
    return Cell(str(bits or "float"), value=value)


def _recipe_cells(recipe: Recipe) -> tuple[str, str, str]:
    decay = f"power {recipe.power:g}" if recipe.decay == "polynomial" else recipe.decay
    return f"{recipe.initial_rate:g}", f"{recipe.end_rate:g}", decay


def _copied(rows: Sequence[WarmStartRow] | None) -> str:
    if rows is None:
        return "-"
    return f"{sum(r.status == 'copied' for r in rows)} of {len(rows)}"


def _figure_cells(row: ComparedRow | Baseline) -> Iterator[Cell]:
    for name in _ORDER:
        cell = mean_cell(row.summary[name], 4, spread=len(row.by_seed) > 1)
        interval: Interval = row.bootstrap_68[name]
        told = f"{interval.low:.4f} {_DASH} {interval.high:.4f}"
        yield Cell(cell.text, cell.spread, told, cell.value)


def mean_cell(value: Mean | None, digits: int = 0, *, spread: bool | None = None) -> Cell:
    """Return a mean with its spread, by default if it has one; "-" for None."""
    if value is None:
        return Cell("-", value=-1.0)
    shown = bool(value.spread) if spread is None else spread
    more = f"± {value.spread:.{digits}f}" if shown else ""
    return Cell(f"{value.mean:.{digits}f}", more, value=value.mean)


def luts_table(comparison: Comparison) -> Table | None:
    """Return the LUTs of quantized networks, estimated and counted; None if none was counted."""
    counted = [(row, row.counted) for row in comparison.rows if row.counted]
    if not counted:
        return None
    failed = any(one.counted_luts is None for _, one in counted)
    return table(
        f"LUTs of {comparison.network}, combinational, without its features",
        ("approach", *numbers("bits", "alkaid's estimate", "counted by Yosys")),
        (
            (row.approach, _bits_cell(row.bits), mean_cell(one.luts), mean_cell(one.counted_luts))
            for row, one in counted
        ),
        "'-': a count failed or did not finish; resources.json says which" if failed else "",
    )


def paired_table(comparison: Comparison, metric: str | None = None) -> Table | None:
    """Return the differences of recipes at equal bits, seed by seed; None if nothing is paired.

    Without a `metric` those of all, named in a column.
    """
    rows = [one for one in comparison.paired if metric in (None, one.test.metric)]
    if not rows:
        return None
    return table(
        f"Paired over seeds: {METRIC_TITLES[metric]} (t-test)" if metric else "",
        (
            Column("bits", number=True),
            *([] if metric else ["figure of merit"]),
            "higher mean",
            "than",
            Column("difference", number=True, short="by"),
            Column("95 % interval", number=True),
            Column("p (paired t, Holm)", number=True, short="p"),
        ),
        (_paired_cells(one, named=metric is None) for one in rows),
        correction_line([one.test for one in rows]),
    )


def _paired_cells(row: PairedRow, *, named: bool) -> tuple[Cell | str, ...]:
    test = row.test
    interval, p = Cell("not enough seeds"), Cell("-", value=2.0)
    if test.p_corrected is not None and test.low is not None and test.high is not None:
        interval = Cell(f"{test.low:+.4f} to {test.high:+.4f}", value=test.low)
        p = Cell(f"{test.p_corrected:.2g}", value=test.p_corrected)
    told = f"{test.difference:+.4f}" if test.difference else "equal"
    difference = Cell(told, value=test.difference)
    name = (METRIC_TITLES[test.metric],) if named else ()
    return _bits_cell(row.bits), *name, test.better, test.than, difference, interval, p


def correction_line(tests: Sequence[PairedTest]) -> str:
    """Return what p means in the tests of a run, or of one figure of merit in it."""
    made = Counter(test.metric for test in tests if test.p_value is not None)
    number = max(made.values(), default=0)
    if not number:
        return "not enough seeds for a test: their differences tell no spread"
    return (
        f"better: p below 0.05, corrected for the {number} tests of a figure of merit (Holm); "
        "intervals are those of one test alone"
    )


def warm_start_table(name: str, rows: Sequence[WarmStartRow]) -> Table:
    """Return what a warm start did to each layer."""
    told = []
    for row in rows:
        change, saturated = f"{row.largest_change:.4f}", f"{100 * row.saturated_share:.1f} %"
        told.append((row.layer, " x ".join(map(str, row.shape)), row.status, change, saturated))
    change_column = Column("largest change by rounding", number=True, short="largest change")
    return table(
        f"Warm start of {name}: copied {_copied(rows)}",
        ("layer", *numbers("shape"), "status", change_column, *numbers("saturated weights")),
        told,
    )


def warm_starts(comparison: Comparison) -> list[tuple[str, tuple[WarmStartRow, ...] | None]]:
    """Return by quantized approach what the warm start of its first seed did, if it had one."""
    return [
        (f"{row.approach}, {bits_text(row.bits)}, seed {row.seeds[0]}", row.warm_start[0])
        for row in comparison.rows
        if row.bits is not None
    ]


def learned_table(result: JobResult) -> Table:
    """Return the networks of a training of bits, on validation, largest first.

    Those that were measured exactly are shown with their LUTs.
    """
    exact = result.networks[0].exact is not None
    merits = ("auc", "rejection_98") if exact else tuple(result.networks[0].merits)
    costs = ("LUTs", "levels") if exact else ()
    titles = ("epoch", "EBOPs", *costs, *(METRIC_TITLES[merit] for merit in merits))
    rows = []
    for one in result.networks:
        figures = one.exact or one.merits
        coarse = "~" if figures.get("tie_loss_98", 0.0) > LARGEST_TIE_LOSS else ""
        sizes = [f"{figures[cost]:.0f}" for cost in ("luts", "levels")] if exact else []
        values = [f"{figures[merit]:.4f}" for merit in merits]
        sizes = [str(one.epoch), f"{one.ebops:.0f}", *sizes]
        rows.append((one.model, *sizes, *values[:-1], values[-1] + coarse))
    caption = "LUTs: alkaid's estimate; '~': ties at the threshold cost over 0.01 of rejection"
    title = f"Networks of {result.name}, validation"
    return table(title, ("network", *numbers(*titles)), rows, caption if exact else "")


def warnings(comparison: Comparison) -> tuple[list[str], list[str]]:
    """Return a line per approach that collapsed or is over its budget, and per coarse one."""
    over = [f"warning: {line}" for row in comparison.rows for line in row.over_budget]
    collapsed = [_collapsed_line(row) for row in comparison.rows if row.collapsed]
    return collapsed + over, [line for row in comparison.rows for line in _coarse_lines(row)]


def _collapsed_line(row: ComparedRow) -> str:
    aucs = {seed: one.auc for seed, one in zip(row.seeds, row.by_seed, strict=True)}
    which = ", ".join(f"seed {seed} (AUC {aucs[seed]:.3f})" for seed in row.collapsed)
    return (
        f"warning: {row.approach}, {bits_text(row.bits)}: {which} hardly better than chance; the "
        "training collapsed, and the mean and spread above contain it"
    )


def _coarse_lines(row: ComparedRow) -> list[str]:
    """Return a line if ties at 98 % signal efficiency cost a seed much."""
    coarse = [one.tie_loss_98 for one in row.by_seed if one.tie_loss_98 > LARGEST_TIE_LOSS]
    if not coarse:
        return []
    line = (
        f"coarse logits: {row.approach}, {bits_text(row.bits)}: ties at the threshold cost up to "
        f"{max(coarse):.3f} of the rejection at 98 % ({len(coarse)} of {len(row.by_seed)} seeds)"
    )
    return [line]


_ANSWERED = ("rejection_98", "accuracy", "auc")
_SURE = 0.05


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer for one figure of merit at one width: `head`, then a line per rival."""

    bits: int | str
    metric: str
    head: str
    lines: tuple[str, ...]


def answers(comparison: Comparison) -> list[Answer]:
    """Return by width and figure of merit the best approach, and what it was tested against.

    A point is 0.01. Tests are those of `metrics.json`, corrected for their number.
    """
    widths = {r.bits for r in comparison.rows if r.bits}
    found = []
    for bits in sorted(widths, key=bits_order):
        same = [r for r in comparison.rows if r.bits == bits]
        for metric in _ANSWERED:
            best = max(same, key=lambda r: r.summary[metric].mean)
            name, title = best.approach, METRIC_TITLES[metric]
            tests = [
                one.test
                for one in comparison.paired
                if (one.bits, one.test.metric, one.test.better) == (bits, metric, name)
            ]
            head = f"{name} has the highest mean {title}:" if tests else f"{name} has a {title} of"
            tests.sort(key=lambda t: t.difference)
            lines = tuple(_answer_line(t) for t in tests)
            found.append(Answer(bits, metric, f"{head} {_told(best, metric)}.", lines))
    return found


def _answer_line(test: PairedTest) -> str:
    points = f"{100 * test.difference:.2f} points"
    if test.p_corrected is None or test.low is None or test.high is None:
        if not test.difference:
            return f"It equals {test.than} in every seed."
        return f"{points} above {test.than}; not enough seeds to tell this from chance."
    interval = f"{100 * test.low:.2f} to {100 * test.high:.2f}".replace("-", "\N{MINUS SIGN}")
    numbers = f"95 % interval {interval}, p = {test.p_corrected:.2g}, {test.seeds} seeds"
    if test.p_corrected < _SURE:
        return f"It beats {test.than} by {points} ({numbers})."
    return f"It cannot be told apart from {test.than}: {points} ({numbers})."


def _told(row: ComparedRow, metric: str) -> str:
    summary, seeds = row.summary[metric], len(row.seeds)
    if seeds > 1:
        return f"{summary.mean:.4f} ± {summary.spread:.4f} over {seeds} seeds"
    return f"{summary.mean:.4f} (one seed)"
