"""Charts of comparisons and trainings, for a page and for matplotlib."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from pixelsieve.core.errors import ConfigError, nearest
from pixelsieve.display.spec import BASELINE, INK, Axis, Chart, Choice, Point, Series
from pixelsieve.evaluation.data_rate import Slice
from pixelsieve.networks.precision import bits_order, bits_text
from pixelsieve.reporting.comparison import METRIC_TITLES
from pixelsieve.reporting.record import JobRecord, RunRecord
from pixelsieve.reporting.search import pareto_choices, volume_choices
from pixelsieve.studies.explain import ApproachCurves, BaselineCurves, Curves
from pixelsieve.studies.summary import Baseline, ComparedRow, Comparison
from pixelsieve.training.job import JobResult
from pixelsieve.training.recipe import FLOAT, RECIPES

_DASH = "\N{EN DASH}"
_LOWEST_EFFICIENCY = 0.8
_TRAINING = (
    ("validation_loss", "validation loss", "linear"),
    ("validation_auc", "validation AUC", "linear"),
    ("learning_rate", "learning rate", "log"),
    ("flip_share", "fraction of weight codes flipped", "log"),
    ("train_loss", "training loss", "linear"),
    ("gradient_norm", "gradient norm before clipping", "log"),
    ("ebops", "EBOPs", "log"),
    ("roughness", "roughness of validation loss", "log"),
)


class _HasBits(Protocol):
    @property
    def bits(self) -> int | str | None: ...


R = TypeVar("R", bound=_HasBits)


def colours(approaches: Iterable[str]) -> dict[str, int | str]:
    """Return the number of the colour of each approach, the same in every figure; float is `INK`.

    Our own recipes have theirs whatever else is drawn; others get those left over, in order.
    """
    fixed = {name: i for i, name in enumerate(RECIPES)}
    names = [a for a in dict.fromkeys(approaches) if a != FLOAT.name]
    taken = {fixed[a] for a in names if a in fixed}
    others = [a for a in names if a not in fixed]
    free = [i for i in range(len(fixed) + len(names)) if i not in taken]
    return {
        FLOAT.name: INK,
        **{a: fixed[a] for a in names if a in fixed},
        **dict(zip(others, free, strict=False)),
    }


def widths(rows: Iterable[_HasBits]) -> list[int | str]:
    """Return the bits of quantized networks in order, learned ones last."""
    return sorted({r.bits for r in rows if r.bits}, key=bits_order)


def _by_bits(rows: Sequence[R]) -> list[tuple[str, list[R]]]:
    """Return the label of each width, and its rows: its own, and float everywhere."""
    found = [(bits_text(w), [r for r in rows if r.bits in (w, None)]) for w in widths(rows)]
    return found or [("float", list(rows))]


def drawn(run: RunRecord, approaches: Sequence[str] = ()) -> dict[str, tuple[Choice, ...]]:
    """Return the figures of a run that show something, by name.

    `approaches` in the order of a whole page give the colours.
    """
    comparison, curves, search = run.comparison, run.curves, run.search
    figures: dict[str, tuple[Choice, ...]] = {}
    if comparison is not None:
        figures["roc"] = roc_choices(comparison, approaches)
        if sum(isinstance(w, int) for w in widths(comparison.rows)) > 1:
            figures["bits"] = bits_choices(comparison, approaches)
    if curves is not None:
        figures["scores"] = scores_choices(curves)
        figures["slices"] = slices_choices(curves, approaches)
    figures["training"] = training_choices(run.jobs, approaches)
    if search is not None:
        figures |= {"pareto": pareto_choices(search), "volume": volume_choices(search)}
    return {name: one for name, one in figures.items() if any(c.charts for c in one)}


def roc_choices(comparison: Comparison, approaches: Sequence[str] = ()) -> tuple[Choice, ...]:
    """Return the fraction of BIB kept against signal efficiency.

    `approaches` in the order of the other figures have the colours that they have there.
    """
    rows = comparison.rows
    colour = colours([*approaches, *(r.approach for r in rows)])
    others = [_roc(one, BASELINE, 1 + i) for i, one in enumerate(comparison.baselines) if one.roc]
    x = Axis("signal efficiency", low=_LOWEST_EFFICIENCY, high=1.0)
    y = Axis("fraction of BIB clusters kept", "log", high=1.0)
    choices = []
    for label, same in _by_bits(rows):
        if curves := [_roc(r, colour[r.approach], 0) for r in same if r.roc]:
            choices.append(Choice(label, (Chart(x, y, (*curves, *others), layout="wide"),)))
    return tuple(choices)


def _roc(row: ComparedRow | Baseline, colour: int | str, dash: int) -> Series:
    assert row.roc is not None
    pairs = zip(row.roc.signal_efficiency, row.roc.bib_kept, strict=True)
    points = tuple(Point(x, y) for x, y in pairs if y > 0 and x >= _LOWEST_EFFICIENCY)
    return Series(row.approach, colour, "line", points, dash)


def bits_choices(comparison: Comparison, approaches: Sequence[str] = ()) -> tuple[Choice, ...]:
    """Return figures of merit against the bits of a weight; nothing without uniform bits."""
    rows = [r for r in comparison.rows if not isinstance(r.bits, str)]
    colour = colours([*approaches, *(r.approach for r in comparison.rows)])
    places = tuple(f"{w}" for w in widths(rows))
    if not places:
        return ()
    charts = []
    for metric in ("accuracy", "auc", "rejection_98"):
        series = []
        for approach in dict.fromkeys(r.approach for r in rows):
            mine = [r for r in rows if r.approach == approach]
            if mine[0].bits is None:
                points = tuple(_mean_point(at, mine[0], metric) for at in places)
                series.append(Series(approach, colour[approach], "line", points, dash=1))
            else:
                points = tuple(_mean_point(f"{r.bits}", r, metric) for r in mine)
                series.append(Series(approach, colour[approach], "errors", points))
        x = Axis("bits of a weight", "category", categories=places)
        charts.append(Chart(x, Axis(METRIC_TITLES[metric]), tuple(series)))
    return (Choice("", tuple(charts)),)


def _mean_point(at: str, row: ComparedRow, metric: str) -> Point:
    value = row.summary[metric]
    return Point(at, value.mean, value.mean - value.spread, value.mean + value.spread)


def scores_choices(curves: Curves) -> tuple[Choice, ...]:
    """Return histograms of the scores of both classes, a chart per approach."""
    return tuple(
        Choice(label, tuple(map(_scores_chart, same))) for label, same in _by_bits(curves.rows)
    )


def _scores_chart(row: ApproachCurves) -> Chart:
    edges = row.histogram.edges
    classes = (("signal", 0, row.histogram.signal), ("BIB", 1, row.histogram.bib))
    return Chart(
        Axis("score (logit)", low=edges[0], high=edges[-1]),
        Axis("clusters per bin", "log"),
        tuple(
            Series(name, colour, "step", tuple(map(Point, edges, [*counts, 0])))
            for name, colour, counts in classes
        ),
        title=f"{row.approach}, {bits_text(row.bits)}" if row.bits else row.approach,
        marks=row.thresholds,
    )


def training_choices(
    jobs: Mapping[str, JobRecord], approaches: Sequence[str] = ()
) -> tuple[Choice, ...]:
    """Return how training went by epoch: a colour per approach, a line per seed."""
    runs = [job for job in jobs.values() if job.history]
    order = list(dict.fromkeys([*approaches, *(r.recipe.name for r in runs)]))
    runs.sort(key=lambda r: (r.bits is not None, order.index(r.recipe.name), r.seed))
    colour = colours(order)
    choices = []
    for label, same in _by_bits(runs):
        charts = []
        for name, title, scale in _TRAINING:
            series = []
            for run in same:
                if name != "flip_share" or run.bits is not None:
                    recipe, told = run.recipe.name, f"seed {run.seed}"
                    points = _history(run, name, positive=scale == "log")
                    hue = colour[recipe]
                    series.append(Series(recipe, hue, "line", points, thin=True, tell=told))
            if any(s.points for s in series):
                y = Axis("", "log" if scale == "log" else "linear")
                charts.append(Chart(Axis("epoch", whole=True), y, tuple(series), title))
        choices.append(Choice(label, tuple(charts)))
    return tuple(choices)


def training_chart(job: JobResult, name: str) -> Chart:
    """Return a figure of one training by epoch; raise `ConfigError` if it has none of the name."""
    known = [one for one in job.history[0] if one != "epoch"] if job.history else []
    if name not in known:
        msg = f"unknown figure '{name}'{nearest(name, known)}; known: {', '.join(known)}"
        raise ConfigError(msg)
    points = _history(job, name, positive=False)
    return Chart(
        Axis("epoch", whole=True),
        Axis(name.replace("_", " ")),
        (Series(job.name, 0, "line", points),),
    )


def _history(job: JobRecord | JobResult, name: str, *, positive: bool) -> tuple[Point, ...]:
    found = ((epoch.get("epoch"), epoch.get(name)) for epoch in job.history)
    return tuple(
        Point(x, y) for x, y in found if x is not None and y is not None and (y > 0 or not positive)
    )


_FEWEST = 10
"""Clusters in a slice that is drawn: fewer say nothing and stretch the axis."""

_MEV_BELOW_GEV = 0.5
_VARIABLES = {
    "truth_pt": ("true transverse momentum", "GeV"),
    "z_global": ("z along the beam", "mm"),
    "y_local": ("y across the ladder", "mm"),
    "cluster_size": ("cluster size", "pixels"),
    "hit_time": ("true arrival time", "ns"),
    "hit_time_measured": ("measured arrival time", "ns"),
    "hit_time_30ps": ("arrival time, 30 ps", "ns"),
    "hit_time_60ps": ("arrival time, 60 ps", "ns"),
}

_Drawn = tuple[ApproachCurves | BaselineCurves, int | str, int]
"""A row, its colour and its dash."""


def slices_choices(curves: Curves, approaches: Sequence[str] = ()) -> tuple[Choice, ...]:
    """Return rejection and signal efficiency by slices: two charts per variable.

    Without slices of `_FEWEST` clusters a chart is left out.
    """
    rows = curves.rows
    colour = colours([*approaches, *(r.approach for r in rows)])
    variables = list(dict.fromkeys(s.variable for r in rows[:1] for s in r.slices))
    choices = []
    for label, same in _by_bits(rows):
        shown: list[_Drawn] = [(row, colour[row.approach], 0) for row in same]
        shown += [(one, BASELINE, 1 + i) for i, one in enumerate(curves.baselines)]
        charts = []
        for variable in variables:
            both = [_slices_chart(shown, variable, kind) for kind in ("bib", "signal")]
            charts.append([c for c in both if c.x.categories])
        charts.sort(key=len, reverse=True)  # those side by side first
        choices.append(Choice(label, tuple(c for both in charts for c in both)))
    return tuple(choices)


def _slices_chart(drawn: Sequence[_Drawn], variable: str, kind: str) -> Chart:
    what = "BIB rejection" if kind == "bib" else "signal efficiency"
    every = [s for s in drawn[0][0].slices if s.variable == variable]
    filled = [i for i, s in enumerate(every) if _count(s, kind) >= _FEWEST]
    span = range(filled[0], filled[-1] + 1) if len(filled) > 1 else range(0)
    name, unit = _VARIABLES.get(variable, (variable, ""))
    if variable == "truth_pt" and span and (every[span[-1]].high or 1) <= _MEV_BELOW_GEV:
        unit = "MeV"
    told = [_range(s, unit) for s in every]
    series = []
    for row, colour, dash in drawn:
        mine = [s for s in row.slices if s.variable == variable]
        points = (_slice_point(mine[i], kind, told[i]) for i in filled if i in span)
        series.append(Series(row.approach, colour, "errors", tuple(points), dash))
    places = tuple(told[i] for i in span)
    x = Axis(f"{name} ({unit})" if unit else name, "category", categories=places)
    y, title = Axis(what, high=1.0), f"{what} by {name}"
    return Chart(x, y, tuple(series), title, layout="pair")


def _count(one: Slice, kind: str) -> int:
    return one.n_bib if kind == "bib" else one.n_signal


def _slice_point(one: Slice, kind: str, at: str) -> Point:
    told = f"n = {_count(one, kind)}"
    kept = one.bib_kept if kind == "bib" else one.signal_kept
    if kept is None:
        return Point(at, None, told=told)
    value, low, high = kept
    if kind == "bib":
        value, low, high = 1 - value, 1 - high, 1 - low
    return Point(at, value, low, high, told)


def _range(one: Slice, unit: str) -> str:
    """Return a slice in the unit of its axis; whole numbers as the ones that are in it."""
    if one.variable == "cluster_size" and one.low is not None:
        if one.high is None:
            return f"≥ {one.low:.0f}"
        last = one.high - 1
        return f"{one.low:.0f}" if last == one.low else f"{one.low:.0f}{_DASH}{last:.0f}"
    scale = 1000 if unit == "MeV" else 1
    low, high = (
        None if v is None else f"{scale * v:.3g}".replace("-", "\N{MINUS SIGN}")
        for v in (one.low, one.high)
    )
    if low is None:
        return f"< {high}"
    return f"≥ {low}" if high is None else f"{low} to {high}"
