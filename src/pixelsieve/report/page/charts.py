"""What the page's script draws: charts as plain data, numbers taken from the run's JSON.

A chart is `title`, axes `x` and `y` (`label`, `scale` linear, log or category) and `series`
(`name`, `colour`, `draw` line, step, errors or points, `points` of [x, y, low, high, label]). A
figure is a list of choices, each a label and the charts that it shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pixelsieve.networks.precision import bits_label, bits_order, bits_text
from pixelsieve.report.colours import BASELINE, colours
from pixelsieve.report.tables import METRIC_TITLES

__all__ = [
    "DASH",
    "Chart",
    "Figure",
    "axis",
    "bits_figure",
    "by_bits",
    "roc_figure",
    "scores_figure",
    "series_of",
    "short",
    "training_figure",
]

Chart = dict[str, Any]
Figure = list[dict[str, Any]]

DASH = "\N{EN DASH}"
_LOWEST_EFFICIENCY = 0.8
_TRAINING = (
    ("validation_loss", "validation loss", "linear"),
    ("validation_auc", "validation AUC", "linear"),
    ("learning_rate", "learning rate", "log"),
    ("flip_share", "share of weight codes flipped", "log"),
    ("train_loss", "training loss", "linear"),
    ("gradient_norm", "gradient norm before clipping", "log"),
    ("ebops", "EBOPs", "log"),
)


def short(value: float | None) -> float | None:
    """Five digits, which is more than a chart shows."""
    return None if value is None else float(f"{value:.5g}")


def axis(label: str, scale: str = "linear", **more: Any) -> dict[str, Any]:
    """An axis; `more` are `low`, `high`, `whole`, `categories`."""
    return {"label": label, "scale": scale, **more}


def by_bits(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[int]]]:
    """Label of each width, and the rows that belong there: its own, and float everywhere."""
    widths = sorted({r["bits"] for r in rows if r["bits"]}, key=bits_order)
    if not widths:
        return [("float", list(range(len(rows))))]
    return [
        (bits_text(w), [i for i, r in enumerate(rows) if r["bits"] in (w, None)]) for w in widths
    ]


def roc_figure(metrics: Mapping[str, Any], approaches: Sequence[str] = ()) -> Figure:
    """Share of BIB kept against signal efficiency."""
    rows = metrics["rows"]
    colour = colours([*approaches, *(r["approach"] for r in rows)])
    baselines = [
        _roc_series(one, BASELINE, dash=1 + i) for i, one in enumerate(metrics["baselines"])
    ]
    return [
        {
            "label": label,
            "charts": [
                {
                    "wide": True,
                    "x": axis("signal efficiency", low=_LOWEST_EFFICIENCY, high=1.0),
                    "y": axis("share of BIB clusters kept", "log", high=1.0),
                    "series": [
                        *(_roc_series(rows[i], colour[rows[i]["approach"]]) for i in which),
                        *baselines,
                    ],
                }
            ],
        }
        for label, which in by_bits(rows)
    ]


def _roc_series(row: Mapping[str, Any], colour: int | str, dash: int = 0) -> dict[str, Any]:
    pairs = zip(row["roc"]["signal_efficiency"], row["roc"]["bib_kept"], strict=True)
    points = [[short(x), short(y)] for x, y in pairs if y > 0 and x >= _LOWEST_EFFICIENCY]
    return series_of(row["approach"], colour, "line", points, dash=dash)


def series_of(
    name: str, colour: int | str, draw: str, points: list[Any], **more: Any
) -> dict[str, Any]:
    """A series; `more` are `dash`, `thin`, `tell`."""
    return {"name": name, "colour": colour, "draw": draw, "points": points, **more}


def bits_figure(metrics: Mapping[str, Any], approaches: Sequence[str] = ()) -> Figure:
    """Figures of merit against the bits of a weight; empty with fewer than two widths."""
    rows = [r for r in metrics["rows"] if not isinstance(r["bits"], str)]
    colour = colours([*approaches, *(r["approach"] for r in metrics["rows"])])
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
            series.append(series_of(approach, colour[approach], draw, points, dash=draw == "line"))
        x = axis("bits of a weight", "category", categories=[f"{w}" for w in widths])
        charts.append({"x": x, "y": axis(METRIC_TITLES[metric]), "series": series})
    return [{"label": "", "charts": charts}]


def _spread(summary: Mapping[str, float]) -> list[float | None]:
    mean, spread = summary["mean"], summary["spread"]
    return [short(mean), short(mean - spread), short(mean + spread)]


def scores_figure(curves: Mapping[str, Any]) -> Figure:
    """Histograms of the scores of both classes, a chart an approach."""
    rows = curves["rows"]
    return [
        {"label": label, "charts": [_scores_chart(rows[i]) for i in which]}
        for label, which in by_bits(rows)
    ]


def _scores_chart(row: Mapping[str, Any]) -> Chart:
    histogram = row["histogram"]
    edges = [short(e) for e in histogram["edges"]]
    return {
        "title": row["approach"],
        "x": axis("score (logit)", low=edges[0], high=edges[-1]),
        "y": axis("clusters a bin", "log"),
        "marks": [short(t) for t in row["thresholds"]],
        "series": [
            series_of(name, colour, "step", list(zip(edges, histogram[kind] + [0], strict=True)))
            for name, colour, kind in (("signal", 0, "signal"), ("BIB", 1, "bib"))
        ],
    }


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
            "bits": bits_label(job["precision"]),
        }
        for job in jobs.values()
        if job.get("history") and isinstance(job.get("recipe"), Mapping)
    ]
    order = list(dict.fromkeys([*approaches, *(r["approach"] for r in runs)]))
    runs.sort(key=lambda r: (r["bits"] is not None, order.index(r["approach"]), r["seed"]))
    colour = colours(order)
    figure = []
    for label, which in by_bits(runs):
        charts = []
        for name, title, scale in _TRAINING:
            series = [
                series_of(
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
                        "x": axis("epoch", whole=True),
                        "y": axis("", scale),
                        "series": series,
                    }
                )
        figure.append({"label": label, "charts": charts})
    return figure
