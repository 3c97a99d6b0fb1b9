"""Learned bits through the verbs: trained, compared, resumed, put into firmware."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest

from pixelsieve.core.errors import ConfigError, RunError
from pixelsieve.core.files import read_json
from pixelsieve.core.programs import Tool
from pixelsieve.formats.dataset import load
from pixelsieve.integer.logic import check_exactness
from pixelsieve.integer.network import from_model
from pixelsieve.metrics.metrics import roc_auc
from pixelsieve.networks.model_file import load_model, pick_model
from pixelsieve.networks.precision import (
    LearnedPrecision,
    Precision,
    bits_label,
    bits_order,
    bits_suffix,
    bits_text,
    parse_bits,
)
from pixelsieve.studies.jobs import training_tasks
from pixelsieve.studies.models import approaches_of
from pixelsieve.training.job import Job
from pixelsieve.training.recipe import LEARNED, RECIPES, override
from tests.test_cli import PROGRAM, SMALL_NETWORK, pixelsieve, refused
from tests.test_learned import SPEC

QUICK = ["--float-epochs", "3", "--batch-size", "64", "--initial-rate", "2e-2"]
"""Few steps, so bits must move by more in each."""


@pytest.fixture(scope="module")
def network_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("network") / "small.toml"
    path.write_text(SMALL_NETWORK)
    return path


@pytest.fixture(scope="module")
def compared(
    tmp_path_factory: pytest.TempPathFactory, dataset_file: Path, network_file: Path
) -> Path:
    out = tmp_path_factory.mktemp("compared") / "run"
    result = pixelsieve(*_compare(dataset_file, network_file, out), "--workers", 2)
    assert result.exit_code == 0, result.output
    assert "learned:40" in result.output
    return out


def _compare(data: Path, network: Path, out: Path) -> list[str]:
    words = ["compare", "--data", data, "--network", network, "--out", out, "--epochs", 60]
    words += ["--bits", "3,learned:40", "--seeds", 2, "--recipe", "sieve", "--recipe", "learned"]
    return [str(w) for w in [*words, "--no-baselines", *QUICK]]


def test_one_table_has_uniform_and_learned_bits(compared: Path) -> None:
    metrics = read_json(compared / "metrics.json")
    rows = {(r["approach"], r["bits"]): r for r in metrics["rows"]}
    assert list(rows) == [("float", None), ("sieve", 3), ("learned", "learned:40")]
    learned = rows["learned", "learned:40"]
    assert learned["models"] == ["learned_40ebops_seed0", "learned_40ebops_seed1"]
    assert learned["summary"]["auc"]["mean"] > 0.6
    assert metrics["paired"] == []  # nothing at equal bits
    history = pq.read_table(compared / "history.parquet").to_pylist()
    told = {(r["approach"], r["bits"], r["budget_ebops"]) for r in history}
    assert told == {("float", None, None), ("sieve", 3, None), ("learned", None, 40.0)}
    assert all((r["ebops"] is None) == (r["budget_ebops"] is None) for r in history)
    assert (compared / "figures" / "training_curves_40ebops.png").exists()


def test_every_network_of_a_training_is_exact_and_has_its_integers(
    compared: Path, dataset_file: Path
) -> None:
    result = read_json(compared / "jobs" / "learned_40ebops_seed0.json")
    networks = result["networks"]
    assert len(networks) > 2
    sizes = [one["ebops"] for one in networks]
    assert sizes == sorted(sizes, reverse=True)
    assert set(networks[0]["merits"]) == {"auc", "rejection_98"}
    test = load([dataset_file]).test
    for name in ("learned_40ebops_seed0", networks[0]["model"], networks[-1]["model"]):
        path = compared / "models" / f"{name}.keras"
        model = load_model(path)
        assert path.with_suffix(".json").exists()
        network, table = from_model(model), model.features.table(test)
        integers = network.run(network.input_codes(table))
        assert (model.logits(table) * 2.0**network.logit_fraction_bits == integers).all()


def test_the_report_shows_both(compared: Path) -> None:
    result = pixelsieve("report", compared, "--figures")
    assert result.exit_code == 0, result.output
    text = (compared / "report.html").read_text()
    assert "At learned:40" in text
    assert "At 3 bits" in text
    assert (compared / "figures" / "slices_40ebops.png").exists()


def test_killed_it_resumes_to_the_same_numbers(
    compared: Path, dataset_file: Path, network_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    command = [*PROGRAM, *_compare(dataset_file, network_file, out), "--workers", "1"]
    checkpoint = out / "jobs" / "learned_40ebops_seed0.npz"
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        deadline = time.monotonic() + 240
        result = out / "jobs" / "learned_40ebops_seed0.json"
        while not (checkpoint.exists() or result.exists()) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    again = pixelsieve(*_compare(dataset_file, network_file, out), "--workers", 2)
    assert again.exit_code == 0, again.output
    mine, before = (read_json(run / "metrics.json")["rows"] for run in (out, compared))
    for one, other in zip(mine, before, strict=True):
        assert one["by_seed"] == other["by_seed"]
        assert one["best_epochs"] == other["best_epochs"]
    for name in ("learned_40ebops_seed0", "learned_40ebops_seed1"):
        ours, theirs = (read_json(run / "jobs" / f"{name}.json") for run in (out, compared))
        assert ours["history"] == theirs["history"]
        assert ours["networks"] == theirs["networks"]


def test_dask_workers_give_the_same_numbers_with_one_killed_midway(
    compared: Path,
    dataset_file: Path,
    network_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from distributed import LocalCluster

    out = tmp_path / "run"
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        victim = next(iter(cluster.workers.values())).pid

        def kill_when_training() -> None:
            deadline = time.monotonic() + 240
            while not list(out.glob("jobs/*.npz")) and time.monotonic() < deadline:
                time.sleep(0.02)
            os.kill(victim, signal.SIGKILL)

        killer = threading.Thread(target=kill_when_training)
        killer.start()
        monkeypatch.chdir(tmp_path)  # where the workers are not
        words = [*_compare(dataset_file, network_file, Path("run")), "--scheduler"]
        result = pixelsieve(*words, cluster.scheduler_address)
        killer.join()
    assert result.exit_code == 0, result.output
    mine, before = (read_json(run / "metrics.json")["rows"] for run in (out, compared))
    assert [one["by_seed"] for one in mine] == [one["by_seed"] for one in before]


def test_train_gives_a_front_and_firmware_takes_any_of_it(
    dataset_file: Path, network_file: Path, tmp_path: Path, verilator: Tool
) -> None:
    run = tmp_path / "run"
    words = ["train", "--data", dataset_file, "--network", network_file, "--out", run]
    result = pixelsieve(*words, "--bits", "learned:40", "--epochs", 30, *QUICK[2:])
    assert result.exit_code == 0, result.output
    assert "Networks of learned_40ebops_seed0, validation" in result.stdout
    (chosen,) = approaches_of(run, [])["learned_40ebops"]
    assert pick_model(run, None).name == chosen.name == "learned_40ebops_seed0"
    name = read_json(run / "jobs" / "learned_40ebops_seed0.json")["networks"][1]["model"]
    assert list(approaches_of(run, [name])) == [name]
    built = pixelsieve("firmware", run, "--data", dataset_file, "--model", name)
    assert built.exit_code == 0, built.output
    assert "0 mismatches" in built.stdout
    # A network of the front that is lost is trained again with the same result.
    lost = run / "models" / f"{name}.keras"
    kept = shutil.copy(lost, tmp_path / "kept.keras")
    lost.unlink()
    again = pixelsieve(*words, "--bits", "learned:40", "--epochs", 30, *QUICK[2:])
    assert again.exit_code == 0, again.output
    assert load_model(lost).precision == load_model(Path(kept)).precision


def test_refined_networks_are_a_front_of_exact_ones_for_each_seed(
    dataset_file: Path, network_file: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    words = ["train", "--data", dataset_file, "--network", network_file, "--out", run]
    words += ["--bits", "learned:40", "--epochs", 30, *QUICK[2:], "--refine", 600, "--seeds", 2]
    result = pixelsieve(*words)
    assert result.exit_code == 0, result.output
    for seed in range(2):
        name = f"learned_40ebops_seed{seed}"
        assert f"Networks of {name}, validation" in result.stdout
        told = read_json(run / "jobs" / f"{name}.json")
        exact = [one["exact"] for one in told["networks"]]
        assert told["exact"] in exact
        assert not any(one["differing"] for one in exact)
        for one in told["networks"]:
            assert one["ebops"] <= 600
            model = load_model(run / "models" / f"{one['model']}.keras")
            table = model.features.table(load([dataset_file]).validation)
            assert check_exactness(model, table).cost.luts == one["exact"]["luts"]
            assert roc_auc(model.logits(table), table.labels) == one["exact"]["auc"]
    before = (run / "jobs" / "learned_40ebops_seed1.json").read_text()
    assert pixelsieve(*words).exit_code == 0
    assert (run / "jobs" / "learned_40ebops_seed1.json").read_text() == before
    assert "holds a run with other settings (refine)" in refused(
        pixelsieve(*words[:-3], 500, *words[-2:])
    )


def test_a_budget_that_is_not_reached_is_said(
    dataset_file: Path, network_file: Path, tmp_path: Path
) -> None:
    words = ["train", "--data", dataset_file, "--network", network_file, "--out", tmp_path / "r"]
    result = pixelsieve(*words, "--bits", "learned:1", "--epochs", 4, "--batch-size", 512)
    assert result.exit_code == 0, result.output
    assert "over the budget of 1; give more --epochs" in result.stderr
    words = ["compare", *words[1:-1], tmp_path / "c", "--seeds", 1, "--no-baselines"]
    result = pixelsieve(*words, "--bits", "learned:1", "--epochs", 4, "--batch-size", 512)
    assert result.exit_code == 0, result.output
    assert "warning: learned_1ebops_seed0: ends at" in result.stdout


def test_a_worker_that_does_not_see_the_run_says_so(tmp_path: Path) -> None:
    job = Job(SPEC, LearnedPrecision(40.0), LEARNED, 0)
    (task,) = training_tasks([job])
    shared: Any = SimpleNamespace(folder=tmp_path / "absent")
    with pytest.raises(RunError, match=r"absent: not seen by a worker; --out must be on a disk"):
        task.function(shared, *task.arguments, print)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "--bits", "learned:"], "--bits: 'learned:'; expected bits such as 4"),
        (["train", "--bits", "learned:-3"], "budget_ebops is -3.0; expected above 0"),
        (["train", "--bits", "learned:37.5"], "--bits: 'learned:37.5'; expected bits"),
        (["train", "--bits", "learned:40", "--epochs", 2], "epochs is 2; expected at least 3"),
        (["compare", "--bits", "4", "--float-recipe", "learned"], "'learned' learns bits; a float"),
        (
            ["compare", "--bits", "4", "--recipe", "sieve", "--recipe", "learned"],
            "recipe 'learned': is for learned bits, and bits has none",
        ),
        (["train", "--bits", "3,4"], "--bits: 3,4; train takes one"),
        (["train", "--bits", "learned:40", "--recipe", "sieve"], "is for uniform bits"),
        (["train", "--bits", "4", "--recipe", "learned"], "is for learned bits, not for 4"),
        (["compare", "--bits", "4,learned:40", "--recipe", "sieve"], "none is for learned bits"),
        (["train", "--bits", "4", "--refine", 100], "--refine: for learned bits; give --bits"),
        (["compare", "--bits", "17"], "--bits is 17; expected 2 to 16"),
    ],
)
def test_what_cannot_be_is_one_line(
    dataset_file: Path, tmp_path: Path, words: list[Any], message: str
) -> None:
    line = refused(pixelsieve(*words, "--data", dataset_file, "--out", tmp_path / "run"))
    assert message in line


def test_how_precisions_are_called() -> None:
    assert parse_bits("4") == 4
    assert parse_bits(" learned:300 ") == LearnedPrecision(300.0)
    assert LearnedPrecision(300.0).label == "learned:300"
    assert LearnedPrecision(1234567.0).label == "learned:1234567"
    assert LearnedPrecision(100000.2).label == "learned:100000.2"
    labels: list[Any] = ["learned:300", 16, None, 4, "learned:1000"]
    assert sorted(labels, key=bits_order) == [None, 4, 16, "learned:300", "learned:1000"]
    assert list(map(bits_text, [None, 4, "learned:300"])) == ["float", "4 bits", "learned:300"]
    assert (bits_suffix(4), bits_suffix("learned:300")) == ("4b", "300ebops")
    assert bits_label(None) is None
    assert bits_label({"weight_bits": 4}) == 4
    assert bits_label({"budget_ebops": 300.0}) == "learned:300"


def test_a_recipe_is_for_one_kind_of_bits() -> None:
    assert Job(SPEC, LearnedPrecision(40.0), LEARNED, 3).name == "learned_40ebops_seed3"
    with pytest.raises(ConfigError, match="is for uniform bits, not for learned:40"):
        Job(SPEC, LearnedPrecision(40.0), RECIPES["sieve"], 0, "float_seed0")
    with pytest.raises(ConfigError, match="recipe 'learned': is for learned bits, not for 4"):
        Job(SPEC, Precision(4), LEARNED, 0)
    for change in ({"scales": "per_layer", "warm_start": True}, {"patience": 3}):
        with pytest.raises(ConfigError, match="since the recipe learns bits"):
            override(LEARNED, **change)
