"""What a comparison writes for its report, against its other numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pixelsieve.formats.dataset import load
from pixelsieve.metrics.metrics import score_histogram


def test_a_histogram_counts_every_cluster() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 5000)
    scores = [rng.normal(size=5000) + labels for _ in range(3)]
    found = score_histogram(scores, labels)
    assert len(found.edges) == len(found.signal) + 1 == len(found.bib) + 1
    assert (sum(found.signal), sum(found.bib)) == (3 * labels.sum(), 3 * (1 - labels).sum())
    inner = slice(10, 40)
    expected, _ = np.histogram(np.stack(scores)[:, labels == 1], found.edges)
    assert found.signal[inner] == expected[inner].tolist()


def test_equal_scores_have_a_histogram() -> None:
    found = score_histogram([np.zeros(4)], np.array([0, 1, 1, 0]))
    assert (sum(found.signal), sum(found.bib)) == (2, 2)
    assert np.all(np.diff(found.edges) > 0)


def test_curves_agree_with_the_metrics(compared: Path, dataset_file: Path) -> None:
    metrics = json.loads((compared / "metrics.json").read_text())
    text = (compared / "curves.json").read_text()
    assert len(text) < 1_000_000
    curves = json.loads(text)
    test = load([dataset_file]).test
    logits = pq.read_table(compared / "predictions.parquet")
    for row, one in zip(metrics["rows"], curves["rows"], strict=True):
        assert (row["approach"], row["bits"]) == (one["approach"], one["bits"])
        counts = [sum(one["histogram"][kind]) for kind in ("signal", "bib")]
        assert counts == [2 * test.n_signal, 2 * (len(test) - test.n_signal)]
        places = [s for s in one["slices"] if s["variable"] == "z_global"]
        kept = sum(s["n_bib"] * s["bib_kept"][0] for s in places if s["bib_kept"])
        rejection = 1 - kept / (len(test) - test.n_signal)
        assert rejection == pytest.approx(row["summary"]["rejection_98"]["mean"])
    seen = curves["seen"]
    best = max(
        (r for r in metrics["rows"] if r["bits"]), key=lambda r: float(np.mean(r["validation_auc"]))
    )
    assert (seen["approach"], seen["bits"], seen["seed"]) == (best["approach"], best["bits"], 0)
    assert sum(g["clusters"] for g in seen["groups"].values()) == len(test)
    which = metrics["rows"].index(best)
    scores = logits[f"{best['approach']}_{best['bits']}b_seed0"].to_numpy()
    for name, group in seen["groups"].items():
        assert bool(group["displays"]) == (group["clusters"] > 0)
        for one in group["displays"]:
            assert test.signal[one["row"]] == name.startswith("signal")
            assert one["scores"][which] == pytest.approx(float(scores[one["row"]]), abs=1e-4)
            kept_by_it = one["scores"][which] >= seen["networks"][which]["threshold"] - 1e-4
            assert kept_by_it == name.endswith("kept")
            assert one["charge_e"] == pytest.approx(np.sum(one["pixels_e"]), rel=1e-3)
