"""What tables must not hide."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from pixelsieve.display import terminal
from pixelsieve.evaluation.data_rate import Slice
from pixelsieve.formats.dataset import Dataset
from pixelsieve.metrics.statistics import METRICS, Interval, Mean, PairedTest, score
from pixelsieve.reporting.comparison import comparison_table, paired_table, warnings
from pixelsieve.reporting.figures import event_display
from pixelsieve.reporting.tables import inspection_tables, slices_table
from pixelsieve.studies.inspect import inspect_parts
from pixelsieve.studies.summary import (
    Approach,
    Baseline,
    ComparedInputs,
    ComparedRow,
    Comparison,
    PairedRow,
    summarize_comparison,
)
from pixelsieve.training.job import JobResult
from pixelsieve.training.recipe import RECIPES
from tests.conftest import make_clusters, random_logits

ALIKE = score(*random_logits(200, 0))
"""Figures of merit of some network."""


def test_a_network_that_collapsed_is_named() -> None:
    one, two, three = (make_clusters(200, i, group_id=np.arange(200) + 1000 * i) for i in range(3))
    dataset = Dataset.of({"train": one, "validation": two, "test": three}, whole=True)
    good = dataset.test.signal.astype(np.float32)
    epoch = {"validation_auc": 0.9, "validation_loss": 0.1}
    results = [
        JobResult(f"sieve_2b_seed{s}", "", RECIPES["sieve"], s, 0, None, (epoch,)) for s in (0, 1)
    ]
    approach = Approach(RECIPES["sieve"], 2, ["a", "b"], results, [good, np.zeros_like(good)])
    ((row,), _, _) = summarize_comparison([approach], {}, dataset.test)
    assert row.collapsed == (1,)
    ((line,), _) = warnings(comparison_of(row))
    assert line.startswith("warning: sieve, 2 bits: seed 1 (AUC 0.500)")
    assert warnings(comparison_of(replace(row, collapsed=())))[0] == []


def test_unusual_clusters_and_names_are_shown_as_they_are(tmp_path: Path) -> None:
    clusters = make_clusters(40)
    clusters.pixels_e[:] = 0
    summary = inspect_parts(Dataset.of({"all": clusters}, "[bold]nothing"), events=8)
    console = Console(record=True, width=120, file=io.StringIO())
    for table in inspection_tables(summary):
        console.print(*terminal.tables(table, 120))
    text = console.export_text()
    assert "by [bold]nothing" in text
    assert text.count("no pixel above 0 e") == 16
    event_display(summary.displays, tmp_path / "event_display")


def compared_row(
    name: str, mean: float = 0.9, spread: float = 0.0123, seeds: int = 1
) -> ComparedRow:
    """An approach at 4 bits all of whose figures of merit are the same."""
    return ComparedRow(
        approach=name,
        bits=4,
        models=(),
        recipe=RECIPES.get(name, RECIPES["sieve"]),
        warm_start=(None,),
        scales=(),
        best_epochs=(),
        validation_auc=(),
        validation_loss=(),
        seeds=tuple(range(seeds)),
        by_seed=(ALIKE,) * seeds,
        summary=dict.fromkeys(METRICS, Mean(mean, spread)),
        bootstrap_68=dict.fromkeys(METRICS, Interval(mean, mean)),
    )


def comparison_of(*rows: ComparedRow, paired: Sequence[PairedTest] = ()) -> Comparison:
    """A comparison of those rows, with tests at 4 bits."""
    return Comparison(
        network="model2",
        n_parameters=1,
        features=ComparedInputs(("z_global",), False, (65.0,), (13, 21)),  # noqa: FBT003 (mirror)
        clusters={},
        rows=rows,
        paired=tuple(PairedRow(4, test) for test in paired),
    )


def comparison(seeds: int) -> Comparison:
    """What the tables of a comparison of all recipes are made of."""
    rows = [compared_row(name, seeds=seeds) for name in RECIPES]
    trees = Baseline("boosted trees, same inputs", (ALIKE,), rows[0].summary, rows[0].bootstrap_68)
    test = PairedTest(
        "auc", "first_attempt", "conservative", seeds, 0.02, -0.0123, 0.0456, 1.2e-8, 2.4e-8
    )
    return replace(comparison_of(*rows, paired=[test]), baselines=(trees,))


@pytest.mark.parametrize("width", [60, 80, 100, 130, 170])
@pytest.mark.parametrize("seeds", [1, 5])
def test_a_comparison_shortens_no_name_at_any_width(width: int, seeds: int) -> None:
    console = Console(record=True, width=width, file=io.StringIO())
    paired = paired_table(comparison(seeds), "auc")
    assert paired is not None
    for one in (comparison_table(comparison(seeds)), paired):
        console.print(*terminal.tables(one, width), sep="\n")
    text = console.export_text()
    assert "…" not in text
    assert ("-0.0123 to +0.0456 " in text) == (width >= 80)
    for name in (*RECIPES, "rej. 98 %", *(["accuracy", "AUC"] if width >= 80 else [])):
        assert f" {name} " in text
    assert ("0.9000 ±.0123" in text) == (seeds > 1)
    assert ("rej. 90 %" in text) == ("metrics.json" not in text)
    assert ("rej. 90 %" in text) == (width >= (130 if seeds > 1 else 100))
    assert max(map(len, text.splitlines())) <= width


def test_slices_show_low_to_high_and_whole_numbers() -> None:
    kept, bib_kept = (1.0, 0.9677, 1.0), [(0.25, 0.2, 0.35), None, None, None, None]
    edges: list[tuple[str, str, tuple[float, float | None]]] = [
        *(("cluster_size", "pixels", (1, 2)), ("cluster_size", "pixels", (4, 6))),
        ("cluster_size", "pixels", (25, None)),
        *(("truth_pt", "GeV", (0.5, 1.0)), ("truth_pt", "GeV", (50.0, None))),
    ]
    slices = [
        Slice(v, u, low, high, 30, 0, kept, bib)
        for (v, u, (low, high)), bib in zip(edges, bib_kept, strict=True)
    ]
    console = Console(record=True, width=100, file=io.StringIO())
    console.print(*terminal.tables(slices_table(slices), 100))
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
