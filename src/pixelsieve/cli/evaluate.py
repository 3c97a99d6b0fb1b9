"""`pixelsieve evaluate`: figures of merit of a saved model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from pixelsieve.cli import options

__all__ = ["evaluate"]


@options.shows_errors
def evaluate(
    model: Annotated[Path, typer.Argument(help="A .keras file of a run.")],
    data: options.Data,
    split: Annotated[
        Literal["train", "validation", "test"], typer.Option(help="Split to evaluate on.")
    ] = "test",
    json: options.Json = False,
) -> None:
    """Evaluate a saved model: accuracy, AUC, background rejection, with bootstrap intervals."""
    from rich.console import Console

    from pixelsieve.evaluation.scores import bootstrap, score
    from pixelsieve.formats.dataset import load
    from pixelsieve.model_file import load_model
    from pixelsieve.report.tables import scores_table

    loaded = load_model(model)
    clusters = getattr(load(data).splits, split)
    logits = loaded.logits(loaded.features.table(clusters))
    figures = score(logits, clusters.signal)
    intervals = bootstrap([logits], clusters.signal, clusters.groups())
    from pixelsieve.config import to_plain

    result = {
        "model": str(model),
        "split": split,
        "clusters": {"signal": clusters.n_signal, "bib": len(clusters) - clusters.n_signal},
        "figures": figures,
        "bootstrap_68": to_plain(intervals),
    }
    if json:
        options.print_json(result)
        return
    title = f"{model.name} on {len(clusters)} clusters ({split} split)"
    Console().print(scores_table(title, figures, result["bootstrap_68"]))
