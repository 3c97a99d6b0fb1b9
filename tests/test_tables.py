"""What tables must not hide."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from rich.console import Console

from pixelsieve.formats.dataset import Parts
from pixelsieve.report.figures import event_display
from pixelsieve.report.inspection import inspection_tables
from pixelsieve.report.tables import collapsed_lines
from pixelsieve.splits import Splits
from pixelsieve.studies.inspect import inspect_parts
from pixelsieve.studies.summary import Approach, summarize_comparison
from pixelsieve.training.recipe import RECIPES
from tests.conftest import make_clusters


def test_a_network_that_collapsed_is_named() -> None:
    one, two, three = (make_clusters(200, i, group_id=np.arange(200) + 1000 * i) for i in range(3))
    splits = Splits(one, two, three)
    good = splits.test.signal.astype(np.float32)
    epoch = {"validation_auc": 0.9, "validation_loss": 0.1}
    results = [
        {"seed": s, "history": [epoch], "best_epoch": 0, "warm_start": None, "precision": None}
        for s in (0, 1)
    ]
    approach = Approach(RECIPES["sieve"], 2, results, [good, np.zeros_like(good)])
    metrics = summarize_comparison([approach], {}, splits)
    assert metrics["rows"][0]["collapsed"] == [1]
    (line,) = collapsed_lines(metrics)
    assert line.startswith("warning: sieve, 2 bits: seed 1 (AUC 0.500)")
    metrics["rows"][0]["collapsed"] = []
    assert collapsed_lines(metrics) == []


def test_unusual_clusters_and_names_are_shown_as_they_are(tmp_path: Path) -> None:
    clusters = make_clusters(40)
    clusters.pixels_e[:] = 0
    summary = inspect_parts(Parts({"all": clusters}, "[bold]nothing", {}), events=8)
    console = Console(record=True, width=120, file=io.StringIO())
    for table in inspection_tables(summary):
        console.print(table)
    text = console.export_text()
    assert "by [bold]nothing" in text
    assert text.count("no pixel above 0 e") == 16
    event_display(summary, tmp_path / "event_display")
