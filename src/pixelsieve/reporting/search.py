"""The table and the charts of a search, from its `SearchResult`."""

from __future__ import annotations

from pixelsieve.display.spec import (
    BASELINE,
    INK,
    Axis,
    Cell,
    Chart,
    Choice,
    Column,
    Point,
    Series,
    Table,
    row_of,
    table,
)
from pixelsieve.metrics.metrics import LARGEST_TIE_LOSS
from pixelsieve.reporting.comparison import METRIC_TITLES, mean_cell
from pixelsieve.studies.search.result import SearchResult, SearchRow, Smaller
from pixelsieve.studies.search.space import Candidate

_COSTS = {"luts": "LUTs", "ebops": "EBOPs", "levels": "levels"}
_COST_AXES = {"luts": "LUTs (alkaid's estimate)", "ebops": "EBOPs", "levels": "levels of adders"}


def search_table(search: SearchResult) -> Table:
    """Return the front and the uniform networks, cheap ones first, means ± spread over seeds."""
    seeds = len(search.seeds)
    over_seeds = f"{seeds} seeds, mean ± spread" if seeds > 1 else "one seed: no spread"
    rows = sorted(search.rows, key=lambda r: (r.kind, r.luts.mean))
    counted = any(r.counted for r in rows)
    metrics = dict.fromkeys((search.metric, "auc"))
    network = (
        *(Column(name, group=_LAYERS) for name in ("layers", "inputs")),
        *(Column(name, number=True, group=_LAYERS) for name in ("bits w/a/i", "parameters")),
    )
    yosys = (("LUTs (Yosys)", "LUTs\nYosys", 0),) if counted else ()
    titles = {name: METRIC_TITLES[name] for name in metrics}
    short = {name: title.replace("rejection at", "rej.") for name, title in titles.items()}
    figures = (
        ("LUTs (estimate)", "LUTs\nest.", 0),
        *yosys,
        ("with features", "with\nfeatures", 2),
        ("levels", "", 3),
        ("EBOPs", "", 4),
        *((f"{titles[n]}, validation", f"{short[n]}\nvalid.", 0) for n in (search.metric,)),
        *((f"{titles[n]}, test", f"{short[n]}\ntest", int(n != search.metric)) for n in metrics),
    )
    merits = (
        Column(title, number=True, short=short, rank=rank, group=_MERITS)
        for title, short, rank in figures
    )
    shown = []
    for before, r in zip([None, *rows], rows, strict=False):
        shown.append(
            row_of(
                *(r.name, r.network, r.inputs, r.bits, r.parameters, _estimate(r)),
                *([mean_cell(r.counted.counted_luts if r.counted else None)] if counted else []),
                _with_features(r),
                *(mean_cell(r.levels, 1), mean_cell(r.ebops), mean_cell(r.validation, 4)),
                *(mean_cell(r.test[name], 4) for name in metrics),
                "*" if r.on_front else "",
                section=before is not None and before.kind != r.kind,
            )
        )
    columns = (*network, *merits, Column("front", group=_MERITS))
    title = f"Smallest networks, {over_seeds}"
    return table(title, ("network", *columns), shown, source="metrics.json")


_LAYERS, _MERITS = "layers and bits", "figures"


def _estimate(row: SearchRow) -> Cell:
    cell = mean_cell(row.luts)
    return Cell(cell.text + "~" * row.is_coarse, cell.spread, value=cell.value)


def _with_features(row: SearchRow) -> str:
    return "-" if row.feature_luts is None else f"{row.luts.mean + row.feature_luts:.0f}"


def search_lines(search: SearchResult) -> list[str]:
    """Return what the table leaves to say: how the trials ended, what is smaller than what."""
    ended = ", ".join(f"{search.states.get(s, 0)} {s}" for s in ("complete", "stopped", "failed"))
    volume = search.hypervolume[-1] if search.hypervolume else 0.0
    lines = [f"{len(search.trials)} trials: {ended}; hypervolume of the front {volume:.4f}"]
    lines.append("'*': on the front of the means over seeds, on validation")
    if any(row.is_coarse for row in search.rows):
        lines.append(
            f"'~': coarse logits, of which ties cost a seed over {LARGEST_TIE_LOSS:g} of rejection"
        )
    rows = {row.name: row for row in search.rows}
    for one in search.smaller:
        best = rows.get(one.name or "")
        lines.append(_smaller_line(search, one, best, rows[one.than]))
    missing = {row.feature_luts_missing for row in search.rows} - {None}
    lines += [f"'-' with features: {why}" for why in sorted(filter(None, missing))]
    lines += [f"left out: {one.name} ({one.network}): {one.reason}" for one in search.left_out]
    return lines


def _smaller_line(
    search: SearchResult, one: Smaller, best: SearchRow | None, than: SearchRow
) -> str:
    cost, metric = search.cost, METRIC_TITLES[search.metric]
    if one.times is None or best is None:
        return f"no network of the front has the {metric} of {one.than} on validation"
    return (
        f"{one.name} is {one.times:.1f} times smaller than {one.than} in {_COSTS[cost]} "
        f"({best.cost(cost):.0f} against {than.cost(cost):.0f}) at "
        f"{metric} {best.validation.mean:.4f} against {than.validation.mean:.4f} "
        f"on validation, {best.test[search.metric].mean:.4f} against "
        f"{than.test[search.metric].mean:.4f} on test"
    )


def pareto_choices(search: SearchResult) -> tuple[Choice, ...]:
    """Quality against cost: on validation every trial and the front; on test the final table."""
    final = _pareto(search, "test", (_rows(search, "front", "test"),))
    tried = _pareto(search, "validation", _trials(search))
    return Choice("validation", (tried,)), Choice("test, final training", (final,))


def _pareto(search: SearchResult, split: str, series: tuple[Series, ...]) -> Chart:
    return Chart(
        Axis(_COST_AXES.get(search.cost, search.cost), "log"),
        Axis(f"{METRIC_TITLES.get(search.metric, search.metric)}, {split}"),
        (*series, _rows(search, "uniform", split)),
        layout="wide",
    )


def _trials(search: SearchResult) -> tuple[Series, ...]:
    front: list[Point] = []
    others: list[Point] = []
    for trial in search.trials:
        for index, one in enumerate(trial.result.networks):
            if one[search.cost] > 0:
                name = trial.model(index)
                told = f"{name}: {_text(trial.candidate)}"
                point = Point(one[search.cost], one[search.metric], told=told)
                (front if name in search.front else others).append(point)
    front.sort(key=lambda p: (p.x, p.y))
    return (
        Series("trial", BASELINE, "points", tuple(others)),
        Series("front", 0, "front", tuple(front)),
    )


def _text(one: Candidate) -> str:
    """Return layers, inputs and bits."""
    bits = f"{one.weight_bits}/{one.activation_bits}/{one.input_bits}"
    widths = " - ".join(map(str, one.hidden))
    return f"{widths}, {one.inputs}, {'learned' if one.kind == 'learned' else bits} bits"


def _rows(search: SearchResult, kind: str, split: str) -> Series:
    points = []
    for row in search.rows:
        if (row.kind == "front") == (kind == "front"):
            value = row.validation if split == "validation" else row.test[search.metric]
            low, high = value.mean - value.spread, value.mean + value.spread
            told = f"{row.name}: {row.network}, {row.bits} bits"
            points.append(Point(row.cost(search.cost), value.mean, low, high, told))
    name, colour = ("front, mean of seeds", 0) if kind == "front" else ("same bits everywhere", 1)
    return Series(name, colour, "points", tuple(points))


def volume_choices(search: SearchResult) -> tuple[Choice, ...]:
    """Return the hypervolume of the front after each trial."""
    points = tuple(Point(i, v) for i, v in enumerate(search.hypervolume, start=1))
    series = (Series("hypervolume", INK, "line", points),)
    x, y = Axis("trial", whole=True), Axis("hypervolume of the front")
    return (Choice("", (Chart(x, y, series, layout="wide"),)),)
