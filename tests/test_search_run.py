"""`pixelsieve search` from end to end: small networks, killed, gone on, on a Dask cluster."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path
from types import MappingProxyType
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from pixelsieve.core.config import to_plain
from pixelsieve.core.files import read_document, read_json
from pixelsieve.core.programs import YOSYS
from pixelsieve.display.spec import cell_of
from pixelsieve.features import FeatureSet
from pixelsieve.formats.dataset import load
from pixelsieve.front_end import FrontEnd
from pixelsieve.integer.network import from_model
from pixelsieve.integer.pixel_logic import feature_cost
from pixelsieve.networks import spec as networks
from pixelsieve.networks.layers import Dense
from pixelsieve.networks.model_file import Model, load_model
from pixelsieve.networks.precision import LearnedPrecision, Precision
from pixelsieve.networks.spec import NetworkSpec, initial_weights
from pixelsieve.reporting.search import search_table
from pixelsieve.studies import endings
from pixelsieve.studies.endings import Fitting
from pixelsieve.studies.jobs import training_data
from pixelsieve.studies.search.final import feature_luts
from pixelsieve.studies.search.goal import Goal
from pixelsieve.studies.search.result import SearchResult
from pixelsieve.studies.search.trial import SearchData, Trial, run_trial, train_exactly
from pixelsieve.training.job import Job
from pixelsieve.training.recipe import FLOAT, LEARNED, override
from tests.conftest import needs_tool
from tests.test_cli import PROGRAM, pixelsieve, refused

SPACE = """
[[inputs]]
name = "scalars"
features = ["x_size", "y_size", "z_global", "y_local"]
mirror_x = true

[architecture]
depths = [1]
widths = [3]
branches = [false]

[precision]
kinds = ["uniform"]
weights = [3, 4, 6]
activations = [4]
inputs = [5]

[recipe]
epochs = [6]
float_epochs = 6
trial_epochs = 2
batch_size = 128
"""
TINY = NetworkSpec(
    "tiny",
    (
        Dense("dense1", 3, ("x_size", "y_size", "z_global", "y_local")),
        Dense("output", 1, ("dense1",), relu=False),
    ),
)
TRIALS = 4


@pytest.fixture(scope="module")
def space_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("space") / "space.toml"
    path.write_text(SPACE)
    return path


def arguments(data: Path, space: Path, out: Path, seeds: int = 1) -> list[str]:
    values = ["--data", data, "--space", space, "--out", out, "--trials", TRIALS]
    values += ["--generation", 2, "--metric", "auc", "--seeds", seeds, "--reference", "none"]
    return ["search", *map(str, values)]


def trials(folder: Path) -> dict[str, str]:
    return {p.name: p.read_text() for p in sorted((folder / "trials").glob("[!.]*"))}


@pytest.fixture(scope="module")
def searched(
    tmp_path_factory: pytest.TempPathFactory, dataset_file: Path, space_file: Path
) -> Path:
    out = tmp_path_factory.mktemp("search") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "ZOO", MappingProxyType({"tiny": TINY}))
        values = arguments(dataset_file, space_file, out, seeds=2)
        uniform = ["--reference", "tiny", "--reference-bits", "6,4"]
        result = pixelsieve(*values, *uniform, "--workers", 1)
        assert result.exit_code == 0, result.output
        dashboard = f"optuna-dashboard {out / 'study.journal'}\n"
        for text in ("Smallest networks, 2 seeds", "4 trials:", "tiny_4b", dashboard):
            assert text in result.output
        before = {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()}
        again = pixelsieve(*values, *uniform, "--json")
        assert json.loads(again.stdout) == read_json(out / "metrics.json")
        longer = [*values, *uniform, "--trials", 9]
        assert "the test split was read for its table" in refused(pixelsieve(*longer))
        after = {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()}
        made = {p for p, t in after.items() if before.get(p) != t}
        assert {p.name for p in made} <= {".lock", "pareto.png", "pareto.pdf"}
    return out


def test_luts_of_the_front_are_counted_also_of_a_finished_search(
    searched: Path, dataset_file: Path, space_file: Path, tmp_path: Path
) -> None:
    needs_tool(YOSYS)
    out = shutil.copytree(searched, tmp_path / "run")
    uniform = ["--reference", "tiny", "--reference-bits", "6,4"]
    values = [*arguments(dataset_file, space_file, out, seeds=2), *uniform, "--luts"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "ZOO", MappingProxyType({"tiny": TINY}))
        shown = pixelsieve(*values)
        assert shown.exit_code == 0, shown.output
        assert "LUTs of run/" in shown.stderr
        again = pixelsieve(*values, "--json")
    assert "LUTs of" not in again.stderr  # they are known
    metrics = json.loads(again.stdout)
    assert metrics == read_json(out / "metrics.json")
    counted = {r["name"]: r["counted_luts"]["mean"] for r in metrics["rows"] if r["on_front"]}
    assert counted
    assert not any("counted_luts" in r for r in metrics["rows"] if not r["on_front"])
    kept = read_json(out / "resources.json")["models"]
    for name, mean in counted.items():
        counts = [kept[f"{name}_seed{i}"]["synthesis"][0]["luts"]["total"] for i in range(2)]
        assert mean == sum(counts) / 2 > 0
    table = search_table(SearchResult.from_plain(metrics, "metrics"))
    column = [c.title for c in table.columns].index("LUTs (Yosys)")
    shown_counts = {cell_of(row.cells[column]).text for row in table.rows}
    assert shown_counts >= {f"{m:.0f}" for m in counted.values()}


def test_the_table_is_of_exact_networks_over_seeds(searched: Path, dataset_file: Path) -> None:
    metrics = read_document(searched / "metrics.json")
    assert len(metrics["trials"]) == len(metrics["hypervolume"]) == TRIALS
    assert sum(metrics["states"].values()) == TRIALS
    front = [r for r in metrics["rows"] if r["kind"] == "front"]
    assert {r["name"] for r in front} <= set(metrics["front"])
    test = load([dataset_file]).test
    from pixelsieve.metrics.statistics import score

    for row in metrics["rows"]:
        assert len(row["by_seed"]) == 2
        assert row["luts"]["mean"] > 0
        for seed, figures in enumerate(row["by_seed"]):
            name = f"{row['name']}_seed{seed}"
            saved = json.loads((searched / "jobs" / f"{name}.json").read_text())
            (exact,) = [one["exact"] for one in saved["networks"] if one["model"] == name]
            assert exact["differing"] == 0
            network = from_model(load_model(searched / "models" / f"{name}.keras"))
            codes = network.input_codes(network.features.table(test))
            assert to_plain(score(network.run(codes), test.signal)) == figures
    uniform = {r["name"]: r for r in metrics["rows"] if r["kind"] == "uniform"}
    assert uniform.keys() | {one["name"] for one in metrics["left_out"]} >= {"tiny_6b", "tiny_4b"}
    for one in metrics["smaller"]:
        if one["name"]:
            best = next(r for r in front if r["name"] == one["name"])
            than = uniform[one["than"]]
            assert best["validation"]["mean"] >= than["validation"]["mean"]
            assert one["times"] == than["luts"]["mean"] / best["luts"]["mean"]
    assert (searched / "figures" / "pareto.png").exists()
    backend = JournalFileBackend(str(searched / "study.journal"))  # as optuna-dashboard opens it
    (summary,) = optuna.get_all_study_summaries(JournalStorage(backend))
    assert summary.n_trials == TRIALS
    table = search_table(SearchResult.from_plain(metrics, "metrics"))
    assert len(table.rows) == len(metrics["rows"])
    noted = json.loads((searched / "test_read.json").read_text())["networks"]
    assert len(noted) == 2 * len(metrics["rows"])


def test_killed_it_goes_on_elsewhere_to_the_same_trials(
    searched: Path, dataset_file: Path, space_file: Path, tmp_path: Path
) -> None:
    from distributed import LocalCluster

    out = tmp_path / "killed"
    values = arguments(dataset_file, space_file, out)
    process = subprocess.Popen([*PROGRAM, *values, "--workers", "1"], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not (out / "trials" / "trial_0000.json").exists() and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = trials(out)
    assert "trial_0000.json" in done
    assert len(done) < TRIALS
    stamps = {name: (out / "trials" / name).stat().st_mtime_ns for name in done}
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        result = pixelsieve(*values, "--scheduler", cluster.scheduler_address)
        assert result.exit_code == 0, result.output
    assert trials(out) == trials(searched)
    assert {n: (out / "trials" / n).stat().st_mtime_ns for n in done} == stamps
    for path in (out / "models").glob("trial_*.keras"):
        ours, theirs = (from_model(load_model(f / "models" / path.name)) for f in (out, searched))
        for one, other in zip(ours.weighted_layers, theirs.weighted_layers, strict=True):
            assert one.kernel.tolist() == other.kernel.tolist()


def test_a_training_of_bits_gives_a_front_and_what_fits(
    dataset_file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(endings, "_MOST_CHECKED", 8)
    data = training_data(load([dataset_file]), FeatureSet(TINY.features), [])
    shared = SearchData(tmp_path, data, data)
    goal = Goal("auc", "luts", 0.02, None)
    precision, recipe = LearnedPrecision(50), override(LEARNED, epochs=120, batch_size=128)
    trial = Trial(TINY, precision, recipe, FLOAT, False, 3, goal, 0, ())  # noqa: FBT003
    result, models = run_trial(shared, trial, print)
    assert result.state == "complete"
    assert len(models) == len(result.networks) > 1
    points = [goal.point(one) for one in result.networks]
    assert goal.front(result.networks) == list(range(len(points)))
    assert not any(one.differing for one in result.networks)
    limits = {"large": points[-1][1], "small": points[0][1], "smallest": points[0][1] - 1}
    for name in ("jobs", "models"):
        (tmp_path / name).mkdir()

    def fitting(ending: Fitting) -> Any:
        job = Job(TINY, precision, recipe, 3, label="large")
        return train_exactly(job, job, shared.part(TINY, False), tmp_path, ending)  # noqa: FBT003

    found = fitting(Fitting(goal, {**limits}, None))
    assert list(found) == list(limits)
    for name, plain in (("large", result.networks[-1]), ("small", result.networks[0])):
        assert found[name] is not None
        assert goal.point(found[name])[1] <= goal.point(plain)[1]
        assert found[name].auc >= plain.auc  # trained further where that is better
        assert not found[name].differing
    assert found["smallest"] == found["small"]  # none is below the limit
    assert "the smallest of its networks costs" in fitting(
        Fitting(goal, {**limits}, points[0][1] / 2)
    )
    again, _ = run_trial(shared, trial, print)
    assert again == result


def test_wrong_use_is_one_line(dataset_file: Path, space_file: Path, tmp_path: Path) -> None:
    values: list[Any] = arguments(dataset_file, space_file, tmp_path / "x")
    for more, message in (
        (["--metric", "rejection_97"], "unknown metric 'rejection_97' (did you mean 'rejecti"),
        (["--cost", "LUT"], "unknown cost 'LUT'"),
        (["--reference", "model22"], "unknown network 'model22'"),
        (["--reference-bits", "four"], "--reference-bits: 'four'"),
        (["--time", "60ps"], "column 'hit_time_60ps_ns' is missing"),
        (["--scheduler", "tcp://127.0.0.1:9", "--workers", 2], "--workers: counts those"),
    ):
        assert message in refused(pixelsieve(*values, *more))
    assert not (tmp_path / "x").exists()
    space_file.with_name("other.toml").write_text(SPACE.replace("[3, 4, 6]", "[]"))
    values = arguments(dataset_file, space_file.with_name("other.toml"), tmp_path / "x")
    assert "weights is empty; expected at least one value" in refused(pixelsieve(*values))


def test_a_search_of_other_settings_is_refused(
    searched: Path, dataset_file: Path, space_file: Path
) -> None:
    values = arguments(dataset_file, space_file, searched, seeds=2)
    assert "holds a run with other settings" in refused(pixelsieve(*values, "--budget", 100))


def test_a_report_shows_every_trial_and_the_table(searched: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    result = pixelsieve("report", searched, "--out", page)
    assert result.exit_code == 0, result.output
    text = page.read_text()
    assert "Not shown, since" not in text
    drawn = json.loads(text.split('id="data">')[1].split("</script>")[0])
    metrics = read_document(searched / "metrics.json")
    points = [s["points"] for s in drawn["r0-pareto"][0]["charts"][0]["series"]]
    complete = sum(t["state"] == "complete" for t in metrics["trials"])
    assert len(points[0]) + len(points[1]) == complete
    assert len(points[1]) == len(metrics["front"])
    for row in metrics["rows"]:
        assert f"{row['validation']['mean']:.4f}" in text


def test_a_budget_that_no_network_meets_is_one_line(
    dataset_file: Path, space_file: Path, tmp_path: Path
) -> None:
    values = arguments(dataset_file, space_file, tmp_path / "x")
    result = pixelsieve(*values, "--budget", 1, "--trials", 2, "--workers", 1)
    assert result.exit_code == 2
    line = result.output.strip().splitlines()[-1]
    assert "budget 1 luts: none of 2 trials meets it, the smallest network needs" in line
    assert "Traceback" not in result.output
    assert not (tmp_path / "x" / "test_read.json").exists()


def test_the_logic_of_features_is_counted_or_said_to_be_missing(dataset_file: Path) -> None:
    charges = load([dataset_file])
    features = FeatureSet(TINY.features)
    model = Model(TINY, Precision(4), initial_weights(TINY, 0), features)
    assert "collected charge" in str(feature_luts(model, charges)[1])
    chip = FrontEnd(threshold_e=200, adc="codes", adc_codes_e=(200.0, 800.0, 2000.0))
    codes = charges.through(chip)
    grid = from_model(model).inputs[0].grid
    luts, missing = feature_luts(model, codes)
    assert (luts, missing) == (feature_cost(features, 2, grid), None)
    assert luts is not None
    assert luts > 200
    logs = FeatureSet(("y_profile",))
    spec = NetworkSpec("logs", (Dense("output", 1, ("y_profile",), relu=False),))
    refused_model = Model(spec, Precision(4), initial_weights(spec, 0), logs)
    assert "use 'y_code_profile'" in str(feature_luts(refused_model, codes)[1])
