from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from pixelsieve.api.progress import TrainingProgress
from pixelsieve.cli import app, options
from pixelsieve.core.files import read_json
from pixelsieve.core.programs import YOSYS
from pixelsieve.data.detector import SMART_PIXEL_LHC
from pixelsieve.formats import parquet
from pixelsieve.metrics.statistics import METRICS
from pixelsieve.networks.model_file import load_model, save_model
from pixelsieve.networks.spec import ZOO
from pixelsieve.training import recipe
from tests.conftest import make_clusters, needs_tool

PROGRAM = [sys.executable, "-m", "pixelsieve"]
QUICK = ["--epochs", "3", "--float-epochs", "3", "--batch-size", "128", "--workers", "2"]


def pixelsieve(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def refused(result: Result) -> str:
    """The one line that a refusal prints."""
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    lines = result.output.strip().splitlines()
    assert len(lines) == 1, result.output
    return lines[0]


def test_compare_fills_the_run_folder(compared: Path) -> None:
    jobs = {f"{r}_{b}b_seed{s}" for r in RECIPES for b in (2, 4) for s in (0, 1)}
    jobs |= {"float_seed0", "float_seed1"}
    assert {p.stem for p in (compared / "models").iterdir()} == jobs
    assert {p.name for p in (compared / "jobs").iterdir()} == {f"{j}.json" for j in jobs}
    assert {p.name for p in (compared / "figures").iterdir()} == {
        f"{name}.{kind}"
        for name in ("roc", "metric_against_bits", "training_curves_2b", "training_curves_4b")
        for kind in ("png", "pdf")
    }
    history = pq.read_table(compared / "history.parquet")
    assert len(history) == 3 * len(jobs)
    float_rows = [r for r in history.to_pylist() if r["approach"] == "float"]
    assert {r["bits"] for r in float_rows} == {None}
    predictions = pq.read_table(compared / "predictions.parquet")
    assert jobs <= set(predictions.column_names)


RECIPES = ("original", "first_attempt", "conservative", "sieve")


def test_the_numbers_of_a_comparison(compared: Path) -> None:
    metrics = json.loads((compared / "metrics.json").read_text())
    rows = {(r["approach"], r["bits"]): r for r in metrics["rows"]}
    assert set(rows) == {("float", None), *((r, b) for r in RECIPES for b in (2, 4))}
    for row in rows.values():
        values = [f["auc"] for f in row["by_seed"]]
        assert row["summary"]["auc"]["mean"] == pytest.approx(np.mean(values))
        assert row["summary"]["auc"]["spread"] == pytest.approx(np.std(values, ddof=1))
        low, high = row["bootstrap_68"]["auc"].values()
        assert 0 <= low <= high <= 1
    skipped = [r["status"] for r in rows["first_attempt", 4]["warm_start"][0]]
    assert skipped == ["copied"] * 5 + ["skipped"]
    assert rows["original", 4]["warm_start"] == [None, None]
    assert len(rows["sieve", 4]["scales"][0]) == 6
    assert {b["approach"] for b in metrics["baselines"]} == {
        "boosted trees, same inputs",
        "cut on |t| (30 ps) alone",
    }
    assert len(metrics["paired"]) == 2 * 6 * 3
    assert all(t["difference"] >= 0 for t in metrics["paired"])
    told = [t for t in metrics["paired"] if t["p_value"] is not None]
    assert told
    assert all(t["p_value"] <= t["p_corrected"] <= 1 for t in told)


SMALL_NETWORK = """
name = "small"
[[layers]]
kind = "dense"
name = "hidden"
units = 3
inputs = ["x_size", "y_size", "z_global"]
[[layers]]
kind = "dense"
name = "output"
units = 1
inputs = ["hidden"]
relu = false
"""


def test_compare_counts_luts_beside_the_estimate(dataset_file: Path, tmp_path: Path) -> None:
    needs_tool(YOSYS)
    (tmp_path / "small.toml").write_text(SMALL_NETWORK)
    result = pixelsieve(
        *("compare", "--data", dataset_file, "--out", tmp_path / "run", "--bits", 3, "--seeds", 2),
        *("--network", tmp_path / "small.toml", "--recipe", "sieve", "--no-baselines", "--luts"),
        *QUICK,
    )
    assert result.exit_code == 0, result.output
    assert "LUTs of small, combinational" in result.output
    assert "counted by Yosys" in result.output
    rows = json.loads((tmp_path / "run" / "metrics.json").read_text())["rows"]
    assert "counted_luts" not in rows[0]
    assert rows[1]["counted_luts"]["mean"] > rows[1]["luts"]["mean"] > 0


def test_evaluate_repeats_the_number_of_the_comparison(compared: Path, dataset_file: Path) -> None:
    model = compared / "models" / "sieve_4b_seed1.keras"
    result = pixelsieve("evaluate", model, "--data", dataset_file, "--json")
    figures = json.loads(result.output)["figures"]
    metrics = json.loads((compared / "metrics.json").read_text())
    row = next(r for r in metrics["rows"] if (r["approach"], r["bits"]) == ("sieve", 4))
    assert figures == row["by_seed"][1]
    shown = pixelsieve("evaluate", model, "--data", dataset_file)
    assert f"{figures['auc']:.4f}" in shown.output


def test_the_same_compare_again_trains_nothing(compared: Path, dataset_file: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in (compared / "models").iterdir()}
    arguments = ["--bits", "2,4", "--seeds", "2", *QUICK, "--json"]
    result = pixelsieve("compare", "--data", dataset_file, "--out", compared, *arguments)
    assert json.loads(result.stdout) == read_json(compared / "metrics.json")
    assert {p: p.stat().st_mtime_ns for p in (compared / "models").iterdir()} == before


def test_inspect_shows_data_and_models(compared: Path, dataset_file: Path) -> None:
    summary = json.loads(pixelsieve("inspect", dataset_file, "--json").output)
    assert sum(s["clusters"] for s in summary["splits"].values()) == 1600
    assert "hit_time_60ps" not in summary["features"]
    assert "particle groups" in pixelsieve("inspect", dataset_file).output
    model = pixelsieve("inspect", compared / "models" / "conservative_2b_seed0.keras")
    card = json.loads(model.output)
    assert (card["precision"]["weight_bits"], card["recipe"]["name"]) == (2, "conservative")


def test_train_reads_no_test_split_and_names_the_model(dataset_file: Path, tmp_path: Path) -> None:
    result = pixelsieve(
        *("train", "--data", dataset_file, "--out", tmp_path / "r", "--bits", 3, *QUICK[:-2]),
        *("--time", "30ps", "--mirror-x"),
    )
    assert result.exit_code == 0, result.output
    assert "copied 6 of 6" in result.output
    card = json.loads(pixelsieve("inspect", tmp_path / "r/models/sieve_3b_seed0.keras").output)
    assert card["features"]["mirror_x"] is True
    assert card["features"]["names"][-1] == "hit_time_30ps"
    assert not list((tmp_path / "r").glob("predictions*"))


def test_options_change_the_recipe(dataset_file: Path, tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text('[recipes.mine]\nbase = "conservative"\nclip_norm = 2.0\n')
    out = tmp_path / "run"
    result = pixelsieve(
        *("compare", "--data", dataset_file, "--out", out, "--seeds", 1, *QUICK),
        *("--recipe", "mine", "--recipes-file", tmp_path / "r.toml", "--no-baselines"),
        *("--initial-rate", "3e-4", "--power", "1", "--float-recipe", "float_original"),
    )
    assert result.exit_code == 0, result.output
    assert "one seed" in result.output
    config = json.loads((out / "manifest.json").read_text())["config"]
    (recipe,) = config["recipes"]
    assert recipe["initial_rate"] == 3e-4
    assert (recipe["power"], recipe["clip_norm"], recipe["epochs"]) == (1, 2, 3)
    assert config["float_recipe"]["initial_rate"] == 1e-3
    other = pixelsieve(
        *("compare", "--data", dataset_file, "--out", out, "--seeds", 2, *QUICK),
        *("--recipe", "mine", "--recipes-file", tmp_path / "r.toml", "--no-baselines"),
    )
    assert "holds a run with other settings (float_recipe, recipes, seeds)" in refused(other)


def test_bad_input_is_one_line_and_nothing_is_written(dataset_file: Path, tmp_path: Path) -> None:
    clusters = make_clusters(200)
    bad: dict[str, Any] = {}
    one_class = tmp_path / "one.parquet"
    parquet.write(make_clusters(200, signal=np.ones(200, np.int8)), one_class)
    bad["no BIB clusters"] = ["--data", one_class]
    cut = tmp_path / "cut.parquet"
    parquet.write(clusters, cut)
    cut.write_bytes(cut.read_bytes()[:500])
    bad["cut.parquet: not a whole Parquet file"] = ["--data", cut]
    folder = tmp_path / "leak"
    folder.mkdir()
    for i, name in enumerate(("x_train", "x_val", "x_test")):
        parquet.write(make_clusters(60, seed=i), folder / f"{name}.parquet")
    bad["in both train and validation, first: group_id 0"] = ["--data", folder]
    bad["no such Parquet or ROOT file"] = ["--data", tmp_path / "nothing"]
    good = ["--data", dataset_file]
    toml = tmp_path / "r.toml"
    toml.write_text("[recipes.a]\nepoch = 3\n")
    bad["unknown key 'epoch' (did you mean 'epochs'?)"] = [*good, "--recipes-file", toml]
    bad["unknown recipe 'siev' (did you mean 'sieve'?)"] = [*good, "--recipe", "siev"]
    bad["unknown network 'model22' (did you mean 'model2'?)"] = [*good, "--network", "model22"]
    bad["--time is '35ps' (did you mean '30ps'?); expected one of"] = [*good, "--time", "35ps"]
    bad["column 'hit_time_60ps_ns' is missing"] = [*good, "--time", "60ps"]
    bad["--bits: 'four'"] = [*good, "--bits", "four"]
    bad["--bits is 1; expected 2 to 16"] = [*good, "--bits", "1"]
    bad["--power: no recipe of sieve decays by polynomial"] = [
        *good,
        "--power",
        "1",
        "--recipe",
        "sieve",
    ]
    bad["'conservative' starts from a float network"] = [*good, "--float-recipe", "conservative"]
    bad["needs at least one batch of 4096; lower --batch-size or add"] = [
        *good,
        "--batch-size",
        "4096",
        "--workers",
        "1",
    ]
    for expected, arguments in bad.items():
        out = tmp_path / "out"
        line = refused(pixelsieve("compare", "--out", out, *arguments))
        assert expected in line
        assert line.startswith("pixelsieve: ")
        assert not out.exists(), expected
    unwritable = dataset_file / "run"
    assert "cannot be written" in refused(pixelsieve("compare", *good, "--out", unwritable))


def test_wrong_usage_is_one_line(dataset_file: Path, tmp_path: Path) -> None:
    wrong: dict[str, list[object]] = {
        "pixelsieve inspect: invalid value for '--events': ": [
            *("inspect", "a.parquet", "--events", "x")
        ],
        "pixelsieve convert: no such option: --detectr": [
            *("convert", "a.parquet", "--detectr", "x")
        ],
        "pixelsieve convert: missing option '--out'; see pixelsieve convert --help": [
            *("convert", "a.parquet")
        ],
        "pixelsieve evaluate: invalid value for '--split': 'tset' is not one of": [
            *("evaluate", "m.keras", "--data", "a", "--split", "tset")
        ],
        "pixelsieve compare: missing option '--data' / '-d' (did you mean --data a.parquet?)": [
            *("compare", "a.parquet", "--out", "r")
        ],
        "pixelsieve: --bits is 1; expected 2 to 16": [
            *("train", "--data", dataset_file, "--out", "r", "--bits", "1")
        ],
        "pixelsieve: no such command 'comprae'. Did you mean 'compare'?": ["comprae"],
        "pixelsieve: no such option: --verson": ["--verson"],
    }
    for expected, arguments in wrong.items():
        line = refused(pixelsieve(*arguments))
        assert line.startswith(expected)
        assert "--detectr" not in arguments or "--detector" in line  # the nearest one
        real = subprocess.run(  # by the installed program's own way
            [*PROGRAM, *map(str, arguments)], capture_output=True, text=True, check=False
        )
        assert (real.returncode, real.stdout, real.stderr.strip()) == (2, "", line)


def test_help_and_version_are_no_errors() -> None:
    for arguments in (["--help"], ["--version"], ["convert", "--help"]):
        result = pixelsieve(*arguments)
        assert result.exit_code == 0
        assert result.stdout
        assert not result.stderr
    bare = pixelsieve()
    assert bare.exit_code == 2
    assert "Usage" in bare.output
    assert "see pixelsieve --help" not in bare.output


def test_only_verbs_that_resume_promise_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from pixelsieve.formats import dataset, sources

    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    for name in ("find_files", "load", "read_parts"):
        monkeypatch.setattr(dataset, name, interrupted)
    monkeypatch.setattr(sources, "find_files", interrupted)
    data = ["--data", "a.parquet", "--out", tmp_path / "out"]
    for arguments, resumes in (
        (["train", *data], True),
        (["compare", *data], True),
        (["inspect", "a.parquet"], False),
    ):
        result = pixelsieve(*arguments)
        assert result.exit_code == 130
        promise = "; the same command goes on from here" if resumes else ""
        assert result.output.strip() == f"pixelsieve: interrupted{promise}"


def test_data_of_another_detector_are_scored_with_a_warning(
    compared: Path, dataset_file: Path, tmp_path: Path
) -> None:
    model = compared / "models" / "float_seed0.keras"
    same = pixelsieve("evaluate", model, "--data", dataset_file, "--json")
    assert json.loads(same.stdout)["detector_differs"] == []
    assert "warning" not in same.stderr
    other = tmp_path / "other_test.parquet"
    parquet.write(make_clusters(150, seed=5, detector=SMART_PIXEL_LHC), other)
    shown = pixelsieve("evaluate", model, "--data", other, "--json")
    assert shown.exit_code == 0
    differs = json.loads(shown.stdout)["detector_differs"]
    assert "sensor.pitch_x_um 50.0 (in training 25.0)" in differs
    (line,) = shown.stderr.strip().splitlines()
    assert "warning:" in line
    assert "trained on another detector than the data's: name smart-pixel-lhc (in training" in line
    old = load_model(model)
    old = replace(old, card=replace(old.card, detector=None))
    save_model(tmp_path / "old.keras", old)
    quiet = pixelsieve("evaluate", tmp_path / "old.keras", "--data", other, "--json")
    assert json.loads(quiet.stdout)["detector_differs"] == []
    assert not quiet.stderr


def test_errors_of_all_splits_name_the_file_alone(compared: Path, tmp_path: Path) -> None:
    model = compared / "models" / "float_seed0.keras"
    path = tmp_path / "clusters.parquet"
    parquet.write(make_clusters(200, signal=np.ones(200, np.int8)), path)
    line = refused(pixelsieve("evaluate", model, "--data", path, "--split", "all"))
    assert line.startswith(f"pixelsieve: {path}: column 'signal': no BIB clusters")


def test_a_model_with_another_scaling_is_refused(
    compared: Path, dataset_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from pixelsieve.features import REGISTRY, feature_set

    changed = dict(REGISTRY)
    changed["x_profile"] = replace(changed["x_profile"], divisor=16)
    monkeypatch.setattr(feature_set, "REGISTRY", changed)
    model = compared / "models" / "float_seed0.keras"
    line = refused(pixelsieve("evaluate", model, "--data", dataset_file))
    assert "feature 'x_profile' was divided by 32 when the model was trained" in line


def test_kill_9_and_the_same_command_again_gives_the_same_numbers(
    dataset_file: Path, tmp_path: Path
) -> None:
    arguments = ["--data", str(dataset_file), "--bits", "4", "--seeds", "1", "--recipe", "sieve"]
    arguments += ["--epochs", "150", "--float-epochs", "5", "--batch-size", "64", "--workers", "1"]
    arguments += ["--no-baselines"]
    killed, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    first = subprocess.Popen([*PROGRAM, "compare", "--out", str(killed), *arguments])
    checkpoint = killed / "jobs" / "sieve_4b_seed0.npz"
    deadline = time.monotonic() + 120
    while not checkpoint.exists() and time.monotonic() < deadline:
        assert first.poll() is None
        time.sleep(0.01)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert checkpoint.exists()
    assert not (killed / "metrics.json").exists()
    for out in (killed, undisturbed):
        subprocess.run([*PROGRAM, "compare", "--out", str(out), *arguments], check=True)
    for name in ("metrics.json", "jobs/sieve_4b_seed0.json"):
        assert (killed / name).read_bytes() == (undisturbed / name).read_bytes()
    assert not checkpoint.exists()


def test_importing_and_helping_need_no_heavy_package() -> None:
    code = (
        "import sys, pixelsieve, pixelsieve.cli\n"
        "heavy = {'jax', 'keras', 'hgq', 'numpy', 'pyarrow', 'sklearn', 'matplotlib'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    shown = subprocess.run([*PROGRAM, "--help"], check=True, capture_output=True, text=True)
    for verb in ("compare", "train", "evaluate", "inspect"):
        assert verb in shown.stdout
    version = subprocess.run([*PROGRAM, "--version"], check=True, capture_output=True, text=True)
    assert version.stdout.startswith("pixelsieve 0.")


def test_keras_runs_on_jax() -> None:
    code = "import pixelsieve, keras; assert keras.backend.backend() == 'jax'"
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_help_lists_what_there_is() -> None:
    assert ", ".join(recipe.RECIPES) == options.KNOWN_RECIPES
    assert ", ".join(ZOO) == options.KNOWN_NETWORKS
    shown = " ".join(pixelsieve("search", "--help").output.replace("│", " ").split())
    assert f"on validation: {', '.join(METRICS)}." in shown
    assert {(r.epochs, r.batch_size) for r in (recipe.FLOAT, *recipe.RECIPES.values())} == {
        (50, 1024)
    }
    for verb in ("train", "compare"):
        shown = " ".join(pixelsieve(verb, "--help").output.replace("│", " ").split())
        assert "[default: (the recipe's: 50; of learned bits 2000)]" in shown
        assert recipe.LEARNED.epochs == 2000
        assert "[default: (the recipe's: 1024)]" in shown


@pytest.mark.parametrize("option", [["--recipe", "conservative"], ["--epochs", 3]])
def test_a_float_network_takes_nothing_of_quantized_training(
    option: list[object], dataset_file: Path, tmp_path: Path
) -> None:
    line = refused(pixelsieve("train", "--data", dataset_file, "--out", tmp_path / "r", *option))
    assert line.startswith(f"pixelsieve: {option[0]}: for quantized training; give --bits")
    assert not (tmp_path / "r").exists()


def test_progress_counts_networks_and_epochs(capsys: pytest.CaptureFixture[str]) -> None:
    with TrainingProgress({"float_seed0": 50, "sieve_4b_seed0": 30}) as progress:
        progress.on_report(
            "sieve_4b_seed0",
            {"epoch": 9, "validation_loss": 0.1, "validation_auc": 0.9, "learning_rate": 1e-3},
        )
        progress.on_done("float_seed0")
    assert capsys.readouterr().err == (
        "float_seed0 trained; in all 1 of 2 trainings, 60 of 80 epochs\n"
    )
