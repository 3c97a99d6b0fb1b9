"""What the page's script draws: charts as plain data, numbers taken from the run's JSON.

A chart is `title`, axes `x` and `y` (`label`, `scale` linear, log or category) and `series`
(`name`, `colour`, `draw` line, step, errors or points, `points` of [x, y, low, high, label]). A
figure is a list of choices, each a label and the charts that it shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pixelsieve.report.tables import METRIC_TITLES

__all__ = ["bits_figure", "roc_figure", "scores_figure", "slices_figure", "training_figure"]

Chart = dict[str, Any]
Figure = list[dict[str, Any]]

DASH = "\N{EN DASH}"
FLOAT, BASELINE = "ink", "grey"
_LOWEST_EFFICIENCY = 0.8
_TRAINING = (
    ("validation_loss", "validation loss", "linear"),
    ("validation_auc", "validation AUC", "linear"),
    ("learning_rate", "learning rate", "log"),
    ("flip_share", "share of weight codes flipped", "log"),
    ("train_loss", "training loss", "linear"),
    ("gradient_norm", "gradient norm before clipping", "log"),
)
_VARIABLES = {
    "truth_pt": "true transverse momentum (GeV)",
    "z_global": "z along the beam (mm)",
    "y_local": "y across the ladder (mm)",
    "cluster_size": "cluster size (pixels)",
    "hit_time": "true arrival time (ns)",
    "hit_time_measured": "measured arrival time (ns)",
    "hit_time_30ps": "arrival time, 30 ps (ns)",
    "hit_time_60ps": "arrival time, 60 ps (ns)",
}


def short(value: float | None) -> float | None:
    """Five digits, which is more than a chart shows."""
    return None if value is None else float(f"{value:.5g}")


def colours(approaches: Sequence[str]) -> dict[str, int | str]:
    """One colour an approach, the same in every chart of a run."""
    others = [a for a in dict.fromkeys(approaches) if a != "float"]
    return {"float": FLOAT, **{name: i for i, name in enumerate(others)}}


def _axis(label: str, scale: str = "linear", **more: Any) -> dict[str, Any]:
    return {"label": label, "scale": scale, **more}


def _by_bits(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[int]]]:
    """Label of each width, and the rows that belong there: its own, and float everywhere."""
    widths = sorted({r["bits"] for r in rows if r["bits"]})
    if not widths:
        return [("float", list(range(len(rows))))]
    return [
        (f"{w} bits", [i for i, r in enumerate(rows) if r["bits"] in (w, None)]) for w in widths
    ]


def roc_figure(metrics: Mapping[str, Any]) -> Figure:
    """Share of BIB kept against signal efficiency."""
    rows, colour = metrics["rows"], colours([r["approach"] for r in metrics["rows"]])
    baselines = [
        _roc_series(one, BASELINE, dash=1 + i) for i, one in enumerate(metrics["baselines"])
    ]
    return [
        {
            "label": label,
            "charts": [
                {
                    "wide": True,
                    "x": _axis("signal efficiency", low=_LOWEST_EFFICIENCY, high=1.0),
                    "y": _axis("share of BIB clusters kept", "log", high=1.0),
                    "series": [
                        *(_roc_series(rows[i], colour[rows[i]["approach"]]) for i in which),
                        *baselines,
                    ],
                }
            ],
        }
        for label, which in _by_bits(rows)
    ]


def _roc_series(row: Mapping[str, Any], colour: int | str, dash: int = 0) -> dict[str, Any]:
    pairs = zip(row["roc"]["signal_efficiency"], row["roc"]["bib_kept"], strict=True)
    points = [[short(x), short(y)] for x, y in pairs if y > 0 and x >= _LOWEST_EFFICIENCY]
    return _series(row["approach"], colour, "line", points, dash=dash)


def _series(
    name: str, colour: int | str, draw: str, points: list[Any], **more: Any
) -> dict[str, Any]:
    return {"name": name, "colour": colour, "draw": draw, "points": points, **more}


def bits_figure(metrics: Mapping[str, Any]) -> Figure:
    """Figures of merit against the bits of a weight; empty with fewer than two widths."""
    rows, colour = metrics["rows"], colours([r["approach"] for r in metrics["rows"]])
    widths = sorted({r["bits"] for r in rows if r["bits"]})
    if len(widths) < 2:  # noqa: PLR2004 (a curve needs two)
        return []
    charts = []
    for metric in ("accuracy", "auc", "rejection_98"):
        series = []
        for approach in dict.fromkeys(r["approach"] for r in rows):
            mine = [r for r in rows if r["approach"] == approach]
            at = (
                [f"{w}" for w in widths]
                if mine[0]["bits"] is None
                else [f"{r['bits']}" for r in mine]
            )
            mine = mine * len(at) if mine[0]["bits"] is None else mine
            points = [[x, *_spread(r["summary"][metric])] for x, r in zip(at, mine, strict=True)]
            draw = "line" if approach == "float" else "errors"
            series.append(_series(approach, colour[approach], draw, points, dash=draw == "line"))
        x = _axis("bits of a weight", "category", categories=[f"{w}" for w in widths])
        charts.append({"x": x, "y": _axis(METRIC_TITLES[metric]), "series": series})
    return [{"label": "", "charts": charts}]


def _spread(summary: Mapping[str, float]) -> list[float | None]:
    mean, spread = summary["mean"], summary["spread"]
    return [short(mean), short(mean - spread), short(mean + spread)]


def scores_figure(curves: Mapping[str, Any]) -> Figure:
    """Histograms of the scores of both classes, a chart an approach."""
    rows = curves["rows"]
    return [
        {"label": label, "charts": [_scores_chart(rows[i]) for i in which]}
        for label, which in _by_bits(rows)
    ]


def _scores_chart(row: Mapping[str, Any]) -> Chart:
    histogram = row["histogram"]
    edges = [short(e) for e in histogram["edges"]]
    return {
        "title": row["approach"],
        "x": _axis("score (logit)", low=edges[0], high=edges[-1]),
        "y": _axis("clusters a bin", "log"),
        "marks": [short(t) for t in row["thresholds"]],
        "series": [
            _series(name, colour, "step", list(zip(edges, histogram[kind] + [0], strict=True)))
            for name, colour, kind in (("signal", 0, "signal"), ("BIB", 1, "bib"))
        ],
    }


def slices_figure(curves: Mapping[str, Any]) -> Figure:
    """Rejection and signal efficiency by slices, two charts a variable."""
    rows, baselines = curves["rows"], curves["baselines"]
    colour = colours([r["approach"] for r in rows])
    variables = list(dict.fromkeys(s["variable"] for s in rows[0]["slices"]))
    figure = []
    for label, which in _by_bits(rows):
        drawn = [(rows[i], colour[rows[i]["approach"]], 0) for i in which]
        drawn += [(one, BASELINE, 1 + i) for i, one in enumerate(baselines)]
        charts = [
            _slices_chart(drawn, variable, kind)
            for variable in variables
            for kind in ("bib_kept", "signal_kept")
        ]
        figure.append({"label": label, "charts": charts})
    return figure


def _slices_chart(
    drawn: Sequence[tuple[Mapping[str, Any], int | str, int]], variable: str, kind: str
) -> Chart:
    ranges = [_range(s) for s in drawn[0][0]["slices"] if s["variable"] == variable]
    series = []
    for row, colour, dash in drawn:
        points = []
        for s in row["slices"]:
            share = s[kind]
            if s["variable"] == variable and share:
                value, low, high = share
                if kind == "bib_kept":
                    value, low, high = 1 - value, 1 - high, 1 - low
                number = s["n_bib" if kind == "bib_kept" else "n_signal"]
                points.append([_range(s), short(value), short(low), short(high), f"n = {number}"])
        series.append(_series(row["approach"], colour, "errors", points, dash=dash))
    return {
        "pair": True,
        "title": "BIB rejection" if kind == "bib_kept" else "signal efficiency",
        "x": _axis(_VARIABLES.get(variable, variable), "category", categories=ranges),
        "y": _axis("BIB rejection" if kind == "bib_kept" else "signal efficiency", high=1.0),
        "series": series,
    }


def _range(one: Mapping[str, Any]) -> str:
    low, high = one["low"], one["high"]
    if one["variable"] == "cluster_size":
        if high is None:
            return f"≥ {low:.0f}"
        return f"{low:.0f}" if high == low + 1 else f"{low:.0f}{DASH}{high - 1:.0f}"
    if low is None:
        return f"< {high:.3g}"
    return f"≥ {low:.3g}" if high is None else f"{low:.3g} to {high:.3g}"


def training_figure(
    jobs: Mapping[str, Mapping[str, Any]], approaches: Sequence[str] = ()
) -> Figure:
    """How training went by epoch: a colour an approach, a line a seed.

    `approaches` in the order of the other figures have the colours that they have there.
    """
    runs = [
        {
            **job,
            "approach": job["recipe"]["name"],
            "bits": (job["precision"] or {}).get("weight_bits"),
        }
        for job in jobs.values()
        if job.get("history") and isinstance(job.get("recipe"), Mapping)
    ]
    runs.sort(key=lambda r: (r["bits"] is not None, r["seed"]))
    colour = colours([*approaches, *(r["approach"] for r in runs)])
    figure = []
    for label, which in _by_bits(runs):
        charts = []
        for name, title, scale in _TRAINING:
            series = [
                _series(
                    runs[i]["approach"],
                    colour[runs[i]["approach"]],
                    "line",
                    [
                        [e["epoch"], short(e[name])]
                        for e in runs[i]["history"]
                        if name in e and (scale == "linear" or e[name] > 0)
                    ],
                    thin=True,
                    tell=f"seed {runs[i]['seed']}",
                )
                for i in which
                if name != "flip_share" or runs[i]["bits"] is not None
            ]
            if any(s["points"] for s in series):
                charts.append(
                    {
                        "title": title,
                        "x": _axis("epoch", whole=True),
                        "y": _axis("", scale),
                        "series": series,
                    }
                )
        figure.append({"label": label, "charts": charts})
    return figure
