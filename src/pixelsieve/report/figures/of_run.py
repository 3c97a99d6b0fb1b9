"""All figures of a run, as PNG and PDF files."""

from __future__ import annotations

from typing import Any

from pixelsieve.core.files import telling_unwritable
from pixelsieve.networks.precision import bits_label, bits_order, bits_suffix
from pixelsieve.report.figures.mean_clusters import mean_clusters
from pixelsieve.report.figures.metric_against_bits import metric_against_bits
from pixelsieve.report.figures.pareto import pareto
from pixelsieve.report.figures.roc import roc
from pixelsieve.report.figures.scores import scores
from pixelsieve.report.figures.slices import slices
from pixelsieve.report.figures.training_curves import training_curves
from pixelsieve.report.page.gather import RunRecord

__all__ = ["figures_of_run"]


def figures_of_run(run: RunRecord) -> list[str]:
    """Draw what the run's JSON holds into its folder figures/; returns paths without suffix.

    Raises `RunError` where the folder cannot be written.
    """
    folder = run.path / "figures"
    metrics, names = run.metrics, []
    with telling_unwritable(folder):
        folder.mkdir(exist_ok=True)
        history = _history(run)
        for bits in sorted({r["bits"] for r in history if r["bits"]}, key=bits_order):
            names.append(f"training_curves_{bits_suffix(bits)}")
            training_curves(history, bits, folder / names[-1])
        if metrics is not None and run.kind == "search":
            names.append("pareto")
            pareto(metrics, folder / "pareto")
        if metrics is not None and run.kind == "compare":
            names.append("roc")
            roc({"baselines": [], **metrics}, folder / "roc")
            if len({r["bits"] for r in metrics["rows"] if isinstance(r["bits"], int)}) > 1:
                names.append("metric_against_bits")
                metric_against_bits(metrics, folder / "metric_against_bits")
        if run.curves is not None:
            names += ["scores", "mean_clusters", *slices(run.curves, folder)]
            scores(run.curves["rows"], folder / "scores")
            mean_clusters(run.curves["seen"], folder / "mean_clusters")
    return [str(folder / name) for name in names]


def _history(run: RunRecord) -> list[dict[str, Any]]:
    """The rows of history.parquet, from the jobs' JSON."""
    return [
        {
            "job": name,
            "approach": job["recipe"]["name"],
            "bits": bits_label(job.get("precision")),
            "seed": job["seed"],
            **record,
        }
        for name, job in run.jobs.items()
        if job.get("history")
        for record in job["history"]
    ]
