"""`--front-end` from the file to the model's card."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pixelsieve.formats import parquet
from tests.conftest import make_clusters
from tests.test_cli import QUICK, pixelsieve, refused

CHIP = 'noise_e = 60\nthreshold_e = 2300\nadc = "codes"\nadc_codes_e = [2300]\n'
TIMED = CHIP + "time_resolution_ps = 50\n"


@pytest.fixture(scope="module")
def chip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("chip") / "chip.toml"
    path.write_text(TIMED)
    return path


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory, dataset_file: Path, chip: Path) -> Path:
    out = tmp_path_factory.mktemp("runs") / "compared"
    result = pixelsieve(
        *("compare", "--data", dataset_file, "--out", out, "--front-end", chip, *QUICK),
        *("--time", "measured", "--seeds", 1, "--recipe", "sieve", "--bits", 3),
    )
    assert result.exit_code == 0, result.output
    assert "Clusters read out by the front end" in result.output
    return out


def test_a_comparison_says_what_its_front_end_was(compared: Path) -> None:
    metrics = json.loads((compared / "metrics.json").read_text())
    assert metrics["front_end"]["settings"]["time_resolution_ps"] == 50
    test = metrics["front_end"]["clusters"]["test"]
    assert metrics["clusters"]["test"] == {k: test[k]["read_out"] for k in ("signal", "bib")}
    assert 0 < test["signal"]["read_out"] < test["signal"]["collected"]
    assert metrics["features"]["names"][-1] == "hit_time_measured"
    assert "cut on |t| (measured) alone" in {b["approach"] for b in metrics["baselines"]}
    config = json.loads((compared / "manifest.json").read_text())["config"]
    assert config["front_end"] == metrics["front_end"]["settings"]


def test_another_front_end_is_another_run(
    compared: Path, dataset_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "other.toml").write_text(TIMED + "seed = 1\n")
    line = refused(
        pixelsieve(
            *("compare", "--data", dataset_file, "--out", compared, *QUICK, "--bits", 3),
            *("--front-end", tmp_path / "other.toml", "--time", "measured", "--seeds", 1),
            *("--recipe", "sieve"),
        )
    )
    assert "holds a run with other settings (front_end)" in line


def test_evaluate_takes_the_models_own_front_end(
    compared: Path, dataset_file: Path, tmp_path: Path
) -> None:
    model = compared / "models" / "sieve_3b_seed0.keras"
    result = pixelsieve("evaluate", model, "--data", dataset_file, "--json")
    metrics = json.loads((compared / "metrics.json").read_text())
    row = next(r for r in metrics["rows"] if r["bits"] == 3)
    evaluated = json.loads(result.stdout)
    assert evaluated["figures"] == row["by_seed"][0]
    assert evaluated["front_end_differs"] == []
    assert "warning" not in result.stderr
    (tmp_path / "other.toml").write_text(TIMED.replace("60", "30"))
    other = pixelsieve(
        *("evaluate", model, "--data", dataset_file, "--front-end", tmp_path / "other.toml")
    )
    assert other.exit_code == 0
    assert "warning:" in other.stderr
    assert "noise_e 30.0 (in training 60.0)" in other.stderr
    bare = refused(pixelsieve("evaluate", model, "--data", dataset_file, "--front-end", "none"))
    assert "'hit_time_measured_ns' is missing" in bare


def test_a_lone_file_is_enough_to_evaluate(
    compared: Path, dataset_file: Path, tmp_path: Path
) -> None:
    model = compared / "models" / "float_seed0.keras"
    lone = tmp_path / "other_test.parquet"
    parquet.write(make_clusters(150, seed=5), lone)
    shown = pixelsieve("evaluate", model, "--data", lone)
    assert shown.exit_code == 0, shown.output
    assert "test split, by file name" in shown.output
    assert "no validation split" in refused(
        pixelsieve("evaluate", model, "--data", lone, "--split", "validation")
    )
    plain = tmp_path / "some[bold]thing.parquet"
    parquet.write(make_clusters(150, seed=5), plain)
    every = json.loads(
        pixelsieve("evaluate", model, "--data", plain, "--split", "all", "--json").stdout
    )
    collected = every["front_end"]["clusters"]["all"]
    assert sum(c["collected"] for c in collected.values()) == 150


def test_bad_front_ends_are_one_line_and_nothing_is_written(
    dataset_file: Path, tmp_path: Path
) -> None:
    path, out = tmp_path / "chip.toml", tmp_path / "out"
    for text, expected in (
        ("treshold_e = 3\n", "unknown key 'treshold_e' (did you mean 'threshold_e'?)"),
        ("threshold_e = 1e9\n", "no cluster is left after the front end"),
        ("noise_e = -3\n", "chip.toml: 'noise_e' is -3.0; expected 0 or more"),
    ):
        path.write_text(text)
        for verb in ("compare", "train"):
            line = refused(
                pixelsieve(verb, "--data", dataset_file, "--out", out, "--front-end", path)
            )
            assert expected in line
            assert not out.exists()
    untimed = tmp_path / "untimed.parquet"
    parquet.write(make_clusters(400, truth={}), untimed)
    path.write_text(TIMED)
    arguments = ["--data", untimed, "--out", out, "--front-end", path]
    assert "column 'hit_time_ns' is missing" in refused(pixelsieve("train", *arguments))


def test_a_bad_split_label_names_its_own_file_and_row(tmp_path: Path) -> None:
    labels = np.array(["train"] * 70 + ["val"] * 15 + ["test"] * 15)
    for i, name in enumerate("ab"):
        path = tmp_path / f"{name}.parquet"
        parquet.write(make_clusters(100, seed=i), path)
        labels[7] = "tset" if name == "b" else "train"
        pq.write_table(pq.read_table(path).append_column("split", pa.array(labels)), path)
    line = refused(pixelsieve("train", "--data", tmp_path, "--out", tmp_path / "out"))
    assert f"{tmp_path / 'b.parquet'}: column 'split', row 7: 'tset'" in line
