"""`pixelsieve simulate`: files, resuming, chunks on any scheduler."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import pixelsieve as ps
from pixelsieve.core import farm
from pixelsieve.core.errors import RunError
from pixelsieve.formats import parquet
from pixelsieve.formats.dataset import load
from pixelsieve.formats.sources import find_files
from pixelsieve.simulation.generate import Sample, generate
from pixelsieve.simulation.ionization import Ionization
from pixelsieve.studies import simulate as study
from pixelsieve.studies.simulate import simulate
from tests.test_cli import pixelsieve, refused

SAMPLE = Sample(250, 200, seed=3)


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "CHUNK", 100)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    out = tmp_path / "c.parquet"
    simulate(SAMPLE, out, workers=2)
    return out


def test_a_file_holds_the_sample_in_order(file: Path) -> None:
    clusters, expected = parquet.read(file), generate(SAMPLE, 0, 450)
    for name, column in expected.columns().items():
        np.testing.assert_array_equal(clusters.columns()[name], column, err_msg=name)
    assert parquet.read_provenance(file)["simulation"]["seed"] == 3
    assert [p.name for p in file.parent.iterdir()] == [file.name]


def test_a_folder_holds_the_same(file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    seen: list[int] = []
    summary = simulate(SAMPLE, folder, workers=1, on_chunk=seen.append)
    assert sum(seen) == 450
    assert summary["new"] == 450
    parts = sorted(folder.glob("*.parquet"))
    assert len(parts) == 5
    ids = np.concatenate([parquet.read(p).columns()["event_id"] for p in parts])
    np.testing.assert_array_equal(ids, np.arange(450))
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["config"]["simulation"]["n_signal"] == 250


def test_only_missing_chunks_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "many"
    simulate(SAMPLE, folder, workers=1)
    before = {p.name: p.read_bytes() for p in folder.glob("*.parquet")}
    (folder / "clusters-000003.parquet").unlink()
    kept = {n: (folder / n).stat().st_mtime_ns for n in before if "000003" not in n}
    assert simulate(SAMPLE, folder, workers=1)["new"] == 100
    assert {p.name: p.read_bytes() for p in folder.glob("*.parquet")} == before
    assert {n: (folder / n).stat().st_mtime_ns for n in kept} == kept


def test_a_finished_file_is_left_as_it_is(file: Path) -> None:
    before = file.stat().st_mtime_ns
    assert simulate(SAMPLE, file, workers=1)["new"] == 0
    assert file.stat().st_mtime_ns == before
    with pytest.raises(RunError, match="exists and is not this sample"):
        simulate(replace(SAMPLE, seed=4), file, workers=1)


def test_a_folder_of_another_sample_is_refused(tmp_path: Path) -> None:
    simulate(SAMPLE, tmp_path / "many", workers=1)
    with pytest.raises(RunError, match="holds a run with other settings"):
        simulate(replace(SAMPLE, seed=4), tmp_path / "many", workers=1)


def test_a_scheduler_elsewhere_gives_the_same_file_though_a_worker_dies(
    file: Path, tmp_path: Path
) -> None:
    """Two worker processes; one is killed after the first chunk, its chunks are done again."""
    from distributed import LocalCluster

    out, seen = tmp_path / "d.parquet", list[int]()
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        victim = cluster.workers[0].pid

        def kill_one(count: int) -> None:
            if count and not seen:
                os.kill(victim, signal.SIGKILL)
            seen.extend([count] if count else [])

        simulate(SAMPLE, out, workers=1, scheduler=cluster.scheduler_address, on_chunk=kill_one)
    assert seen
    assert out.read_bytes() == file.read_bytes()


def test_no_scheduler_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(farm, "_CONNECT_S", 1)
    arguments = ["--signal", 5, "--bib", 5, "--scheduler", "tcp://127.0.0.1:9"]
    line = refused(pixelsieve("simulate", "--out", tmp_path / "c.parquet", *arguments))
    assert "no Dask scheduler answers there" in line
    assert list(tmp_path.iterdir()) == []


def test_a_scheduler_without_workers_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distributed import LocalCluster

    monkeypatch.setattr(farm, "_CONNECT_S", 1)
    with LocalCluster(
        n_workers=0, processes=False, dashboard_address=":0", host="tcp://127.0.0.1:0"
    ) as cluster:
        arguments = ["--signal", 5, "--bib", 5, "--scheduler", cluster.scheduler_address]
        line = refused(pixelsieve("simulate", "--out", tmp_path / "c.parquet", *arguments))
    assert "has no workers" in line
    assert list(tmp_path.iterdir()) == []


def test_what_differs_from_the_defaults_is_said(tmp_path: Path) -> None:
    out = tmp_path / "c.parquet"
    simulate(replace(SAMPLE, ionization=Ionization("physical")), out, workers=1)
    assert parquet.read_provenance(out)["changed"] == {"ionization.mode": "physical"}
    shown = pixelsieve("inspect", out)
    assert "ionization.mode physical" in " ".join(shown.output.split())


def test_the_detector_is_given_once(tmp_path: Path) -> None:
    config = tmp_path / "s.toml"
    config.write_text("[detector]\nsensor = { thickness_um = 100.0 }\n")
    arguments = ["--config", config, "--detector", "muon-collider-vxd"]
    line = refused(pixelsieve("simulate", "--out", tmp_path / "c.parquet", *arguments))
    assert "give one of them" in line


def test_a_folder_for_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.parquet").mkdir()
    line = refused(pixelsieve("simulate", "--out", tmp_path / "c.parquet"))
    assert "is a folder" in line


def test_the_verb_and_its_options(tmp_path: Path) -> None:
    config = tmp_path / "s.toml"
    config.write_text('detector = "smart-pixel-lhc"\n[transport]\ntrapping_time_ns = 2.0\n')
    arguments = ["--signal", 30, "--bib", 20, "--config", config, "--slices", 20, "--json"]
    result = pixelsieve("simulate", "--out", tmp_path / "c.parquet", *arguments)
    assert result.exit_code == 0, result.output
    clusters = parquet.read(tmp_path / "c.parquet", slices=True)
    assert clusters.detector.name == "smart-pixel-lhc"
    assert clusters.slices_e is not None
    assert clusters.slices_e.shape == (50, 20, 13, 21)
    said = parquet.read_provenance(tmp_path / "c.parquet")["simulation"]
    assert said["transport"] == {"trapping_time_ns": 2.0, "n_slices": 20}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("n_signal = 5\n", "'n_signal' is not for --config; take it out and give --signal"),
        ("[gun]\np_mim_gev = 2.0\n", "did you mean 'p_min_gev'"),
        ("[ionization\n", "not valid TOML"),
    ],
)
def test_wrong_configurations_are_one_line(tmp_path: Path, text: str, message: str) -> None:
    config = tmp_path / "s.toml"
    config.write_text(text)
    line = refused(pixelsieve("simulate", "--out", tmp_path / "c.parquet", "--config", config))
    assert message in line
    assert str(config) in line
    assert [p.name for p in tmp_path.iterdir()] == ["s.toml"]


def test_kills_at_random_points_cost_nothing(tmp_path: Path) -> None:
    """Three kills of one run (`benchmarks/fault_campaign.py`, which exits with 1 for any loss)."""
    campaign = Path(__file__).parents[1] / "benchmarks" / "fault_campaign.py"
    command = [sys.executable, str(campaign), "--verbs", "simulate", "--kills", "3"]
    command += ["--work", str(tmp_path), "--json", str(tmp_path / "rows.json")]
    subprocess.run(command, check=True)
    (row,) = json.loads((tmp_path / "rows.json").read_text())
    assert row["kills"] == row["resumes"] == 3
    assert row["finished"] >= 1


def test_a_second_process_is_refused_and_takes_nothing_away(tmp_path: Path) -> None:
    out, refusals = tmp_path / "c.parquet", list[str]()

    def again(count: int) -> None:
        """Before the first chunk, when the folder of parts is empty yet."""
        if not refusals:
            with pytest.raises(RunError, match="another process works in this folder") as error:
                simulate(SAMPLE, out, workers=1)
            refusals.append(str(error.value))

    assert simulate(SAMPLE, out, workers=1, on_chunk=again)["new"] == 450
    assert refusals
    assert [p.name for p in tmp_path.iterdir()] == [out.name]


def test_a_damaged_part_of_an_interrupted_run_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, parts = tmp_path / "c.parquet", tmp_path / ".c.parquet.parts"

    def interrupt(count: int) -> None:
        if count:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(SAMPLE, out, workers=1, on_chunk=interrupt)
    part = parts / "clusters-000000.parquet"
    data = bytearray(part.read_bytes())
    data[len(data) // 3] ^= 4
    part.write_bytes(data)
    with pytest.raises(RunError, match=f"{part.name}: damaged .* it is made again"):
        simulate(SAMPLE, out, workers=1)
    part.unlink()
    simulate(SAMPLE, out, workers=1)
    np.testing.assert_array_equal(
        parquet.read(out).columns()["event_id"], generate(SAMPLE, 0, 450).columns()["event_id"]
    )
    assert not parts.exists()


def test_a_folder_loads_without_what_a_killed_run_left(tmp_path: Path) -> None:
    simulate(SAMPLE, tmp_path / "many", workers=1)
    (tmp_path / "many" / ".clusters-000001-x7.parquet").write_bytes(b"half")
    loaded = load([tmp_path / "many"])
    assert sum(len(part) for part in loaded.parts.values()) == 450


def test_a_folder_of_which_chunks_are_missing_is_not_taken_for_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("many")
    simulate(SAMPLE, folder, workers=1)
    assert "warning" not in pixelsieve("inspect", folder).output
    for number in (1, 3):
        (folder / f"clusters-00000{number}.parquet").unlink()
    out = ("--out", tmp_path / "out")
    for command in (
        ("inspect", folder),
        ("train", "--data", folder, *out),
        ("convert", folder, *out),
    ):
        assert refused(pixelsieve(*command)) == (
            "pixelsieve: many: 250 of the 450 clusters of its simulation are there; give the same "
            "`pixelsieve simulate` again to make the others, or take these as they are by "
            "'many/*.parquet'"
        )
    warning = (
        "pixelsieve: warning: many/clusters-000000.parquet and 2 more: 250 of the 450 clusters of "
        "the simulation; are files missing?\n"
    )
    shown = pixelsieve("inspect", folder / "*.parquet")
    assert (shown.exit_code, shown.stderr) == (0, warning)
    with pytest.warns(ps.PixelsieveWarning, match="are files missing"):
        ps.load("many/*.parquet")
    (folder / "manifest.json").unlink()  # as where files were copied, and some forgotten
    assert pixelsieve("inspect", folder).stderr == warning
    simulate(SAMPLE, tmp_path / "c.parquet", workers=1)
    assert "are files missing" not in pixelsieve("inspect", "c.parquet", folder).stderr


def test_a_manifest_of_something_else_hides_no_clusters(tmp_path: Path) -> None:
    simulate(SAMPLE, tmp_path / "many", workers=1)
    manifest = tmp_path / "many" / "manifest.json"
    for text in ("{", "[1]", '{"config": [1]}', '{"config": {"simulation": {"n_bib": "many"}}}'):
        manifest.write_text(text)
        assert len(find_files([tmp_path / "many"])) == 5


def test_one_split_of_a_simulation_is_taken_as_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a_test.parquet"
    parquet.write(generate(SAMPLE, 0, 100), path, provenance=study._provenance(SAMPLE))
    assert not pixelsieve("inspect", path).stderr


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "y.txt"
    line = refused(pixelsieve("simulate", "--signal", 5, "--bib", 5, "--out", out))
    assert line.endswith(
        "ends in '.txt'; expected a file ending in .parquet, or a folder without a dot in its name"
    )
    assert not out.exists()
