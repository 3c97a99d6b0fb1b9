"""What tables must not hide."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from pixelsieve.core.config import to_plain
from pixelsieve.formats.dataset import Dataset
from pixelsieve.report.data_rate_table import slices_table
from pixelsieve.report.figures import event_display
from pixelsieve.report.inspection import inspection_tables
from pixelsieve.report.tables import collapsed_lines, comparison_tables, paired_table
from pixelsieve.studies.inspect import inspect_parts
from pixelsieve.studies.summary import Approach, summarize_comparison
from pixelsieve.training.recipe import RECIPES
from tests.conftest import make_clusters


def test_a_network_that_collapsed_is_named() -> None:
    one, two, three = (make_clusters(200, i, group_id=np.arange(200) + 1000 * i) for i in range(3))
    dataset = Dataset.of({"train": one, "validation": two, "test": three}, whole=True)
    good = dataset.test.signal.astype(np.float32)
    epoch = {"validation_auc": 0.9, "validation_loss": 0.1}
    results = [
        {"seed": s, "history": [epoch], "best_epoch": 0, "warm_start": None, "precision": None}
        for s in (0, 1)
    ]
    approach = Approach(RECIPES["sieve"], 2, ["a", "b"], results, [good, np.zeros_like(good)])
    metrics = summarize_comparison([approach], {}, dataset)
    assert metrics["rows"][0]["collapsed"] == [1]
    (line,) = collapsed_lines(metrics)
    assert line.startswith("warning: sieve, 2 bits: seed 1 (AUC 0.500)")
    metrics["rows"][0]["collapsed"] = []
    assert collapsed_lines(metrics) == []


def test_unusual_clusters_and_names_are_shown_as_they_are(tmp_path: Path) -> None:
    clusters = make_clusters(40)
    clusters.pixels_e[:] = 0
    summary = inspect_parts(Dataset.of({"all": clusters}, "[bold]nothing"), events=8)
    console = Console(record=True, width=120, file=io.StringIO())
    for table in inspection_tables(summary):
        console.print(table)
    text = console.export_text()
    assert "by [bold]nothing" in text
    assert text.count("no pixel above 0 e") == 16
    event_display(summary, tmp_path / "event_display")


def comparison(seeds: int) -> dict[str, Any]:
    """What the tables of a comparison of all recipes are made of."""
    figures = ("accuracy", "auc", *(f"rejection_{e}" for e in (90, 95, 98, 99)))
    summary = {name: {"mean": 0.9, "spread": 0.0123} for name in figures}
    rows = [
        {
            "approach": name,
            "bits": 4,
            "seeds": list(range(seeds)),
            "recipe": to_plain(one),
            "warm_start": [None],
            "summary": summary,
        }
        for name, one in RECIPES.items()
    ]
    baselines = [{"approach": "boosted trees, same inputs", "summary": summary}]
    test = {"metric": "auc", "bits": 4, "better": "first_attempt", "than": "conservative"}
    test |= {
        "difference": 0.02,
        "low": -0.0123,
        "high": 0.0456,
        "p_value": 1.2e-8,
        "p_corrected": 2.4e-8,
    }
    return {"network": "model2", "rows": rows, "baselines": baselines, "paired": [test]}


@pytest.mark.parametrize("width", [60, 80, 100, 130, 170])
@pytest.mark.parametrize("seeds", [1, 5])
def test_a_comparison_shortens_no_name_at_any_width(width: int, seeds: int) -> None:
    console = Console(record=True, width=width, file=io.StringIO())
    for table in comparison_tables(comparison(seeds), width):
        console.print(table)
    paired = paired_table(comparison(seeds), "auc")
    assert paired is not None
    console.print(paired)
    text = console.export_text()
    assert "…" not in text
    assert ("-0.0123 to +0.0456 " in text) == (width >= 80)
    for name in (*RECIPES, "rej. 98 %", *(["accuracy", "AUC"] if width >= 80 else [])):
        assert f" {name} " in text
    assert ("0.9000 ±.0123" in text) == (seeds > 1)
    assert ("rej. 90 %" in text) == ("metrics.json" not in text)
    assert ("rej. 90 %" in text) == (width >= (130 if seeds > 1 else 100))


def test_slices_show_low_to_high_and_whole_numbers() -> None:
    shares = {"n_signal": 30, "n_bib": 0, "signal_kept": (1.0, 0.9677, 1.0), "bib_kept": None}
    edges: list[tuple[str, str, tuple[float, float | None]]] = [
        *(("cluster_size", "pixels", (1, 2)), ("cluster_size", "pixels", (4, 6))),
        ("cluster_size", "pixels", (25, None)),
        *(("truth_pt", "GeV", (0.5, 1.0)), ("truth_pt", "GeV", (50.0, None))),
    ]
    slices = [
        {"variable": v, "unit": u, "low": low, "high": high, **shares}
        for v, u, (low, high) in edges
    ]
    slices[0]["bib_kept"] = (0.25, 0.2, 0.35)
    console = Console(record=True, width=100, file=io.StringIO())
    console.print(slices_table(slices))
    rows = [
        [cell.strip() for cell in line.split("│")[1:-1]]
        for line in console.export_text().splitlines()
        if line.startswith("│")
    ]
    assert [row[0] for row in rows] == [
        *("cluster_size (pixels)", "1", "4 to 5", "25 and above"),
        *("truth_pt (GeV)", "0.5 to 1", "50 and above"),
    ]
    assert rows[1][2] == "1.000 .968 to 1.000"
    assert rows[1][4] == "0.750 .650 to .800"
