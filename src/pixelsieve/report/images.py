"""Figures of a run as PNG and PDF files: its charts, and the mean clusters."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pixelsieve.core.files import telling_unwritable
from pixelsieve.networks.precision import bits_suffix
from pixelsieve.report import plot
from pixelsieve.report.charts import bits_choices, widths
from pixelsieve.report.page import drawn
from pixelsieve.report.record import RunRecord
from pixelsieve.report.spec import Choice
from pixelsieve.studies.explain import Seen

__all__ = ["figures_of_comparison", "figures_of_run", "mean_clusters"]

_LOWEST_E = 1.0
_COLUMNS = {"slices": 2, "training_curves": 4}
_SIZES = {"roc": (5.0, 4.4), "slices": (5.5, 3.2), "pareto": (6.0, 4.8), "volume": (6.0, 4.8)}


def figures_of_run(run: RunRecord) -> list[str]:
    """Draw what the run's JSON holds into its folder figures/; return paths without suffix.

    Raise `RunError` if the folder cannot be written.
    """
    folder = run.path / "figures"
    with telling_unwritable(folder):
        folder.mkdir(exist_ok=True)
        names = [_draw(name, one, folder) for name, one in _charts_of(run)]
        if run.curves is not None:
            mean_clusters(run.curves.seen, folder / "mean_clusters")
            names.append("mean_clusters")
    return [str(folder / name) for name in names]


def figures_of_comparison(run: RunRecord) -> None:
    """Draw those that `compare` draws: ROC, figures of merit by bits, training curves."""
    charts = dict(_charts_of(run))
    if run.comparison is not None:
        charts["metric_against_bits"] = bits_choices(run.comparison)
    for name, one in charts.items():
        if name.startswith(("roc", "metric", "training")) and one:
            _draw(name, one, run.path / "figures")


def _charts_of(run: RunRecord) -> list[tuple[str, tuple[Choice, ...]]]:
    """Return the figures by the name of their file; slices and training are one per width."""
    rows = run.comparison.rows if run.comparison else ()
    found = drawn(run, [r.approach for r in rows])
    named: list[tuple[str, tuple[Choice, ...]]] = [
        ("metric_against_bits" if name == "bits" else name, found[name])
        for name in ("pareto", "roc", "bits", "scores")
        if name in found
    ]
    bits = widths(run.curves.rows) if run.curves else []
    for width, one in zip(bits, found.get("slices", ()), strict=False):
        named.append((f"slices_{bits_suffix(width)}", (one,)))
    for width, one in zip(widths(run.jobs.values()), found.get("training", ()), strict=False):
        named.append((f"training_curves_{bits_suffix(width)}", (one,)))
    return named


def _draw(name: str, choices: tuple[Choice, ...], folder: Path) -> str:
    kind = next((k for k in (*_COLUMNS, *_SIZES) if name.startswith(k)), "")
    size, columns = _SIZES.get(kind, (4.6, 3.8)), _COLUMNS.get(kind, 3)
    plot.figure(choices, folder / name, columns=columns, size=size)
    return name


def mean_clusters(seen: Seen, path: Path) -> None:
    """Draw the mean charge of what a network keeps and loses: signal above, BIB below."""
    from matplotlib.colors import LogNorm

    images = [np.array(g.mean_e) for g in seen.groups.values() if g.mean_e]
    norm = LogNorm(_LOWEST_E, max(2 * _LOWEST_E, *(float(i.max()) for i in images)), clip=True)
    with plot.canvas(path, (9.0, 6.4), 2, 2) as figure:
        image = None
        for axes, (name, group) in zip(list(figure.axes), seen.groups.items(), strict=True):
            kind, fate = name.split("_")
            title = f"{'BIB' if kind == 'bib' else kind}, {fate}: {group.clusters} clusters"
            axes.set_title(title, loc="left")
            axes.set_xlabel("column (x)")
            axes.set_ylabel("row (y)")
            if group.mean_e:
                shown = np.ma.masked_less(np.array(group.mean_e), _LOWEST_E)
                image = axes.imshow(shown, norm=norm, cmap="viridis_r", origin="lower")
        if image is not None:
            figure.colorbar(image, ax=figure.axes, label="mean charge (e)")
