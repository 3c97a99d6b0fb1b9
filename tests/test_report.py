"""The report: its words and numbers against the run's JSON, and what it does without some of it."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pixelsieve.core.files import read_json, write_json
from pixelsieve.evaluation.data_rate import Slice
from pixelsieve.metrics.metrics import ScoreHistogram
from pixelsieve.metrics.statistics import PairedTest
from pixelsieve.reporting.charts import colours, slices_choices
from pixelsieve.reporting.comparison import answers
from pixelsieve.reporting.figures import figures_of_run
from pixelsieve.reporting.page import command_of, config_lines, data_facts, firmware_command
from pixelsieve.reporting.record import Manifest, RunRecord, read_run
from pixelsieve.studies.explain import ApproachCurves, Curves, SeenClusters
from pixelsieve.studies.summary import MeanRoc
from tests.test_cli import pixelsieve, refused
from tests.test_tables import compared_row, comparison_of

COPIED = shutil.ignore_patterns("*.keras", "*.png", "*.pdf", "*.parquet")


@pytest.fixture
def run(compared: Path, tmp_path: Path) -> Path:
    """A comparison's JSON in a folder of its own."""
    return Path(shutil.copytree(compared, tmp_path / "run", ignore=COPIED))


def report(*arguments: object) -> str:
    result = pixelsieve("report", *arguments)
    assert result.exit_code == 0, result.output
    return Path(result.output.split()[-1]).read_text()


def embedded(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    document: dict[str, Any] = json.loads(found[1])
    return document


def numbers(value: Any) -> set[float]:
    """Every number in plain data, to the five digits that charts have."""
    if isinstance(value, dict):
        return set().union(*map(numbers, value.values()))
    if isinstance(value, list):
        return set().union(*map(numbers, value))
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return {float(f"{value:.5g}")}
    return set()


def test_the_page_is_written_beside_the_run(run: Path) -> None:
    page = report(run)
    assert (run / "report.html").stat().st_size < 5_000_000
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page)
    metrics = read_json(run / "metrics.json")
    for row in metrics["rows"]:
        for value in row["summary"].values():
            assert f"{value['mean']:.4f}" in page
    assert read_run(run).manifest.config_hash in page


def test_what_is_drawn_is_in_the_json(run: Path) -> None:
    drawn = embedded(report(run))
    known = set()
    for path in (run / "metrics.json", run / "curves.json", *(run / "jobs").glob("*.json")):
        known |= numbers(json.loads(path.read_text()))
    known |= {float(f"{1 - k:.5g}") for k in known}  # rejection is 1 - share kept
    for name in ("r0-training", "r0-scores", "r0-slices", "r0-roc"):
        for choice in drawn[name]:
            for chart in choice["charts"]:
                for series in chart["series"]:
                    assert series["points"] or name == "r0-training", (name, series["name"])
                    for point in series["points"]:
                        assert abs(point[1]) < 1e-9 or point[1] in known, (name, point)


def test_words_follow_the_tests() -> None:
    rows = [compared_row("a", 0.9, 0.01, 3), compared_row("b", 0.92, 0.01, 3)]
    sure = PairedTest("accuracy", "b", "a", 3, 0.02, 0.014, 0.026, 0.001, 0.004)
    unsure = PairedTest("accuracy", "b", "a", 3, 0.02, -0.01, 0.05, 0.02, 0.2)
    single = PairedTest("accuracy", "b", "a", 1, 0.02, None, None, None)

    def said(one: PairedTest) -> str:
        found = answers(comparison_of(*rows, paired=[one]))
        (line,) = next(a for a in found if a.metric == "accuracy").lines
        return line

    assert said(sure) == (
        "It beats a by 2.00 points (95 % interval 1.40 to 2.60, p = 0.004, 3 seeds)."
    )
    assert said(unsure).startswith("It cannot be told apart from a: 2.00 points (95 % interval ")
    assert said(single) == "2.00 points above a; not enough seeds to tell this from chance."
    assert said(replace(single, difference=0.0)) == "It equals a in every seed."
    head = answers(comparison_of(*rows, paired=[sure]))[1].head
    assert head == "b has the highest mean accuracy: 0.9200 ± 0.0100 over 3 seeds."


def test_an_older_run_says_what_is_missing(run: Path) -> None:
    (run / "curves.json").unlink()
    page = report(run)
    assert page.count("The run has no curves.json") == 3
    metrics = read_json(run / "metrics.json")
    for one in metrics["rows"]:
        del one["roc"]
    del metrics["baselines"], metrics["paired"]
    write_json(run / "metrics.json", metrics)
    page = report(run)
    assert "wrote it in another form or not at all: ROC." in page
    assert f"{metrics['rows'][0]['summary']['auc']['mean']:.4f}" in page
    path = min((run / "jobs").glob("*.json"))
    job = read_json(path)
    job["history"][0]["train_loss"] = 10**400
    write_json(path, job)
    assert "in another form or not at all: ROC, training." in report(run)
    write_json(run / "metrics.json", {**metrics, "rows": [[]]})
    assert "in another form or not at all: comparison, training." in report(run)
    (run / "metrics.json").unlink()
    assert "The run has no metrics.json yet." in report(run)
    shutil.rmtree(run / "jobs")
    assert "No history." in report(run)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"command": [1.5]}, "'command' is 1.5; expected text"),
        ({"versions": 0.5}, "'versions' is 0.5; expected a table"),
        ({"started": 5}, "'started' is 5; expected text"),
    ],
)
def test_a_run_of_an_unknown_form_is_named(
    run: Path, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    other = Path(shutil.copytree(run, tmp_path / "other"))
    write_json(other / "manifest.json", {**read_json(other / "manifest.json"), **change})
    said = refused(pixelsieve("report", run, other, "--out", tmp_path / "both.html"))
    assert said.startswith(f"pixelsieve: {other}: a JSON file in it has a form that pixelsieve")
    assert message in said
    assert not (tmp_path / "both.html").exists()
    write_json(other / "manifest.json", {"config": 0.5})
    assert "no manifest of a run" in refused(pixelsieve("report", other))


def test_several_runs_share_one_page(run: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(run, tmp_path / "other"))
    page = report(run, other, "--out", tmp_path / "both.html")
    assert "have the same data files" in page
    assert {"r0-roc", "r1-roc"} <= embedded(page).keys()
    manifest = read_json(other / "manifest.json")
    manifest["config"]["data"] = {"other.parquet": "0"}
    write_json(other / "manifest.json", manifest)
    page = report(run, other, "--out", tmp_path / "both.html")
    assert "The runs have different data files." in page


def test_refusals(run: Path, tmp_path: Path) -> None:
    assert "no run (no manifest.json)" in refused(pixelsieve("report", tmp_path))
    assert "--out: missing" in refused(pixelsieve("report", run, tmp_path))
    twice = pixelsieve("report", run, run, "--out", tmp_path / "page.html")
    assert "given twice" in refused(twice)
    (run / "curves.json").write_text("{")
    assert "curves.json: not valid JSON" in refused(pixelsieve("report", run))
    assert not (run / "report.html").exists()


def test_text_from_a_run_cannot_become_markup(run: Path) -> None:
    path = run / "metrics.json"
    text = json.dumps(read_json(path)).replace('"sieve"', '"</script><b>sieve"')
    write_json(path, json.loads(text))
    assert "<b>sieve" not in report(run)


def test_configuration_and_command_are_plain_lines() -> None:
    config = {"a": {"b": [1, 2]}, "c": [{"d": None}, {"d": "x"}], "e": []}
    assert config_lines(config) == [
        ("a.b", "1, 2"),
        ("c[0].d", "none"),
        ("c[1].d", "x"),
        ("e", "none"),
    ]
    words = ["__main__.py", "compare", "--data", "a b.parquet"]
    assert (
        command_of(Manifest({}, command=tuple(words))) == "pixelsieve compare --data 'a b.parquet'"
    )


def test_figures_of_a_run(run: Path) -> None:
    report(run, "--figures")
    names = {p.name for p in (run / "figures").iterdir()}
    drawn = ("roc", "metric_against_bits", "scores", "mean_clusters", "slices_2b")
    for name in (*drawn, "training_curves_4b"):
        assert {f"{name}.png", f"{name}.pdf"} <= names


def test_a_recipe_has_one_colour_wherever_it_is_drawn() -> None:
    assert colours(["float", "sieve"])["sieve"] == colours(["original", "mine", "sieve"])["sieve"]
    found = colours(["float", "mine", "sieve", "original", "yours", "first_attempt", "third"])
    assert len(set(found.values())) == len(found)
    assert colours(["mine", "sieve"])["mine"] != colours(["sieve"])["sieve"]


def test_runs_on_one_page_share_their_colours(run: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(run, tmp_path / "other"))
    metrics = read_json(other / "metrics.json")
    metrics["rows"] = [r for r in metrics["rows"] if r["approach"] in {"float", "sieve"}]
    write_json(other / "metrics.json", metrics)
    drawn = embedded(report(run, other, "--out", tmp_path / "both.html"))
    first, second = (
        {s["name"]: s["colour"] for s in drawn[key][0]["charts"][0]["series"]}
        for key in ("r0-roc", "r1-roc")
    )
    assert second.items() <= first.items()


def _slice(low: float | None, high: float | None, n: int) -> Slice:
    return Slice("truth_pt", "GeV", low, high, 0, n, None, (0.5, 0.4, 0.6) if n else None)


def test_slices_of_few_clusters_are_left_out() -> None:
    edges = [(0.0, 0.002, 3), (0.002, 0.005, 40), (0.005, 0.01, 9), (0.01, 0.05, 10), (0.05, 1, 0)]
    slices = tuple(_slice(*one) for one in edges)
    row = ApproachCurves("sieve", 4, ScoreHistogram([0.0], [], []), (), slices)
    seen = SeenClusters(approach="sieve", bits=4, seed=0, networks=(), groups={})
    ((chart,),) = [c.charts for c in slices_choices(Curves(rows=(row,), baselines=(), seen=seen))]
    assert chart.title == "BIB rejection by true transverse momentum"
    assert chart.x.label == "true transverse momentum (MeV)"
    assert chart.x.categories == ("2 to 5", "5 to 10", "10 to 50")
    assert [p.x for p in chart.series[0].points] == ["2 to 5", "10 to 50"]


def test_the_head_says_what_the_data_are(run: Path) -> None:
    record = read_run(run)
    assert record.comparison is not None
    facts = dict(data_facts(record.manifest, record.comparison))
    (name,) = read_json(run / "manifest.json")["config"]["data"]
    assert facts["data"].startswith(f"{name} (")
    assert facts["sensor"] == "muon-collider-vxd: pixels of 25 x 25 µm (along x and y), 50 µm thick"
    made = replace(record.comparison, made={name: "simulation"})
    assert dict(data_facts(record.manifest, made))["data"] == f"{name} (simulated by pixelsieve)"
    assert data_facts(record.manifest, None) == [("data", name)]


def test_the_firmware_command_can_be_copied() -> None:
    words = ["pixelsieve", "compare", "--data", "a b.parquet", "-d", "c", "--out", "runs/demo"]
    manifest = Manifest({"recipes": []}, command=tuple(words))
    seen = SeenClusters(approach="sieve", bits=4, seed=0, networks=(), groups={})
    curves = Curves(rows=(), baselines=(), seen=seen)
    assert firmware_command(Path("runs/demo"), manifest, curves) == (
        "pixelsieve firmware runs/demo --data 'a b.parquet' --data c --model sieve_4b_seed0"
    )
    assert firmware_command(Path("x"), Manifest({}), None) == "pixelsieve firmware x --data DATA"


def test_one_width_has_no_figure_against_bits(tmp_path: Path) -> None:
    curve = MeanRoc((0.9, 1.0), (0.1, 1.0))
    rows = [replace(compared_row(name), roc=curve) for name in ("sieve", "original")]
    record = RunRecord(tmp_path, "compare", Manifest({}), comparison=comparison_of(*rows))
    assert [Path(name).name for name in figures_of_run(record)] == ["roc"]
